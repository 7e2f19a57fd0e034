"""Two-stream network (Wu et al., ICCV 2017, sec. 4): first layers of their own for each modality, the others shared.

It is trained by classification alone.

Example:
    ``python -m crossreid.train model=twostream``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.methods.recognition import RecognitionModule
from crossreid.methods.twostream.config import TwoStreamConfig
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recognition import TwoStreamNetwork


class TwoStream(RecognitionModule[TwoStreamConfig]):
    """One network, one player."""

    CONFIG = TwoStreamConfig
    network: TwoStreamNetwork

    def __init__(self, config: TwoStreamConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        self.network = TwoStreamNetwork(cfg.backbone, num_identities, cfg.neck, specific_stages=cfg.specific_stages)

    def encoder(self) -> nn.Module:
        """The ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """Each modality through its own first layers."""
        output: BlockOutput = self.network(images)
        return output
