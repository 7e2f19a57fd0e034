"""Persons of a folder divided into training, calibration and test, where no folder says who is for what."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

DIVISION = (0.6, 0.2, 0.2)
"""Shares that a training takes where nobody says any."""
PARTS = ("train", "calibration", "test")


def divide_persons(
    names: Mapping[int, str], paired: Collection[int], shares: Sequence[float], seed: int
) -> dict[int, str]:
    """Which part each person is in.

    Persons stand in the order of a digest of their names, so that one who is added or taken away moves others over the borders
    between the parts only. Those with both modalities are divided by the shares, then those with one.

    Args:
        names: identity -> name.
        paired: identities that have images of both modalities.
        shares: of training, calibration and test, summing to 1.
        seed: another one is another division.

    Returns:
        Identity -> ``train``, ``calibration`` or ``test``; a part with a share has a person where there are enough.
    """

    def digest_of_name(pid: int) -> str:
        return hashlib.sha256(f"{seed}/{names[pid]}".encode()).hexdigest()

    with_both = [pid for pid in names if pid in paired]
    with_one = [pid for pid in names if pid not in paired]
    parts: dict[int, str] = {}
    for group in (with_both, with_one):
        order = sorted(group, key=digest_of_name)
        start = 0
        for part, size in zip(PARTS, _sizes(len(order), shares), strict=True):
            for pid in order[start : start + size]:
                parts[pid] = part
            start += size
    return parts


def _sizes(count: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in these proportions that sum to ``count``, at least one for each share where there are enough."""
    sizes = [int(share > 0) for share in shares]
    if sum(sizes) > count:
        sizes = [0] * len(shares)
    while sum(sizes) < count:  # the next to the part that lacks most of its share
        lacking = [count * share - size for share, size in zip(shares, sizes, strict=True)]
        sizes[lacking.index(max(lacking))] += 1
    return sizes
