"""The generators that JSIA-ReID's Table 4 compares with: CycleGAN, StarGAN and a VAE, small and standard.

Each is a module with a ``step`` that trains it on one batch of unpaired images, and makes images as a
:class:`crossreid.studies.generation.pairs.PairGenerator`. Images are (B, 3, H, W) in [0, 1], losses in the range [-1, 1].
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from crossreid.losses import least_squares, pixel_l1
from crossreid.methods.base import parameters_of
from crossreid.methods.jsia.losses import mix
from crossreid.nn.gan import ConvStack, PatchDiscriminator, ResNetGenerator, from_gan_range, to_gan_range
from crossreid.settings.commands import GeneratorSizes
from crossreid.studies.generation.pairs import ImagePair

VISIBLE = 0  # labels of the modalities
INFRARED = 1


def _adam(sizes: GeneratorSizes, networks: Iterable[nn.Module]) -> Adam:
    """Adam with the GANs' usual betas on all parameters of some networks."""
    return Adam(parameters_of(*networks), lr=sizes.lr, betas=(0.5, 0.999))


class TrainedGenerator(nn.Module):
    """A generator with its own training step."""

    @abstractmethod
    def step(self, real: ImagePair) -> dict[str, float]:
        """Train on one batch; returns the losses by name."""

    @abstractmethod
    def fakes(self, real: ImagePair) -> ImagePair:
        """See :class:`crossreid.studies.generation.pairs.PairGenerator`."""

    def imagined(self, real: ImagePair, ratio: Tensor, shift: int) -> ImagePair | None:
        """Nothing: translators have no latent space."""
        return None


def _move(optimizer: Adam, losses: dict[str, Tensor], weights: dict[str, float]) -> dict[str, float]:
    """One optimizer step on a weighted sum (weight 1 where none is given); the losses' values."""
    summands = [weights.get(name, 1.0) * value for name, value in losses.items()]
    loss = torch.stack(summands).sum()
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    return {name: float(value.detach()) for name, value in losses.items()}


class CycleGAN(TrainedGenerator):
    """Two generators, two patch discriminators; least squares, cycle consistency x10 (Zhu et al., ICCV 2017)."""

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.to_visible = ResNetGenerator(sizes.channels, sizes.blocks)
        self.to_infrared = ResNetGenerator(sizes.channels, sizes.blocks)
        self.judge_visible = PatchDiscriminator(sizes.channels, sizes.layers)
        self.judge_infrared = PatchDiscriminator(sizes.channels, sizes.layers)
        self.generator = _adam(sizes, [self.to_visible, self.to_infrared])
        self.discriminator = _adam(sizes, [self.judge_visible, self.judge_infrared])

    def step(self, real: ImagePair) -> dict[str, float]:
        """Generators, then discriminators."""
        visible = self.to_visible(real.infrared)
        infrared = self.to_infrared(real.visible)
        gan = self._judge(visible, infrared, 1.0)
        # Translated there and back an image is to be itself again.
        cycle_visible = pixel_l1(self.to_visible(infrared), real.visible)
        cycle_infrared = pixel_l1(self.to_infrared(visible), real.infrared)
        losses = {"gan": gan, "cycle": cycle_visible + cycle_infrared}
        values = _move(self.generator, losses, {"cycle": 10.0})
        # Detached: the discriminators' step has no use of gradients in the generators.
        loss_fake = self._judge(visible.detach(), infrared.detach(), 0.0)
        loss_real = self._judge(real.visible, real.infrared, 1.0)
        return values | _move(self.discriminator, {"discriminator": 0.5 * (loss_fake + loss_real)}, {})

    def _judge(self, visible: Tensor, infrared: Tensor, target: float) -> Tensor:
        """How far both discriminators are from taking images for real (1) or fake (0)."""
        logits_visible = self.judge_visible(visible)
        logits_infrared = self.judge_infrared(infrared)
        return least_squares(logits_visible, target) + least_squares(logits_infrared, target)

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """Each generator on the other modality's images."""
        return ImagePair(self.to_visible(real.infrared), self.to_infrared(real.visible))


class _LabelledDiscriminator(nn.Module):
    """StarGAN's: images (B, 3, H, W) -> patch logits (real or fake) and modality logits (B, 2)."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.body = ConvStack(3, channels, layers)
        self.source = nn.Conv2d(self.body.out_channels, 1, 3, padding=1, bias=False)
        self.label = nn.Linear(self.body.out_channels, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images in [0, 1] -> (B, 1, h, w) and (B, 2)."""
        maps = self.body(to_gan_range(images))
        return self.source(maps), self.label(maps.mean(dim=(2, 3)))


