"""Losses that two or more methods share: pure functions on tensors, computed in float32."""

from crossreid.losses.adversarial import binary_cross_entropy, least_squares
from crossreid.losses.identity import identity_loss
from crossreid.losses.modality import modality_doubt, modality_loss
from crossreid.losses.pixel import pixel_l1
from crossreid.losses.triplet import (
    euclidean_triplet,
    exact_distances,
    hardest_similarities,
    hardest_triplet,
    masked_triplet_weights,
    nan_without_pairs,
    pairs_by_identity,
    random_triplet,
    squared_weighted_triplet,
    triplet_weights,
    weighted_triplet,
)

__all__ = [
    "binary_cross_entropy",
    "euclidean_triplet",
    "exact_distances",
    "hardest_similarities",
    "hardest_triplet",
    "identity_loss",
    "least_squares",
    "masked_triplet_weights",
    "modality_doubt",
    "modality_loss",
    "nan_without_pairs",
    "pairs_by_identity",
    "pixel_l1",
    "random_triplet",
    "squared_weighted_triplet",
    "triplet_weights",
    "weighted_triplet",
]
