"""Run folders, checkpoints, datasets and embeddings of somebody who means harm: nothing is imported, resolved or shown raw."""

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from crossreid.errors import CheckpointError, DataError
from crossreid.evaluation import Embeddings, load_foreign
from crossreid.runs.folder import fingerprint
from crossreid.settings.compose import compose, run_config
from crossreid.settings.registry import method_class
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.loading import method_from, run_of
from test_report import KEY, result, write_run
from test_untrusted import LAUGHS

SECRET = "hunter2"
NAME = "=x|[red]<b>\x1b[31m_${oc.env:SECRET}\nforged"
"""As the name of a run: a formula, a cell's end, markup of three kinds, an ANSI escape, an interpolation, a line of its own."""


@pytest.fixture(autouse=True)
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that says so when it is imported, and a secret in the environment."""
    (tmp_path / "evil.py").write_text("import os\nopen('pwned', 'w').close()\nclass Thing: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SECRET", SECRET)
    yield
    assert "evil" not in sys.modules
    assert not (tmp_path / "pwned").exists()


def test_a_hostile_run_folder_is_named_or_shown_harmlessly(run_here, tmp_path: Path) -> None:
    good = run_config(compose("train", ["experiment=lba/full"])).to_plain()
    write_run(tmp_path / "runs" / "good", good, fingerprint(good))
    named = {**good, "name": NAME, "seed": 1}
    facts = {"git": "\x1b[2J", "versions": {"torch\x1b[0m": "[bold"}}
    write_run(tmp_path / "runs" / "named [x", named, fingerprint(named), rows={NAME: {KEY: result(0.3)}}, facts=facts)
    importing = {**good, "_target_": "evil.Thing", "model": {**good["model"], "_target_": "evil.Thing"}, "format": 1}
    write_run(tmp_path / "runs" / "importing", importing, fingerprint(importing))
    (tmp_path / "runs" / "laughing").mkdir()
    (tmp_path / "runs" / "laughing" / "config.yaml").write_text(LAUGHS)
    (tmp_path / "runs" / "laughing" / "run.json").write_text("{}")
    plan = {"hydra": {"sweeper": {"params": {"experiment": "${oc.env:SECRET}", "seed": "range(0,1000000000000)"}}}}
    (tmp_path / "runs" / "multirun.yaml").write_text(yaml.safe_dump(plan))

    finished = run_here("report", "runs=runs")  # with the figure: a name is no formula there
    assert finished.code == 0, finished.output
    text = (tmp_path / "runs" / "report" / "comparison.md").read_text()
    content = json.loads((tmp_path / "runs" / "report" / "comparison.json").read_text())
    assert {run["seed"] for run in content["runs"]} == {0, 1}
    unreadable = {problem["what"] for problem in content["not_in_tables"] if problem["kind"] == "unreadable"}
    assert unreadable == {"importing", "laughing", "runs"}
    for shown in (finished.output, text):
        assert "\x1b" not in shown
        assert SECRET not in shown
        assert "\nforged" not in shown
        assert "oc.env:SECRET" in shown
    assert "<b>" not in text
    assert "=x\\|\\[red\\]" in text
    assert SECRET not in json.dumps(content)


def checkpoint_of(**changes: Any) -> dict[str, Any]:
    """A whole checkpoint of the smallest network, with changes in what it says of itself."""
    config = run_config(compose("train", ["model=baseline", "scale=smoke"]))
    module = method_class(config.model)(config.model, 5, 0)
    ours = {
        "format": 2,
        "method": "baseline",
        "model": config.model.plain(),
        "num_identities": 5,
        "seed": 0,
        "iteration": 1,
        "config": config.to_plain(),
    }
    return {"state_dict": module.state_dict(), "optimizer_states": [], "loops": {}, "crossreid": {**ours, **changes}}


class Evil:
    """What unpickling would run."""

    def __reduce__(self) -> Any:
        return __import__, ("evil",)


@pytest.mark.slow
def test_a_hostile_checkpoint_is_refused_before_anything_is_made_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save(checkpoint_of(), path)
    assert method_from(read_checkpoint(path), path).iteration == 1  # what is changed below is a good one

    torch.save({**checkpoint_of(), "extra": Evil()}, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(path)

    good = checkpoint_of()["crossreid"]
    for changes in (
        {"method": "evil.Thing"},
        {"method": ["baseline"]},
        {"model": {**good["model"], "_target_": "evil.Thing"}},
        {"model": {**good["model"], "module": "evil:Thing"}},
        {"model": {**good["model"], "flip": "${oc.env:SECRET}"}},
        {"num_identities": 10**12},  # eight terabytes of a classifier
        {"num_identities": "many"},
    ):
        torch.save(checkpoint_of(**changes), path)
        with pytest.raises(CheckpointError) as caught:
            method_from(read_checkpoint(path), path)
        assert SECRET not in str(caught.value)

    endless = checkpoint_of(num_identities=10**9)
    for name, tensor in endless["state_dict"].items():
        if tensor.shape[:1] == (5,):  # one number, repeated as often as it takes
            endless["state_dict"][name] = torch.zeros(1).expand(10**9, *tensor.shape[1:])
    torch.save(endless, path)
    with pytest.raises(CheckpointError, match="holds more than it does"):
        method_from(read_checkpoint(path), path)

    config = {**good["config"], "name": "${oc.env:SECRET}"}
    torch.save(checkpoint_of(config=config), path)
    assert run_of(read_checkpoint(path), path).label == "${oc.env:SECRET}"

    stored = io.BytesIO()
    torch.save(checkpoint_of(), stored)
    with zipfile.ZipFile(stored) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info) if "data/" not in info.filename else bytes(10**6))
    with pytest.raises(CheckpointError, match="unpack to more"):
        read_checkpoint(path)


def npz(path: Path, **members: bytes) -> Path:
    """An archive of these members, compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def array(values: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, **how)
    return stream.getvalue()


