"""AGW (Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021), cross-modality form.

Two-stream ResNet-50 with non-local attention blocks, generalised-mean pooling, batch-norm neck, classification and the
weighted regularised triplet loss. ``experiment=agw/caj`` adds channel-exchanged images (Ye et al., ICCV 2021).

Example:
    ``python -m crossreid.train model=agw``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.losses import weighted_triplet
from crossreid.methods.recognition import RecognitionConfig, RecognitionModule, Views
from crossreid.nn.feature_block import Described
from crossreid.nn.non_local import add_non_local
from crossreid.nn.pooling import generalised_mean
from crossreid.nn.recognition import TwoStreamNetwork


@dataclass
class AGWConfig(RecognitionConfig):
    """Settings of AGW.

    Attributes:
        non_local: number of non-local blocks at the ends of the residual stages 2 and 3, each behind a block of its own.
        non_local_width: inner channels of a non-local block; null for half of what comes in.
    """

    non_local: list[int] = field(default_factory=lambda: [2, 3])
    non_local_width: int | None = None

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if (
            len(self.non_local) != 2
            or min(self.non_local) < 0
            or (self.non_local_width is not None and self.non_local_width < 1)
        ):
            raise ConfigError(
                "model.non_local is [blocks in stage 2, blocks in stage 3], 0 or more, and model.non_local_width is 1 or "
                f"more or null, not {self.non_local} and {self.non_local_width}."
            )


class AGW(RecognitionModule[AGWConfig]):
    """One network, one player."""

    CONFIG = AGWConfig
    pooling = "GeM"
    network: TwoStreamNetwork

    def __init__(self, config: AGWConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = TwoStreamNetwork(config.backbone, num_identities, "bnneck", generalised_mean)
        middle = self.network.encoder.middle  # residual stages 1 to 3
        for stage, count in zip((1, 2), config.non_local, strict=True):
            middle[stage] = add_non_local(middle[stage], count, config.non_local_width)

    def encoder(self) -> nn.Module:
        """The ResNet with its non-local blocks."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """Each modality through its own stem."""
        described: Described = self.network(images)
        return described

    def ranking(self, described: Described, views: Views) -> Tensor:
        """Weighted regularised triplets on the vectors before the neck, whatever the modality."""
        return weighted_triplet(described.vector, views.labels)
