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
    ranked = [rank_images(x, distance) for x in images]  # N(x, k) is ranked[x][:k], Eq. 2
    if code:  # the image itself comes on top of the k
        k1_size = k1 + 1
        half_size = round_half_even(k1) + 1
        distance = [shares_of_the_largest(row) for row in distance]
    else:
        k1_size = k1
        half_size = k1 // 2

    def reciprocal(x, size):
        """R(x, size), Eq. 3."""
        return {y for y in ranked[x][:size] if x in ranked[y][:size]}

    r_k1 = [reciprocal(x, k1_size) for x in images]  # R(x, k1)
    r_half = [reciprocal(y, half_size) for y in images]  # R(y, k1 / 2)

    # R*(x), Eq. 4: R(x, k1), and R(y, k1 / 2) of each of its y that shares two thirds of it
    members = []
    for x in images:
        members_of_x = set(r_k1[x])
        for y in r_k1[x]:
            shared = 3 * len(r_k1[x] & r_half[y])
            needed = 2 * len(r_half[y])
            if shared > needed or (shared == needed and not code):
                members_of_x |= r_half[y]
        members.append(members_of_x)

    # V(x, y), Eq. 7: 0 but for members
    vectors = np.zeros((len(images), len(images)))
    for x in images:
        for y in members[x]:
            vectors[x, y] = math.exp(-distance[x][y])
        if code:
            vectors[x] /= vectors[x].sum()

    # Eq. 11: each vector becomes the mean of those of N(x, k2)
    means = [vectors[ranked[x][:k2]].mean(axis=0) for x in images]

    result = np.empty((probes, len(distance) - probes))
    for x in images[:probes]:
        for y in images[probes:]:
            minima = np.minimum(means[x], means[y])
            maxima = np.maximum(means[x], means[y])
            jaccard = 1 - minima.sum() / maxima.sum()  # Eq. 10
            result[x, y - probes] = (1 - lambda_) * jaccard + lambda_ * distance[x][y]  # Eq. 12
    return result


def rank_images(x, distance):
    """All images by their distance from x: x itself first, ties by place."""
    others = [y for y in range(len(distance)) if y != x]
    return [x, *sorted(others, key=lambda y: distance[x][y])]  # Python's sort is stable


def shares_of_the_largest(row):
    largest = max(row) or 1.0
    return [d / largest for d in row]


def round_half_even(k):
    """Half of k as a whole number; of the two nearest, the even one."""
    return k // 2 if k % 4 in (0, 1, 2) else (k + 1) // 2
