"""Settings of AlignGAN: the defaults are what the paper prints, and what the authors' code has where it prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import StreamConfig, streams
from crossreid.settings.fields import Settings, setting
from crossreid.settings.method import MethodConfig
from crossreid.settings.networks import BackboneConfig, HeadConfig, test_norm, upsampling
from crossreid.settings.optimization import AdamConfig, DecayConfig, FeatureOptimizerConfig

PHASES = ("feature", "pixel", "joint")


@dataclass
class PixelGeneratorConfig(Settings):
    """Gp and Gp'."""

    channels: int = setting(64, "width after the first convolution", at_least=1, ceiling=16_384)
    blocks: int = setting(4, "residual blocks", at_least=0, ceiling=100)
    running_stats: bool = setting(False, "instance norm with running averages in eval mode (official code)")
    upsampling: str = upsampling()
    grey: bool = setting(False, "Gp makes one channel, which stands in all three, as in infrared images")


@dataclass
class AlignGANDiscriminatorConfig(Settings):
    """All discriminators."""

    channels: int = setting(64, "width of the first layer", at_least=1, ceiling=16_384)
    patch_layers: int = setting(5, "strided convolutions of image discriminators", at_least=1, ceiling=10)
    image_layers: int = setting(3, "strided convolutions of Dj's image branch", at_least=1, ceiling=10)
    joint_layers: int = setting(
        2, "strided convolutions after image and feature map are joined", at_least=0, ceiling=10
    )
    feature_channels: int = setting(64, "channels that the feature map is reduced to", at_least=1, ceiling=16_384)


@dataclass
class PixelWeights(Settings):
    """Weights of the pixel module (Eq. 4), each on the sum of its two directions."""

    gan: float = setting(1.0, "fooling the discriminators (Eq. 9)", at_least=0, ceiling=1e6)
    cycle: float = setting(10.0, "there and back (Eq. 1, on L1 means): lambda_cyc of Eq. 4", at_least=0, ceiling=1e6)
    identity_mapping: float = setting(
        0.0,
        "images of the target modality stay as they are; not in the paper, in the official code",
        at_least=0,
        ceiling=1e6,
    )
    id: float = setting(1.0, "classification of fake infrared (Eq. 2): lambda_id_pix of Eq. 4", at_least=0, ceiling=1e6)
    triplet: float = setting(
        0.5, "between fake and real infrared (Eq. 3): half of each direction", at_least=0, ceiling=1e6
    )


@dataclass
class FeatureWeights(Settings):
    """Weights of the feature module (Eq. 6)."""

    id: float = setting(
        0.5,
        "each classification term, of fake and of real infrared (Eq. 5: an expectation over the union of both)",
        at_least=0,
        ceiling=1e6,
    )
    triplet: float = setting(1.0, "each of the two directions (Eq. 5)", at_least=0, ceiling=1e6)
    gan: float = setting(
        0.1, "maps that the discriminator accepts (Eq. 10): lambda_gan_feat of Eq. 6", at_least=0, ceiling=1e6
    )


