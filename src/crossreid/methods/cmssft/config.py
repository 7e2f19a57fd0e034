"""Settings of cm-SSFT and its ablation rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import ErasingConfig
from crossreid.settings.fields import Settings, setting
from crossreid.settings.method import EpochsConfig
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.optimization import AdamConfig, EpochStepsConfig

SEGMENTS = ("shared", "specific")
"""Kinds of features that SSTN can propagate."""

UPSCALING = 16
"""The decoders' images are so many times as high and wide as the maps."""


@dataclass
class CMSSFTDecoderConfig(Settings):
    """The decoders."""

    width: int = setting(64, "channels after each sub-pixel convolution", at_least=1, ceiling=4096)
    reduced: bool = setting(False, "a 1x1 convolution to that width comes first (0.85 M parameters instead of 9.9 M)")


@dataclass
class CMSSFTBoundsConfig(Settings):
    """What keeps the projection adversary bounded; all off is Eq. 15 and 20 as printed, which diverges."""

    normalise: bool = setting(True, "Theta maps unit vectors to unit vectors")
    clip: float = setting(1.0, "largest error of an image in the network's turn, 0 for none", at_least=0, ceiling=1e6)
    detach_shared: bool = setting(True, "in the network's turn only the specific features move")


@dataclass
class CMSSFTConfig(EpochsConfig):
    """Settings of cm-SSFT; the defaults are the printed numbers, and our choice where there are none."""

    name: ClassVar[str] = "cmssft"
    module: ClassVar[str] = "crossreid.methods.cmssft.module:CMSSFT"
    resnet_because: ClassVar[str] = "has copies of stem and stages for each modality"
    recomputable: ClassVar[tuple[str, ...]] = ("encoder", "generators")
    settled: ClassVar[dict[str, str]] = {"preset=official": "the authors published no code, so it is as the paper"}

    epochs: int = setting(120, "length of training (sec. 4.1)", unit="epochs", at_least=1, ceiling=100_000)
    crop_padding: int = setting(
        10, "black around an image before a random crop, 0 for none", unit="pixels", at_least=0, ceiling=1000
    )
    erasing: ErasingConfig = setting(ErasingConfig(), "random erasing of training images")
    backbone: BackboneConfig = setting(BackboneConfig(), "the encoder; its size is of multiples of 16 for the decoders")
    neck: str = setting(
        "bnneck", "feature blocks: bnneck, or fc (Table 4, without augmentation)", choices=("bnneck", "fc", "none")
    )
    feature_dim: int = setting(
        2048,
        "width of the features of neck fc; those of bnneck are as wide as what goes in",
        at_least=1,
        ceiling=16_384,
    )
    specific: bool = setting(True, "modality-specific streams (SpL)")
    transfer: list[str] = setting(
        list(SEGMENTS),
        "features that SSTN propagates: shared (ShT), specific (SpT); [] for no SSTN",
        choices=SEGMENTS,
        distinct=True,
    )
    transfer_dim: int = setting(2048, "width after W", at_least=1, ceiling=16_384)
    k: int = setting(4, "neighbours of each row of each block (Eq. 8, 22)", at_least=1, ceiling=10_000)
    decoder: CMSSFTDecoderConfig = setting(CMSSFTDecoderConfig(), "the decoders")
    discriminator_widths: list[int] = setting(
        [1024, 512], "widths of the modality discriminator's hidden layers", at_least=1, ceiling=16_384
    )
    reconstruction: float = setting(
        1.0, "lambda_1, weight of the reconstruction (RE); 0 for no decoders", at_least=0, ceiling=1e6
    )
    modality: float = setting(
        0.2, "lambda_2, weight of modality adaptation (MoA); 0 for no modality discriminator", at_least=0, ceiling=1e6
    )
    projection: float = setting(
        0.2, "lambda_3, weight of the projection adversary (PA); 0 for no projections", at_least=0, ceiling=1e6
    )
    modality_generator: str = setting(
        "minimax",
        "the network maximises D's loss (minimax, the paper), or pulls D to one half (uniform)",
        choices=("minimax", "uniform"),
    )
    projection_bounds: CMSSFTBoundsConfig = setting(
        CMSSFTBoundsConfig(), "keep Eq. 20 bounded; all off is as printed, and diverges"
    )
    margin_across: float = setting(0.3, "rho_1, of triplets across modalities", at_least=0, ceiling=1000)
    margin_within: float = setting(0.3, "rho_2, of triplets inside a modality", at_least=0, ceiling=1000)
    optimizer: AdamConfig = setting(
        AdamConfig(lr=3.5e-4, betas=[0.9, 0.999], weight_decay=5e-4), "Adam, one for each player (sec. 4.1)"
    )
    decay: EpochStepsConfig = setting(
        EpochStepsConfig(after=[40.0, 70.0], factor=0.1), "of the learning rates (sec. 4.1)"
    )
    single_query_pairs: int | None = setting(
        2_000_000,
        "most query-gallery pairs a trial that single queries are scored on without a GPU; null for any number",
        at_least=0,
        ceiling=1_000_000_000_000,
    )

    def check_together(self, place: str) -> None:
        """Parts have the streams that they need, and decoders maps that they can bring back to the image's size."""
        super().check_together(place)
        if not self.specific and (self.transfer or self.reconstruction or self.projection):
            raise ConfigError(
                f"Transfer, reconstruction and projection need the specific streams: set {place}.specific=true, or "
                f"{place}.transfer=[] and the weights {place}.reconstruction and {place}.projection to 0."
            )
        divisible = all(side % UPSCALING == 0 for side in self.backbone.size)
        if self.reconstruction and not (divisible and self.backbone.last_stride == 1):
            raise ConfigError(
                f"The decoders enlarge maps {UPSCALING} times: {place}.backbone.size {self.backbone.size} must be "
                f"multiples of {UPSCALING} and {place}.backbone.last_stride 1."
            )
