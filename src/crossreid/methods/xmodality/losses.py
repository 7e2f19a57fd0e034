"""The cross-modality gap on centres, as the X modality's authors compute it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossreid.losses import exact_distances


def centres_of(vectors: Tensor, labels: Tensor, identities: Tensor) -> Tensor:
    """Mean vector of each identity, (P, D) in float32.

    Args:
        vectors: (N, D).
        labels: (N,) their identities.
        identities: (P,) distinct identities, each among the labels.
    """
    shows = (identities[:, None] == labels[None, :]).float()  # (P, N)
    with torch.autocast(vectors.device.type, enabled=False):
        return shows @ vectors.float() / shows.sum(1, keepdim=True)


def centre_gap(one: Tensor, other: Tensor, margin: float) -> Tensor:
    """Centres of a person in two modalities are nearer to each other than either to another person's in the other one.

    ``mean over persons j of max(0, margin + D_jj - min over k of (D_jk, D_kj))``, k of other persons, D Euclidean. The
    authors' code has the squared norms of the two centres in D interchanged, which changes no D_jj; here D is the distance.

    Args:
        one: (P, D) centres in one modality.
        other: (P, D) centres of the same persons in the other.
        margin: in Euclidean distance.
    """
    distance = exact_distances(one, other)
    itself = torch.eye(len(one), dtype=torch.bool, device=one.device)
    to_others = distance.masked_fill(itself, torch.inf)
    nearest = torch.minimum(to_others.amin(0), to_others.amin(1))
    return F.relu(margin + distance.diagonal() - nearest).mean()
