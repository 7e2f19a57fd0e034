"""Checkpoints without training: random weights embed as well as trained ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_checkpoint(tmp_path: Path, people_root: Path, shared_folder: Path) -> Callable[..., Path]:
    """A checkpoint of a method in its smoke size, as a run on the people writes it; further words are settings."""
    import torch

    from crossreid.settings.compose import compose, run_config
    from crossreid.training.loading import make_method

    def write(model: str, *settings: str) -> Path:
        places = [f"data.root={people_root}", f"data.cache={shared_folder / 'cache'}"]
        config = run_config(compose("train", [f"model={model}", "scale=smoke", *places, *settings]))
        if getattr(config.model, "iterations_per_epoch", 1) is None:
            config.model.iterations_per_epoch = 2
        module = make_method(config.model, 12, 0)
        saved: dict = {"state_dict": module.state_dict(), "optimizer_states": [], "loops": {}}
        module.on_save_checkpoint(saved)
        saved["crossreid"]["phase"] = next(iter(config.model.active_phases()), "")
        saved["crossreid"]["config"] = config.to_plain()
        path = tmp_path / f"{model}.ckpt"
        torch.save(saved, path)
        return path

    return write


@pytest.fixture
def manifest(tmp_path: Path, people) -> Path:
    """The people's test images as a manifest, in the order of the dataset."""
    rows = people.rows("test")
    lines = ["path,modality,camera,person"]
    for row in rows:
        record = people.records[row]
        lines.append(f"{record.path},{record.modality},{record.camid},{record.pid}")
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines))
    return path
