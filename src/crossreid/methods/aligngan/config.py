"""Settings of AlignGAN; the presets fill in what the paper prints or what the official code has."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossreid.errors import ConfigError
from crossreid.methods.base import MethodConfig
from crossreid.nn.backbones import BackboneConfig
from crossreid.nn.feature_generator import DecayConfig, FeatureOptimizerConfig, HeadConfig

DISCRIMINATORS = ("joint", "separate", "feature")
PIXEL_PAIRS = ("fake_real", "fake_fake")
FEATURE_PAIRS = ("real_fake", "fake_fake")
REAL_PAIRS = ("instance", "same_identity")


@dataclass
class PixelGeneratorConfig:
    """Gp and Gp'.

    Attributes:
        channels: width after the first convolution.
        blocks: residual blocks.
        running_stats: instance norm uses running averages in eval mode (official code).
    """

    channels: int = 64
    blocks: int = 4
    running_stats: bool = False


@dataclass
class DiscriminatorConfig:
    """All discriminators.

    Attributes:
        channels: width of the first layer.
        patch_layers: strided convolutions of the image discriminators.
        image_layers: strided convolutions of Dj's image branch.
        joint_layers: strided convolutions after image and feature map are joined.
        feature_channels: channels that the feature map is reduced to.
    """

    channels: int = 64
    patch_layers: int = 5
    image_layers: int = 3
    joint_layers: int = 2
    feature_channels: int = 64


@dataclass
class GanOptimizerConfig:
    """Adam of generators and discriminators.

    Attributes:
        lr: learning rate.
        betas: Adam's decay rates.
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


@dataclass
class PixelWeights:
    """Weights of the pixel module (Eq. 4), each on the sum of its two directions.

    Attributes:
        gan: adversarial (Eq. 9).
        cycle: cycle consistency (Eq. 1), on L1 means.
        identity_mapping: a generator leaves images of its target modality as they are (official code only).
        id: classification of fake infrared (Eq. 2), lambda_id_pix.
        triplet: triplets between fake and real infrared (Eq. 3).
    """

    gan: float = 1.0
    cycle: float = 10.0
    identity_mapping: float = 0.0
    id: float = 1.0
    triplet: float = 0.5


@dataclass
class FeatureWeights:
    """Weights of the feature module (Eq. 6).

    Attributes:
        id: each of the classification terms of fake and real infrared (Eq. 5).
        triplet: each of the two triplet terms (Eq. 5).
        gan: adversarial (Eq. 10), lambda_gan_feat.
    """

    id: float = 0.5
    triplet: float = 1.0
    gan: float = 0.1


@dataclass
class AlignGANConfig(MethodConfig):
    """Settings of AlignGAN and its ablation rows.

    Attributes:
        pixel_alignment: translate visible images to fake infrared; off in FeatAlign.
        discriminator: ``joint`` (AlignGAN), ``separate`` (AlignGAN-: one for images, one for feature maps), ``feature``
            (FeatAlign: feature maps only).
        pixel_gan_pairs: pairs (image, feature map) that Gp makes Dj accept (Eq. 9).
        feature_gan_pairs: pairs that Gf makes Dj accept (Eq. 10).
        real_pairs: Dj's real pairs are image and map of one photo (``instance``) or of one person (``same_identity``).
        reinitialise_discriminators: the joint phase starts with fresh discriminators (official code) instead of carrying
            D_rgb over from the pixel warm-up.
        update_norms_in_pixel_step: batch-norm averages of the encoder follow the pixel step's batches too.
        flip_test: embed the (translated) image and its mirror image, and add.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    heads: HeadConfig = field(default_factory=HeadConfig)
    generator: PixelGeneratorConfig = field(default_factory=PixelGeneratorConfig)
    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    feature_optimizer: FeatureOptimizerConfig = field(default_factory=FeatureOptimizerConfig)
    gan_optimizer: GanOptimizerConfig = field(default_factory=GanOptimizerConfig)
    decay: DecayConfig = field(default_factory=DecayConfig)
    pixel: PixelWeights = field(default_factory=PixelWeights)
    feature: FeatureWeights = field(default_factory=FeatureWeights)
    margin: float = 1.0
    pixel_alignment: bool = True
    discriminator: str = "joint"
    pixel_gan_pairs: list[str] = field(default_factory=lambda: ["fake_real", "fake_fake"])
    feature_gan_pairs: list[str] = field(default_factory=lambda: ["real_fake", "fake_fake"])
    real_pairs: str = "same_identity"
    reinitialise_discriminators: bool = True
    update_norms_in_pixel_step: bool = False
    flip_test: bool = False

    def active_phases(self) -> dict[str, int]:
        """Without pixel alignment there is nothing to warm up in the pixel phase."""
        return {n: k for n, k in super().active_phases().items() if n != "pixel" or self.pixel_alignment}

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        self.backbone.check()
        self.heads.check()
        self.feature_optimizer.check()
        if list(self.phases) != ["feature", "pixel", "joint"]:
            raise ConfigError(f"AlignGAN's phases are feature, pixel and joint, not {', '.join(self.phases)}.")
        _require("discriminator", [self.discriminator], DISCRIMINATORS)
        _require("real_pairs", [self.real_pairs], REAL_PAIRS)
        _require("pixel_gan_pairs", self.pixel_gan_pairs, PIXEL_PAIRS)
        _require("feature_gan_pairs", self.feature_gan_pairs, FEATURE_PAIRS)
        if self.pixel_alignment == (self.discriminator == "feature"):
            raise ConfigError(
                "model.discriminator=feature and model.pixel_alignment=false go together (FeatAlign): set both or neither."
            )
        self._check_sizes()

    def _check_sizes(self) -> None:
        if set(self.streams) != {"identity", "gan"}:
            raise ConfigError(f"AlignGAN's streams are identity and gan, not {', '.join(self.streams)}.")
        if any(stream.height % 4 or stream.width % 4 for stream in self.streams.values()):
            raise ConfigError(
                "AlignGAN's generators halve images twice: stream heights and widths must be multiples of 4."
            )
        layers = self.discriminators
        depth = max(layers.patch_layers, layers.image_layers + layers.joint_layers)
        for name, stream in self.streams.items():
            last = stream.height >> depth, stream.width >> depth
            if min(last) < 1 or max(last) < 2:  # instance norm needs more than one place
                raise ConfigError(
                    f"The discriminators halve images {depth} times, which {stream.height}x{stream.width} does not allow: "
                    f"raise the size of model.streams.{name} or lower the layers of model.discriminators."
                )
        if self.real_pairs == "same_identity" and self.streams["gan"].images < 2:
            raise ConfigError("model.real_pairs=same_identity needs at least 2 images an identity in the stream 'gan'.")


def _require(key: str, values: list[str], allowed: tuple[str, ...]) -> None:
    if not values or not set(values) <= set(allowed):
        raise ConfigError(f"model.{key} is {', '.join(values) or 'empty'}: choose from {', '.join(allowed)}.")
