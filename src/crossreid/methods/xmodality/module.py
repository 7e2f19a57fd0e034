"""X modality (Li, Wei, Hong, Gong: Infrared-Visible Cross-Modal Person Re-Identification with an X Modality, AAAI 2020).

A very small generator turns visible images into images of a third modality, X; one recognition network learns from visible,
X and infrared images together, with triplets between X and infrared and inside each modality.

Example:
    ``python -m crossreid.train model=xmodality``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.errors import ConfigError
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RankingConfig, RecognitionModule, Views
from crossreid.methods.xmodality.networks import XGenerator
from crossreid.nn.feature_block import Described
from crossreid.nn.recognition import OneStreamNetwork

VISIBLE_FEATURES = ("x", "visible")


@dataclass
class XModalityConfig(RankingConfig):
    """Settings of the X modality; ``margin`` is that of the triplets between X and infrared images.

    Attributes:
        w_gap: weight of the triplets between X and infrared images (CMG), 0 to leave them out.
        w_respective: weight of the triplets inside each modality (MRG), 0 to leave them out.
        margin_respective: of these, in Euclidean distance.
        visible_feature: what retrieval makes of a visible image: the feature of its X image (``x``) or its own (``visible``).
    """

    w_gap: float = 1.0
    w_respective: float = 1.0
    margin_respective: float = 0.3
    visible_feature: str = "x"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.visible_feature not in VISIBLE_FEATURES:
            raise ConfigError(
                f"model.visible_feature is '{self.visible_feature}': choose from {', '.join(VISIBLE_FEATURES)}."
            )
        if min(self.w_gap, self.w_respective, self.margin_respective) < 0:
            raise ConfigError("model.w_gap, model.w_respective and model.margin_respective are 0 or more.")


class XModality(RecognitionModule[XModalityConfig]):
    """Generator and network learn together; one player."""

    CONFIG = XModalityConfig
    network: OneStreamNetwork

    def __init__(self, config: XModalityConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(config.backbone, num_identities, "bnneck")
        self.generator = XGenerator()

    def encoder(self) -> nn.Module:
        """The ResNet, and the generator before it: both train at ``encoder_lr``."""
        return nn.ModuleList([self.generator, self.network.encoder])

    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """All images as one batch, visible ones as they are."""
        described: Described = self.network(torch.cat(list(images.values())))
        return described

    def features(self, images: Tensor, modality: Modality) -> Tensor:
        """(N, 3, h, w) -> (N, D); a visible image by way of X, unless ``visible_feature`` says otherwise."""
        if modality == "visible" and self.config.visible_feature == "x":
            images = self.generator(images)
        return super().features(images, modality)

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Classification of images of three modalities, CMG and MRG."""
        cfg = self.config
        visible, infrared = views.images["visible"], views.images["infrared"]
        seen, other = views.pids["visible"], views.pids["infrared"]
        described = self.network(torch.cat([visible, self.generator(visible), infrared]))
        labels = torch.cat([seen, seen, other])
        losses.add("id", identity_loss(described.logits, labels, cfg.label_smoothing))
        own, x, far = described.vector.split([len(seen), len(seen), len(other)])
        if cfg.w_gap:
            there = euclidean_triplet(x, far, seen, other, cfg.margin)
            back = euclidean_triplet(far, x, other, seen, cfg.margin)
            losses.add("gap", (there + back) / 2, cfg.w_gap)
        if cfg.w_respective:
            parts = ((own, seen), (x, seen), (far, other))
            terms = [euclidean_triplet(part, part, pids, pids, cfg.margin_respective) for part, pids in parts]
            losses.add("respective", torch.stack(terms).mean(), cfg.w_respective)

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Visible images, what the generator makes of them, and infrared images."""
        return {"real visible": visible, "X": self.generator(visible).clamp(0, 1), "real infrared": infrared}
