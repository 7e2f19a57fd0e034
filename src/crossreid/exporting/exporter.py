"""From a checkpoint to programs: traced, written, compared with PyTorch, and only then put in their place."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from crossreid.console import notice
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import ConfigError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.calibration import FILE as CALIBRATION_FILE
from crossreid.exporting.parity import BATCHES, TOLERANCE, largest_difference
from crossreid.exporting.smaller import (
    FittingImages,
    check_dimensions,
    cost_of,
    derived_digest,
    principal_axes,
    quantize,
)
from crossreid.exporting.tracing import alike, traced
from crossreid.extraction.beside import calibration_beside
from crossreid.extraction.checkpoint import CheckpointNetwork
from crossreid.extraction.exported import (
    FORMAT,
    INPUT,
    OUTPUT,
    SIDECAR,
    SUFFIXES,
    VERSION,
    Program,
    file_digest,
    files_of_export,
    onnx_program,
    torch_program,
)
from crossreid.extraction.pixels import Pixels
from crossreid.extraction.transfer import TRANSFER
from crossreid.files import check_replaceable, folder_in_place
from crossreid.runs.folder import write_json
from crossreid.settings.exporting import PRECISIONS, check_smaller
from crossreid.settings.fields import check_choice
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.imported import imported_of
from crossreid.training.loading import checkpoint_at, has_run, run_of
from crossreid.version import __version__

PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}
"""Format -> packages beside torch that it needs."""
_RESEARCH = "by the agreement that the dataset's authors ask for; look it up before anything is passed on"
_LICENCES = {
    "synthetic": "drawn by crossreid, of no real person; its body model is under the Apache License 2.0",
    "synthetic_regdb": "drawn by crossreid, of no real person; its body model is under the Apache License 2.0",
    "sysu_mm01": _RESEARCH,
    "regdb": _RESEARCH,
    "llcm": _RESEARCH,
}
"""Dataset -> what is known of its licence."""
_BOTH = "both"


def export(
    checkpoint: str | Path,
    output: str | Path,
    format: str = "onnx",
    *,
    precision: str = "float32",
    dimensions: int | None = None,
    images: str | None = None,
    modality: str | None = None,
    grey_range: tuple[float, float] | None = None,
) -> Path:
    """Write a trained model as programs that need none of its Python: uint8 images in, embeddings out.

    Args:
        checkpoint: a run folder or a ``.ckpt``.
        output: the folder to write: a program for each modality (one for both, where they take the same path) and
            ``model.json`` with inputs, outputs, the model's digest, preprocessing, versions and the licence of the data, if
            known; and the model's calibration, if there is one. An export that is there is replaced, whole or not at all;
            a folder that holds anything else is refused.
        format: ``onnx``, or ``torch`` for programs of ``torch.export`` (.pt2).
        precision: ``float32``, or ``int8`` for weights and activations of ONNX in 8 bits.
        dimensions: numbers of an embedding, by the principal axes of those of ``images``; None for all.
        images: that 8 bits and axes are fitted on, every second of them kept to measure what they cost in accuracy.
        modality: of ``images``, as for :class:`~crossreid.Extractor`.
        grey_range: of deep grey files; as for :class:`~crossreid.Extractor`.

    Returns:
        The folder, which :class:`~crossreid.Extractor` takes in the place of a checkpoint.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
        ConfigError: a package is missing, a smaller export has no or too few images, or the method's similarities depend on
            the gallery (cm-SSFT).
        ParityError: a program differs from PyTorch by more than 1e-4; nothing is written.
        WriteError: the disk is full, or something else is in the folder.

    Example:
        >>> crossreid.export("outputs/demo", "street.onnx")  # doctest: +SKIP
        >>> extract = crossreid.Extractor("street.onnx")  # torch is not imported  # doctest: +SKIP
    """
    check_choice("format", format, tuple(SUFFIXES))
    check_choice("precision", precision, PRECISIONS)
    check_smaller(format, precision, dimensions, images)
    check_packages(format)
    target = Path(output)
    replaced = files_of_export(target)
    check_replaceable(target, replaced)  # before minutes of work
    network = _exportable(checkpoint, grey_range)
    check_dimensions(dimensions, _whole_dimension(network))
    own = None
    if images is not None:
        own = FittingImages.of(checkpoint, images, modality, grey_range, dimensions)
    axes = None
    if dimensions is not None and own is not None:
        axes = principal_axes(own.embeddings.select(own.fitting()), dimensions)
    calibrated_on = None
    if precision == "int8":
        calibrated_on = own
    with folder_in_place(target, replaced) as folder:
        files = _write_programs(network, folder, format, axes, calibrated_on)
        sidecar = _sidecar(network, checkpoint, format, files, axes)
        if own is None:
            sidecar |= _keep_calibration(checkpoint, folder)
        else:  # a smaller model has other similarities
            sidecar |= _smaller(network, own, files, folder, precision, axes)
        write_json(folder / SIDECAR, sidecar)
    return target


def _exportable(checkpoint: str | Path, grey_range: tuple[float, float] | None) -> CheckpointNetwork:
    """The network whose embeddings alone are the method.

    Raises:
        ConfigError: similarities depend on more.
    """
    network = CheckpointNetwork(checkpoint, "cpu", grey_range)
    if network.about[TRANSFER]:
        raise ConfigError(
            f"{network.about['method']} compares images through a transfer that sees the whole gallery, so its embeddings "
            "alone are not the method: search with the checkpoint."
        )
    network.module.requires_grad_(False)
    return network


def _keep_calibration(checkpoint: str | Path, folder: Path) -> dict[str, Any]:
    """The model's calibration goes along, where there is one; what the sidecar says of it."""
    calibration = calibration_beside(checkpoint)
    if calibration is None:
        return {}
    calibration.save(folder / CALIBRATION_FILE)
    return {"calibration": file_digest(folder / CALIBRATION_FILE)}


