"""`index` and `search` as they are typed, and cm-SSFT, whose similarities depend on the gallery."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings
from crossreid.extraction import Extractor
from crossreid.galleries import Gallery
from galleries.conftest import make_people

QUIET = ("device=cpu", "workers=0", "progress=false")


def test_a_gallery_is_made_searched_and_changed(run_here, write_checkpoint, manifest: Path, tmp_path: Path) -> None:
    path = write_checkpoint("baseline")
    added = run_here("index", "add", "gallery=g.npz", f"checkpoint={path}", f"images={manifest}", *QUIET)
    assert added.code == 0, added.output
    extract = Extractor(path, "cpu", workers=0)
    people = extract(manifest)
    assert f"Added {len(people)} images" in added.output
    night = people.paths[int(np.argmax(people.infrared))]
    words = [f"checkpoint={path}", f"query={night}", "modality=infrared", *QUIET]
    done = run_here("search", "gallery=g.npz", *words, "top_k=4", "filter=modality = 'visible'", "output=hits.csv")
    assert done.code == 0, done.output
    visible = people.select(~people.infrared)
    query = people.select(np.array([people.paths.index(night)]))
    similarity = (query.features["main"] @ visible.features["main"].T)[0]
    with (tmp_path / "hits.csv").open(newline="") as stream:
        found = [line["path"] for line in csv.DictReader(stream)]
    assert found == [visible.paths[row] for row in np.argsort(-similarity)[:4]]
    assert visible.paths[int(np.argmax(similarity))] in done.output
    with pytest.MonkeyPatch.context() as patch:
        whole, asked = Extractor.__call__, []

        def noted(self: Extractor, source: object, *said: object, **named: object) -> Embeddings:
            asked.append(source)
            return whole(self, source, *said, **named)

        patch.setattr(Extractor, "__call__", noted)
        unknown = run_here("search", "gallery=g.npz", *words, "filter=colour = 'red'")
    assert unknown.code == 1
    assert "colour" in unknown.output
    assert not [source for source in asked if isinstance(source, str)]  # refused before queries are embedded
    info = run_here("index", "info", "gallery=g.npz", "export=all.npz")
    assert info.code == 0
    assert extract.about["model"] in info.output
    assert len(Embeddings.load(tmp_path / "all.npz")) == len(people)
    removed = run_here("index", "remove", "gallery=g.npz", "filter=modality = 'visible'")
    assert f"Removed {len(visible)} images" in removed.output


MISTAKES = {
    ("index", "gallery=g.npz"): "action has no default",
    ("index", "drop", "gallery=g.npz"): "drop",
    ("index", "add", "gallery=g.npz"): "Name what to add",
    ("index", "add", "gallery=g.npz", "images=x"): "Name what to add",
    ("index", "info", "gallery=g.npz", "images=x"): "go with index add",
    ("index", "info", "gallery=g.npz", "ids=[a]"): "go with index remove",
    ("index", "add", "gallery=g.npz", "embeddings=x.npz", "export=y.npz"): "goes with index info",
    ("index", "add", "gallery=g.npz", "embeddings=missing.npz"): "There is no embeddings file",
    ("index", "add", "gallery=g.npz", "embeddings=x.npz", "checkpoint=y"): "Name what to add",
    ("index", "add", "gallery=g.npz", "checkpoint=x", "images="): "Name what to add",
    ("index", "add", "gallery=g.npz", "embeddings=x.npz", "tracks=average"): "modality and tracks go with images",
    ("index", "add", "gallery=g.npz", "embeddings=x.npz", "modality=visible"): "modality and tracks go with images",
    ("index", "info", "gallery=g.npz", "modality=visible"): "go with index add",
    ("index", "remove", "gallery=g.npz", "ids=[a]", "on_duplicate=replace"): "go with index add",
    ("index", "build", "gallery=g.npz"): "There is no gallery 'g.npz'",
    (
        "index",
        "info",
        "gallery=g.npz",
    ): "There is no gallery 'g.npz': check its path, or make it with crossreid.index add",
    ("index", "remove", "gallery=g", "ids=[a]"): "There is no gallery 'g'",
    ("index", "rmove", "gallery=g.npz"): "action is 'rmove': choose from add",
    ("index", "re-move", "gallery=g.npz"): "action is 're-move': choose from add",
    ("search", "gallery=g.npz", "checkpoint=missing.ckpt", "query=x.png"): "There is no gallery 'g.npz'",
    ("demo", "gallery=g.npz", "checkpoint=missing.ckpt"): "There is no gallery 'g.npz'",
    ("index", "info", "gallery=ftp://localhost:1"): "an address is http://HOST:PORT/NAME",
    ("index", "info", "gallery=http://localhost:1/a-b"): "an address is http://HOST:PORT/NAME",
    ("search", "gallery=g.npz"): "Name what to search for",
    ("search", "gallery=g.npz", "embeddings=x.npz", "query=y.png"): "Name what to search for",
    ("search", "gallery=g.npz", "checkpoint=x", "query="): "Name what to search for",
    ("search", "gallery=g.npz", "embeddings=x.npz", "modality=visible"): "modality goes with query",
    ("search", "gallery=g.npz", "embeddings=missing.npz"): "There is no gallery 'g.npz'",
    ("search", "gallery=g.npz", "embeddings=x.npz", "output=x.txt"): "end it in",
    ("search", "gallery=g.npz", "embeddings=x.npz", "sheet=x.gif"): "end it in",
    ("search", "gallery=g.npz", "embeddings=x.npz", "top_k=0"): "choose 1 to 10000",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_mistakes_are_one_sentence(run_here, words: tuple[str, ...]) -> None:
    done = run_here(*words)
    assert done.code == 1, done.output
    assert MISTAKES[words] in done.output
    assert "Traceback" not in done.output


def test_an_export_writes_over_nothing_of_others(run_here, tmp_path: Path) -> None:
    Gallery.open(tmp_path / "g.npz").add(make_people())
    words = ("index", "info", "gallery=g.npz")
    for _ in range(2):  # the same command replaces its own output
        assert run_here(*words, "export=out.npz").code == 0
    (tmp_path / "notes.json").write_text("{}")
    Gallery.open(tmp_path / "other.npz").add(make_people(20))
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    refused = {
        (*words, "export=g.npz"): "which gallery reads",
        (*words, "export=notes.npz"): "nothing says that crossreid.index wrote it",
        (*words, "export=other.npz"): "nothing says that crossreid.index wrote it",
        ("index", "info", "gallery=other.npz", "export=out.npz"): "was written from other inputs or settings",
        (*words, "export=no/folder/\0.npz"): "export",
    }
    for command, sentence in refused.items():
        done = run_here(*command)
        assert done.code == 1, command
        assert sentence in done.output
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_cmssft_is_searched_through_its_transfer(write_checkpoint, manifest: Path, tmp_path: Path) -> None:
    path = write_checkpoint("cmssft")
    extract = Extractor(path, "cpu", workers=0)
    people = extract(manifest)
    day, night = people.select(~people.infrared), people.select(people.infrared).select(slice(4))
    gallery = Gallery.open(model=extract)
    gallery.add(day)
    hits = gallery.search(night, 5, filter="camera != 2")
    expected = extract.module.transfer_scorer(1, extract.module.device)(night, day)
    allowed = np.flatnonzero(np.array(day.columns["camera"]) != 2)
    for place, row in enumerate(expected):
        best = allowed[np.argsort(-row[allowed], kind="stable")[:5]]
        np.testing.assert_allclose(hits.scores[place], row[best], atol=1e-6)
    cosines = night.features["main"] @ day.features["main"].T
    assert np.abs(cosines - expected).max() > 1e-3  # the transfer is something else
    stored = Gallery.open(tmp_path / "day.npz", model=extract)
    stored.add(day)
    with pytest.raises(ConfigError, match="name its checkpoint"):
        Gallery.open(tmp_path / "day.npz").search(night)
    with pytest.raises(ConfigError, match="keep one modality"):
        gallery.search(day)
    with pytest.raises(ConfigError, match="leave rerank out"):
        gallery.search(night, rerank=10)
    for ruled in ({"false_match_rate": 0.1}, {"per_camera": True}):
        with pytest.raises(ConfigError, match="not calibrated: leave calibration, false_match_rate and per_camera out"):
            gallery.search(night, **ruled)
    pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    with pytest.raises(ConfigError, match="keep it in memory"):
        Gallery.open(tmp_path / "street.gallery", model=extract).add(day)


def test_a_model_that_is_not_the_gallerys_is_refused_from_the_start(write_checkpoint, manifest, tmp_path) -> None:
    first = Extractor(write_checkpoint("baseline"), "cpu", workers=0)
    Gallery.open(tmp_path / "g.npz", model=first).add(first(manifest))
    other = write_checkpoint("lba")
    with pytest.raises(DataError, match="embed them with the gallery's model"):
        Gallery.open(tmp_path / "g.npz", model=other)
