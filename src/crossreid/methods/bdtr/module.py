"""BDTR: bi-directional dual-constrained top-ranking (Ye, Wang, Lan, Yuen, IJCAI 2018; Ye et al., TIFS 2020).

A two-stream network, classification, and top-ranking losses in both directions, across modalities and inside each. What the
paper leaves open to us: this folder's README.

Example:
    ``python -m crossreid.train model=bdtr``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.losses import identity_loss
from crossreid.methods.bdtr.config import BDTRConfig
from crossreid.methods.bdtr.losses import across_ranking, bound_ranking, intra_ranking
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recognition import TwoStreamNetwork


class BDTR(RecognitionModule[BDTRConfig]):
    """One network, one player."""

    CONFIG = BDTRConfig
    network: TwoStreamNetwork

    def __init__(self, config: BDTRConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        self.network = TwoStreamNetwork(cfg.backbone, num_identities, "bnneck", specific_stages=cfg.specific_stages)

    def encoder(self) -> nn.Module:
        """The two-stream ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """Each modality through its own first layers."""
        output: BlockOutput = self.network(images)
        return output

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Classification, and top-ranking from visible to infrared and back."""
        cfg = self.config
        output = self.describe(views.images)
        losses.add("id", identity_loss(output.logits, views.labels, cfg.label_smoothing))
        visible, infrared = views.split(output.feature)  # behind the neck; the losses bring them to unit length
        pids = views.pids
        from_visible = (visible, infrared, pids["visible"], pids["infrared"])
        from_infrared = (infrared, visible, pids["infrared"], pids["visible"])
        if cfg.w_cross:
            there = across_ranking(*from_visible, cfg.margin)
            back = across_ranking(*from_infrared, cfg.margin)
            losses.add("cross", there + back, cfg.w_cross)
        if cfg.w_intra:
            # as in the authors' code, "bound" compares with a constant, and not with the distance of a positive
            if cfg.intra_positive == "bound":
                there = bound_ranking(*from_visible, cfg.margin_intra)
                back = bound_ranking(*from_infrared, cfg.margin_intra)
            else:
                there = intra_ranking(*from_visible, cfg.margin_intra, cfg.intra_positive)
                back = intra_ranking(*from_infrared, cfg.margin_intra, cfg.intra_positive)
            losses.add("intra", there + back, cfg.w_intra)