def _write_programs(
    network: CheckpointNetwork, folder: Path, format: str, axes: Array | None, calibrated_on: FittingImages | None
) -> dict[Modality, dict[str, Any]]:
    """Write the program of each modality, one for both where they take the same path, each once it gives what PyTorch gives.

    Args:
        network: the whole model.
        folder: to write into.
        format: ``onnx`` or ``torch``.
        axes: that embeddings are projected on; None for none.
        calibrated_on: images whose ranges 8-bit files take; None for float32.

    Returns:
        Modality -> what the sidecar says of its file.
    """
    files: dict[Modality, dict[str, Any]] = {}
    programs = _programs(network, axes)
    shared = len(programs) == 1
    for modality, program in programs.items():
        name: str = modality
        ranges_of: Modality | None = modality
        served: tuple[Modality, ...] = (modality,)
        if shared:
            name = _BOTH
            ranges_of = None
            served = MODALITIES
        path = folder / f"{name}{SUFFIXES[format]}"
        notice(f"Writing {path.name}")
        _write(program, path, format)
        for each in served:
            files[each] = _described(network, path, format, each, axes)
        if calibrated_on is not None:  # what was compared with PyTorch is float32
            _to_int8(path, calibrated_on.pixels_of(ranges_of))
            for each in served:
                files[each] |= _facts_of(path)
    return files


def _to_int8(path: Path, pixels: Pixels) -> None:
    """Write a file anew in 8 bits."""
    whole = path.with_name(f".{path.name}.float32")
    path.rename(whole)
    quantize(whole, path, pixels)
    whole.unlink()


def _smaller(
    network: CheckpointNetwork,
    own: FittingImages,
    files: Mapping[Modality, Mapping[str, Any]],
    folder: Path,
    precision: str,
    axes: Array | None,
) -> dict[str, Any]:
    """What the sidecar says of a smaller export: whose it is, and what it costs."""
    programs: dict[str, Program] = {}
    changes = []
    for name in MODALITIES:
        path = folder / files[name]["name"]
        if path.suffix == SUFFIXES["onnx"]:
            programs[name] = onnx_program(path)
        else:
            programs[name] = torch_program(path)
        if precision == "int8":
            changes.append(files[name]["sha256"].encode())
    if axes is not None:
        changes.append(axes.tobytes())
    return {
        "model": derived_digest(network.about["model"], *changes),
        "derived_from": network.about["model"],
        "precision": precision,
        "cost": cost_of(own, programs),
    }


