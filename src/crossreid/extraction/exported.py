"""Exported programs as what embeds decoded images. ONNX files are run by ONNX Runtime, and torch is not imported.

``crossreid.export`` leaves a folder: a program for each modality, and ``model.json``, which says what they take and give,
whose weights they hold, and how files become their pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crossreid.data.decoding import DECODER_VERSION
from crossreid.data.records import MODALITIES, Modality
from crossreid.errors import CheckpointError, ConfigError, CrossReIDError, DataError, reason_of
from crossreid.evaluation.calibration import FILE as CALIBRATION_FILE
from crossreid.extraction.batching import Features
from crossreid.extraction.network import EmbeddingNetwork
from crossreid.extraction.origin import with_grey_range
from crossreid.extraction.pixels import Pixels
from crossreid.settings.data import DecodingConfig
from crossreid.settings.fields import from_plain
from crossreid.untrusted import read_json

SIDECAR = "model.json"
FORMAT = "crossreid.exported"
VERSION = 1
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""Format of an export -> how its files end."""
INPUT, OUTPUT = "pixels", "embeddings"
_ABOUT = ("model", "method", "iteration", "preprocessing", "transfer")
"""What ``model.json`` says of the model, and embeddings take along."""
_LARGEST_SIDE = 4096
_PART = 2**20

Program = Callable[[Pixels], Any]
"""(B, H, W, 3) uint8 -> (B, D) float32."""


def is_exported(place: str | Path) -> bool:
    """A place is what an export left: its folder, or one of the files in it."""
    path = Path(place)
    return (path / SIDECAR).is_file() or path.name == SIDECAR or path.suffix in SUFFIXES.values()


def exported_folder(place: str | Path) -> Path:
    """The folder of an export, by itself or by a file in it."""
    path = Path(place)
    if path.is_dir():
        return path
    return path.parent


def files_of_export(folder: Path) -> set[str]:
    """Names of the files in a folder that an export wrote; none where it holds no export.

    A file counts where it is as it was exported: one that was made anew is somebody's work.
    """
    try:
        content = read_json(folder / SIDECAR)
    except DataError:
        return set()
    files = content.get("files")
    if content.get("format") != FORMAT or not isinstance(files, Mapping):
        return set()
    digests = {CALIBRATION_FILE: content.get("calibration")}
    for file in files.values():
        if isinstance(file, Mapping):
            digests[str(file.get("name"))] = file.get("sha256")
    names = {SIDECAR}
    for name, digest in digests.items():
        if (folder / name).is_file() and file_digest(folder / name) == digest:
            names.add(name)
    return names


class ExportedNetwork(EmbeddingNetwork):
    """The programs of an export.

    Args:
        place: the folder, or a file in it.
        device: ``auto``, ``cpu``, ``gpu`` or ``cuda:1``; ONNX Runtime has a GPU where its package onnxruntime-gpu is installed.
        grey_range: values of deep grey files that become black and white; None for those of the export.
        trust: open programs of torch (.pt2), which may run what whoever made the file put in.

    Raises:
        CheckpointError: a file is missing, damaged or not what ``model.json`` says.
        ConfigError: a package or the device is missing, or the programs are torch's and not trusted.
    """

    by_processes: ClassVar[bool] = False

    def __init__(
        self,
        place: str | Path,
        device: str = "auto",
        grey_range: tuple[float, float] | None = None,
        *,
        trust: bool = False,
    ) -> None:
        self.folder = exported_folder(place)
        try:
            content = _described(self.folder)
            self.decoding, self.size = _pixels_of(content)
            files = {modality: _file_of(content, modality, self.folder) for modality in MODALITIES}
            self.about = {name: content[name] for name in _ABOUT}
            kind = str(content["kind"])
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise _damaged(self.folder, str(error)) from error
        if grey_range is not None:
            self.decoding = with_grey_range(self.decoding, grey_range)
            self.about["preprocessing"] = {**self.about["preprocessing"], "decoding": _plain(self.decoding)}
        opened: dict[Path, Program] = {}  # one file may serve both modalities
        self._programs: dict[Modality, Program] = {}
        for modality, file in files.items():
            if file not in opened:
                opened[file] = _opened(file, kind, device, trust)
            self._programs[modality] = opened[file]

    def embed(self, pixels: Pixels, modality: Modality) -> Callable[[], Features]:
        """See :meth:`EmbeddingNetwork.embed`; uint8 alone."""
        if pixels.dtype != np.uint8:
            raise ConfigError("Exported programs take uint8 images: give those, or the checkpoint.")
        given = self._programs[modality](pixels)
        features = {"main": np.asarray(given, dtype=np.float32)}
        return lambda: features


def _plain(decoding: DecodingConfig) -> dict[str, Any]:
    """Settings of decoding, as ``model.json`` has them."""
    settings = decoding.plain()
    del settings["unreadable"]  # decides which images there are, not what they become
    return settings


def _damaged(folder: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"'{folder}' holds no exported model that can be read ({reason}): export it again.")


