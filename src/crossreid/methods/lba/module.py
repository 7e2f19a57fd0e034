"""Learning by Aligning: Visible-Infrared Person Re-identification using Cross-Modal Correspondences (LbA).

Park, Lee, Lee, Ham. ICCV 2021. Equations 1-11, Table 3's rows by switches. CMAlign works in training only; retrieval is
one ResNet. What paper and official code disagree on: this folder's README.

Example:
    ``python -m crossreid.train model=lba``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.optim import Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.base import CrossModalityModule, Schedule, parameters_of
from crossreid.methods.embedding import check_images
from crossreid.methods.lba.cmalign import (
    Alignment,
    Partners,
    align,
    co_attention,
    draw_partners,
    matching_probabilities,
    person_masks,
    similarities,
    top_matches,
)
from crossreid.methods.lba.config import LbAConfig
from crossreid.methods.lba.losses import dense_triplet
from crossreid.methods.lba.networks import LbANetwork
from crossreid.methods.players import Losses
from crossreid.methods.reporting import HasFigureData
from crossreid.nn.optimization import epoch_schedule, make_feature_optimizer
from crossreid.nn.pooling import generalised_mean
from crossreid.nn.two_stream import StageMaps
from crossreid.randomness import torch_generator
from crossreid.settings.figures import INFRARED_TO_VISIBLE, CorrespondenceConfig


class LbA(CrossModalityModule[LbAConfig], HasFigureData):
    """One network, trained by one optimizer: CMAlign has no parameters and no opponent."""

    CONFIG = LbAConfig
    pooling = "GeM"
    OPTIMIZERS = ("network",)

    def __init__(self, config: LbAConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = LbANetwork(self.config.backbone, self.config.specific_stages, num_identities)

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """A tenth of the rate for the encoder (sec. 4.1)."""
        encoder = self.network.encoder.parameters()
        heads = parameters_of(self.network.neck, self.network.classifier)
        return {"network": make_feature_optimizer(self.config.optimizer, encoder, heads)}

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Warm-up and cuts, by epochs."""
        scheduler = epoch_schedule(
            self.config.schedule, optimizers["network"], self.config.known_epoch(), self.config.epochs
        )
        return {"network": Schedule(scheduler, ("joint",))}

    def training_step(self, batch: TrainingBatch) -> None:
        """Eq. 8: identity losses on images of both modalities, and what CMAlign adds."""
        images = batch["identity"]
        labels = torch.cat([images.pids, images.pids])  # (N,) with N = 2 B: visible, then infrared rows
        with self.turn("network") as losses:
            # CMAlign taps the maps of this one forward: identity losses and alignment see the same features.
            maps = self.network.maps(images.visible, images.infrared)
            vectors = generalised_mean(maps.layer4)  # phi(f), (N, C)
            losses.add("id", identity_loss(self.network.classify(vectors), labels))
            # Anchors, positives and negatives are of either modality: only CMAlign looks across (sec. 3.3).
            triplet = euclidean_triplet(vectors, vectors, labels, labels, self.config.margin)
            losses.add("triplet", triplet)
            if self.config.w_ic or self.config.w_dt:
                # Terms of both stages are added up, without a mean (authors' code).
                for layer in self.config.layers:
                    self._add_alignment(losses, layer, maps, labels)

    def _add_alignment(self, losses: Losses, layer: int, maps: StageMaps, labels: Tensor) -> None:
        """ID consistency and dense triplets of one stage's maps, with partners of its own.

        Every image is an anchor once, so that both alignments (IR to RGB, RGB to IR) are in one batch.
        """
        cfg = self.config
        anchors = maps.layer3 if layer == 3 else maps.layer4  # (N, C, h, w), visible rows first
        partners = self._draw_partners(layer, len(labels), labels.device)
        positives = anchors[partners.positive]
        positive_alignment = align(anchors, positives, cfg.beta)
        if cfg.w_ic:
            id_consistency = self._id_consistency(positive_alignment.reconstruction, layer, labels)
            losses.add(f"ic_layer{layer}", id_consistency, cfg.w_ic)  # lambda_IC of Eq. 8
        if cfg.w_dt:
            # Reconstructions from strangers are compared, and never classified (sec. 3.3).
            negative_alignment = align(anchors, anchors[partners.negative], cfg.beta)
            dense = dense_triplet(
                anchors,
                positive_alignment.reconstruction,
                negative_alignment.reconstruction,
                self._co_attention_weights(anchors, positives, positive_alignment),
                cfg.alpha,
                cfg.dt_reduction,
            )
            losses.add(f"dt_layer{layer}", dense, cfg.w_dt)  # lambda_DT of Eq. 8

    def _draw_partners(self, layer: int, count: int, device: torch.device) -> Partners:
        """Positives and negatives of one stage for ``count`` rows, a function of seed, iteration, stage and process."""
        rows = torch.arange(count)
        infrared = rows >= count // 2  # the second half of the rows
        # Rows stand identity by identity, so that nobody has to wait for the labels that lie on the device.
        identities = rows % (count // 2) // self.config.streams["identity"].images
        generator = torch_generator(self.seed, f"partners/layer{layer}", self.iteration, self.global_rank)
        partners = draw_partners(identities, infrared, generator)
        positive = partners.positive.to(device, non_blocking=True)
        negative = partners.negative.to(device, non_blocking=True)
        return Partners(positive, negative)

    def _id_consistency(self, reconstruction: Tensor, layer: int, labels: Tensor) -> Tensor:
        """L_IC: a person rebuilt from the other modality has the anchor's identity (sec. 3.3)."""
        last_maps = reconstruction
        if layer == 3:  # the classifier knows layer-4 features: the rest of the encoder comes first
            last_maps = self.network.encoder.last(reconstruction)
        return identity_loss(self.network.logits(last_maps), labels)

    def _co_attention_weights(self, anchors: Tensor, positives: Tensor, alignment: Alignment) -> Tensor:
        """A of Eq. 10, (N, 1, h, w), or its mean over the batch (1, 1, h, w), or 1; from positive pairs only."""
        if self.config.coattention == "none":
            return anchors.new_ones(1, 1, 1, 1)
        attention = co_attention(anchors, positives, alignment.matching)
        if self.config.coattention == "batch_mean":  # what the authors' code comes to, by broadcasting
            return attention.mean(dim=0, keepdim=True)
        return attention

    def figure_data(self, batch: PairedBatch, choice: CorrespondenceConfig | None = None) -> dict[str, Tensor]:
        """Fig. 3 and 4, for the first pair of images of each person.

        Args:
            batch: pairs, visible and infrared.
            choice: layer, direction and matches; None for the last stage from visible to infrared, as far as the paper says it.
        """
        choice = choice or CorrespondenceConfig()
        first_rows: dict[int, int] = {}
        for row, pid in enumerate(batch.pids.tolist()):
            first_rows.setdefault(pid, row)
        rows = list(first_rows.values())
        visible = batch.visible[rows]
        infrared = batch.infrared[rows]
        visible_maps = self._maps_of_layer({"visible": visible}, choice.layer)
        infrared_maps = self._maps_of_layer({"infrared": infrared}, choice.layer)
        visible_to_infrared = matching_probabilities(visible_maps, infrared_maps, self.config.beta)
        infrared_to_visible = matching_probabilities(infrared_maps, visible_maps, self.config.beta)
        return {
            "visible": visible,
            "infrared": infrared,
            "visible_mask": person_masks(visible_maps),
            "infrared_mask": person_masks(infrared_maps),
            "visible_attention": co_attention(visible_maps, infrared_maps, visible_to_infrared),
            "infrared_attention": co_attention(infrared_maps, visible_maps, infrared_to_visible),
            "matches": self._chosen_matches(visible_maps, infrared_maps, choice),
        }

    def _maps_of_layer(self, images: Mapping[Modality, Tensor], layer: int) -> Tensor:
        """(n, C, h, w)."""
        maps: StageMaps = self.network.encoder(images)
        return maps.layer3 if layer == 3 else maps.layer4

    def _chosen_matches(self, visible: Tensor, infrared: Tensor, choice: CorrespondenceConfig) -> Tensor:
        """(n, k, 2), positions in the visible and in the infrared map; -1 behind the last match of a pair that has fewer."""
        backwards = choice.direction == INFRARED_TO_VISIBLE
        anchors, targets = (infrared, visible) if backwards else (visible, infrared)
        forward = self._scores(anchors, targets, choice)
        way_back = self._scores(targets, anchors, choice)
        pairs = []
        for values, values_back in zip(forward, way_back, strict=True):
            matches = top_matches(values, choice.count, values_back if choice.mutual else None)
            pairs.append(matches.flip(1) if backwards else matches)
        return pad_sequence(pairs, batch_first=True, padding_value=-1)

    def _scores(self, anchors: Tensor, targets: Tensor, choice: CorrespondenceConfig) -> Tensor:
        """(n, L, L), what matches are chosen and ordered by."""
        if choice.order == "cosine":
            return similarities(anchors, targets)
        return matching_probabilities(anchors, targets, self.config.beta)

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """The GeM vector (B, C) before the neck, L2-normalised (sec. 3.1: no CMAlign at test time)."""
        check_images(images, modality)
        return {"main": F.normalize(self.network.vectors(images, modality), dim=1)}
