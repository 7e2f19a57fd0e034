"""Small things that several tests import."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossreid.settings.store import choices_of, register

ROOT = Path(__file__).resolve().parents[1]
PROTOCOLS = ROOT.parent / "shared" / "protocols"
"""The real datasets' split lists, where they lie beside the project."""


@dataclass
class Finished:
    """What a command left."""

    code: int
    output: str


def choices(group: str) -> list[str]:
    """All choices of a group: files, and what is registered from code."""
    register()
    return choices_of(group)


def newest_run(folder: Path) -> Path:
    """The run folder written last below ``folder``."""
    return max(folder.rglob("run.json"), key=lambda path: path.stat().st_mtime).parent


def smoke_settings(people_root: Path, shared_folder: Path) -> list[str]:
    """Settings under which the real command takes seconds."""
    return [
        "scale=smoke",
        f"data.root={people_root}",
        f"data.cache={shared_folder / 'cache'}",
        "trainer=cpu",
        "report.figures=false",
        "protocol.trials=2",
    ]


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Inside, no file of this process grows beyond ``size`` bytes, as on a full disk: writing fails with a system error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path inside, hidden ones too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def lively_checkpoint(model: str, folder: Path, people_root: Path, shared_folder: Path, *settings: str) -> Path:
    """A checkpoint of a method in its smoke size whose batch norms have averages of their own, as after training."""
    import torch

    from crossreid.settings.compose import compose, run_config
    from crossreid.training.loading import make_method

    places = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
    config = run_config(compose("train", [f"model={model}", "scale=smoke", *places, *settings]))
    if getattr(config.model, "iterations_per_epoch", 1) is None:
        config.model.iterations_per_epoch = 2
    module = make_method(config.model, 12, 0)
    generator = torch.Generator().manual_seed(1)
    for name, buffer in module.named_buffers():
        if name.endswith(("_mean", "_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) * 0.2 + ("var" in name) * 0.8)
    saved: dict = {"state_dict": module.state_dict(), "optimizer_states": [], "loops": {}}
    module.on_save_checkpoint(saved)
    saved["crossreid"]["phase"] = next(iter(config.model.active_phases()), "")
    saved["crossreid"]["config"] = config.to_plain()
    path = folder / f"{model}.ckpt"
    torch.save(saved, path)
    return path


def write_video(path: Path, pictures: np.ndarray) -> None:
    """A video without loss, of pictures (N, H, W, 3); needs the package av."""
    import av

    height, width = pictures.shape[1:3]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
