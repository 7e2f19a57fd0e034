"""CycleGAN-style generator and patch discriminator (Zhu et al., ICCV 2017), as AlignGAN and its relatives use them.

Both take images in [0, 1] and work in [-1, 1] inside.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Padding = Literal["zeros", "reflect"]
UPSAMPLING = ("transposed", "resize")


def to_gan_range(images: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1]."""
    return images * 2 - 1


def from_gan_range(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return (images + 1) / 2


def init_gan_weights(module: nn.Module) -> None:
    """Every convolution's weight from N(0, 0.02); biases and norms stay at PyTorch's defaults."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))); no activation after the sum."""

    def __init__(self, channels: int, running_stats: bool, padding: Padding = "zeros") -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False, padding_mode=padding),
            nn.InstanceNorm2d(channels, affine=True, track_running_stats=running_stats),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False, padding_mode=padding),
            nn.InstanceNorm2d(channels, affine=True, track_running_stats=running_stats),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        changed: Tensor = self.body(x)
        return x + changed


def _halve_map(width: int, kernel: int) -> nn.Module:
    """(B, width, h, w) -> (B, 2 width, h / 2, w / 2); without a bias, which the instance norm behind it would take away."""
    return nn.Conv2d(width, 2 * width, kernel, stride=2, padding=1, bias=False)


def _double_map(width: int, kernel: int, padding: Padding, upsampling: str) -> nn.Module:
    """(B, width, h, w) -> (B, width / 2, 2 h, 2 w); without a bias, likewise."""
    if upsampling == "resize":
        enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        convolution = nn.Conv2d(width, width // 2, 3, padding=1, bias=False, padding_mode=padding)
        return nn.Sequential(enlarge, convolution)
    # a kernel of 3 alone would end one pixel short of twice the size
    one_more = 4 - kernel
    return nn.ConvTranspose2d(width, width // 2, kernel, stride=2, padding=1, output_padding=one_more, bias=False)


class ResNetGenerator(nn.Module):
    """Image translation (B, 3, H, W) in [0, 1] -> (B, 3, H, W) in [0, 1]; H and W multiples of 4.

    Conv 7 -> two strided convs -> residual blocks -> two transposed convs -> conv 7 -> tanh, instance norm throughout.

    Args:
        channels: width after the first convolution; doubled twice.
        blocks: number of residual blocks.
        running_stats: instance norm keeps running averages and uses them in eval mode, as in AlignGAN's official code;
            images then change between train and eval mode.
        kernel: of the strided convolutions: 4 (AlignGAN) or 3 (CycleGAN).
        padding: of the convolutions that keep the size: ``zeros`` (AlignGAN) or ``reflect`` (CycleGAN).
        in_channels: 3, and one more for each label map in [0, 1] that is stacked on the images (StarGAN).
        upsampling: ``transposed`` convolutions, or ``resize``: each pixel four times, then a convolution 3, which leaves no
            checkerboard (Odena et al., Distill 2016).
        grey: the last convolution has one channel, which stands in all three of an image.

    Raises:
        ValueError: another upsampling.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 4,
        running_stats: bool = False,
        *,
        kernel: int = 4,
        padding: Padding = "zeros",
        in_channels: int = 3,
        upsampling: str = "transposed",
        grey: bool = False,
    ) -> None:
        super().__init__()
        if upsampling not in UPSAMPLING:
            raise ValueError(f"upsampling is {' or '.join(UPSAMPLING)}, not {upsampling}")
        out_channels = 1 if grey else 3

        def step(convolution: nn.Module, out: int) -> list[nn.Module]:
            return [convolution, nn.InstanceNorm2d(out, affine=True, track_running_stats=running_stats), nn.ReLU()]

        c = channels
        layers = [
            *step(nn.Conv2d(in_channels, c, 7, padding=3, bias=False, padding_mode=padding), c),
            *step(_halve_map(c, kernel), 2 * c),
            *step(_halve_map(2 * c, kernel), 4 * c),
        ]
        for _ in range(blocks):
            layers.append(ResidualBlock(4 * c, running_stats, padding))
        layers += [
            *step(_double_map(4 * c, kernel, padding, upsampling), 2 * c),
            *step(_double_map(2 * c, kernel, padding, upsampling), c),
            nn.Conv2d(c, out_channels, 7, padding=3, bias=False, padding_mode=padding),  # no norm: it makes the colours
            nn.Tanh(),
        ]
        self.body = nn.Sequential(*layers)
        init_gan_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, in_channels, H, W) in [0, 1] -> translated images (B, 3, H, W) in [0, 1]."""
        translated = from_gan_range(self.body(to_gan_range(images)))
        return translated.expand(-1, 3, -1, -1)  # one channel in all three where it is grey; else as it is


class ConvStack(nn.Sequential):
    """``layers`` convolutions 4/2/1 with LeakyReLU(0.2), channels doubling each time; instance norm on all but, if
    ``bare_first``, the first. The last one has ``last_stride``.

    Attributes:
        out_channels: channels of the last map.
    """

    def __init__(
        self, in_channels: int, channels: int, layers: int, *, bare_first: bool = True, last_stride: int = 2
    ) -> None:
        strides = [2] * layers
        strides[-1] = last_stride
        steps: list[nn.Module] = []
        for layer, stride in enumerate(strides):
            out = channels * 2**layer
            steps.append(nn.Conv2d(in_channels, out, 4, stride=stride, padding=1))
            # Instance norm without scale and averages: a discriminator is the same in train and eval mode.
            if layer > 0 or not bare_first:
                steps.append(nn.InstanceNorm2d(out))
            steps.append(nn.LeakyReLU(0.2))
            in_channels = out
        super().__init__(*steps)
        self.out_channels = in_channels


class PatchDiscriminator(nn.Module):
    """Image (B, 3, H, W) in [0, 1] -> logits (B, 1, H / 2^layers, W / 2^layers), one a patch; no sigmoid.

    Args:
        channels: width of the first layer; doubled by each further one.
        layers: number of strided convolutions.
        overlapping: the last of them and the output have stride 1 and kernels of 4, as in CycleGAN, whose 4 layers look at
            patches of 70x70; logits are then (B, 1, H / 2^(layers - 1) - 2, W / 2^(layers - 1) - 2).
    """

    def __init__(self, channels: int = 64, layers: int = 5, *, overlapping: bool = False) -> None:
        super().__init__()
        last_stride = 2
        kernel = 3
        if overlapping:
            last_stride = 1
            kernel = 4
        self.body = ConvStack(3, channels, layers, last_stride=last_stride)
        self.out = nn.Conv2d(self.body.out_channels, 1, kernel, padding=1, bias=False)
        init_gan_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> patch logits (B, 1, h, w)."""
        logits: Tensor = self.out(self.body(to_gan_range(images)))
        return logits
