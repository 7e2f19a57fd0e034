"""BDTR: bi-directional dual-constrained top-ranking (Ye, Wang, Lan, Yuen, IJCAI 2018; Ye et al., TIFS 2020).

A two-stream network, classification, and top-ranking losses in both directions, across modalities and inside each. What the
paper leaves open to us: this folder's README.

Example:
    ``python -m crossreid.train model=bdtr``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.losses import identity_loss
from crossreid.methods.bdtr.losses import POSITIVES, across_ranking, intra_ranking
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RankingConfig, RecognitionModule, Views
from crossreid.nn.feature_block import Described
from crossreid.nn.recognition import TwoStreamNetwork


@dataclass
class BDTRConfig(RankingConfig):
    """Settings of BDTR; ``margin`` is that of top-ranking across modalities.

    Attributes:
        specific_stages: residual stages with a copy for each modality besides the stem, 0 to 2.
        margin_intra: of top-ranking inside a modality, in distance of unit vectors.
        intra_positive: what the nearest negative of a modality is compared to: the distance to the positive of the other
            modality (``across``), or of the same (``within``).
        w_cross: weight of top-ranking across modalities, 0 to leave it out.
        w_intra: weight of top-ranking inside a modality, 0 to leave it out.
    """

    specific_stages: int = 0
    margin: float = 0.5
    margin_intra: float = 0.1
    intra_positive: str = "across"
    w_cross: float = 1.0
    w_intra: float = 1.0

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.specific_stages not in (0, 1, 2):
            raise ConfigError(f"model.specific_stages is {self.specific_stages}: choose 0, 1 or 2.")
        if self.intra_positive not in POSITIVES:
            raise ConfigError(f"model.intra_positive is '{self.intra_positive}': choose from {', '.join(POSITIVES)}.")
        if min(self.margin_intra, self.w_cross, self.w_intra) < 0:
            raise ConfigError("model.margin_intra, model.w_cross and model.w_intra are 0 or more.")
        if self.intra_positive == "within" and self.w_intra and self.streams["identity"].images < 2:
            raise ConfigError("model.intra_positive=within needs model.streams.identity.images of 2 or more.")


class BDTR(RecognitionModule[BDTRConfig]):
    """One network, one player."""

    CONFIG = BDTRConfig
    network: TwoStreamNetwork

    def __init__(self, config: BDTRConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = TwoStreamNetwork(
            config.backbone, num_identities, "bnneck", specific_stages=config.specific_stages
        )

    def encoder(self) -> nn.Module:
        """The two-stream ResNet."""
        return self.network.encoder

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """Each modality through its own first layers."""
        described: Described = self.network(images)
        return described

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Classification, and top-ranking from visible to infrared and back."""
        cfg = self.config
        described = self.describe(views.images)
        losses.add("id", identity_loss(described.logits, views.labels, cfg.label_smoothing))
        visible, infrared = views.split(described.feature)
        pids, others = views.pids["visible"], views.pids["infrared"]
        directions = ((visible, infrared, pids, others), (infrared, visible, others, pids))
        if cfg.w_cross:
            terms = [across_ranking(*direction, cfg.margin) for direction in directions]
            losses.add("cross", torch.stack(terms).sum(), cfg.w_cross)
        if cfg.w_intra:
            terms = [intra_ranking(*direction, cfg.margin_intra, cfg.intra_positive) for direction in directions]
            losses.add("intra", torch.stack(terms).sum(), cfg.w_intra)
