"""Exported programs: equal to PyTorch in both modalities, whole or not there, opened by the extractor without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import crossreid
from crossreid.errors import CheckpointError, ConfigError, WriteError
from crossreid.exporting import exporter
from crossreid.exporting.parity import ParityError
from crossreid.extraction import Extractor
from crossreid.extraction.checkpoint import CheckpointNetwork
from crossreid.extraction.exported import FORMAT, file_digest, onnx_program
from crossreid.galleries import Gallery
from crossreid.nn.pooling import generalised_mean
from crossreid.settings.registry import method_names
from support import ROOT, disk_of, files_in, lively_checkpoint

pytest.importorskip("onnxruntime", reason="ONNX files need the extra `export`")

GALLERY_FREE = sorted(set(method_names()) - {"cmssft"})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, people_root: Path, shared_folder: Path) -> Path:
    """AlignGAN with lively batch norms: fresh ones would hide which averages a program took."""
    return lively_checkpoint("aligngan", tmp_path_factory.mktemp("aligngan"), people_root, shared_folder)


@pytest.fixture(scope="module")
def onnx_folder(checkpoint: Path) -> Path:
    return crossreid.export(checkpoint, checkpoint.parent / "aligngan.onnx")


@pytest.fixture(scope="module")
def hog(tmp_path_factory, people_root: Path, shared_folder: Path) -> Path:
    """HOG is traced in a moment: for tests of what is around a program."""
    return lively_checkpoint("hog", tmp_path_factory.mktemp("hog"), people_root, shared_folder)


@pytest.fixture(scope="module")
def torch_folder(checkpoint: Path) -> Path:
    return crossreid.export(checkpoint, checkpoint.parent / "aligngan.pt2", "torch")


def by_hand(checkpoint: Path, pixels: np.ndarray, modality: str) -> np.ndarray:
    """The method itself, without anything of export or extractor."""
    method = crossreid.load(checkpoint, device="cpu")
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return method.embed(images, modality)["main"].numpy()


def check_parity(checkpoint: Path, folder: Path, **how: object) -> None:
    extract = Extractor(folder, "cpu", **how)
    rng = np.random.default_rng(5)
    for count in (1, 3, 8):
        pixels = rng.integers(0, 256, (count, *extract.size, 3), dtype=np.uint8)
        for modality in ("visible", "infrared"):
            given = extract(pixels, modality=modality).features["main"]
            np.testing.assert_allclose(given, by_hand(checkpoint, pixels, modality), atol=1e-4)


def test_onnx_files_give_what_the_method_gives_in_both_modalities(checkpoint: Path, onnx_folder: Path) -> None:
    check_parity(checkpoint, onnx_folder)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *Extractor(onnx_folder).size, 3), dtype=np.uint8)
    paths = [by_hand(checkpoint, pixels, modality) for modality in ("visible", "infrared")]
    assert np.abs(paths[0] - paths[1]).max() > 1e-2  # the translation is part of the visible path
    assert {path.name for path in onnx_folder.iterdir()} == {"visible.onnx", "infrared.onnx", "model.json"}


def test_programs_of_torch_give_what_the_method_gives(checkpoint: Path, torch_folder: Path) -> None:
    check_parity(checkpoint, torch_folder, trust=True)
    parameters = sum(value.numel() for value in crossreid.load(checkpoint, device="cpu").parameters())
    program = torch.export.load(torch_folder / "infrared.pt2")
    assert sum(value.numel() for value in program.state_dict.values()) < parameters  # no discriminator, no translation


def test_small_additions_are_kept(tmp_path: Path) -> None:
    """torch's own optimisation of ONNX graphs drops GeM's 1e-12, which dark images are made of."""

    class Pooling(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return generalised_mean(pixels.permute(0, 3, 1, 2).float() * 1e-6)

    pixels = torch.randint(0, 3, (2, 4, 4, 3), dtype=torch.uint8)
    program = torch.export.export(Pooling(), (pixels,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    exporter._write(program, tmp_path / "pooling.onnx", "onnx")
    given = onnx_program(tmp_path / "pooling.onnx")(pixels.numpy())
    np.testing.assert_allclose(given, Pooling()(pixels).numpy(), rtol=1e-4)
    assert (given > 9e-5).all()


ALIKE = ("bdtr", "cmgan", "onestream", "strong", "twostream")
"""Methods whose embedding is computed as that of `baseline`, `best` or `agw`."""


def exported_methods() -> list[Any]:
    """All but AlignGAN, which the other tests export; those of :data:`ALIKE` in `make test-full` only."""
    names = sorted(set(GALLERY_FREE) - {"aligngan"})
    return [pytest.param(name, marks=pytest.mark.full) if name in ALIKE else name for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("model", exported_methods())
def test_every_method_with_an_embedding_of_its_own_is_exported(
    model: str, tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    path = lively_checkpoint(model, tmp_path, people_root, shared_folder)
    check_parity(path, crossreid.export(path, tmp_path / "out"))


@pytest.mark.slow
def test_averages_of_each_modality_are_part_of_its_program(
    tmp_path: Path, people_root: Path, shared_folder: Path
) -> None:
    path = lively_checkpoint("baseline", tmp_path, people_root, shared_folder, "model.test_norm=per_modality")
    folder = crossreid.export(path, tmp_path / "out", "torch")
    assert (folder / "infrared.pt2").is_file()
    check_parity(path, folder, trust=True)


def test_a_path_that_both_modalities_take_is_one_file(hog: Path, tmp_path: Path) -> None:
    folder = crossreid.export(hog, tmp_path / "out", "torch")
    assert {file.name for file in folder.iterdir()} == {"both.pt2", "model.json"}
    check_parity(hog, folder, trust=True)


def test_the_sidecar_says_what_somebody_else_needs(checkpoint: Path, onnx_folder: Path) -> None:
    content = json.loads((onnx_folder / "model.json").read_text())
    extract = Extractor(checkpoint, "cpu")
    assert content["model"] == extract.about["model"]
    assert content["preprocessing"] == extract.about["preprocessing"]
    assert content["input"]["shape"] == ["batch", *extract.size, 3]
    assert content["data"]["name"] == "synthetic"
    assert "Apache" in content["data"]["licence"]
    assert content["files"]["visible"]["sha256"] == file_digest(onnx_folder / "visible.onnx")
    assert content["files"]["visible"]["largest_difference"] <= content["parity"]["tolerance"]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_folder / "visible.onnx"), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    assert (given.name, given.type, given.shape[1:]) == (content["input"]["name"], "tensor(uint8)", [*extract.size, 3])
    pixels = np.zeros((1, *extract.size, 3), np.uint8)
    assert list(session.run(None, {given.name: pixels})[0].shape) == [1, content["output"]["shape"][1]]


def test_a_gallery_of_the_checkpoint_is_searched_with_the_export(
    checkpoint: Path, onnx_folder: Path, manifest: Path
) -> None:
    gallery = Gallery.open(model=Extractor(checkpoint, "cpu", workers=0))
    gallery.add(Extractor(checkpoint, "cpu", workers=0)(manifest))
    queries = Extractor(onnx_folder, "cpu", workers=0)(manifest)
    hits = gallery.search(queries.select(slice(3)), top_k=1)
    assert [found.paths[0] for found in hits.lists] == list(queries.paths[:3])
    threads = Extractor(onnx_folder, "cpu", workers=2)(manifest)  # more images than are decoded in one thread
    assert (threads.features["main"] == queries.features["main"]).all()
    assert Gallery.open(model=onnx_folder).info()["model"] == gallery.info()["model"]


def test_images_are_embedded_and_searched_without_torch(onnx_folder: Path, manifest: Path, tmp_path: Path) -> None:
    code = f"""