def check_packages(format: str) -> None:
    """Raise :class:`ConfigError` where a package is missing that a format needs."""
    missing = [name for name in PACKAGES[format] if find_spec(name) is None]
    if missing:
        raise ConfigError(f"format={format} needs {', '.join(missing)}: pip install 'crossreid[export]'.")


def _programs(network: CheckpointNetwork, axes: Array | None) -> dict[Modality, ExportedProgram]:
    """The program of each modality; that of visible images alone where it is the other's too."""
    matrix = None
    if axes is not None:
        matrix = torch.from_numpy(axes)
    visible = traced(network.module, "visible", network.size, matrix)
    infrared = traced(network.module, "infrared", network.size, matrix)
    if alike(visible, infrared):
        return {"visible": visible}
    return {"visible": visible, "infrared": infrared}


def _write(program: ExportedProgram, path: Path, format: str) -> None:
    if format == "torch":
        content = io.BytesIO()  # to a path, torch ends the process where the disk is full
        torch.export.save(program, content)
        path.write_bytes(content.getvalue())
        return
    with _quiet():
        # torch's own optimisation leaves additions of 1e-12 out, which GeM pooling has: ONNX Runtime does it without
        converted: Any = torch.onnx.export(
            program,
            (),
            dynamo=True,
            optimize=False,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    converted.save(str(path), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, torch does not talk of versions and of what it leaves out."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def _described(
    network: CheckpointNetwork, path: Path, format: str, modality: Modality, axes: Array | None
) -> dict[str, Any]:
    """A file that was written, once it gives what PyTorch gives."""
    if format == "onnx":
        program = onnx_program(path)
    else:
        program = torch_program(path)
    difference = largest_difference(network, program, modality, axes)
    return {"name": path.name, **_facts_of(path), "largest_difference": difference}


def _facts_of(path: Path) -> dict[str, Any]:
    """By what a reader knows a file as the one that was exported."""
    return {"sha256": file_digest(path), "bytes": path.stat().st_size}


def _sidecar(
    network: CheckpointNetwork,
    checkpoint: str | Path,
    format: str,
    files: Mapping[Modality, Any],
    axes: Array | None,
) -> dict[str, Any]:
    """What ``model.json`` says: what the programs take and give, whose weights they hold, and where these come from."""
    height, width = network.size
    if axes is None:
        dimension = _whole_dimension(network)
    else:
        dimension = axes.shape[1]
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": format,
        **network.about,
        "input": {
            "name": INPUT,
            "type": "uint8",
            "shape": ["batch", height, width, 3],
            "meaning": "RGB in [0, 255]; infrared repeated to three channels. Division by 255 and normalisation are inside; "
            f"images are brought to {height}x{width} before, by Pillow's {network.decoding.resize} filter",
        },
        "output": {
            "name": OUTPUT,
            "type": "float32",
            "shape": ["batch", dimension],
            "meaning": "of unit length: the product of two is their cosine similarity",
        },
        "files": dict(files),
        "parity": {"tolerance": TOLERANCE, "batches": list(BATCHES), "against": "PyTorch, float32, CPU"},
        "data": _data_of(checkpoint),
        "versions": _versions(format),
    }


def _whole_dimension(network: CheckpointNetwork) -> int:
    """Numbers of an embedding of the whole model."""
    black = torch.zeros(1, *network.size, 3, dtype=torch.uint8).numpy()
    return int(network.embed(black, "visible")()["main"].shape[1])


def _data_of(checkpoint: str | Path) -> dict[str, Any]:
    """What the model was trained on; nothing where a plain trainer did it, or an import does not know."""
    path = checkpoint_at(checkpoint)
    content = read_checkpoint(path)
    imported = imported_of(content, path)
    name: str | None = None
    if imported is not None:
        name = imported.dataset
    elif has_run(content):
        name = run_of(content, path).data.name
    if name is None:
        return {"name": None, "licence": None}
    return {"name": name, "licence": _LICENCES.get(name)}


def _versions(format: str) -> dict[str, str]:
    """Versions of what wrote the export, as far as they are known."""
    versions = {"crossreid": __version__, "torch": torch.__version__}
    for name in PACKAGES[format]:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
