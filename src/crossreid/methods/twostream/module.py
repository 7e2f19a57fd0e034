"""Two-stream network (Wu et al., ICCV 2017, sec. 4): first layers of their own for each modality, the others shared.

It is trained by classification alone.

Example:
    ``python -m crossreid.train model=twostream``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.methods.recognition import ClassificationConfig, RecognitionModule
from crossreid.nn.feature_block import Described
from crossreid.nn.recognition import TwoStreamNetwork


@dataclass
class TwoStreamConfig(ClassificationConfig):
    """Settings of the two-stream network.

    Attributes:
        specific_stages: residual stages that have a copy for each modality besides the stem, 0 to 2.
    """

    specific_stages: int = 1

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.specific_stages not in (0, 1, 2):
            raise ConfigError(f"model.specific_stages is {self.specific_stages}: choose 0, 1 or 2.")


class TwoStream(RecognitionModule[TwoStreamConfig]):
    """One network, one player."""

    CONFIG = TwoStreamConfig
    network: TwoStreamNetwork

    def __init__(self, config: TwoStreamConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = TwoStreamNetwork(
            config.backbone, num_identities, config.neck, specific_stages=config.specific_stages
        )

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """Each modality through its own first layers."""
        described: Described = self.network(images)
        return described
