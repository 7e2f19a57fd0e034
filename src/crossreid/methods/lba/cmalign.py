"""CMAlign: dense correspondences between two feature maps (LbA, sec. 3.2), pure functions without parameters.

Everything is computed in float32, also under autocast: a rounding error of a similarity is multiplied by beta = 50.
Maps are (N, C, h, w), row n of the anchors is compared with row n of the targets; positions p of the anchor and q of the
target run over the map row by row, L = h * w of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_FLOOR = 1e-12
_LEAST_NORM = 1e-6  # of a vector that is divided by its norm: an all-zero one keeps a small, finite gradient


class Alignment(NamedTuple):
    """Targets seen from the anchors.

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
        anchor_units = F.normalize(anchors.float().flatten(2), dim=1, eps=_LEAST_NORM)  # (N, C, L)
        target_units = F.normalize(targets.float().flatten(2), dim=1, eps=_LEAST_NORM)
        return anchor_units.transpose(1, 2) @ target_units


def matching_probabilities(anchors: Tensor, targets: Tensor, beta: float) -> Tensor:
    """Eq. 2: softmax of beta x similarity over the target's positions, (N, L, L)."""
    return (beta * similarities(anchors, targets)).softmax(dim=2)


def warp(matching: Tensor, targets: Tensor) -> Tensor:
    """Eq. 4: targets (N, C, h, w) moved to the anchors' positions by (N, L, L) probabilities, un-normalised."""
    with torch.autocast(targets.device.type, enabled=False):
        return (targets.float().flatten(2) @ matching.transpose(1, 2)).reshape(targets.shape)


def person_masks(maps: Tensor) -> Tensor:
    """Eq. 5-7: length of the features at each position, scaled to [0, 1] in each image; (N, 1, h, w), no gradient."""
    return min_max(maps.detach().float().norm(dim=1, keepdim=True))


def min_max(maps: Tensor) -> Tensor:
    """Eq. 7 for each image of (N, 1, h, w); a constant map becomes 0."""
    least = maps.amin(dim=(2, 3), keepdim=True)
    most = maps.amax(dim=(2, 3), keepdim=True)
    return (maps - least) / (most - least + _FLOOR)


def align(anchors: Tensor, targets: Tensor, beta: float) -> Alignment:
    """Eq. 1-7: anchors (N, C, h, w) rebuilt from targets of the other modality; gradients reach both, not the mask."""
    matching = matching_probabilities(anchors, targets, beta)
    masks = person_masks(anchors)
    reconstruction = masks * warp(matching, targets) + (1 - masks) * anchors.float()
    return Alignment(reconstruction, matching)


def co_attention(anchors: Tensor, targets: Tensor, matching: Tensor) -> Tensor:
    """Eq. 9, scaled to [0, 1] in each image: persons at matching places of both maps; (N, 1, h, w), no gradient."""
    target_masks = warp(matching.detach(), person_masks(targets))
    return min_max(person_masks(anchors) * target_masks)


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
    # Plain numbers: partners are drawn on the CPU, image by image.
    identities = labels.tolist()
    modalities = infrared.tolist()
    rows: dict[tuple[int, bool], list[int]] = {}
    for row, group in enumerate(zip(identities, modalities, strict=True)):
        rows.setdefault(group, []).append(row)

    def shuffled(items: list[int]) -> list[int]:
        order = torch.randperm(len(items), generator=generator).tolist()
        return [items[place] for place in order]

    positive = [0] * len(identities)
    negative = [0] * len(identities)
    for (identity, modality), anchors in rows.items():
        away = not modality
        others = [label for label, flag in rows if flag == away and label != identity]
        if not others or (identity, away) not in rows:
            raise ValueError("every image needs partners of the other modality: batches hold at least two identities")
        same = shuffled(rows[identity, away])
        strangers = shuffled(others)
        slots = shuffled(list(range(len(anchors))))  # which of a stranger's images
        for place, anchor in enumerate(anchors):
            positive[anchor] = same[place % len(same)]
            images = rows[strangers[place % len(strangers)], away]
            negative[anchor] = images[slots[place] % len(images)]
    return Partners(torch.tensor(positive, device=labels.device), torch.tensor(negative, device=labels.device))


def top_matches(matching: Tensor, count: int) -> Tensor:
    """The best matches of one pair, for a figure (Fig. 4): each anchor position with its most probable target position.

    Args:
        matching: (L, L), as in :class:`Alignment`.
        count: how many to keep, those with the largest probabilities; all where there are fewer.

    Returns:
        Positions p and q, (count, 2), the most probable match first.
    """
    probability, target = matching.max(dim=1)
    best = probability.argsort(descending=True, stable=True)[:count]
    return torch.stack([best, target[best]], dim=1)
