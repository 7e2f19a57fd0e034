"""JSIA-ReID's generation module (sec. 3.1) and variation module (sec. 3.2): networks that make images and maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.methods.jsia.config import JSIADiscriminatorConfig, JSIAGeneratorConfig, VariationConfig
from crossreid.nn.gan import from_gan_range, to_gan_range


def _convolution(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that reflects at the border; keeps the size, or halves it with kernel 4 and stride 2."""
    return nn.Conv2d(channels, out, kernel, stride, padding=(kernel - 1) // 2, padding_mode="reflect")


class StyleEncoder(nn.Module):
    """E_s: images (B, 3, H, W) in [0, 1] -> style (B, S): strided convolutions, average, one FC (sec. 4.2)."""

    def __init__(self, config: JSIAGeneratorConfig) -> None:
        super().__init__()
        channels = config.style_channels
        layers: list[nn.Module] = [_convolution(3, channels, 7), nn.ReLU()]
        # Widths double up to four times the first one, as in the authors' code: 32, 64, 128, 128, 128.
        for _ in range(config.style_halvings):
            wider = min(2 * channels, 4 * config.style_channels)
            layers += [_convolution(channels, wider, 4, 2), nn.ReLU()]
            channels = wider
        self.body = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, config.style)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> (B, S)."""
        maps = self.body(to_gan_range(images))
        # the average forgets where things are: a style can hold colours, and no pose
        style: Tensor = self.fc(maps.mean(dim=(2, 3)))
        return style


def adaptive_instance_norm(maps: Tensor, bias: Tensor, gain: Tensor) -> Tensor:
    """AdaIN: each channel of each map normalised, then scaled and shifted by what the style says.

    Args:
        maps: (B, C, h, w).
        bias: (B, C).
        gain: (B, C), used as it is.
    """
    return F.instance_norm(maps) * gain[:, :, None, None] + bias[:, :, None, None]


class AdaptiveBlock(nn.Module):
    """x + AdaIN(conv(ReLU(AdaIN(conv(x))))), the AdaIN parameters handed in with every call."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 3)
        self.second = _convolution(channels, channels, 3)

    def forward(self, x: Tensor, parameters: Tensor) -> Tensor:
        """(B, C, h, w) and (B, 4, C): bias and gain of the first norm, bias and gain of the second."""
        # Bias before gain, as the authors' code cuts what the style's layers give.
        bias1, gain1, bias2, gain2 = parameters.unbind(1)
        hidden = F.relu(adaptive_instance_norm(self.first(x), bias1, gain1))
        return x + adaptive_instance_norm(self.second(hidden), bias2, gain2)


class SampleNorm(nn.Module):
    """Normalises over C, h and w of each sample, with a gain and a bias a channel (authors' code, after MUNIT).

    The standard deviation is the unbiased one, and epsilon is added to it, not to the variance.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gain = nn.Parameter(torch.rand(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        deviation, mean = torch.std_mean(x, dim=(1, 2, 3), keepdim=True)
        normalised = (x - mean) / (deviation + self.epsilon)
        return normalised * self.gain[:, None, None] + self.bias[:, None, None]


class StyledDecoder(nn.Module):
    """D: content map (B, C, h, w) and style (B, S) -> images (B, 3, h * 2^ups, w * 2^ups) in [0, 1].

    AdaIN residual blocks, x2 steps (nearest, convolution, :class:`SampleNorm`, ReLU), convolution, tanh. Nothing of a call
    is kept: the AdaIN parameters are computed from the style and passed on.

    Args:
        channels: C.
        config: numbers of blocks and x2 steps, widths.
    """

    def __init__(self, channels: int, config: JSIAGeneratorConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AdaptiveBlock(channels) for _ in range(config.blocks))
        self.adain = nn.Sequential(
            nn.Linear(config.style, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.blocks * 4 * channels),  # two norms a block, a bias and a gain each
        )
        steps: list[nn.Module] = []
        for _ in range(config.upsamplings):
            half = channels // 2
            steps += [nn.Upsample(scale_factor=2), _convolution(channels, half, 5), SampleNorm(half), nn.ReLU()]
            channels = half
        self.tail = nn.Sequential(*steps, _convolution(channels, 3, 7), nn.Tanh())

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Content (B, C, h, w), style (B, S) -> images in [0, 1]."""
        channels = content.shape[1]
        parameters = self.adain(style).view(len(style), len(self.blocks), 4, channels)
        maps = content
        for index, block in enumerate(self.blocks):
            maps = block(maps, parameters[:, index])
        return from_gan_range(self.tail(maps))


