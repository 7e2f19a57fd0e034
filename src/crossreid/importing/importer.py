"""From a public code's files to a checkpoint of ours."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crossreid.console import notice
from crossreid.errors import DataError
from crossreid.files import check_replaceable, folder_in_place
from crossreid.importing.layouts import LayoutRow, PublicLayout
from crossreid.importing.public_files import PublicFiles, check_files, persons_in, read_files
from crossreid.importing.sources import layout_of
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.folder import LAST, now, write_json
from crossreid.settings.importing import ImportedConfig, ImportWeightsConfig
from crossreid.settings.method import MethodConfig
from crossreid.settings.registry import method_class
from crossreid.settings.run import FORMAT
from crossreid.training.imported import IMPORTED
from crossreid.training.loading import make_method, method_from
from crossreid.training.resuming import WITHOUT_OPTIMIZERS
from crossreid.untrusted import read_json
from crossreid.version import __version__

SIDECAR = "imported.json"
"""In the folder: each key of the files, and what became of it."""
LEFT_OUT = "left_out.pt"
"""In the folder: the tensors that were left out, with which the files can be written again to the bit."""
DATASET_OF_PERSONS = {395: "sysu_mm01", 206: "regdb", 713: "llcm"}
"""Number of training persons -> dataset that has so many."""
_MOST_NUMBERS = 10_000
"""Of scores beside the weights, in the table for people; a CMC has as many as there are persons in a gallery."""
_TRIAL = re.compile(r"trial_(\d+)")
"""In the name of a file trained on a split of RegDB."""


def import_weights(
    source: str,
    file: str | Path,
    output: str | Path,
    *,
    dataset: str | None = None,
    split: int | None = None,
) -> Path:
    """Make a checkpoint of weights that a public code trained.

    Every tensor of its files becomes a part of our method, or is left out for a reason that ``imported.json`` names.

    Args:
        source: the public code: ``aligngan``, ``jsia``, ``lba``, ``agw``, ``caj``, ``ddag``, ``deen``,
            ``deen_regdb``.
        file: what it wrote; of AlignGAN and JSIA-ReID one of several files, or their folder.
        output: the folder to write. An import that is there is replaced, whole or not at all; a folder that holds anything
            else is refused.
        dataset: what the weights were trained on; None: by the number of persons.
        split: which of RegDB's ten splits; None: as the file's name says it.

    Returns:
        The folder, which :class:`~crossreid.Extractor` and all commands take in the place of a run folder.

    Raises:
        CheckpointError: the files are missing, damaged, ask for more than numbers, or are of another network.
        ConfigError: a setting cannot be.
        WriteError: the disk is full, or something else is in the folder.

    Example:
        >>> crossreid.import_weights("agw", "sysu_agw_best.t", "weights/agw")  # doctest: +SKIP
    """
    ImportWeightsConfig(source, str(file), str(output), dataset, split).check()
    target = Path(output)
    replaced = _files_of_import(target)
    check_replaceable(target, replaced)
    layout = layout_of(source)
    files = read_files(layout, Path(file))
    settings = layout.settings()
    persons = persons_in(layout, files)
    with torch.device("meta"):  # names and shapes, before any memory is taken
        outline: CrossModalityModule[Any] = method_class(settings)(settings, persons, 0)
    rows = layout.rows(outline.state_dict())
    check_files(rows, outline.state_dict(), files, layout)
    module = _filled(settings, persons, rows, files)
    imported = _origin(layout, files, persons, dataset, split)
    _say(rows, layout, files.beside)
    with folder_in_place(target, replaced) as folder:
        checkpoint = _checkpoint(module, imported)
        torch.save(checkpoint, folder / LAST)
        left_out = {"tensors": _left_out(rows, files), "beside": _numbers(files.beside)}
        torch.save(left_out, folder / LEFT_OUT)
        write_json(folder / SIDECAR, _sidecar(layout, files, rows, module, imported))
        method_from(checkpoint, folder / LAST)  # as everybody will load it
    return target


def _files_of_import(folder: Path) -> set[str]:
    """Names of the files in a folder that an import wrote; none where it holds no import."""
    try:
        content = read_json(folder / SIDECAR)
    except DataError:
        return set()
    if not {"source", "files", "keys"} <= set(content):
        return set()
    return {SIDECAR, LAST, LEFT_OUT}


def _filled(
    settings: MethodConfig, persons: int, rows: Sequence[LayoutRow], files: PublicFiles
) -> CrossModalityModule[Any]:
    """The method with the files' numbers."""
    module = make_method(settings, persons, 0)
    weights = module.state_dict()  # the method's own memory
    with torch.no_grad():
        for row in rows:
            if row.left_out:
                continue
            for entry in row.entries:
                entry.put(weights, files.states[row.file][entry.key])
    return module.eval()


def _origin(
    layout: PublicLayout, files: PublicFiles, persons: int, dataset: str | None, split: int | None
) -> ImportedConfig:
    """What the checkpoint keeps of the import."""
    if dataset is None:
        dataset = DATASET_OF_PERSONS.get(persons)
        known = f"Trained on {persons} persons"
        if dataset is not None:
            known += f", so on {dataset}"
        notice(f"{known}; dataset= says it otherwise.")
    if dataset != "regdb":
        split = None  # other datasets have none
    elif split is None:
        split = _split_named(files.paths[0])
        if split is None:
            notice(
                "Which split of RegDB it was trained on is not known: say split=, or it may be scored on its own persons."
            )
    return ImportedConfig(
        source=layout.name,
        files=[path.name for path in files.paths],
        resize=layout.resize,
        dataset=dataset,
        split=split,
        mark=files.mark,
    )


