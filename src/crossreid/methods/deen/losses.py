"""DEEN's losses on the new embeddings; classification and batch-hard triplets are shared ones.

Vectors are pooled ones before the neck, not normalised, in float32 or better. A person's centre in a modality is the mean of
the vectors of their images; d is the Euclidean distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import exact_distances, nan_without_pairs, pairs_by_identity


class Centres(NamedTuple):
    """Centres of persons in one of an image's embeddings.

    Attributes:
        visible: (P, D), means over visible images.
        infrared: (P, D), means over infrared images, persons in the same order.
    """

    visible: Tensor
    infrared: Tensor


def person_centres(vectors: Tensor, labels: Tensor, persons: Tensor) -> Tensor:
    """Means of each person's vectors.

    Args:
        vectors: (N, D).
        labels: (N,) identities.
        persons: (P,) identities whose centres are asked for, some perhaps more than once; each has a vector.

    Returns:
        (P, D).
    """
    # By labels, where the authors' code needs batches sorted by person with equal counts.
    membership = (persons[:, None] == labels[None, :]).to(vectors.dtype)  # (P, N)
    with torch.autocast(vectors.device.type, enabled=False):
        return membership @ vectors / membership.sum(dim=1, keepdim=True)


def printed_pair_mining(own: Centres, new: Centres, persons: Tensor, margin: float) -> Tensor:
    """Center-guided pair mining (CPM) of one branch as printed: one hinge for each modality.

    With v, n the visible and infrared centres of the images' own embeddings and v', n' those of the branch's
    ``L_V = mean_j [margin + d(n_j, v'_j) - d(v_j, v'_j) - min_k d(v_j, v_k)]+`` over persons j and others k, ``L_I`` the same
    with the modalities interchanged, and their sum: what a branch makes of visible images comes nearer to the person's infrared
    images, and differs from the visible ones.

    Args:
        own: centres in the images' own embeddings.
        new: centres in the branch's embeddings.
        persons: (P,) identity of each centre; there are at least two.
        margin: in distance.

    Returns:
        A scalar >= 0; nan where there is no other person.
    """
    of_visible = _printed_hinge(own.visible, own.infrared, new.visible, persons, margin)
    of_infrared = _printed_hinge(own.infrared, own.visible, new.infrared, persons, margin)
    return of_visible + of_infrared


def _printed_hinge(same: Tensor, other: Tensor, new: Tensor, persons: Tensor, margin: float) -> Tensor:
    """One modality's part: centres in it, in the other one, and of the branch's embeddings of it, (P, D) each."""
    across = _row_distances(other, new)  # d(n_j, v'_j), (P,)
    within = _row_distances(same, new)  # d(v_j, v'_j)
    nearest = nearest_other(same, persons)  # min_k d(v_j, v_k)
    return F.relu(margin + across - within - nearest).mean()


def code_pair_mining(own: Centres, new: Centres, persons: Tensor, margin: float) -> Tensor:
    """Center-guided pair mining (CPM) of one branch as the authors' code has it: three hinges for each modality.

    With the names of :func:`printed_pair_mining` and h(a, c) = mean_j [margin + a_j - c_j]+

    ``L_V = h(p, q) + h(p, min_k d(v'_j, v'_k)) / 2 + h(p, min_k d(v_j, v_k)) / 2``, p = d(n_j, v'_j), q = d(v_j, v'_j)

    where q has no gradient, so that it pushes nothing away. The result is the mean of L_V and L_I.

    Args:
        own: centres in the images' own embeddings.
        new: centres in the branch's embeddings.
        persons: (P,) identity of each centre; there are at least two.
        margin: in distance.

    Returns:
        A scalar >= 0; nan where there is no other person.
    """
    of_visible = _code_hinges(own.visible, own.infrared, new.visible, persons, margin)
    of_infrared = _code_hinges(own.infrared, own.visible, new.infrared, persons, margin)
    return (of_visible + of_infrared) / 2


def _code_hinges(same: Tensor, other: Tensor, new: Tensor, persons: Tensor, margin: float) -> Tensor:
    """One modality's part: centres in it, in the other one, and of the branch's embeddings of it, (P, D) each."""
    across = _row_distances(other, new)  # p
    within = _row_distances(same, new).detach()  # q

    def hinge(farther: Tensor) -> Tensor:
        return F.relu(margin + across - farther).mean()

    from_new = hinge(nearest_other(new, persons))
    from_same = hinge(nearest_other(same, persons))
    return hinge(within) + 0.5 * from_new + 0.5 * from_same


def nearest_other(centres: Tensor, persons: Tensor) -> Tensor:
    """Centres (P, D) of persons (P,) -> distance of each to the nearest centre of another person (P,); nan without one."""
    pairs = pairs_by_identity(persons, persons)
    with torch.autocast(centres.device.type, enabled=False):
        distances = exact_distances(centres, centres)
    nearest = distances.masked_fill(pairs.same, torch.inf).amin(1)
    return nan_without_pairs(nearest, pairs.complete)


def _row_distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean distances of the rows of (P, D) and (P, D), (P,)."""
    distances: Tensor = torch.linalg.vector_norm(one - other, dim=1)
    return distances


def orthogonal_loss(new: Sequence[Tensor]) -> Tensor:
    """Makes the new embeddings of an image orthogonal: ``mean over images of x_1 . x_2, over the number of embeddings``.

    The products are those of pooled vectors as they are, not of unit vectors, and not of the images' own embeddings.

    Args:
        new: (N, D) from each of B >= 2 branches; of more than two all pairs are summed.

    Returns:
        A scalar of either sign: ``sum over pairs and images / ((1 + B) N)``. It falls below 0 where vectors have negative
        entries.
    """
    total = new[0].new_zeros(())
    for place, one in enumerate(new):
        for other in new[place + 1 :]:
            total = total + (one * other).sum()
    # The authors' code divides by all rows of a batch, own embeddings included.
    embeddings = 1 + len(new)
    return total / (embeddings * len(new[0]))
