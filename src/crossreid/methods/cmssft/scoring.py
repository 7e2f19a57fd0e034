"""Scorers of cm-SSFT: transferred features of a group of queries and the gallery, compared by cosine.

The unlabelled queries of a group help each other: with more than one query in a group the protocol is transductive,
and tables say so. Eq. 22 (single query) takes none but the query itself and the gallery.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import NotScoredError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.scorers import feature_of, normalised, to_grid
from crossreid.methods.cmssft.affinity import AffinityRows, GroupGraph, Nodes, nearest
from crossreid.methods.cmssft.networks import TransferNetwork
from crossreid.methods.cmssft.single_queries import SingleQueries
from crossreid.randomness import numpy_generator

SHARED = "main"
SPECIFIC = "specific"
LENGTHS = "lengths"
FEATURES = (SHARED, SPECIFIC, LENGTHS)
"""Unit shared features (N, D), unit specific ones (N, D), and the lengths (N, 2) that both had."""

CPU_MEMORY = 2**20
GPU_MEMORY = 2**26


class Transfer:
    """Similarities of transferred features T (Sec. 3.4, Eq. 22), in float64.

    Queries are cut into groups at random, a last group that is too small is filled up with queries of other groups, and
    the graph of each group is that of its queries and the whole gallery. Nothing but features is looked at. Gallery
    images from the probe's own place take part in the propagation; leaving them out is the protocol's business.

    Args:
        network: SSTN; copied, so that later training does not change the scorer.
        group: queries in a group: 1 for Eq. 22, None for all of them.
        device: where to compute.
        most_pairs: a limit on queries x gallery for single queries where there is no GPU; None for no limit.
        seed: of the groups; they also depend on the gallery, so each trial has its own.
        chunk: rows of an affinity block in memory.
        memory: numbers in a tensor of gallery features; few stay in the cache of a CPU, many keep a GPU busy. By default
            what suits the device.
    """

    def __init__(
        self,
        network: TransferNetwork,
        *,
        group: int | None,
        device: torch.device | str = "cpu",
        most_pairs: int | None = None,
        seed: int = 0,
        chunk: int = 1024,
        memory: int | None = None,
    ) -> None:
        if group is not None and group < 1:
            raise ValueError(f"a group holds at least one query, not {group}")
        self.device = torch.device(device)
        # In float64: rounding in float32 may let two candidates for the k-th neighbour change places.
        self.network = copy.deepcopy(network).to(self.device, torch.float64).eval().requires_grad_(False)
        self.group = group
        self.most_pairs = most_pairs
        self.seed = seed
        self.chunk = chunk
        if memory is None:
            memory = GPU_MEMORY if self.device.type == "cuda" else CPU_MEMORY
        self.memory = memory

    @property
    def whole(self) -> bool:
        """All probes are wanted at once: what one call costs is then what a trial costs."""
        return True

    @property
    def transductive(self) -> bool:
        """A probe's scores depend on the other probes."""
        return self.group != 1

    @property
    def inference(self) -> str:
        """What is seen besides a query: the gallery, and the other queries of a larger group."""
        return "transductive" if self.transductive else "single query"

    @property
    def label(self) -> str:
        """Name in tables."""
        if self.group == 1:
            return "transferred, single query"
        if self.group is None:
            return "transferred, all queries (transductive)"
        return f"transferred, groups of {self.group} queries (transductive)"

    @torch.no_grad()
    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """Similarities (Q, G) float64.

        Raises:
            NotScoredError: queries and gallery are not of one modality each, and different ones; or single queries, no
                GPU, and more pairs than ``most_pairs``.
        """
        self._require_cheap(len(query), len(gallery))
        query_modality = _modality(query)
        gallery_modality = _modality(gallery)
        if query_modality == gallery_modality:
            raise NotScoredError(
                "cm-SSFT transfers between a visible and an infrared set: query one against the other."
            )
        query_nodes = self._nodes(query, query_modality)
        gallery_nodes = self._nodes(gallery, gallery_modality)
        # T(A^GG, k) of Eq. 8 and 22 is the same whatever is asked.
        specific = gallery_nodes.specific
        within_gallery = nearest(specific, specific, self.network.k, same=True, chunk=self.chunk)
        scores = np.empty((len(query), len(gallery)))
        if self.group == 1:
            single = SingleQueries(self.network.block, gallery_nodes, within_gallery, self.network.k, self.memory)
            for rows, similarities in single(query_nodes):
                scores[rows] = similarities.cpu().numpy()
            return to_grid(scores, 0)
        for places in self._groups(len(query), gallery):
            queries = query_nodes.select(places.to(self.device))
            for columns, similarities in self._scores(queries, gallery_nodes, within_gallery):
                scores[places.numpy(), columns] = similarities.cpu().numpy()
        return to_grid(scores, 0)

    def _require_cheap(self, queries: int, gallery: int) -> None:
        pairs = queries * gallery
        if self.group == 1 and self.device.type == "cpu" and self.most_pairs is not None and pairs > self.most_pairs:
            raise NotScoredError(
                f"single-query transfer of {queries} queries and {gallery} gallery images takes long without a GPU: "
                f"raise model.single_query_pairs={self.most_pairs}, or set it to null."
            )

    def _nodes(self, images: Embeddings, modality: Modality) -> Nodes:
        """Unit features, and ``Z W`` of the features at their full lengths, a chunk at a time."""
        shared = torch.from_numpy(normalised(feature_of(images, SHARED)))  # (N, D)
        specific = torch.from_numpy(normalised(feature_of(images, SPECIFIC)))
        lengths = torch.from_numpy(feature_of(images, LENGTHS).astype(np.float64))  # (N, 2)
        projected = []
        for start in range(0, len(images), self.chunk):
            rows = slice(start, start + self.chunk)
            # Affinities compare unit vectors (Eq. 7); what is propagated has the lengths that training knew.
            full_shared = shared[rows] * lengths[rows, :1]
            full_specific = specific[rows] * lengths[rows, 1:]
            projected.append(self.network.project(full_shared.to(self.device), full_specific.to(self.device), modality))
        return Nodes(shared.to(self.device), specific.to(self.device), torch.cat(projected))

    def _groups(self, count: int, gallery: Embeddings) -> list[Tensor]:
        """Places of the queries 0 to ``count`` - 1, cut into groups."""
        size = count if self.group is None else min(self.group, count)
        order = torch.arange(count)
        if size < count:
            # The rows of the gallery are part of the seed: each trial has groups of its own.
            shuffle = numpy_generator(self.seed, f"groups of {size}", *gallery.rows.tolist())
            order = torch.from_numpy(shuffle.permutation(count))
        batches = []
        for start in range(0, count, size):
            first = min(start, count - size)  # the last group is filled up with queries of the one before
            batches.append(order[first : first + size])
        return batches

    def _scores(self, queries: Nodes, gallery: Nodes, within_gallery: AffinityRows) -> Iterator[tuple[slice, Tensor]]:
        """Similarities (n, r) of a group of n queries with r gallery images, and which ones, a part at a time."""
        graph = GroupGraph(queries, gallery, within_gallery, self.network.k, chunk=self.chunk)
        query_features = self._transfer(graph.queries())  # (n, D)
        gallery_rows = max(1, self.memory // self.network.block.dim)
        for start in range(0, len(gallery.shared), gallery_rows):
            columns = slice(start, start + gallery_rows)
            gallery_features = self._transfer(graph.gallery(columns))  # (r, D)
            yield columns, query_features @ gallery_features.T

    def _transfer(self, propagated: Tensor) -> Tensor:
        """Eq. 10 from the ReLU on, and 11: (N, D') -> unit T (N, D)."""
        return F.normalize(self.network.block.features(F.relu(propagated)), dim=1)


def _modality(images: Embeddings) -> Modality:
    infrared = np.unique(images.infrared)
    if len(infrared) != 1:
        raise NotScoredError("cm-SSFT's transfer needs queries of one modality and a gallery of the other.")
    return MODALITIES[int(infrared[0])]
