"""CMAlign: dense correspondences between two feature maps (LbA, sec. 3.2), pure functions without parameters.

Everything is computed in float32, also under autocast: a rounding error of a similarity is multiplied by beta = 50.
Maps are (N, C, h, w), anchor n is compared with target n: in an IR-to-RGB alignment anchors are RGB and targets IR maps.
Positions p of the anchor and q of the target run over the map row by row, L = h * w of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_EPSILON = 1e-12  # added to the range in Eq. 7: a constant map is divided by this, and not by 0
_LEAST_NORM = 1e-6  # of a vector that is divided by its norm: an all-zero one keeps a small, finite gradient


class Alignment(NamedTuple):
    """What an alignment of N anchors with N targets gives.

    Attributes:
        reconstruction: (N, C, h, w), the anchors with the person replaced by matching parts of the targets (Eq. 3).
        matching: (N, L, L), probability that anchor position p matches target position q (Eq. 2); rows sum to 1.
    """

    reconstruction: Tensor
    matching: Tensor


class Partners(NamedTuple):
    """For each of N images, the row of its partner in the other modality, both (N,).

    Attributes:
        positive: a partner of the same identity.
        negative: a partner of another identity.
    """

    positive: Tensor
    negative: Tensor


def similarities(anchors: Tensor, targets: Tensor) -> Tensor:
    """Eq. 1: cosine similarity of all positions, (N, L, L) in [-1, 1]; 0 where a position's features are all zero."""
    with torch.autocast(anchors.device.type, enabled=False):
        anchor_features = anchors.float().flatten(2)  # (N, C, L)
        target_features = targets.float().flatten(2)
        anchor_units = F.normalize(anchor_features, dim=1, eps=_LEAST_NORM)
        target_units = F.normalize(target_features, dim=1, eps=_LEAST_NORM)
        return anchor_units.transpose(1, 2) @ target_units  # (N, L, C) @ (N, C, L)


def matching_probabilities(anchors: Tensor, targets: Tensor, beta: float) -> Tensor:
    """Eq. 2: softmax of beta x similarity over the target's positions q, (N, L, L).

    The equation prints no factor; beta is the temperature of the sentence after it, whose value 50 is in sec. 4.1.
    """
    logits = beta * similarities(anchors, targets)
    return logits.softmax(dim=2)


def warp(matching: Tensor, targets: Tensor) -> Tensor:
    """Eq. 4, the soft warp W: at anchor position p the mean of the target's features, weighted by P(p, q).

    Args:
        matching: P, (N, L, L), as in :class:`Alignment`.
        targets: (N, C, h, w), features as they are and not of unit length.

    Returns:
        (N, C, h, w), by positions of the anchors.
    """
    with torch.autocast(targets.device.type, enabled=False):
        target_features = targets.float().flatten(2)  # (N, C, L), by q
        warped = target_features @ matching.transpose(1, 2)  # sum over q of g(q) P(p, q): (N, C, L), by p
        return warped.reshape(targets.shape)


def person_masks(maps: Tensor) -> Tensor:
    """Eq. 5 and 6: length of the features at each position, scaled to [0, 1] in each image; (N, 1, h, w).

    No gradient (authors' code): the mask says where the person is, and is not to be learned.
    """
    features = maps.detach().float()
    activations = features.norm(dim=1, keepdim=True)  # Eq. 5: (N, C, h, w) -> (N, 1, h, w)
    return min_max(activations)


def min_max(maps: Tensor) -> Tensor:
    """Eq. 7 for each image of (N, 1, h, w); a constant map becomes 0."""
    smallest = maps.amin(dim=(2, 3), keepdim=True)
    largest = maps.amax(dim=(2, 3), keepdim=True)
    return (maps - smallest) / (largest - smallest + _EPSILON)


def align(anchors: Tensor, targets: Tensor, beta: float) -> Alignment:
    """Eq. 1-7: anchors (N, C, h, w) rebuilt from targets of the other modality; gradients reach both, not the mask."""
    matching = matching_probabilities(anchors, targets, beta)
    masks = person_masks(anchors)
    reconstruction = masks * warp(matching, targets) + (1 - masks) * anchors.float()  # Eq. 3
    return Alignment(reconstruction, matching)


