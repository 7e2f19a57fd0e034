"""Losses and blocks of the baselines' public code, one image at a time: plain numbers, nothing shared with the package."""

from __future__ import annotations

import math

Vectors = list[list[float]]


def distance(one: list[float], two: list[float]) -> float:
    return math.sqrt(max(sum((a - b) ** 2 for a, b in zip(one, two, strict=True)), 1e-12))


def masked_distances(vectors: Vectors, labels: list[int]) -> list[tuple[float, float]]:
    """AGW's weighted distances (D+, D-) of each anchor: other entries stay in the softmax with a distance of 0."""
    pairs = []
    for anchor, own in zip(vectors, labels, strict=True):
        apart = [distance(anchor, other) for other in vectors]
        same = [label == own for label in labels]
        largest = max(d if kin else 0.0 for d, kin in zip(apart, same, strict=True))
        to_positives = [math.exp(d - largest) for d, kin in zip(apart, same, strict=True) if kin]
        to_negatives = [math.exp(-d) for d, kin in zip(apart, same, strict=True) if not kin]
        positives = [d for d, kin in zip(apart, same, strict=True) if kin]
        negatives = [d for d, kin in zip(apart, same, strict=True) if not kin]
        far = sum(w * d for w, d in zip(to_positives, positives, strict=True)) / (1e-6 + sum(to_positives))
        near = sum(w * d for w, d in zip(to_negatives, negatives, strict=True)) / (1e-6 + sum(to_negatives))
        pairs.append((far, near))
    return pairs


def agw_triplet(vectors: Vectors, labels: list[int]) -> float:
    terms = [math.log(1 + math.exp(far - near)) for far, near in masked_distances(vectors, labels)]
    return sum(terms) / len(terms)


def caj_triplet(vectors: Vectors, labels: list[int]) -> float:
    terms = []
    for far, near in masked_distances(vectors, labels):
        sign = 1 if far <= near else -1
        terms.append(math.log(1 + math.exp(-sign * min((far - near) ** 2, 88))))
    return sum(terms) / len(terms)
