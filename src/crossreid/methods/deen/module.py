"""DEEN: Diverse Embedding Expansion Network and Low-Light Cross-Modality Benchmark (Zhang, Wang, CVPR 2023).

A two-stream network that makes further embeddings of each image (DEE), drawn towards the other modality by center-guided pair
mining (CPM) and kept apart by an orthogonal loss, and aggregates features of neighbouring stages (MFA). Retrieval compares all
embeddings of two images. What paper and official code disagree on: this folder's README.

Example:
    ``python -m crossreid.train model=deen``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.data.transforms import random_grey
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.deen.config import DEENConfig
from crossreid.methods.deen.losses import (
    Centres,
    code_pair_mining,
    orthogonal_loss,
    person_centres,
    printed_pair_mining,
)
from crossreid.methods.deen.networks import DEENNetwork
from crossreid.methods.players import Losses
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.nn.backbones import IMAGENET_MEAN
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.recomputation import encoder_blocks


class DEEN(RecognitionModule[DEENConfig]):
    """One network, one player."""

    CONFIG = DEENConfig
    erased = IMAGENET_MEAN  # in normalised images, as the authors' code has it
    network: DEENNetwork

    def __init__(self, config: DEENConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.network = DEENNetwork(self.config, num_identities)

    def encoder(self) -> nn.Module:
        """The ResNet with MFA and DEE: all but neck and classifier."""
        return self.network.encoder

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """The residual blocks, each MFA and DEE."""
        encoder = self.network.encoder
        blocks = encoder_blocks(self) + list(encoder.aggregations.values())
        if encoder.expansion is not None:
            blocks.append(encoder.expansion)
        return {"encoder": blocks}

    def recoloured(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Some images become grey."""
        return random_grey(images, generator, self.config.grey)

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """Each modality through its own stem; the rows of all images come once for each embedding."""
        output: BlockOutput = self.network(images)
        return output

    def add_losses(self, losses: Losses, views: Views) -> None:
        """``L_id + L_triplet + lambda_1 L_cpm + lambda_2 L_orthogonal``."""
        cfg = self.config
        output = self.describe(views.images)
        # Rows: images as they are, then all of them again for each branch. Every embedding is classified and mined alike.
        labels = views.labels.repeat(cfg.embeddings)
        losses.add("id", identity_loss(output.logits, labels, cfg.label_smoothing))
        losses.add("triplet", euclidean_triplet(output.vector, output.vector, labels, labels, cfg.margin))
        own, *new = output.vector.chunk(cfg.embeddings)  # (N, D) each
        if cfg.has_pair_mining:
            losses.add("cpm", self._pair_mining(own, new, views), cfg.w_cpm)
        if cfg.has_orthogonal:
            losses.add("orthogonal", orthogonal_loss(new), cfg.w_orthogonal)

    def _pair_mining(self, own: Tensor, new: Sequence[Tensor], views: Views) -> Tensor:
        """L_cpm: the sum over branches of the new embeddings (N, D) of each, against the images' own (N, D)."""
        persons = views.pids["infrared"]  # as many rows for each person, which weigh all persons alike
        mining = code_pair_mining if self.config.cpm == "code" else printed_pair_mining
        own_centres = _centres(own, views, persons)
        of_branches = []
        for vectors in new:
            new_centres = _centres(vectors, views, persons)
            of_branches.append(mining(own_centres, new_centres, persons, self.config.cpm_margin))
        return torch.stack(of_branches).sum()  # over the branches, not their mean: lambda_1 is meant for the sum

    def features(self, images: Tensor, modality: Modality) -> Tensor:
        """All embeddings before and behind the neck, unit vectors, one behind the other: (N, 2 E D).

        The products of two images are the sum over embeddings of ``pool_share`` times the cosine before the neck and the rest
        times that behind it.
        """
        output = self.describe({modality: images})
        share = self.config.pool_share
        # Roots, since each share appears in both of the vectors that are multiplied.
        before_neck = share**0.5 * F.normalize(output.vector, dim=1)
        behind_neck = (1 - share) ** 0.5 * F.normalize(output.feature, dim=1)
        both = torch.cat([before_neck, behind_neck], dim=1)  # (E N, 2 D)
        by_embedding = both.view(self.config.embeddings, -1, both.shape[1])  # (E, N, 2 D)
        return by_embedding.transpose(0, 1).flatten(1)


def _centres(vectors: Tensor, views: Views, persons: Tensor) -> Centres:
    """Centres of persons (P,) in vectors (N, D) of a batch, visible rows first."""
    visible, infrared = views.split(vectors)
    return Centres(
        person_centres(visible, views.pids["visible"], persons),
        person_centres(infrared, views.pids["infrared"], persons),
    )