import sys, crossreid
class Refuse:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in ("torch", "torchvision", "pytorch_lightning"), name
sys.meta_path.insert(0, Refuse())
extract = crossreid.Extractor({str(onnx_folder)!r}, workers=2)
people = extract.to_file({str(manifest)!r}, "people.npz")
gallery = crossreid.Gallery.open("street.npz", model=extract)
gallery.add(people)
hits = gallery.search(people.select(slice(2)), top_k=3, filter="camera != 9")
assert hits.lists[0].paths[0] == people.paths[0]
assert "torch" not in sys.modules
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_method_whose_similarities_depend_on_the_gallery_says_why_not(write_checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cmssft compares images through a transfer .* are not the method"):
        crossreid.export(write_checkpoint("cmssft"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_program_that_differs_is_not_put_in_its_place(
    hog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "before.onnx").write_text("kept")
    digest = file_digest(tmp_path / "out" / "before.onnx")
    earlier = {"format": FORMAT, "files": {"visible": {"name": "before.onnx", "sha256": digest}}}
    (tmp_path / "out" / "model.json").write_text(json.dumps(earlier))
    before = files_in(tmp_path)
    programs = exporter._programs(CheckpointNetwork(hog, "cpu"), None)
    monkeypatch.setattr(exporter, "_programs", lambda network, axes: programs)  # traced once
    for wrong in (lambda p: np.zeros((len(p), 64)), lambda p: np.full((len(p), 64), np.nan), lambda p: np.zeros(3)):
        monkeypatch.setattr(exporter, "torch_program", lambda path, wrong=wrong: wrong)
        with pytest.raises(ParityError, match="nothing was written"):
            crossreid.export(hog, tmp_path / "out", "torch")
        assert files_in(tmp_path) == before
    monkeypatch.setattr(exporter, "largest_difference", lambda *_: 0.0)
    with disk_of(20_000), pytest.raises(WriteError, match="free some space"):
        crossreid.export(hog, tmp_path / "out", "torch")
    assert files_in(tmp_path) == before


def test_an_export_gives_way_to_another_and_nothing_else_does(hog: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "before").mkdir(parents=True)
    with pytest.raises(WriteError, match="out' holds 'before', which would be lost"):
        crossreid.export(hog, out, "torch")
    (out / "before").rmdir()
    (out / "model.json").write_text('{"thesis": 1}')
    with pytest.raises(WriteError, match=r"out' holds 'model\.json', which would be lost"):
        crossreid.export(hog, out, "torch")
    (out / "before.onnx").write_text("an export's")
    (out / "calibration.json").write_text("an export's")
    earlier = {
        "format": FORMAT,
        "files": {"visible": {"name": "before.onnx", "sha256": file_digest(out / "before.onnx")}},
        "calibration": file_digest(out / "calibration.json"),
    }
    (out / "model.json").write_text(json.dumps(earlier))
    (out / "before.onnx").write_text("made smaller by hand")
    with pytest.raises(WriteError, match=r"out' holds 'before\.onnx', which would be lost"):
        crossreid.export(hog, out, "torch")
    (out / "before.onnx").write_text("an export's")
    crossreid.export(hog, out, "torch")
    assert sorted(files_in(out)) == ["both.pt2", "model.json"]
    (out / "calibration.json").write_text("made of the export")
    before = files_in(tmp_path)
    with pytest.raises(WriteError, match=r"out' holds 'calibration\.json', which would be lost"):
        crossreid.export(hog, out, "torch")
    assert files_in(tmp_path) == before


def test_damaged_exports_are_one_sentence(onnx_folder: Path, torch_folder: Path, tmp_path: Path) -> None:
    content = json.loads((onnx_folder / "model.json").read_text())

    def changed(**values: object) -> Path:
        folder = tmp_path / "copy"
        folder.mkdir(exist_ok=True)
        for path in onnx_folder.glob("*.onnx"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "model.json").write_text(json.dumps(content | values))
        return folder

    def files(**values: object) -> dict:
        return {**content["files"], "visible": {**content["files"]["visible"], **values}}

    old = {**content["preprocessing"], "decoder": 0}
    mistakes = [
        (changed, {"version": 2}, "not of the format"),
        (changed, {"model": 3}, "does not say which model"),
        (changed, {"files": {}}, "no exported model"),
        (changed, {"files": files(name="../visible.onnx")}, "has no name"),
        (changed, {"files": files(name="other.onnx")}, "is not there"),
        (changed, {"files": files(sha256="0")}, "not the file that was exported"),
        (changed, {"preprocessing": old}, "decodes images otherwise"),
        (changed, {"preprocessing": {**content["preprocessing"], "height": 10**9}}, "no size"),
        (changed, {"preprocessing": {**content["preprocessing"], "decoding": {"a": 1}}}, "no exported model"),
    ]
    for make, values, sentence in mistakes:
        with pytest.raises(CheckpointError, match=sentence):
            Extractor(make(**values), "cpu")
    folder = changed()
    (folder / "visible.onnx").write_bytes(b"no program")
    digest = file_digest(folder / "visible.onnx")
    (folder / "model.json").write_text(json.dumps(content | {"files": files(sha256=digest)}))
    with pytest.raises(CheckpointError, match="cannot be run"):
        Extractor(folder, "cpu")
    with pytest.raises(CheckpointError, match="no exported model"):
        Extractor(tmp_path / "missing.onnx", "cpu")
    with pytest.raises(ConfigError, match="say trust=true"):
        Extractor(torch_folder, "cpu")
    with pytest.raises(ConfigError, match="take uint8 images"):
        Extractor(onnx_folder, "cpu")(np.zeros((1, *Extractor(onnx_folder).size, 3)), modality="visible")
    with pytest.raises(ConfigError, match="name the checkpoint that it was exported from"):
        Extractor(onnx_folder, "cpu").module  # noqa: B018
    with pytest.raises(ConfigError, match="There is no device 'tpu'"):
        Extractor(onnx_folder, "tpu")


def test_the_command_exports_and_replaces_only_its_own(run_here, hog: Path, tmp_path: Path) -> None:
    words = [f"checkpoint={hog}", "output=street", "format=torch"]
    done = run_here("export", *words)
    assert done.code == 0, done.output
    assert "of PyTorch" in done.output
    assert "drawn by crossreid" in done.output
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    other = run_here("export", f"checkpoint={hog}", "output=mine", "format=torch")
    assert other.code == 1
    assert "nothing says that crossreid.export wrote it" in other.output
    assert (tmp_path / "mine" / "thesis.txt").is_file()
    for place in (".", "..", "/"):
        here = run_here("export", f"checkpoint={hog}", f"output={place}", "format=torch")
        assert here.code == 1
        assert "is the one that you are in, or one around it: name one inside" in here.output
    missing = run_here("export", "checkpoint=nothing", "output=street")
    assert missing.code == 1
    assert "There is no checkpoint" in missing.output
