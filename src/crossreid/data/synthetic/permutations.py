"""The gallery draw of ten trials in the official ``rand_perm_cam.mat`` format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from crossreid.data.synthetic.roster import CAMERAS, RosterEntry
from crossreid.settings.data import SyntheticPeople

TRIALS = 10
_STREAM = 5
_HEADER_BYTES = 116  # free text of a MATLAB 5 file; scipy writes the time of day there
_HEADER = b"MATLAB 5.0 MAT-file, synthetic people"


def write_permutations(path: Path, roster: list[RosterEntry], people: SyntheticPeople) -> None:
    """Write ``rand_perm_cam``: cell (6, 1) of cells (ids, 1) of uint8 (10, frames), (10, 0) where a person is absent."""
    cell = np.empty((len(CAMERAS), 1), dtype=object)
    for row, camera in enumerate(CAMERAS):
        inner = np.empty((len(roster), 1), dtype=object)
        for entry in roster:
            inner[entry.pid - 1, 0] = _draw(entry, camera, people)
        cell[row, 0] = inner
    savemat(str(path), {"rand_perm_cam": cell})
    with path.open("r+b") as file:
        file.write(_HEADER.ljust(_HEADER_BYTES))


def _draw(entry: RosterEntry, camera: int, people: SyntheticPeople) -> NDArray[Any]:
    if camera not in entry.cameras:
        return np.zeros((TRIALS, 0), dtype=np.uint8)
    rng = np.random.default_rng((people.seed, _STREAM, entry.pid, camera))
    rows = [rng.permutation(people.frames) + 1 for _ in range(TRIALS)]
    return np.stack(rows).astype(np.uint8)
