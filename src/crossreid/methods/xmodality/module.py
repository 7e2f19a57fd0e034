"""X modality (Li, Wei, Hong, Gong: Infrared-Visible Cross-Modal Person Re-Identification with an X Modality, AAAI 2020).

A very small generator turns visible images into images of a third modality, X; one recognition network learns from visible,
X and infrared images together, with triplets between X and infrared and inside each modality.

Example:
    ``python -m crossreid.train model=xmodality``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.methods.xmodality.config import XModalityConfig
from crossreid.methods.xmodality.losses import centre_gap, centres_of
from crossreid.methods.xmodality.networks import XGenerator
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recognition import OneStreamNetwork


class XModality(RecognitionModule[XModalityConfig]):
    """Generator and network learn together; one player."""

    CONFIG = XModalityConfig
    network: OneStreamNetwork

    def __init__(self, config: XModalityConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = OneStreamNetwork(self.config.backbone, num_identities, "bnneck")
        self.generator = XGenerator(1 / 3 if self.config.generator_values == "normalised" else 1.0)

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """The encoder's blocks, and the X generator."""
        return super().recomputable() | {"generators": [self.generator]}

    def encoder(self) -> nn.Module:
        """The ResNet, and the generator before it: both train at ``encoder_lr``."""
        return nn.ModuleList([self.generator, self.network.encoder])

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch, visible ones as they are."""
        output: BlockOutput = self.network(torch.cat(list(images.values())))
        return output

    def features(self, images: Tensor, modality: Modality) -> Tensor:
        """(N, 3, h, w) -> (N, D); a visible image by way of X, unless ``visible_feature`` says otherwise."""
        prepared = self.network.encoder.prepare(images)
        if modality == "visible" and self.config.visible_feature == "x":
            prepared = self._prepared_x(images)
        output = self.network.prepared(prepared)
        return output.vector if self.config.test_feature == "pooled" else output.feature

    def _prepared_x(self, visible: Tensor) -> Tensor:
        """Visible images (N, 3, h, w) in [0, 1] -> their X images as the encoder's first layer sees them (N, 3, H, W)."""
        prepare = self.network.encoder.prepare
        if self.config.generator_values == "normalised":
            x: Tensor = self.generator(prepare(visible))
        else:
            x = prepare(self.generator(visible))
        return x

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Classification of images of three modalities, CMG and MRG."""
        cfg = self.config
        visible = views.images["visible"]
        infrared = views.images["infrared"]
        visible_pids = views.pids["visible"]
        infrared_pids = views.pids["infrared"]
        prepare = self.network.encoder.prepare
        x = self._prepared_x(visible)
        # One batch of all three, as the authors have it; an X image has the label of its visible one.
        output = self.network.prepared(torch.cat([prepare(visible), x, prepare(infrared)]))
        labels = torch.cat([visible_pids, visible_pids, infrared_pids])
        losses.add("id", identity_loss(output.logits, labels, cfg.label_smoothing), cfg.w_id)
        counts = [len(visible), len(visible), len(infrared)]
        visible_vectors, x_vectors, infrared_vectors = torch.split(output.vector, counts)
        if cfg.w_gap and cfg.gap == "centres":
            persons = infrared_pids[:: cfg.streams["identity"].images]  # rows stand identity by identity
            infrared_centres = centres_of(infrared_vectors, infrared_pids, persons)
            to_x = centre_gap(infrared_centres, centres_of(x_vectors, visible_pids, persons), cfg.margin)
            to_visible = centre_gap(infrared_centres, centres_of(visible_vectors, visible_pids, persons), cfg.margin)
            both_orders = 2 * (to_x + to_visible)  # the code adds both orders of a pair, which are equal
            losses.add("gap", both_orders, cfg.w_gap)
        elif cfg.w_gap:
            there = euclidean_triplet(x_vectors, infrared_vectors, visible_pids, infrared_pids, cfg.margin)
            back = euclidean_triplet(infrared_vectors, x_vectors, infrared_pids, visible_pids, cfg.margin)
            losses.add("gap", (there + back) / 2, cfg.w_gap)
        if cfg.w_respective:  # MRG: triplets inside each of the three modalities
            terms = []
            for vectors, pids in (
                (visible_vectors, visible_pids),
                (x_vectors, visible_pids),
                (infrared_vectors, infrared_pids),
            ):
                terms.append(euclidean_triplet(vectors, vectors, pids, pids, cfg.margin_respective))
            losses.add("respective", torch.stack(terms).mean(), cfg.w_respective)

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Visible images, what the generator makes of them, and infrared images."""
        prepare = self.network.encoder.prepare
        x = self.generator(visible)
        if self.config.generator_values == "normalised":
            x = self.generator((visible - prepare.mean) / prepare.std) * prepare.std + prepare.mean
        return {"real visible": visible, "X": x.clamp(0, 1), "real infrared": infrared}
