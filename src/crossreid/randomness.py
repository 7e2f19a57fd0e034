"""Random numbers as a pure function of what they are for.

Nothing here keeps a state: the generator for iteration 1234 of a run is made from (seed, purpose, 1234), so a resumed run
draws what an uninterrupted one would have drawn, and no code shares a global generator by accident.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, purpose: str, *counters: int) -> int:
    """A 63-bit seed for one purpose and place (iteration, rank, ...)."""
    return int(numpy_generator(seed, purpose, *counters).integers(0, 2**63 - 1))


def numpy_generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """A NumPy generator for one purpose and place."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *counters])


def torch_generator(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """A torch generator on the CPU for one purpose and place."""
    import torch  # noqa: PLC0415 - a search does without it

    return torch.Generator().manual_seed(derive_seed(seed, purpose, *counters))