@dataclass
class AlignGANConfig(MethodConfig):
    """Settings of AlignGAN and its ablation rows."""

    name: ClassVar[str] = "aligngan"
    module: ClassVar[str] = "crossreid.methods.aligngan.module:AlignGAN"
    recomputable: ClassVar[tuple[str, ...]] = ("encoder", "generators")
    stream_names: ClassVar[tuple[str, ...]] = ("identity", "gan")

    # one batch of 144 for all modules (sec. 4.2): `identity` for feature steps, `gan` for pixel and discriminator steps
    streams: dict[str, StreamConfig] = streams(identity=(18, 4, 128, 128), gan=(18, 4, 128, 128))
    phases: dict[str, int] = setting(
        {"feature": 5000, "pixel": 10000, "joint": 10000},
        "length of feature warm-up, pixel warm-up and joint training; 0 leaves a phase out",
        unit="iterations",
        at_least=0,
        ceiling=1_000_000_000,
    )
    iterations_per_epoch: int | None = setting(
        100, "iterations in an epoch of the trainer", at_least=1, ceiling=1_000_000
    )
    backbone: BackboneConfig = setting(
        BackboneConfig(size=[384, 192]), "the encoder; (fake) infrared images are resized to its size"
    )
    heads: HeadConfig = setting(HeadConfig(), "classifier and embedder of the feature generator")
    generator: PixelGeneratorConfig = setting(PixelGeneratorConfig(), "Gp and Gp'")
    discriminators: AlignGANDiscriminatorConfig = setting(AlignGANDiscriminatorConfig(), "all discriminators")
    feature_optimizer: FeatureOptimizerConfig = setting(
        FeatureOptimizerConfig(encoder_lr=0.02, head_lr=0.2),
        "of the feature generator; head_lr is the rate of classifier and embedder",
    )
    gan_optimizer: AdamConfig = setting(AdamConfig(betas=[0.5, 0.999]), "Adam of generators and discriminators")
    decay: DecayConfig = setting(DecayConfig(), "of all learning rates, in iterations of the phase joint")
    pixel: PixelWeights = setting(PixelWeights(), "weights of the pixel module (Eq. 4)")
    feature: FeatureWeights = setting(FeatureWeights(), "weights of the feature module (Eq. 6)")
    margin: float = setting(1.0, "of the triplets, in cosine similarity", at_least=0, ceiling=1000)
    pixel_alignment: bool = setting(True, "translate visible images to fake infrared; off in FeatAlign")
    discriminator: str = setting(
        "joint",
        "what is judged: (image, feature map) pairs by one discriminator (joint, AlignGAN), images and feature maps by one "
        "each (separate, AlignGAN-), or feature maps only (feature, FeatAlign)",
        choices=("joint", "separate", "feature"),
    )
    pixel_gan_pairs: list[str] = setting(
        ["fake_real", "fake_fake"],
        "(image, feature map) pairs that Gp makes Dj accept (Eq. 9)",
        choices=("fake_real", "fake_fake"),
        filled=True,
    )
    feature_gan_pairs: list[str] = setting(
        ["real_fake", "fake_fake"],
        "(image, feature map) pairs that Gf makes Dj accept (Eq. 10)",
        choices=("real_fake", "fake_fake"),
        filled=True,
    )
    real_pairs: str = setting(
        "same_identity",
        "what Dj's real image and feature map share: one photo (instance) or one person (same_identity, Eq. 8)",
        choices=("instance", "same_identity"),
    )
    reinitialise_discriminators: bool = setting(
        True,
        "the joint phase starts with fresh discriminators (official code) instead of carrying D_rgb over from the pixel "
        "warm-up",
    )
    update_norms_in_pixel_step: bool = setting(
        False, "batch-norm averages of the encoder follow the pixel steps' batches too"
    )
    flip_test: bool = setting(False, "embed the (fake) infrared image and its mirror image, and add")
    test_norm: str = test_norm()

    def phase_lengths(self) -> dict[str, int]:
        """``phases``."""
        return dict(self.phases)

    def active_phases(self) -> dict[str, int]:
        """Without pixel alignment there is nothing to warm up in the pixel phase."""
        phases = super().active_phases()
        if not self.pixel_alignment:
            phases.pop("pixel", None)
        return phases

    def check_together(self, place: str) -> None:
        """Phases are these three, a row is one of Table 4's, and the networks allow images of these sizes."""
        super().check_together(place)
        if tuple(self.phases) != PHASES:
            raise ConfigError(f"AlignGAN's phases are feature, pixel and joint, not {', '.join(self.phases)}.")
        if self.pixel_alignment == (self.discriminator == "feature"):
            raise ConfigError(
                f"{place}.discriminator=feature and {place}.pixel_alignment=false go together (FeatAlign): set both or "
                "neither."
            )
        self._check_sizes(place)
        if self.real_pairs == "same_identity" and self.streams["gan"].images < 2:
            raise ConfigError(
                f"{place}.real_pairs=same_identity needs at least 2 images an identity in the stream 'gan'."
            )

    def _check_sizes(self, place: str) -> None:
        layers = self.discriminators
        depth = max(layers.patch_layers, layers.image_layers + layers.joint_layers)
        for stream in self.streams.values():
            if stream.height % 4 or stream.width % 4:
                raise ConfigError(
                    "AlignGAN's generators halve images twice: stream heights and widths must be multiples of 4."
                )
        for name, stream in self.streams.items():
            height = stream.height >> depth
            width = stream.width >> depth
            if min(height, width) < 1 or max(height, width) < 2:  # instance norm needs more than one place
                raise ConfigError(
                    f"The discriminators halve images {depth} times, which {stream.height}x{stream.width} does not allow: "
                    f"raise the size of {place}.streams.{name} or lower the layers of {place}.discriminators."
                )
