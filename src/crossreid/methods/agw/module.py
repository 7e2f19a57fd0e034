"""AGW (Ye et al., Deep Learning for Person Re-identification: A Survey and Outlook, TPAMI 2021), cross-modality form.

Two-stream ResNet-50 with non-local attention blocks, generalised-mean pooling, batch-norm neck, classification and the
weighted regularised triplet loss. ``experiment=agw/caj`` adds channel-exchanged images (Ye et al., ICCV 2021).

Example:
    ``python -m crossreid.train model=agw``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.losses import squared_weighted_triplet, weighted_triplet
from crossreid.methods.agw.config import AGWConfig
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.non_local import add_non_local
from crossreid.nn.pooling import generalised_mean
from crossreid.nn.recognition import TwoStreamNetwork


class AGW(RecognitionModule[AGWConfig]):
    """One network, one player."""

    CONFIG = AGWConfig
    pooling = "GeM"
    network: TwoStreamNetwork

    def __init__(self, config: AGWConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        self.network = TwoStreamNetwork(cfg.backbone, num_identities, "bnneck", generalised_mean)
        stage_1_to_3 = self.network.encoder.middle
        # Places 1 and 2 of it are stages 2 and 3, where the authors' code has its blocks.
        for place, count in zip((1, 2), cfg.non_local, strict=True):
            stage_1_to_3[place] = add_non_local(stage_1_to_3[place], count, cfg.non_local_width)

    def encoder(self) -> nn.Module:
        """The ResNet with its non-local blocks."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """Each modality through its own stem."""
        output: BlockOutput = self.network(images)
        return output

    def ranking(self, output: BlockOutput, views: Views) -> Tensor:
        """Weighted regularised triplets on the vectors before the neck, whatever the modality."""
        loss = squared_weighted_triplet if self.config.triplet == "squared" else weighted_triplet
        return loss(output.vector, views.labels, self.config.triplet_masking)