def test_a_hostile_embeddings_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    whole = {
        "features": array(np.eye(3, dtype=np.float32)),
        "pids": array(np.arange(3)),
        "camids": array(np.array([1, 2, 3])),
        "frames": array(np.zeros(3, dtype=int)),
    }
    assert len(load_foreign(npz(path, **whole))) == 3

    gigantic = io.BytesIO()
    np.lib.format.write_array_header_1_0(gigantic, {"descr": "<f4", "fortran_order": False, "shape": (10**8, 10**5)})
    for changes in (
        {"pids": array(np.array([Evil()], dtype=object), allow_pickle=True)},
        {"features": gigantic.getvalue()},
        {"features": array(np.zeros((0, 4), dtype=np.float32))},
        {"features": array(np.zeros((3, 0), dtype=np.float32))},
        {"features": array(np.array(["a", "b", "c"]))},
        {"features": b"\x93NUMPY\x01\x00"},
        {"features": b""},
        {"pids": array(np.array([1e300, 1, 2]))},
        {"pids": array(np.array([2**63, 1, 2], dtype=np.uint64))},
    ):
        with pytest.raises(DataError) as caught:
            load_foreign(npz(path, **{**whole, **changes}))
        assert "\n" not in str(caught.value)

    traversing = npz(path, **{**whole, "../../../evil\x1b[31m": array(np.zeros(3))})
    with pytest.raises(DataError, match="which is none of features, pids") as caught:
        load_foreign(traversing)
    assert str(caught.value).isprintable()  # names of members are keys: nothing is written
    assert not (tmp_path.parent / "evil.npy").exists()

    kept = Embeddings(
        features={"main": np.eye(3)},
        pids=np.arange(3),
        camids=np.ones(3, dtype=int),
        infrared=np.zeros(3, dtype=bool),
        frames=np.arange(3),
        rows=np.arange(3),
        paths=("a", "b", "c"),
    ).save(tmp_path / "own.npz")
    said = json.loads(kept.with_suffix(".json").read_text())
    for paths in ("abc", [1, 2, 3], {"a": 1}, None):
        kept.with_suffix(".json").write_text(json.dumps({**said, "paths": paths}))
        with pytest.raises(DataError):
            Embeddings.load(kept)


def test_names_of_a_hostile_dataset_are_shown_harmlessly(run_here, tmp_path: Path) -> None:
    from PIL import Image

    root = tmp_path / "data [red]\x1b[31m"
    for split in ("train", "test"):
        for modality in ("visible", "infrared"):
            for person in ("0001", "0002"):
                place = root / split / modality / person
                place.mkdir(parents=True)
                for camera in (1, 2):
                    picture = Image.new("RGB", (32, 64), (50 * camera, 20, 30))
                    picture.save(place / f"{person}_c{camera}s1_00000{camera}_[bold]\x1b[2J.png")
    finished = run_here("check", "data=folder", f"data.root='{root}'", "progress=false")
    assert "Traceback" not in finished.output
    assert "\x1b" not in finished.output
    assert "\\x1b[31m" in finished.output
    assert "[red]" in finished.output
