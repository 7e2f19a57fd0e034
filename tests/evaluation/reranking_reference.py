"""k-reciprocal re-ranking, slowly and obviously: sets and loops after the paper, nothing shared with the package.

Zhong, Zheng, Cao and Li, "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017.
"""

import math

import numpy as np


def rerank(distance, probes, k1, k2, lambda_, convention="paper"):
    """Re-ranked distances (probes, others).

    distance: N rows of N numbers, probes first; equal numbers are ties, and go to the earlier image.
    """
    images = range(len(distance))
    code = convention == "published_code"
    # Eq. 2: whom each image ranks, itself first
    ranked = [sorted(images, key=lambda y, x=x: (y != x, distance[x][y], y)) for x in images]
    if code:  # the image itself comes on top of the k; distances are shares of the largest
        whole_size, half_size = k1 + 1, round_half_even(k1) + 1
        distance = [[d / (max(row) or 1.0) for d in row] for row in distance]
    else:
        whole_size, half_size = k1, k1 // 2

    def reciprocal(x, size):  # Eq. 3
        return {y for y in ranked[x][:size] if x in ranked[y][:size]}

    whole = [reciprocal(x, whole_size) for x in images]
    half = [reciprocal(x, half_size) for x in images]
    vectors = []
    for x in images:
        members = set(whole[x])
        for y in whole[x]:  # Eq. 4
            shared, needed = 3 * len(whole[x] & half[y]), 2 * len(half[y])
            if shared > needed or (shared == needed and not code):
                members |= half[y]
        vector = {y: math.exp(-distance[x][y]) for y in members}  # Eq. 7
        total = sum(vector.values())
        vectors.append({y: v / total for y, v in vector.items()} if code else vector)
    dense = np.array([[vector.get(y, 0.0) for y in images] for vector in vectors])
    expanded = [np.mean([dense[z] for z in ranked[x][:k2]], axis=0) for x in images]  # Eq. 11
    result = np.empty((probes, len(distance) - probes))
    for x in images[:probes]:
        for y in images[probes:]:
            a, b = expanded[x], expanded[y]
            jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()  # Eq. 10
            result[x, y - probes] = (1 - lambda_) * jaccard + lambda_ * distance[x][y]  # Eq. 12
    return result


def round_half_even(k):
    """Half of k as a whole number; of the two nearest, the even one."""
    return k // 2 if k % 4 in (0, 1, 2) else (k + 1) // 2