class MultiScaleDiscriminator(nn.Module):
    """Images (B, 3, H, W) in [0, 1] -> one map of patch logits a scale; each scale sees half the size of the one before.

    Convolutions 4/2 with LeakyReLU(0.2) and no norm, then 1x1 to a logit (authors' code).
    """

    def __init__(self, config: JSIADiscriminatorConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(self._scale(config) for _ in range(config.scales))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @staticmethod
    def _scale(config: JSIADiscriminatorConfig) -> nn.Sequential:
        layers: list[nn.Module] = []
        channels = 3
        for layer in range(config.layers):
            width = config.channels * 2**layer
            layers += [_convolution(channels, width, 4, 2), nn.LeakyReLU(0.2)]
            channels = width
        return nn.Sequential(*layers, nn.Conv2d(channels, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) in [0, 1] -> logits (B, 1, h, w) of each scale."""
        scaled = to_gan_range(images)
        logits = []
        for scale in self.scales:
            logits.append(scale(scaled))
            # What is padded does not count, so that borders keep their brightness.
            scaled = F.avg_pool2d(scaled, 3, stride=2, padding=1, count_include_pad=False)
        return logits


class Pair(NamedTuple):
    """The same thing for visible and for infrared images."""

    visible: Tensor
    infrared: Tensor

    def detach(self) -> Pair:
        """Without gradients."""
        return Pair(self.visible.detach(), self.infrared.detach())


class GenerationOutputs(NamedTuple):
    """What the generation module makes of B visible and B infrared images of the same identities, row by row.

    Attributes:
        contents: M^i of the real images (Eq. 2).
        styles: M^s of the real images (Eq. 1).
        reconstructions: images from their own content and style (Eq. 4).
        fakes: X_ir2rgb from infrared content and visible style; X_rgb2ir the other way (Eq. 3).
        fake_contents: M^i of the fakes.
        cycles: X_rgb2ir2rgb and X_ir2rgb2ir, the fakes translated back (Eq. 6).
    """

    contents: Pair
    styles: Pair
    reconstructions: Pair
    fakes: Pair
    fake_contents: Pair
    cycles: Pair

    def detach(self) -> GenerationOutputs:
        """Without gradients."""
        return GenerationOutputs(*(pair.detach() for pair in self))


class GenerationModule(nn.Module):
    """Two style encoders and two decoders; E_i belongs to the re-ID path and is handed in.

    Args:
        channels: of content maps.
        config: widths and depths.
        reencoded: the way back takes the style of the fake, as Eq. 6 prints it, instead of the original style.
    """

    def __init__(self, channels: int, config: JSIAGeneratorConfig, reencoded: bool) -> None:
        super().__init__()
        self.reencoded = reencoded
        self.style_visible = StyleEncoder(config)
        self.style_infrared = StyleEncoder(config)
        self.decode_visible = StyledDecoder(channels, config)
        self.decode_infrared = StyledDecoder(channels, config)

    def styles(self, images: Pair) -> Pair:
        """Images (B, 3, H, W) in [0, 1] -> styles (B, S)."""
        return Pair(self.style_visible(images.visible), self.style_infrared(images.infrared))

    def decode(self, contents: Pair, styles: Pair) -> Pair:
        """Contents of what becomes visible and infrared, with the styles -> images in [0, 1]."""
        return Pair(
            self.decode_visible(contents.visible, styles.visible),
            self.decode_infrared(contents.infrared, styles.infrared),
        )

    def fakes(self, contents: Pair, styles: Pair) -> Pair:
        """Eq. 3: contents M^i and styles M^s of real images -> images in [0, 1], each with the other modality's content.

        A fake comes from the decoder of its style's modality, as in Eq. 6; Eq. 3 prints the decoders the other way round.
        """
        return self.decode(_exchange(contents), styles)

    def forward(self, encode: Callable[[Pair], Pair], images: Pair) -> GenerationOutputs:
        """Everything that the losses of Eq. 4 to 7 look at; ``encode`` is E_i on images of both modalities."""
        contents = encode(images)  # Eq. 2
        styles = self.styles(images)  # Eq. 1
        reconstructions = self.decode(contents, styles)  # the images of Eq. 4
        fakes = self.fakes(contents, styles)  # Eq. 3
        fake_contents = encode(fakes)  # E_i of Eq. 6, which prints it with subscripts though it is one network
        cycle_styles = styles
        if self.reencoded:
            cycle_styles = self.styles(fakes)
        # Eq. 6: a fake visible image holds infrared content, so it goes back to infrared
        cycles = self.decode(_exchange(fake_contents), cycle_styles)
        return GenerationOutputs(contents, styles, reconstructions, fakes, fake_contents, cycles)


def _exchange(pair: Pair) -> Pair:
    """Each in the place of the other."""
    return Pair(pair.infrared, pair.visible)


class Latent(NamedTuple):
    """Mean u and standard deviation tau > 0, each (B, L, h, w)."""

    mean: Tensor
    deviation: Tensor

    def sample(self) -> Tensor:
        """z = u + tau * epsilon, epsilon standard normal: gradients reach u and tau (sec. 3.2)."""
        # not randn_like, which draws in the order of memory: the format of maps would choose the noise
        epsilon = torch.randn(self.deviation.shape, dtype=self.deviation.dtype, device=self.deviation.device)
        return self.mean + self.deviation * epsilon


class VariationModule(nn.Module):
    """V: E_v maps M (B, C, h, w) to a latent (B, L, h / 2^n, w / 2^n), D_v maps latents back to maps, not negative.

    The paper gives no layers: strided convolutions down, nearest x2 and convolutions up, group norm, as small as is usual.

    Args:
        channels: C.
        config: width, depth, L.
    """

    def __init__(self, channels: int, config: VariationConfig) -> None:
        super().__init__()
        width = config.channels

        def step(layer: nn.Module) -> list[nn.Module]:
            return [layer, nn.GroupNorm(1, width), nn.ReLU()]

        down = step(nn.Conv2d(channels, width, 4, stride=2, padding=1))
        up = step(nn.Conv2d(config.latent, width, 1))
        for _ in range(config.halvings - 1):
            down += step(nn.Conv2d(width, width, 4, stride=2, padding=1))
        for _ in range(config.halvings):
            up += [nn.Upsample(scale_factor=2), *step(nn.Conv2d(width, width, 3, padding=1))]
        self.encoder = nn.Sequential(*down)
        self.to_mean = nn.Conv2d(width, config.latent, 1)
        self.to_deviation = nn.Conv2d(width, config.latent, 1)
        # M comes out of a ReLU (stage 1 of the ResNet), so what V makes of it may not be negative either.
        self.decoder = nn.Sequential(*up, nn.Conv2d(width, channels, 3, padding=1), nn.ReLU())

    def encode(self, maps: Tensor) -> Latent:
        """M (B, C, h, w) -> u and tau."""
        hidden = self.encoder(maps)
        u = self.to_mean(hidden)
        tau = F.softplus(self.to_deviation(hidden))  # positive, or Eq. 10's tau - 1 could be met by the wrong sign
        return Latent(u, tau)

    def decode(self, latent: Tensor) -> Tensor:
        """z -> M (B, C, h, w), not negative."""
        maps: Tensor = self.decoder(latent)
        return maps
