"""Embeddings that are kept while an extraction runs, so that one that was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array, read_arrays
from crossreid.files import check_folder, write_atomically
from crossreid.runs.lock import one_process
from crossreid.untrusted import read_json

_PLAN = "plan.json"
_LOCK = "lock"
_FEATURE = "feature_"


class ShardPart(Protocol):
    """Some embedded images: their places, modality and features."""

    @property
    def rows(self) -> Array: ...  # noqa: D102
    @property
    def infrared(self) -> bool: ...  # noqa: D102
    @property
    def features(self) -> Mapping[str, Array]: ...  # noqa: D102


@contextmanager
def open_shards(output: Path, plan: Mapping[str, Any]) -> Iterator[Shards]:
    """The shards of an output, in a hidden folder ``.NAME.shards`` beside it, which are this process's alone inside.

    Args:
        output: the file that is written in the end.
        plan: what decides the embeddings, as plain values.

    Raises:
        DataError: the folder holds shards of another plan.
        OwnedError: another process writes this output.
        WriteError: the place takes no files.
    """
    folder = output.with_name(f".{output.name}.shards")
    check_folder(folder, "output")
    folder.mkdir(parents=True, exist_ok=True)
    refusal = f"Another process writes '{output}': wait for it, or choose another output."
    with one_process(folder / _LOCK, refusal):
        yield Shards(folder, plan)


class Shards:
    """Shards of one plan; see :func:`open_shards`. A folder's shards without a plan belong to nobody, and go.

    Args:
        folder: that holds them.
        plan: what decides the embeddings, as plain values.

    Raises:
        DataError: the folder holds shards of another plan.
        WriteError: the place takes no files.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder = folder
        digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
        known = self.folder / _PLAN
        if known.is_file() and read_json(known).get("digest") != digest:
            raise DataError(
                f"'{self.folder}' holds what an earlier extraction of other images, or by another model, left: remove it, or "
                "choose another output."
            )
        if not known.is_file():
            for path in self._files():
                path.unlink()
            # Before the first shard: one that a cut-off leaves is then known to be of this plan.
            write_atomically(known, lambda stream: stream.write(json.dumps({"digest": digest}).encode()))
        self._next = len(self._files())

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    def read(self) -> Iterator[tuple[Array, bool, dict[str, Array]]]:
        """What is there, each image once: rows (n,), whether they are infrared, and features (n, D) by name; a damaged shard
        counts as none."""
        known: set[int] = set()
        for path in self._files():
            try:
                arrays = read_arrays(path)
                infrared = arrays["infrared"].astype(bool)
                rows = arrays["rows"].astype(np.int64)
            except (DataError, KeyError):
                path.unlink()  # its images are embedded again
                continue
            fresh = np.array([row not in known for row in rows.tolist()], dtype=bool)
            known.update(rows.tolist())
            for flag in (False, True):
                chosen = fresh & (infrared == flag)
                if not chosen.any():
                    continue
                features: dict[str, Array] = {}
                for name, array in arrays.items():
                    if name.startswith(_FEATURE):
                        features[name.removeprefix(_FEATURE)] = array[chosen]
                yield rows[chosen], flag, features

    def write(self, parts: Sequence[ShardPart]) -> None:
        """Keep some embedded images; none where there are none."""
        if not parts:
            return
        flags = [np.full(len(part.rows), part.infrared) for part in parts]
        arrays: dict[str, Array] = {
            "rows": np.concatenate([part.rows for part in parts]),
            "infrared": np.concatenate(flags),
        }
        for name in parts[0].features:
            arrays[f"{_FEATURE}{name}"] = np.concatenate([part.features[name] for part in parts])

        def write_arrays(stream: BinaryIO) -> None:
            np.savez(stream, **cast("dict[str, Any]", arrays))

        path = self._numbered(self._next)
        while path.exists():  # numbers are missing where damaged shards went
            self._next += 1
            path = self._numbered(self._next)
        write_atomically(path, write_arrays)
        self._next += 1

    def _numbered(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def remove(self) -> None:
        """The output is written: they are not needed any more. The plan goes last, so that no shard is left without."""
        with suppress(OSError):  # what cannot be removed stays, with its plan
            for path in self._files():
                path.unlink()
            (self.folder / _PLAN).unlink()
            shutil.rmtree(self.folder, ignore_errors=True)