def co_attention(anchors: Tensor, targets: Tensor, matching: Tensor) -> Tensor:
    """Eq. 9: where the anchor shows the person and what matches in the target does too, (N, 1, h, w) in [0, 1].

    No gradient: as the weight of a loss it could be lowered by matching less.
    """
    # Both masks at the anchor's places: the target's is warped as its features are in Eq. 4.
    warped_masks = warp(matching.detach(), person_masks(targets))
    intersection = person_masks(anchors) * warped_masks
    return min_max(intersection)


def draw_partners(labels: Tensor, infrared: Tensor, generator: torch.Generator) -> Partners:
    """A positive and a negative of the other modality for every image, from labels alone.

    The images of one identity and modality share out the other modality's images of that identity in random order (each
    once where there are as many), and as their negatives take images of as many other identities as there are.

    Args:
        labels: (N,) identities.
        infrared: (N,) bool, the modality of each row.
        generator: on the CPU.

    Raises:
        ValueError: an image has no partner of its own or of another identity.
    """
    rows_of = _rows_by_identity(labels, infrared)
    positive = torch.zeros(len(labels), dtype=torch.long)
    negative = torch.zeros(len(labels), dtype=torch.long)
    # Drawn identity by identity, so that its images get positives and strangers without repetition where there are enough.
    for (identity, is_infrared), anchors in rows_of.items():
        other_modality = not is_infrared
        other_identities = _other_identities(rows_of, identity, other_modality)
        if not other_identities or (identity, other_modality) not in rows_of:
            raise ValueError("every image needs partners of the other modality: batches hold at least two identities")
        positives = _shuffle(rows_of[identity, other_modality], generator)
        strangers = _shuffle(other_identities, generator)
        # Anchor i takes image slots[i] of stranger i: neither the identity nor the place in its list is always the same.
        slots = _shuffle(list(range(len(anchors))), generator)
        for i, anchor in enumerate(anchors):
            # The modulo starts over where the other modality has fewer images or identities than there are anchors.
            positive[anchor] = positives[i % len(positives)]
            stranger = strangers[i % len(strangers)]
            negatives = rows_of[stranger, other_modality]
            negative[anchor] = negatives[slots[i] % len(negatives)]
    return Partners(positive.to(labels.device), negative.to(labels.device))


def _rows_by_identity(labels: Tensor, infrared: Tensor) -> dict[tuple[int, bool], list[int]]:
    """(identity, is it infrared) -> rows of the batch, in order of appearance."""
    rows_of: dict[tuple[int, bool], list[int]] = {}
    for row, key in enumerate(zip(labels.tolist(), infrared.tolist(), strict=True)):
        rows_of.setdefault(key, []).append(row)
    return rows_of


def _other_identities(rows_of: Iterable[tuple[int, bool]], identity: int, infrared: bool) -> list[int]:
    """Identities but ``identity`` that have images of one modality."""
    others = []
    for other, is_infrared in rows_of:
        if is_infrared == infrared and other != identity:
            others.append(other)
    return others


def _shuffle(items: list[int], generator: torch.Generator) -> list[int]:
    """The items in random order."""
    order = torch.randperm(len(items), generator=generator).tolist()
    return [items[i] for i in order]


def top_matches(matching: Tensor, count: int, way_back: Tensor | None = None) -> Tensor:
    """The best matches of one pair (Fig. 4): each anchor position p with ``argmax_q P(p, q)`` (sec. 3.2).

    Args:
        matching: (L, L), as in :class:`Alignment`, or similarities likewise.
        count: how many to keep, those with the largest values; all where there are fewer.
        way_back: (L, L) of the target's positions q with the anchor's p, to keep mutual matches alone: those whose p is the
            best of its q too.

    Returns:
        Positions p and q, (at most count, 2), the match of the largest value first.
    """
    values, targets = matching.max(dim=1)  # (L,) each, one match for each p
    anchors = values.argsort(descending=True, stable=True)
    if way_back is not None:
        returned = way_back.argmax(dim=1)[targets[anchors]]  # where each match's target would go
        anchors = anchors[returned == anchors]
    anchors = anchors[:count]
    return torch.stack([anchors, targets[anchors]], dim=1)
