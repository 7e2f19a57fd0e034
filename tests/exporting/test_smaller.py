"""Smaller exports: 8 bits and fewer numbers, what they cost, and that nobody takes them for the whole model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import crossreid
from crossreid.errors import ConfigError, CrossReIDError
from crossreid.evaluation import Embeddings
from crossreid.exporting.smaller import LEAST_IMAGES, FittingImages, cost_of, principal_axes, projected
from crossreid.extraction import Extractor
from crossreid.galleries import Gallery
from support import lively_checkpoint

pytest.importorskip("onnxruntime", reason="ONNX files need the extra `export`")


def clustered(count: int = 40, dimension: int = 12, seed: int = 0) -> Embeddings:
    """Unit vectors of persons of four images, most of whose length lies in three directions."""
    rng = np.random.default_rng(seed)
    pids = np.arange(count) // 4
    vectors = np.zeros((count, dimension))
    vectors[:, :3] = rng.normal(size=(count, 3)) * 0.2 + rng.normal(size=(count // 4, 3))[pids]
    vectors += 0.01 * rng.normal(size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(
        features={"main": vectors.astype(np.float32)},
        pids=pids,
        camids=np.arange(count) % 4,
        infrared=np.arange(count) % 4 >= 2,
        frames=np.zeros(count),
        rows=np.arange(count),
        paths=("",) * count,
    )


def test_principal_axes_are_those_of_the_singular_values() -> None:
    images = clustered()
    axes = principal_axes(images, 3)
    assert axes.shape == (12, 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    _, _, right = np.linalg.svd(images.features["main"].astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(np.abs(right[:3] @ axes), np.eye(3), atol=1e-4)
    short = projected(images.features["main"], axes)
    whole = images.features["main"]
    np.testing.assert_allclose(short @ short.T, whole @ whole.T, atol=0.01)
    with pytest.raises(ConfigError, match="is not fewer than the 12"):
        principal_axes(images, 12)
    with pytest.raises(ConfigError, match="need as many images"):
        principal_axes(images.select(np.arange(3)), 5)


def test_the_cost_is_counted_on_held_out_images() -> None:
    images = clustered()
    own = FittingImages(images, np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8))
    whole = images.features["main"]

    def same(pixels: np.ndarray) -> np.ndarray:
        return whole[pixels[:, 0, 0, 0]]

    def mirrored(pixels: np.ndarray) -> np.ndarray:
        return -whole[pixels[:, 0, 0, 0]]

    cost = cost_of(own, {"visible": same, "infrared": same})
    assert (cost["images"], cost["nearest_kept"], cost["cosine"]) == (20, 1.0, pytest.approx(1, abs=1e-5))
    assert cost["mAP"][0] == cost["mAP"][1] > 0
    apart = cost_of(own, {"visible": same, "infrared": mirrored})
    assert apart["cosine"] == pytest.approx(0, abs=1e-5)  # as many of each modality
    assert apart["mAP"][1] < apart["mAP"][0]
    held = whole[1::2]
    signs = np.where(images.infrared[1::2], -1, 1)
    kept = 0
    for place, own_sign in enumerate(signs):
        others = np.delete(np.arange(len(held)), place)
        before = held[others] @ held[place]
        kept += before.argmax() == (before * own_sign * signs[others]).argmax()
    assert 0 < kept < len(held)
    assert apart["nearest_kept"] == kept / len(held)
    nobody = FittingImages(Embeddings(**{**vars(images), "pids": np.full(40, -1)}), own.pixels)
    assert "mAP" not in cost_of(nobody, {"visible": same, "infrared": same})


LISTS = {
    "visible first": np.arange(508) >= 254,
    "in turns": np.arange(508) % 2 == 1,
    "little infrared": np.arange(508) >= 488,
    "little visible": np.arange(508) >= 20,
    "few": np.arange(40) >= 20,
}
"""Which images of a list are infrared."""


@pytest.mark.parametrize("kind", LISTS)
def test_ranges_come_from_the_whole_list_and_both_modalities(kind: str) -> None:
    infrared = LISTS[kind]
    count = len(infrared)
    images = clustered(count)
    pixels = np.arange(count)[:, None, None, None] * np.ones((1, 1, 1, 3), np.int64)  # each says its own place
    own = FittingImages(replace(images, infrared=infrared), pixels)
    fitting, held = own.fitting(), own.held_out()
    assert sorted([*fitting.tolist(), *held.tolist()]) == list(range(count))
    for flag in (False, True):
        assert abs((infrared[fitting] == flag).sum() - (infrared[held] == flag).sum()) <= 1
    both = own.pixels_of(None)[:, 0, 0, 0]
    assert len(both) == len(set(both.tolist())) == min(len(fitting), 128)
    assert set(both.tolist()) <= set(fitting.tolist())
    least = min(64, (infrared[fitting]).sum(), (~infrared[fitting]).sum())
    for modality, flag in (("visible", False), ("infrared", True)):
        known = fitting[infrared[fitting] == flag]
        assert (infrared[both] == flag).sum() >= least
        alone = own.pixels_of(modality)[:, 0, 0, 0]
        assert len(alone) == min(len(known), 128)
        for chosen in (alone, both[infrared[both] == flag]):
            assert (chosen[0], chosen[-1]) == (known[0], known[-1])
            steps = np.diff(np.searchsorted(known, chosen))
            assert steps.max() - steps.min() <= 1


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, people_root: Path, shared_folder: Path) -> Path:
    """A network of batch norms with averages, which int8 folds into the convolutions."""
    return lively_checkpoint("baseline", tmp_path_factory.mktemp("baseline"), people_root, shared_folder)


@pytest.fixture(scope="module")
def manifest_of_people(tmp_path_factory, people) -> Path:
    path = tmp_path_factory.mktemp("smaller") / "people.csv"
    lines = ["path,modality,person,camera"]
    for row in people.rows("test"):
        record = people.records[row]
        lines.append(f"{record.path},{record.modality},{record.pid},{record.camid}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
def test_int8_and_fewer_numbers_through_the_command(
    run_here, checkpoint: Path, manifest_of_people: Path, tmp_path: Path
) -> None:
    made = run_here(
        "export",
        f"checkpoint={checkpoint}",
        "output=small.onnx",
        "precision=int8",
        "dimensions=16",
        f"images={manifest_of_people}",
    )
    assert made.code == 0, made.output
    assert "keep their nearest image" in made.output
    assert "Rank-1" in made.output
    content = json.loads((tmp_path / "small.onnx" / "model.json").read_text())
    whole = Extractor(checkpoint, "cpu", workers=0)
    small = Extractor(tmp_path / "small.onnx", "cpu", workers=0)
    assert content["derived_from"] == whole.about["model"] != small.about["model"]
    assert content["cost"]["nearest_kept"] > 0.5
    people = small(manifest_of_people)
    assert people.features["main"].shape[1] == 16
    before = whole(manifest_of_people).features["main"]
    lively = (before != 0).sum(axis=1) > 10  # random weights leave some images next to nothing
    after = people.features["main"][lively]
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, atol=1e-4)
    ours = after @ after.T
    theirs = before[lively] @ before[lively].T
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9
    gallery = Gallery.open(tmp_path / "whole.npz")
    gallery.add(whole(manifest_of_people))
    with pytest.raises(CrossReIDError, match="model"):
        gallery.search(people, top_k=1)


@pytest.mark.slow
def test_int8_files_are_smaller_and_near(checkpoint: Path, manifest_of_people: Path, tmp_path: Path) -> None:
    whole = crossreid.export(checkpoint, tmp_path / "whole.onnx")
    small = crossreid.export(checkpoint, tmp_path / "int8.onnx", precision="int8", images=str(manifest_of_people))
    size = {folder: sum(path.stat().st_size for path in folder.glob("*.onnx")) for folder in (whole, small)}
    assert size[small] < 0.6 * size[whole]
    cost = json.loads((small / "model.json").read_text())["cost"]
    assert cost["cosine"] > 0.95
    assert {path.suffix for path in small.iterdir()} == {".onnx", ".json"}  # nothing is left over


def test_what_cannot_be_made_smaller_is_one_sentence(checkpoint: Path, people, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="name some by images="):
        crossreid.export(checkpoint, out, precision="int8")
    with pytest.raises(ConfigError, match="is of ONNX"):
        crossreid.export(checkpoint, out, "torch", precision="int8", images="x")
    with pytest.raises(ConfigError, match="for precision=int8 or dimensions="):
        crossreid.export(checkpoint, out, images="x")
    few = tmp_path / "few.txt"
    few.write_text("\n".join(str(people.records[row].path) for row in people.rows("test")[:5]))
    with pytest.raises(ConfigError, match="give 16 or more"):
        crossreid.export(checkpoint, out, dimensions=4, images=str(few), modality="visible")
    assert not out.exists()


def test_too_many_numbers_or_too_few_images_are_refused_before_anything_is_embedded(
    checkpoint: Path, manifest_of_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was embedded")

    whole = Extractor(checkpoint, "cpu", workers=0)(manifest_of_people).features["main"].shape[1]
    monkeypatch.setattr(Extractor, "_embed", never)
    for dimensions, message in (
        (whole, f"dimensions={whole} is not fewer than the {whole}"),
        (whole - 1, "axes need as many"),
    ):
        few = manifest_of_people
        if dimensions < whole:
            few = tmp_path / "few.csv"
            few.write_text("\n".join(manifest_of_people.read_text().splitlines()[: LEAST_IMAGES + 1]))
        with pytest.raises(ConfigError, match=message):
            crossreid.export(checkpoint, tmp_path / "out", dimensions=dimensions, images=str(few))
    assert not (tmp_path / "out").exists()


def test_some_images_are_decoded_once_and_no_others(
    checkpoint: Path, manifest_of_people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = Extractor(checkpoint, "cpu", workers=0)
    whole = extract(manifest_of_people)
    pixels = extract.pixels(manifest_of_people)
    monkeypatch.setattr("crossreid.exporting.smaller._MOST_COMPARED", 10)
    decoded: list[int] = []
    chunks = Extractor._chunks

    def counted(self: Extractor, job: object, rows: object):
        decoded.extend(rows)
        yield from chunks(self, job, rows)

    monkeypatch.setattr(Extractor, "_chunks", counted)
    own = FittingImages.of(checkpoint, str(manifest_of_people), None, None)
    assert decoded == own.embeddings.rows.tolist()
    assert len(decoded) == 20 < len(whole)
    np.testing.assert_allclose(own.embeddings.features["main"], whole.features["main"][decoded], atol=1e-5)
    np.testing.assert_array_equal(own.pixels, pixels[decoded])
    assert own.embeddings.paths == tuple(whole.paths[row] for row in decoded)