def _described(folder: Path) -> Mapping[str, Any]:
    """What ``model.json`` says."""
    try:
        content = read_json(folder / SIDECAR)
    except CrossReIDError as error:
        raise _damaged(folder, str(error).rstrip(".")) from error
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise _damaged(folder, f"{SIDECAR} is not of the format {FORMAT} {VERSION}")
    known = content.get("kind") in SUFFIXES
    if not known or not isinstance(content.get("model"), str) or not isinstance(content.get("method"), str):
        raise _damaged(folder, f"{SIDECAR} does not say which model it is")
    return content


def _pixels_of(content: Mapping[str, Any]) -> tuple[DecodingConfig, tuple[int, int]]:
    """How files become pixels, and their height and width."""
    preprocessing = content["preprocessing"]
    if preprocessing["decoder"] != DECODER_VERSION:
        raise ValueError("it was exported by a version that decodes images otherwise")
    decoding = from_plain(DecodingConfig, preprocessing["decoding"], "decoding")
    decoding.check("decoding")
    size = (preprocessing["height"], preprocessing["width"])
    for side in size:
        if not isinstance(side, int) or not 1 <= side <= _LARGEST_SIDE:
            raise ValueError("its images have no size")
    return decoding, size


def _file_of(content: Mapping[str, Any], modality: Modality, folder: Path) -> Path:
    """The program of a modality, which is in the folder and what was exported."""
    entry = content["files"][modality]
    name = entry["name"]
    suffix = SUFFIXES[content["kind"]]
    # A name alone: a path could lead out of the folder.
    if not isinstance(name, str) or Path(name).name != name or Path(name).suffix != suffix:
        raise ValueError(f"the file of {modality} images has no name")
    path = folder / name
    if not path.is_file():
        raise ValueError(f"'{name}' is not there")
    if file_digest(path) != entry["sha256"]:
        raise ValueError(f"'{name}' is not the file that was exported")
    return path


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(_PART):
            digest.update(part)
    return digest.hexdigest()


def _opened(path: Path, kind: str, device: str, trust: bool) -> Program:
    """The program of a file; one of torch only where it is trusted."""
    if kind == "onnx":
        return onnx_program(path, device)
    if not trust:
        raise ConfigError(
            f"'{path}' is a program of torch, and opening one may run what whoever made it put in: say trust=true where you "
            "know them, or export format=onnx, which runs nothing."
        )
    return torch_program(path, device)


def onnx_program(path: Path, device: str = "cpu") -> Program:
    """An ONNX file in ONNX Runtime.

    Raises:
        CheckpointError: it cannot be run.
        ConfigError: the package or the device is missing.
    """
    if find_spec("onnxruntime") is None:
        raise ConfigError(f"'{path}' needs the package onnxruntime: pip install 'crossreid[export]'.")
    import onnxruntime  # noqa: PLC0415 - extra `export`

    onnxruntime.set_default_logger_severity(3)  # of what it prints, errors
    providers = _providers(device)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=providers)
    except Exception as error:  # a damaged file makes it raise many things
        raise CheckpointError(f"'{path}' cannot be run ({reason_of(error)}).") from error
    return lambda pixels: session.run([OUTPUT], {INPUT: pixels})[0]


def _providers(device: str) -> list[Any]:
    """Where ONNX Runtime computes."""
    import onnxruntime  # noqa: PLC0415 - extra `export`

    gpu = "CUDAExecutionProvider"
    has_gpu = gpu in onnxruntime.get_available_providers()
    name, _, number = device.partition(":")
    if name not in ("auto", "cpu", "gpu", "cuda") or (number and not number.isdecimal()):
        raise ConfigError(f"There is no device '{device}': choose from auto, cpu, gpu, cuda:0.")
    if name in ("gpu", "cuda") and not has_gpu:
        raise ConfigError(
            f"The device {device} needs ONNX Runtime with a GPU, which is not here: choose cpu, or install onnxruntime-gpu."
        )
    if name == "cpu" or not has_gpu:
        return ["CPUExecutionProvider"]
    return [(gpu, {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def torch_program(path: Path, device: str = "cpu") -> Program:
    """A program of ``torch.export`` (.pt2).

    Raises:
        CheckpointError: it cannot be loaded.
        ConfigError: the device is not there.
    """
    import torch  # noqa: PLC0415 - ONNX files are run without it
    from torch.export.passes import move_to_device_pass  # noqa: PLC0415

    from crossreid.training.environment import choose_device  # noqa: PLC0415

    chosen = choose_device(device)
    try:
        exported = torch.export.load(path)
    except Exception as error:  # a damaged file makes it raise many things
        raise CheckpointError(f"'{path}' cannot be loaded ({reason_of(error)}).") from error
    if chosen.type != "cpu":
        exported = move_to_device_pass(exported, chosen)
    module = exported.module()

    def run(pixels: Pixels) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(pixels).to(chosen)).cpu().numpy()

    return run