class StarGAN(TrainedGenerator):
    """One generator told by a label map which modality to make, one discriminator that also names the modality.

    Adversarial, classification x1 and reconstruction x10 (Choi et al., CVPR 2018), least squares in the place of its
    Wasserstein loss with gradient penalty.
    """

    def __init__(self, sizes: GeneratorSizes) -> None:
        super().__init__()
        self.network = ResNetGenerator(sizes.channels, sizes.blocks, in_channels=4)
        self.judge = _LabelledDiscriminator(sizes.channels, sizes.layers)
        self.generator = _adam(sizes, [self.network])
        self.discriminator = _adam(sizes, [self.judge])

    def _translate(self, images: Tensor, labels: Tensor) -> Tensor:
        fakes: Tensor = self.network(_with_label_map(images, labels))
        return fakes

    def step(self, real: ImagePair) -> dict[str, float]:
        """Generator, then discriminator, on the images of both modalities together."""
        images = torch.cat(real)
        labels = _labels(real)
        fakes = self._translate(images, 1 - labels)
        patch_logits, modality_logits = self.judge(fakes)
        losses = {
            "gan": least_squares(patch_logits, 1.0),
            "label": F.cross_entropy(modality_logits, 1 - labels),
            "reconstruction": pixel_l1(self._translate(fakes, labels), images),
        }
        values = _move(self.generator, losses, {"reconstruction": 10.0})
        # The discriminator learns the modality from real images alone, as in StarGAN: the fakes' is what the generator claims.
        patch_logits, modality_logits = self.judge(images)
        fake_logits, _ = self.judge(fakes.detach())
        loss_fake = least_squares(fake_logits, 0.0)
        loss_real = least_squares(patch_logits, 1.0)
        losses = {
            "discriminator": 0.5 * (loss_real + loss_fake),
            "discriminator_label": F.cross_entropy(modality_logits, labels),
        }
        return values | _move(self.discriminator, losses, {})

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """The one generator with either label."""
        fakes = self._translate(torch.cat(real), 1 - _labels(real))
        infrared, visible = fakes.chunk(2)  # the first half was visible
        return ImagePair(visible, infrared)


class ConditionalVAE(TrainedGenerator):
    """A VAE whose encoder and decoder are told the modality (Kingma and Welling, ICLR 2014; Sohn et al., NeurIPS 2015).

    Encoded with its own label and decoded with the other, an image changes its modality. Loss: L1 of the image and the
    closed-form Gaussian KL, as the negative evidence bound of a Laplace distribution of unit scale has them.

    Args:
        sizes: width, depth, latent.
        height: of the images, divisible by 2^layers.
        width: as ``height``.
    """

    def __init__(self, sizes: GeneratorSizes, height: int, width: int) -> None:
        super().__init__()
        depth = sizes.layers
        self.encoder = ConvStack(4, sizes.channels, depth)  # three colours and the label map
        # Each layer halves height and width.
        self.grid = (self.encoder.out_channels, height >> depth, width >> depth)
        numbers = self.grid[0] * self.grid[1] * self.grid[2]
        self.to_latent = nn.Linear(numbers, 2 * sizes.latent)
        self.from_latent = nn.Linear(sizes.latent + 1, numbers)
        # The encoder the other way round: each layer doubles height and width and halves the channels, down to an image.
        up: list[nn.Module] = []
        channels = self.grid[0]
        for _ in range(depth - 1):
            half = max(sizes.channels, channels // 2)
            up += [nn.ReLU(), nn.ConvTranspose2d(channels, half, 4, stride=2, padding=1)]
            channels = half
        up += [nn.ReLU(), nn.ConvTranspose2d(channels, 3, 4, stride=2, padding=1)]
        self.decoder = nn.Sequential(*up, nn.Tanh())
        self.optimizer = _adam(sizes, [self.encoder, self.to_latent, self.from_latent, self.decoder])

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) in [0, 1] and labels (B,) -> mean and log-variance, (B, L)."""
        maps = self.encoder(to_gan_range(_with_label_map(images, labels)))
        mean, log_variance = self.to_latent(maps.flatten(1)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latent: Tensor, labels: Tensor) -> Tensor:
        """(B, L) and labels (B,) -> images in [0, 1]."""
        maps = self.from_latent(torch.cat([latent, labels.to(latent.dtype)[:, None]], dim=1))
        return from_gan_range(self.decoder(maps.view(-1, *self.grid)))

    def step(self, real: ImagePair) -> dict[str, float]:
        """Both modalities together."""
        images = torch.cat(real)
        labels = _labels(real)
        mean, log_variance = self.encode(images, labels)
        deviation = (0.5 * log_variance).exp()
        # A draw from N(mean, variance) in which mean and variance are written, so that gradients reach the encoder.
        latent = mean + deviation * torch.randn_like(mean)
        # KL of N(mean, variance) to N(0, 1), summed over the latent's numbers.
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        reconstruction = pixel_l1(self.decode(latent, labels), images)
        losses = {"reconstruction": reconstruction, "divergence": divergence}
        # The bound sums both over an image; pixel_l1 is a mean over its numbers, so the divergence is divided by them too.
        return _move(self.optimizer, losses, {"divergence": 1 / images[0].numel()})

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """Latent means, decoded as the other modality."""
        labels = _labels(real)
        mean, _ = self.encode(torch.cat(real), labels)
        fakes = self.decode(mean, 1 - labels)
        infrared, visible = fakes.chunk(2)  # the first half was visible
        return ImagePair(visible, infrared)

    @torch.no_grad()
    def imagined(self, real: ImagePair, ratio: Tensor, shift: int) -> ImagePair | None:
        """Latent means of two visible images, mixed, decoded as both modalities."""
        visible_label = torch.full((len(ratio),), VISIBLE, device=ratio.device)
        infrared_label = torch.full_like(visible_label, INFRARED)
        latent, _ = self.encode(real.visible, visible_label)
        mixture = mix(latent, latent.roll(shift, 0), ratio)
        return ImagePair(self.decode(mixture, visible_label), self.decode(mixture, infrared_label))


def _with_label_map(images: Tensor, labels: Tensor) -> Tensor:
    """Images (B, 3, H, W) and a fourth channel that has an image's label everywhere, (B, 4, H, W)."""
    label_map = labels.to(images.dtype).view(-1, 1, 1, 1).expand(-1, 1, *images.shape[2:])
    return torch.cat([images, label_map], dim=1)


def _labels(real: ImagePair) -> Tensor:
    """Modality of each row of ``torch.cat(real)``."""
    return torch.tensor([VISIBLE, INFRARED], device=real.visible.device).repeat_interleave(len(real.visible))
