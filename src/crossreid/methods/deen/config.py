"""Settings of DEEN and its ablation rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import ErasingConfig, StreamConfig, streams
from crossreid.settings.fields import setting
from crossreid.settings.method import RankingConfig
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.optimization import EpochScheduleConfig

OF_NEW_EMBEDDINGS = ("cpm", "orthogonal")
"""Losses that only the embeddings of the branches have."""


@dataclass
class DEENConfig(RankingConfig):
    """Settings of DEEN; what is the paper's, the authors' code's and ours stands in this folder's README.

    The defaults are those for SYSU-MM01; ``conf/recipe/deen`` has what is other for other datasets.
    """

    name: ClassVar[str] = "deen"
    module: ClassVar[str] = "crossreid.methods.deen.module:DEEN"
    resnet_because: ClassVar[str] = "has a stem for each modality and parts between stages"

    streams: dict[str, StreamConfig] = streams(identity=(6, 4, 384, 144))
    epochs: int = setting(150, "length of training", unit="epochs", at_least=1, ceiling=100_000)
    backbone: BackboneConfig = setting(BackboneConfig(size=[384, 144]), "the two-stream ResNet")
    schedule: EpochScheduleConfig = setting(EpochScheduleConfig(steps=[20, 60, 120]), "of the learning rates, by epoch")
    erasing: ErasingConfig = setting(
        ErasingConfig(probability=0.5, area=[0.2, 0.8], ratio=[0.3, 3.33]), "random erasing of training images"
    )
    grey: float = setting(0.5, "probability of making a training image of either modality grey", at_least=0, at_most=1)
    flip_test: bool = setting(True, "embed the image and its mirror image, and add")
    margin: float = setting(
        0.3, "of batch-hard triplets of all embeddings, in Euclidean distance", at_least=0, ceiling=1000
    )
    last_stage: int = setting(4, "residual stage whose map is pooled; 3: the fourth is left out", choices=(3, 4))
    branches: int = setting(
        2,
        "new embeddings that the expansion (DEE) makes of each image besides its own, 0 for none",
        at_least=0,
        ceiling=16,
    )
    expansion_stage: int = setting(
        3, "residual stage behind which the expansion stands, 0: behind the stems", choices=(0, 1, 2, 3, 4)
    )
    dropout: float = setting(0.01, "probability of dropout behind the expansion", at_least=0, below=1)
    aggregation_stages: list[int] = setting(
        [1, 2, 3],
        "residual stages whose output is aggregated with their input (MFA)",
        choices=(1, 2, 3, 4),
        distinct=True,
        ascending=True,
    )
    mfa_tokens: str = setting(
        "halves",
        "what the spatial part of MFA compares: a place of the upper half of the map together with one of the lower half (the "
        "authors' code), or each position by itself (positions, the paper)",
        choices=("halves", "positions"),
    )
    mfa_affinity: str = setting(
        "mean",
        "how MFA weighs what it sums: products divided by the number of summands (the authors' code), or their softmax (the "
        "paper)",
        choices=("mean", "softmax"),
    )
    cpm: str = setting(
        "printed",
        "center-guided pair mining: one hinge for each modality (printed), or three whose distance inside the modality has no "
        "gradient (the authors' code)",
        choices=("printed", "code"),
    )
    cpm_margin: float = setting(0.2, "of center-guided pair mining, in Euclidean distance", at_least=0, ceiling=1000)
    losses: list[str] = setting(
        list(OF_NEW_EMBEDDINGS),
        "losses on new embeddings: cpm (center-guided pair mining), orthogonal; [] for none",
        choices=OF_NEW_EMBEDDINGS,
        distinct=True,
    )
    w_cpm: float = setting(
        0.8, "weight of center-guided pair mining (lambda_1), where losses has it", at_least=0, ceiling=1e6
    )
    w_orthogonal: float = setting(
        0.1, "weight of the orthogonal loss (lambda_2), where losses has it", at_least=0, ceiling=1e6
    )
    pool_share: float = setting(
        0.5,
        "share of the vectors before the neck in the similarity of two images; the rest is that of those behind it",
        at_least=0,
        at_most=1,
    )

    def check_together(self, place: str) -> None:
        """Stages exist, losses have something to compare, and maps can be halved."""
        super().check_together(place)
        self._check_stages(place)
        self._check_losses(place)
        if self.mfa_tokens == "halves":
            self._check_halves(place)

    def _check_stages(self, place: str) -> None:
        """None lies behind the last."""
        beyond = [stage for stage in self.aggregation_stages if stage > self.last_stage]
        if beyond:
            raise ConfigError(
                f"{place}.aggregation_stages names stage {beyond[0]}, and {place}.last_stage is {self.last_stage}."
            )
        if self.branches and self.expansion_stage > self.last_stage:
            raise ConfigError(
                f"{place}.expansion_stage is {self.expansion_stage}, and {place}.last_stage is {self.last_stage}."
            )

    def _check_losses(self, place: str) -> None:
        """A loss on new embeddings needs some."""
        if self.has_pair_mining and self.branches < 1:
            raise ConfigError(
                f"{place}.losses names cpm, which is of the embeddings that are new, and {place}.branches is 0: set "
                f"{place}.losses=[]."
            )
        if self.has_orthogonal and self.branches < 2:
            raise ConfigError(
                f"{place}.losses names orthogonal, which is of two embeddings that are new, and {place}.branches is "
                f"{self.branches}: leave it out of {place}.losses."
            )

    def _check_halves(self, place: str) -> None:
        """Maps that are aggregated have an even number of positions."""
        shapes = self.map_shapes()
        for stage in self.aggregation_stages:
            for height, width in (shapes[stage - 1], shapes[stage]):
                if height * width % 2:
                    raise ConfigError(
                        f"{place}.mfa_tokens=halves divides maps into two halves, and one of stage {stage} has {height} x "
                        f"{width} positions: change {place}.backbone.size, or set {place}.mfa_tokens=positions."
                    )

    def map_shapes(self) -> list[tuple[int, int]]:
        """Height and width of the maps behind the stems and behind each of the four residual stages."""
        height, width = self.backbone.size
        for _ in range(2):  # the stem's convolution and its pooling
            height, width = _halved(height), _halved(width)
        shapes = [(height, width)]
        for stride in self.stage_strides:
            if stride == 2:
                height, width = _halved(height), _halved(width)
            shapes.append((height, width))
        return shapes

    @property
    def stage_strides(self) -> tuple[int, int, int, int]:
        """Of the four residual stages."""
        return 1, 2, 2, self.backbone.last_stride

    @property
    def has_pair_mining(self) -> bool:
        """Whether center-guided pair mining trains anything."""
        return "cpm" in self.losses and self.w_cpm > 0

    @property
    def has_orthogonal(self) -> bool:
        """Whether the orthogonal loss trains anything."""
        return "orthogonal" in self.losses and self.w_orthogonal > 0

    @property
    def embeddings(self) -> int:
        """Embeddings of an image: its own, and those of the branches."""
        return 1 + self.branches


def _halved(length: int) -> int:
    """What a convolution or pooling of stride 2 makes of a map's height or width, padded as a ResNet's."""
    return (length + 1) // 2
