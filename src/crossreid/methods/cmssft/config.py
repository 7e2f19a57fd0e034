"""Settings of cm-SSFT and its ablation rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from crossreid.data.transforms import ErasingConfig
from crossreid.errors import ConfigError
from crossreid.methods.base import MethodConfig
from crossreid.methods.cmssft.networks import SEGMENTS, Decoder
from crossreid.nn.backbones import BackboneConfig
from crossreid.nn.feature_block import NECKS

MODALITY_GENERATORS = ("minimax", "uniform")


@dataclass
class AdamConfig:
    """Adam of both players, each with an optimizer of its own.

    Attributes:
        lr: learning rate.
        betas: Adam's decay rates.
        weight_decay: L2 weight.
    """

    lr: float = 3.5e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 5e-4

    def make(self, parameters: list[nn.Parameter]) -> Adam:
        """The optimizer of one player."""
        return Adam(parameters, lr=self.lr, betas=(self.betas[0], self.betas[1]), weight_decay=self.weight_decay)


@dataclass
class StepsConfig:
    """Learning rates times ``factor`` at each of the iterations ``after``."""

    after: list[int] = field(default_factory=lambda: [27840, 48720])
    factor: float = 0.1

    def scheduler(self, optimizer: Optimizer) -> MultiStepLR:
        """A schedule to be stepped once an iteration."""
        return MultiStepLR(optimizer, milestones=list(self.after), gamma=self.factor)


@dataclass
class DecoderConfig:
    """The decoders.

    Attributes:
        width: channels after each sub-pixel convolution.
        reduced: a 1x1 convolution to ``width`` comes first (0.85 M parameters instead of 9.9 M).
    """

    width: int = 64
    reduced: bool = False


@dataclass
class BoundsConfig:
    """What keeps the projection adversary bounded; all off is Eq. 15 and 20 as printed, which diverges.

    Attributes:
        normalise: Theta maps unit vectors to unit vectors.
        clip: largest error of an image in the network's turn, 0 for none.
        detach_shared: in the network's turn only the specific features move.
    """

    normalise: bool = True
    clip: float = 1.0
    detach_shared: bool = True


@dataclass
class CMSSFTConfig(MethodConfig):
    """Settings of cm-SSFT.

    Attributes:
        neck: feature blocks: ``bnneck``, or ``fc`` (Table 4, without augmentation).
        feature_dim: width of the features of neck ``fc``; those of ``bnneck`` are as wide as what goes in.
        specific: modality-specific streams (SpL).
        transfer: features that SSTN propagates: ``shared`` (ShT), ``specific`` (SpT); none for no SSTN.
        transfer_dim: width after W.
        k: neighbours of each row of each block (Eq. 8, 22).
        reconstruction: lambda_1, weight of the reconstruction (RE); 0 for no decoders.
        modality: lambda_2, weight of modality adaptation (MoA); 0 for no modality discriminator.
        projection: lambda_3, weight of the projection adversary (PA); 0 for no projections.
        discriminator_widths: hidden layers of the modality discriminator.
        modality_generator: the network maximises D's loss (``minimax``, the paper), or pulls D to one half (``uniform``).
        margin_across: rho_1, of triplets across modalities.
        margin_within: rho_2, of triplets inside a modality.
        crop_padding: pixels of black around an image before a random crop, 0 for none.
        erasing: random erasing of training images.
        single_query_pairs: most query-gallery pairs a trial that single-query scoring takes on without a GPU; null for
            no limit.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    neck: str = "bnneck"
    feature_dim: int = 2048
    specific: bool = True
    transfer: list[str] = field(default_factory=lambda: list(SEGMENTS))
    transfer_dim: int = 2048
    k: int = 4
    reconstruction: float = 1.0
    modality: float = 0.2
    projection: float = 0.2
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    discriminator_widths: list[int] = field(default_factory=lambda: [1024, 512])
    modality_generator: str = "minimax"
    projection_bounds: BoundsConfig = field(default_factory=BoundsConfig)
    margin_across: float = 0.3
    margin_within: float = 0.3
    optimizer: AdamConfig = field(default_factory=AdamConfig)
    decay: StepsConfig = field(default_factory=StepsConfig)
    crop_padding: int = 10
    erasing: ErasingConfig = field(default_factory=ErasingConfig)
    single_query_pairs: int | None = 2_000_000

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        self.backbone.check()
        self.erasing.check()
        if set(self.streams) != {"identity"}:
            raise ConfigError(f"cm-SSFT has the stream identity alone, not {', '.join(self.streams)}.")
        if self.neck not in NECKS or self.modality_generator not in MODALITY_GENERATORS:
            raise ConfigError(
                f"model.neck is {' or '.join(NECKS)} and model.modality_generator {' or '.join(MODALITY_GENERATORS)}, not "
                f"{self.neck} and {self.modality_generator}."
            )
        if not set(self.transfer) <= set(SEGMENTS) or len(set(self.transfer)) < len(self.transfer):
            raise ConfigError(f"model.transfer lists {' and '.join(SEGMENTS)}, each at most once, not {self.transfer}.")
        if min(self.reconstruction, self.modality, self.projection, self.margin_across, self.margin_within) < 0:
            raise ConfigError("The weights and margins of cm-SSFT are 0 or more.")
        if not self.specific and (self.transfer or self.reconstruction or self.projection):
            raise ConfigError(
                "Transfer, reconstruction and projection need the specific streams: set model.specific=true, or "
                "model.transfer=[] and the weights model.reconstruction and model.projection to 0."
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        sizes = [self.k, self.feature_dim, self.transfer_dim, self.decoder.width, *self.discriminator_widths]
        if min(sizes) < 1 or self.crop_padding < 0 or self.projection_bounds.clip < 0:
            raise ConfigError(
                "model.k and the widths of cm-SSFT are 1 or more, model.crop_padding and model.projection_bounds.clip 0 or "
                "more."
            )
        if self.single_query_pairs is not None and self.single_query_pairs < 0:
            raise ConfigError("model.single_query_pairs is 0 or more, or null for no limit.")
        if self.reconstruction and (
            any(side % Decoder.UPSCALING for side in self.backbone.size) or self.backbone.last_stride != 1
        ):
            raise ConfigError(
                f"The decoders enlarge maps {Decoder.UPSCALING} times: model.backbone.size {self.backbone.size} must be "
                f"multiples of {Decoder.UPSCALING} and model.backbone.last_stride 1."
            )
