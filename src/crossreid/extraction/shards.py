"""Embeddings that are kept while an extraction runs, so that one that was cut off goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array, read_arrays
from crossreid.files import check_folder, write_atomically
from crossreid.untrusted import read_json

_PLAN = "plan.json"
_FEATURE = "feature_"


class ShardPart(Protocol):
    """Some embedded images: their places, modality and features."""

    @property
    def rows(self) -> Array: ...  # noqa: D102
    @property
    def infrared(self) -> bool: ...  # noqa: D102
    @property
    def features(self) -> Mapping[str, Array]: ...  # noqa: D102


class Shards:
    """A hidden folder ``.NAME.shards`` beside the output.

    Args:
        output: the file that is written in the end.
        plan: what decides the embeddings, as plain values.

    Raises:
        DataError: the folder holds shards of another plan.
        WriteError: the place takes no files.
    """

    def __init__(self, output: Path, plan: Mapping[str, Any]) -> None:
        self.folder = output.with_name(f".{output.name}.shards")
        digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
        known = self.folder / _PLAN
        if known.is_file() and read_json(known).get("digest") != digest:
            raise DataError(
                f"'{self.folder}' holds what an earlier extraction of other images, or by another model, left: remove it, or "
                "choose another output."
            )
        check_folder(self.folder, "output")
        if not known.is_file():
            write_atomically(known, lambda stream: stream.write(json.dumps({"digest": digest}).encode()))
        self._next = len(self._files())

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    def read(self) -> Iterator[tuple[Array, bool, dict[str, Array]]]:
        """What is there: rows (n,), whether they are infrared, and features (n, D) by name; a damaged shard counts as none."""
        for path in self._files():
            try:
                arrays = read_arrays(path)
                infrared = arrays["infrared"].astype(bool)
                rows = arrays["rows"].astype(np.int64)
            except (DataError, KeyError):
                path.unlink()  # its images are embedded again
                continue
            features = {name.removeprefix(_FEATURE): arrays[name] for name in arrays if name.startswith(_FEATURE)}
            for flag in (False, True):
                chosen = infrared == flag
                if chosen.any():
                    yield rows[chosen], flag, {name: feature[chosen] for name, feature in features.items()}

    def write(self, parts: Sequence[ShardPart]) -> None:
        """Keep some embedded images; none where there are none."""
        if not parts:
            return
        arrays: dict[str, Array] = {
            "rows": np.concatenate([part.rows for part in parts]),
            "infrared": np.concatenate([np.full(len(part.rows), part.infrared) for part in parts]),
        }
        for name in parts[0].features:
            arrays[f"{_FEATURE}{name}"] = np.concatenate([part.features[name] for part in parts])

        def write_arrays(stream: BinaryIO) -> None:
            np.savez(stream, **cast("dict[str, Any]", arrays))

        while (path := self.folder / f"{self._next:06d}.npz").exists():
            self._next += 1
        write_atomically(path, write_arrays)
        self._next += 1

    def remove(self) -> None:
        """The output is written: they are not needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