def _split_named(path: Path) -> int | None:
    """Which of RegDB's ten splits a file's name says."""
    match = _TRIAL.search(path.name)
    if match and 1 <= int(match[1]) <= 10:
        return int(match[1])
    return None


def _checkpoint(module: CrossModalityModule[Any], imported: ImportedConfig) -> dict[str, Any]:
    """As training would write it, without optimizers and without a run."""
    ours = {
        "format": FORMAT,
        "method": module.config.name,
        "model": module.config.plain(),
        "iteration": 0,
        "num_identities": module.num_identities,
        "seed": module.seed,
        "players": [],
        WITHOUT_OPTIMIZERS: True,
        IMPORTED: imported.plain(),
    }
    return {"state_dict": module.state_dict(), "optimizer_states": [], "loops": {}, "crossreid": ours}


def _left_out(rows: Sequence[LayoutRow], files: PublicFiles) -> list[dict[str, Tensor]]:
    """The tensors that are not taken, by file."""
    kept: list[dict[str, Tensor]] = [{} for _ in files.paths]
    for row in rows:
        if row.left_out:
            for entry in row.entries:
                kept[row.file][entry.key] = files.states[row.file][entry.key]
    return kept


def _numbers(beside: Mapping[str, Any]) -> dict[str, Any]:
    """Scores and the epoch, as tensors where NumPy made them."""
    numbers: dict[str, Any] = {}
    for name, value in beside.items():
        if isinstance(value, np.ndarray | np.generic):
            native = value.astype(value.dtype.newbyteorder("="))  # torch has no other order of bytes than the machine's
            row = np.ascontiguousarray(native)
            numbers[name] = torch.from_numpy(row.reshape(np.shape(value)))  # a scalar became an array of one number
        elif isinstance(value, int | float):
            numbers[name] = value
    return numbers


def _sidecar(
    layout: PublicLayout,
    files: PublicFiles,
    rows: Sequence[LayoutRow],
    module: CrossModalityModule[Any],
    imported: ImportedConfig,
) -> dict[str, Any]:
    """Everything that was done, for people."""
    described = []
    for path in files.paths:
        described.append({"name": path.name, "sha256": _digest(path), "bytes": path.stat().st_size})
    height, width = module.config.streams["identity"].size
    return {
        "source": layout.name,
        "title": layout.title,
        "files": described,
        "imported": now(),
        "crossreid": __version__,
        "method": module.config.name,
        "persons": module.num_identities,
        "dataset": imported.dataset,
        "split": imported.split,
        "preprocessing": {
            "height": height,
            "width": width,
            "resize": layout.resize,
            "network_size": list(_network_size(module.config)),
            "mirrored": bool(getattr(module.config, "flip_test", False)),
        },
        "beside": _readable(files.beside),
        "keys": list(_what_became(rows)),
        "settings": module.config.plain(),
    }


def _network_size(settings: MethodConfig) -> Sequence[int]:
    """Height and width that the network itself resizes to."""
    backbone: Any = getattr(settings, "backbone", None)
    if backbone is None:
        return settings.streams["identity"].size
    size: Sequence[int] = backbone.size
    return size


def _readable(beside: Mapping[str, Any]) -> dict[str, Any]:
    """What stood beside the weights: numbers as they are, of anything else its type."""
    readable: dict[str, Any] = {}
    for name, value in beside.items():
        if isinstance(value, np.ndarray | np.generic) and value.size <= _MOST_NUMBERS:
            readable[name] = value.tolist()
        elif isinstance(value, int | float):
            readable[name] = value
        else:
            readable[name] = "left out: no number"
    return readable


def _what_became(rows: Sequence[LayoutRow]) -> Iterator[dict[str, Any]]:
    """Each key of the files: ours, or why it was left out."""
    for row in rows:
        for entry in row.entries:
            told: dict[str, Any] = {"file": row.file, "key": entry.key}
            if row.left_out:
                told["left_out"] = row.left_out
            else:
                told["ours"] = [piece.name for piece in entry.pieces]
            yield told


def _say(rows: Sequence[LayoutRow], layout: PublicLayout, beside: Mapping[str, Any]) -> None:
    """How many tensors were taken and left out, and what the files say of themselves."""
    taken = 0
    reasons: dict[str, int] = {}
    for row in rows:
        if row.left_out:
            reasons[row.left_out] = reasons.get(row.left_out, 0) + len(row.entries)
        else:
            taken += len(row.entries)
    notice(f"{layout.title}: {taken} tensors taken, {sum(reasons.values())} left out ({SIDECAR} lists them).")
    for reason, count in reasons.items():
        notice(f"Left out, {count}: {reason}")
    scores = []
    for name, value in _readable(beside).items():
        first = value
        if isinstance(value, list) and value:
            first = value[0]  # of a CMC, Rank-1
        if isinstance(first, float):
            scores.append(f"{name} {first:.4g}")
        else:
            scores.append(f"{name} {first}")
    if scores:
        notice(f"The file says of itself: {', '.join(scores)}.")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
