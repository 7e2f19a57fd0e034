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
from crossreid.methods.jsia.losses import mix
from crossreid.nn.gan import ConvStack, PatchDiscriminator, ResNetGenerator, from_gan_range, to_gan_range
from crossreid.settings.commands import GeneratorSizes
from crossreid.studies.generation.pairs import ImagePair

VISIBLE, INFRARED = 0, 1  # labels of the modalities


def _adam(sizes: GeneratorSizes, networks: Iterable[nn.Module]) -> Adam:
    """Adam with the GANs' usual betas on all parameters of some networks."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    return Adam(parameters, lr=sizes.lr, betas=(0.5, 0.999))


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
    optimizer.zero_grad(set_to_none=True)
    total = torch.stack([weights.get(name, 1.0) * value for name, value in losses.items()]).sum()
    torch.autograd.backward(total)
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
        visible, infrared = self.to_visible(real.infrared), self.to_infrared(real.visible)
        accepted = least_squares(self.judge_visible(visible), 1.0) + least_squares(self.judge_infrared(infrared), 1.0)
        cycle = pixel_l1(self.to_visible(infrared), real.visible) + pixel_l1(self.to_infrared(visible), real.infrared)
        values = _move(self.generator, {"gan": accepted, "cycle": cycle}, {"cycle": 10.0})
        visible, infrared = visible.detach(), infrared.detach()
        refused = least_squares(self.judge_visible(visible), 0.0) + least_squares(self.judge_infrared(infrared), 0.0)
        known = least_squares(self.judge_visible(real.visible), 1.0)
        known = known + least_squares(self.judge_infrared(real.infrared), 1.0)
        return values | _move(self.discriminator, {"discriminator": 0.5 * (refused + known)}, {})

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
        label_map = labels.to(images.dtype).view(-1, 1, 1, 1).expand(-1, 1, *images.shape[2:])
        made: Tensor = self.network(torch.cat([images, label_map], dim=1))
        return made

    def step(self, real: ImagePair) -> dict[str, float]:
        """Generator, then discriminator, on the images of both modalities together."""
        images = torch.cat(real)
        labels = _labels(real)
        fakes = self._translate(images, 1 - labels)
        source, named = self.judge(fakes)
        losses = {
            "gan": least_squares(source, 1.0),
            "label": F.cross_entropy(named, 1 - labels),
            "reconstruction": pixel_l1(self._translate(fakes, labels), images),
        }
        values = _move(self.generator, losses, {"reconstruction": 10.0})
        source, named = self.judge(images)
        refused = least_squares(self.judge(fakes.detach())[0], 0.0)
        adversarial = 0.5 * (least_squares(source, 1.0) + refused)
        losses = {"discriminator": adversarial, "discriminator_label": F.cross_entropy(named, labels)}
        return values | _move(self.discriminator, losses, {})

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """The one generator with either label."""
        infrared, visible = self._translate(torch.cat(real), 1 - _labels(real)).chunk(2)  # the halves change places
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
        c, depth = sizes.channels, sizes.layers
        self.encoder = ConvStack(4, c, depth)
        self.grid = (self.encoder.out_channels, height >> depth, width >> depth)
        numbers = self.grid[0] * self.grid[1] * self.grid[2]
        self.to_latent = nn.Linear(numbers, 2 * sizes.latent)
        self.from_latent = nn.Linear(sizes.latent + 1, numbers)
        up: list[nn.Module] = []
        channels = self.grid[0]
        for layer in range(depth):
            out = max(c, channels // 2) if layer + 1 < depth else 3
            up += [nn.ReLU(), nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1)]
            channels = out
        self.decoder = nn.Sequential(*up, nn.Tanh())
        self.optimizer = _adam(sizes, [self.encoder, self.to_latent, self.from_latent, self.decoder])

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) in [0, 1] and labels (B,) -> mean and log-variance, (B, L)."""
        label_map = labels.to(images.dtype).view(-1, 1, 1, 1).expand(-1, 1, *images.shape[2:])
        maps = self.encoder(to_gan_range(torch.cat([images, label_map], dim=1)))
        mean, log_variance = self.to_latent(maps.flatten(1)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latent: Tensor, labels: Tensor) -> Tensor:
        """(B, L) and labels (B,) -> images in [0, 1]."""
        maps = self.from_latent(torch.cat([latent, labels.to(latent.dtype)[:, None]], dim=1))
        return from_gan_range(self.decoder(maps.view(-1, *self.grid)))

    def step(self, real: ImagePair) -> dict[str, float]:
        """Both modalities together."""
        images, labels = torch.cat(real), _labels(real)
        mean, log_variance = self.encode(images, labels)
        latent = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        reconstruction = pixel_l1(self.decode(latent, labels), images)
        losses = {"reconstruction": reconstruction, "divergence": divergence}
        return _move(self.optimizer, losses, {"divergence": 1 / images[0].numel()})

    @torch.no_grad()
    def fakes(self, real: ImagePair) -> ImagePair:
        """Latent means, decoded as the other modality."""
        images, labels = torch.cat(real), _labels(real)
        made = self.decode(self.encode(images, labels)[0], 1 - labels)
        infrared, visible = made.chunk(2)  # the halves change places
        return ImagePair(visible, infrared)

    @torch.no_grad()
    def imagined(self, real: ImagePair, ratio: Tensor, shift: int) -> ImagePair | None:
        """Latent means of two visible images, mixed, decoded as both modalities."""
        label = torch.full((len(ratio),), VISIBLE, device=ratio.device)
        latent = self.encode(real.visible, label)[0]
        mixed = mix(latent, latent.roll(shift, 0), ratio)
        return ImagePair(self.decode(mixed, label), self.decode(mixed, torch.full_like(label, INFRARED)))


def _labels(real: ImagePair) -> Tensor:
    """Modality of each row of ``torch.cat(real)``."""
    return torch.tensor([VISIBLE, INFRARED], device=real.visible.device).repeat_interleave(len(real.visible))
