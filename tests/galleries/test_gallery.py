"""One contract for galleries of every kind: the same answers as a slow loop, whatever keeps the images."""

from __future__ import annotations

import csv
import dataclasses
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import crossreid
from crossreid.errors import ConfigError, DataError, OwnedError, WriteError
from crossreid.evaluation import Embeddings, load_foreign
from crossreid.extraction.storage import load_extracted
from crossreid.galleries import Gallery
from crossreid.galleries.sheet import save_sheet
from galleries.conftest import make_people
from support import disk_of

PEOPLE = make_people()
QUERIES = make_people(8, seed=7, first=90_000)


def by_hand(keep=lambda row, query: True, gallery: Embeddings = PEOPLE, k: int = 5) -> list[list[tuple[str, float]]]:
    """The nearest images of each query, by a loop in float64."""
    answers = []
    for query in range(len(QUERIES)):
        scored = []
        for row in range(len(gallery)):
            if keep(row, query):
                score = float(
                    np.dot(
                        gallery.features["main"][row].astype(np.float64),
                        QUERIES.features["main"][query].astype(np.float64),
                    )
                )
                scored.append((gallery.paths[row], score))
        answers.append(sorted(scored, key=lambda pair: -pair[1])[:k])
    return answers


def check(hits, expected) -> None:
    assert len(hits) == len(expected)
    for place, wanted in enumerate(expected):
        assert list(hits.lists[place].paths) == [path for path, _ in wanted]
        np.testing.assert_allclose(hits.scores[place], [score for _, score in wanted], atol=1e-6)


def test_search_is_that_of_a_slow_loop(reopen) -> None:
    added = reopen().add(PEOPLE)
    assert (added.added, added.skipped, added.replaced) == (120, 0, 0)
    gallery = reopen()
    assert len(gallery) == 120
    check(gallery.search(QUERIES, 5), by_hand())
    first = gallery.search(QUERIES, 1).lists[0]
    row = PEOPLE.paths.index(first.paths[0])
    assert first.columns["zone"] == (PEOPLE.columns["zone"][row],)
    assert first.columns["camera"] == (PEOPLE.columns["camera"][row],)
    assert first.columns["time"] == (PEOPLE.columns["time"][row],)
    assert first.pids.tolist() == [PEOPLE.pids[row]]
    assert first.infrared.tolist() == [PEOPLE.infrared[row]]
    assert len(gallery.search(QUERIES, 500).lists[0]) == 120


CAMERA, TIME, ZONE = (PEOPLE.columns[name] for name in ("camera", "time", "zone"))
FILTERS = {
    "camera != 3": lambda r: CAMERA[r] != 3,
    "camera in (1, 4) and time < 5000.5": lambda r: CAMERA[r] in (1, 4) and TIME[r] < 5000.5,
    "zone = 'north' or zone = 'it''s east'": lambda r: ZONE[r] in ("north", "it's east"),
    "zone != 'north'": lambda r: ZONE[r] is not None and ZONE[r] != "north",
    "not zone = 'north'": lambda r: ZONE[r] != "north",
    "NOT (zone in ('north') OR camera >= 3)": lambda r: not (ZONE[r] == "north" or CAMERA[r] >= 3),
    'modality = "infrared" and pid == 5': lambda r: bool(PEOPLE.infrared[r]) and PEOPLE.pids[r] == 5,
    "time > '1970-01-01T01:00:00' and time <= '1970-01-01T02:00:00Z'": lambda r: 3600 < TIME[r] <= 7200,
    "path = 'images/00003.jpg'": lambda r: r == 3,
    "time < -1e3": lambda r: False,
    "camid = 1.5 or pid in (2.5, 3)": lambda r: PEOPLE.pids[r] == 3,
    "camid < 1e30 and time < 99999999999999999999999": lambda r: True,
}


@pytest.mark.parametrize("text", FILTERS)
def test_filters_choose_as_python_does(reopen, text: str) -> None:
    gallery = reopen()
    gallery.add(PEOPLE)
    check(gallery.search(QUERIES, 5, filter=text), by_hand(lambda row, query: FILTERS[text](row)))


BAD_FILTERS = {
    "colour = 3": "There is no column 'colour'",
    "camer = 3": "did you mean camera",
    "camera = 'three'": "holds numbers: write it without quotes",
    "zone = 3": "holds text: write it in quotes",
    "camera": "ends too early",
    "": "ends too early",
    "camera = ": "ends too early",
    "camera = 3 zone = 'a'": "cannot be read at 'zone'",
    "camera = 3; drop table images": "cannot be read",
    "(camera = 3": "cannot be read at 'its end'",
    "(" * 80 + "camera = 3" + ")" * 80: "nested more than",
    "camera = 3 or " * 1000 + "camera = 3": "at most 4096",
    "time > 'yesterday'": "write seconds, or",
    "camera ~ 3": "cannot be read",
    "3 = camera": "cannot be read at '3'",
    "camera < 1e999": "'1e999' of the filter is too large",
    "camera in (1, -1e999)": "'-1e999' of the filter is too large",
    "camera = " + 400 * "9": "is too large",
}


@pytest.mark.parametrize("text", BAD_FILTERS)
def test_bad_filters_are_one_sentence(text: str) -> None:
    gallery = Gallery.open()
    gallery.add(PEOPLE)
    with pytest.raises(ConfigError, match=BAD_FILTERS[text]):
        gallery.search(QUERIES, filter=text)


def test_images_of_the_querys_own_place_are_left_out(reopen) -> None:
    gallery = reopen()
    gallery.add(PEOPLE)
    own, moment = QUERIES.columns["camera"], QUERIES.columns["time"]
    check(gallery.search(QUERIES, 5, exclude_camera=True), by_hand(lambda r, q: CAMERA[r] != own[q]))

    def not_at_once(row: int, query: int) -> bool:
        return CAMERA[row] != own[query] or abs(TIME[row] - moment[query]) > 500

    check(gallery.search(QUERIES, 5, exclude_camera=True, exclude_seconds=500), by_hand(not_at_once))
    with pytest.raises(ConfigError, match="add exclude_camera"):
        gallery.search(QUERIES, 5, exclude_seconds=500)
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="exclude_seconds is"):
            gallery.search(QUERIES, 5, exclude_camera=True, exclude_seconds=seconds)


def with_columns(embeddings: Embeddings, **columns: list[str | int | float | None]) -> Embeddings:
    """Embeddings with other columns."""
    return dataclasses.replace(embeddings, columns=columns)


def test_a_querys_own_place_is_of_the_gallerys_type(reopen) -> None:
    gallery = reopen()
    gallery.add(PEOPLE)
    query = QUERIES.select(slice(2))
    places = {
        "camera": with_columns(query, camera=["1", "north"], time=[1.0, 2.0]),
        "time": with_columns(query, camera=[1, 2], time=["1", "noon"]),
    }
    for name, odd in places.items():
        with pytest.raises(
            DataError, match=f"column {name} of the gallery .* holds numbers, and these images have text"
        ):
            gallery.search(odd, 5, exclude_camera=True, exclude_seconds=10)
    with pytest.raises(DataError, match="camera is nan or infinite"):
        gallery.search(with_columns(query, camera=[1, float("inf")]), 5, exclude_camera=True)


# ---------------------------------------------------------------- two at once


def names_of(gallery: Gallery) -> list[str]:
    """Names of all images of a gallery, each as often as it is there."""
    return sorted(str(name) for part in gallery._store.everything() for name in part.columns["id"])


def open_and_used(reopen, count: int = 2) -> list[Gallery]:
    """Several processes' views of one gallery, each of which has looked at it."""
    galleries = [reopen() for _ in range(count)]
    for gallery in galleries:
        assert len(gallery) == len(reopen())
    return galleries


CALIBRATION: list[crossreid.Calibration] = []


def some_calibration() -> crossreid.Calibration:
    if not CALIBRATION:
        CALIBRATION.append(crossreid.calibrate(embeddings=make_people(480, seed=3), bootstrap=100))
    return CALIBRATION[0]


CHANGES = {
    "add": lambda gallery: gallery.add(PEOPLE.select(slice(2, 4))),
    "replace": lambda gallery: gallery.add(PEOPLE.select(slice(1, 4)), "replace"),
    "remove": lambda gallery: gallery.remove([PEOPLE.paths[2]]),
    "remove by filter": lambda gallery: gallery.remove(filter=f"path = '{PEOPLE.paths[2]}'"),
    "keep_calibration": lambda gallery: gallery.keep_calibration(some_calibration()),
    "build": lambda gallery: gallery.build(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_goes_on_from_what_others_changed(reopen, change: str) -> None:
    reopen().add(PEOPLE.select(slice(2)))
    one, other = open_and_used(reopen)
    one.add(PEOPLE.select(slice(2, 3)))
    done = CHANGES[change](other)
    expected = list(PEOPLE.paths[:3])
    if change == "add":
        assert (done.added, done.skipped) == (1, 1)
        expected = list(PEOPLE.paths[:4])
    elif change == "replace":
        assert (done.added, done.replaced) == (1, 2)
        expected = list(PEOPLE.paths[:4])
    elif change.startswith("remove"):
        expected = list(PEOPLE.paths[:2])
    assert names_of(reopen()) == expected
    assert len(other) == len(expected)


def test_two_models_never_meet_in_one_gallery(reopen) -> None:
    one, other = open_and_used(reopen)
    one.add(PEOPLE)
    with pytest.raises(DataError, match="of the model agw aaaaaaaaaaaa, and these are of agw bbbbbbbbbbbb"):
        other.add(make_people(model="b" * 64, first=500))
    with pytest.raises(DataError, match="column camera"):
        open_and_used(reopen)[1].add(with_columns(make_people(2, first=600), camera=["a", "b"]))
    assert len(reopen()) == 120


def test_a_search_finds_what_others_have_added_since(reopen) -> None:
    reopen().add(PEOPLE.select(slice(60)))
    served, writer = open_and_used(reopen)
    served.search(QUERIES, 5)
    late = PEOPLE.select(slice(60, None))
    writer.add(dataclasses.replace(late, columns={**late.columns, "coat": ["red", "blue"] * 30}))
    if served.info()["place"].endswith(".npz"):  # read once, as the pages say
        check(served.search(QUERIES, 5), by_hand(lambda row, query: row < 60))
        return
    check(served.search(QUERIES, 5), by_hand())
    check(served.search(QUERIES, 5, filter="coat = 'red'"), by_hand(lambda row, query: row >= 60 and row % 2 == 0))
    writer.remove(filter="camera = 1")
    check(served.search(QUERIES, 5), by_hand(lambda row, query: CAMERA[row] != 1))


def test_what_cannot_replace_removes_nothing(reopen) -> None:
    gallery = reopen()
    gallery.add(with_columns(PEOPLE.select(slice(3)), zone=[1, 2, 3]))
    with pytest.raises(DataError, match="column zone"):
        gallery.add(with_columns(PEOPLE.select(slice(2)), zone=["x", "x"], coat=["red", "blue"]), "replace")
    assert names_of(reopen()) == list(PEOPLE.paths[:3])
    assert "coat" not in reopen().info()["columns"]


@pytest.mark.parametrize("name", ["street.gallery", "street.npz"])
def test_images_are_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name.endswith(".gallery"):
        pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    gallery = Gallery.open(tmp_path / name)
    gallery.add(PEOPLE)
    saved: list[int] = []
    save = Embeddings.save
    monkeypatch.setattr(Embeddings, "save", lambda self, path: (saved.append(len(self)), save(self, path))[1])
    other = make_people(130, seed=5)
    assert gallery.add(other, "replace").replaced == 120
    check(Gallery.open(tmp_path / name).search(QUERIES, 5), by_hand(gallery=other))
    if name.endswith(".npz"):
        assert saved == [130]
        return
    table = gallery._store._table()
    counts = []
    for version in table.list_versions():
        table.checkout(version["version"])
        counts.append(table.count_rows())
    assert counts == [120, 130]


def test_duplicates_are_skipped_replaced_or_refused(reopen) -> None:
    gallery = reopen()
    gallery.add(PEOPLE.select(slice(50)))
    added = gallery.add(PEOPLE)
    assert (added.added, added.skipped) == (70, 50)
    with pytest.raises(DataError, match=r"images/00000.jpg' and 119 others already"):
        gallery.add(PEOPLE, on_duplicate="refuse")
    other = make_people(seed=5)
    replaced = reopen().add(other, on_duplicate="replace")
    assert (replaced.added, replaced.replaced) == (0, 120)
    assert len(reopen()) == 120
    check(reopen().search(QUERIES, 5), by_hand(gallery=other))


def test_images_are_removed_by_name_and_by_filter(reopen) -> None:
    gallery = reopen()
    gallery.add(PEOPLE)
    assert gallery.remove(["images/00003.jpg", "images/00004.jpg"]) == 2
    assert gallery.remove(filter="camera = 2") == 36
    gone = {3, 4} | {row for row in range(120) if CAMERA[row] == 2}
    check(reopen().search(QUERIES, 5), by_hand(lambda r, q: r not in gone))
    with pytest.raises(DataError, match=r"has no image 'images/00003.jpg'"):
        gallery.remove(["images/00003.jpg"])
    with pytest.raises(ConfigError, match="Say which images"):
        gallery.remove()
    assert len(reopen()) == 120 - len(gone)


def test_other_models_are_refused(reopen) -> None:
    reopen().add(PEOPLE)
    stranger = make_people(model="b" * 64)
    gallery = reopen()
    for refused in (lambda: gallery.add(stranger), lambda: gallery.search(stranger)):
        with pytest.raises(DataError, match=r"of the model agw aaaaaaaaaaaa, and these are of agw bbbbbbbbbbbb"):
            refused()
    wide = make_people(dimension=24)
    with pytest.raises(DataError, match="vectors of 16 numbers, and these have 24"):
        gallery.add(wide)
    assert len(reopen()) == 120


def test_columns_may_come_later_and_keep_their_kind(reopen) -> None:
    gallery = reopen()
    gallery.add(PEOPLE.select(slice(60)))
    rest = PEOPLE.select(slice(60, None))
    colours = ["red", "blue"] * 30
    object.__setattr__(rest, "columns", {**rest.columns, "coat": colours})
    gallery.add(rest)
    blue = {PEOPLE.paths[60 + place] for place in range(60) if colours[place] == "blue"}
    hits = reopen().search(QUERIES, 5, filter="coat = 'blue'")
    assert set(hits.lists[0].paths) <= blue
    check(reopen().search(QUERIES, 5), by_hand())
    texts = make_people(3, first=500)
    object.__setattr__(texts, "columns", {**texts.columns, "camera": ["a", "b", "c"]})
    with pytest.raises(DataError, match="column camera"):
        gallery.add(texts)
    odd = make_people(3, first=600)
    object.__setattr__(odd, "columns", {"a b": [1, 2, 3]})
    with pytest.raises(DataError, match="cannot hold the column 'a b'"):
        gallery.add(odd)


def test_reranking_mends_the_first_ones_alone(reopen) -> None:
    from crossreid.evaluation import KReciprocal

    gallery = reopen()
    gallery.add(PEOPLE)
    plain = gallery.search(QUERIES, 60)
    hits = gallery.search(QUERIES, 60, rerank=40)
    for place in range(len(QUERIES)):
        before, after = list(plain.lists[place].paths), list(hits.lists[place].paths)
        assert after[40:] == before[40:]
        assert sorted(after[:40]) == sorted(before[:40])
        query = QUERIES.select(slice(place, place + 1))
        rows = [PEOPLE.paths.index(path) for path in before[:40]]
        scores = KReciprocal()(query, PEOPLE.select(np.array(rows)))[0]
        assert after[:40] == [before[row] for row in np.argsort(-scores, kind="stable")]


def test_an_empty_gallery_says_so(reopen) -> None:
    gallery = reopen()
    for refused in (lambda: gallery.search(QUERIES), gallery.build, lambda: gallery.export("x.npz")):
        with pytest.raises(DataError, match="is empty"):
            refused()
    assert gallery.info()["images"] == 0
    with pytest.raises(DataError, match="no image to add"):
        gallery.add(PEOPLE.select(slice(0)))


def test_what_is_exported_is_a_file_of_embeddings(reopen, tmp_path: Path) -> None:
    gallery = reopen()
    gallery.add(PEOPLE)
    again = load_extracted(gallery.export(tmp_path / "out.npz"))
    order = np.argsort(again.paths)
    assert tuple(again.paths[row] for row in order) == PEOPLE.paths
    np.testing.assert_allclose(again.features["main"][order], PEOPLE.features["main"], atol=1e-6)
    assert [again.columns["zone"][row] for row in order] == list(PEOPLE.columns["zone"])
    other = Gallery.open()
    other.add(again)
    check(other.search(QUERIES, 5), by_hand())


def test_what_is_exported_is_scored(reopen, tmp_path: Path) -> None:
    gallery = reopen()
    for names, first in ((["anna", "bert"], 0), (["carl", None], 100)):
        people = make_people(8, first=first, seed=first)
        persons = [names[place % 2] for place in range(8)]
        cameras = ["yard" if place < 4 else ("gate", "roof")[first > 0] for place in range(8)]
        numbers = np.where([name is None for name in persons], -1, 1 + np.arange(8) % 2)
        people = dataclasses.replace(people, pids=numbers, camids=1 + np.arange(8) // 4)
        gallery.add(with_columns(people, person=persons, camera=cameras))
    for ending in ("npz", "parquet"):
        if ending == "parquet":
            pytest.importorskip("pyarrow", reason="Parquet needs the extra `search`")
        path = gallery.export(tmp_path / f"out.{ending}")
        exported = load_extracted(path)
        scored = load_foreign(path)  # refuses what stands there twice
        assert scored.pids.tolist() == exported.pids.tolist()
        number: dict[object, set[int]] = {}
        for person, pid in zip(exported.columns["person"], exported.pids.tolist(), strict=True):
            number.setdefault(person, set()).add(pid)
        unknown = number.pop(None)
        assert len(unknown) == 4
        assert max(unknown) < 0
        assert number == {"anna": {1}, "bert": {2}, "carl": {3}}
        camera = dict(zip(exported.columns["camera"], exported.camids.tolist(), strict=True))
        assert camera == {"gate": 1, "roof": 2, "yard": 3}


def test_numbers_of_persons_and_cameras_are_exported_as_they_are(reopen, tmp_path: Path) -> None:
    gallery = reopen()
    people = make_people(24)
    gallery.add(with_columns(people, person=(people.pids + 40).tolist(), camera=people.camids.tolist()))
    plain = make_people(24, first=500)
    plain = dataclasses.replace(plain, pids=plain.pids - 1, camids=np.ones(24))  # of a set that counts persons from 0
    gallery.add(with_columns(plain))
    exported = load_foreign(gallery.export(tmp_path / "out.npz"))
    again = load_extracted(tmp_path / "out.npz")
    order = np.argsort(again.paths)
    assert exported.pids[order].tolist() == [*(people.pids + 40), *plain.pids]
    assert exported.camids[order].tolist() == [*people.camids, *[people.camids.max() + 1] * 24]


def test_info_says_what_the_gallery_is(reopen) -> None:
    gallery = reopen()
    gallery.add(PEOPLE)
    info = gallery.build()
    assert info["images"] == 120
    assert info["model"] == "a" * 64
    assert info["dimension"] == 16
    assert info["metric"] == "cosine"
    assert info["columns"]["zone"] == "text"
    assert info["columns"]["camera"] == "numbers"
    assert info["index"] == {}


def test_a_calibration_stays_with_the_gallery(reopen) -> None:
    calibration = crossreid.calibrate(embeddings=make_people(480, seed=3), bootstrap=100)
    with pytest.raises(DataError, match="is empty"):
        reopen().keep_calibration(calibration)
    reopen().add(PEOPLE.select(slice(60)))
    assert reopen().search(QUERIES, 5).nobody(0) is None
    reopen().keep_calibration(calibration)
    reopen().add(PEOPLE)
    reopen().build()
    gallery = reopen()
    assert gallery.calibration() == calibration.compact()
    assert "at 0.1" in gallery.info()["calibration"]["visible-infrared"]
    hits = gallery.search(QUERIES, 5)
    check(hits, by_hand())
    threshold = calibration.threshold("visible-visible", hits.rule.rate)
    for match, infrared, score in zip(hits.matches(0), hits.lists[0].infrared, hits.scores[0], strict=True):
        if not infrared:  # as the query
            assert match.matches == (score >= threshold)


@pytest.mark.parametrize("count", [1, 7, 8, 300])
def test_many_queries_at_once_find_what_each_finds_alone(reopen, count: int) -> None:
    gallery = reopen()
    gallery.add(PEOPLE)
    queries = make_people(count, seed=11, first=90_000)
    together = gallery.search(queries, 5, filter="camera != 3")
    for place in range(0, count, 50):
        alone = gallery.search(queries.select(slice(place, place + 1)), 5, filter="camera != 3")
        assert together.lists[place].paths == alone.lists[0].paths
        np.testing.assert_allclose(together.scores[place], alone.scores[0], atol=1e-6)


def test_two_writers_are_one_sentence(reopen) -> None:
    gallery = reopen()
    gallery.add(PEOPLE.select(slice(10)))
    other = reopen()
    if other is gallery or "://" in gallery.info()["place"]:
        pytest.skip("a gallery in memory has one process, and a server settles it")
    with gallery._store.writing(), pytest.raises(OwnedError, match="Another process is changing the gallery"):
        other.add(PEOPLE)
    other.add(PEOPLE)
    assert len(reopen()) == 120


def _add_for_ever(place: str) -> None:
    gallery = Gallery.open(place)
    for start in range(0, 10_000_000, 120):
        gallery.add(make_people(first=start))


def has_grown(place: str) -> bool:
    """Something was added."""
    files = list(Path(place).glob("images.lance/data/*")) if Path(place).is_dir() else []
    return len(files) > 1 or Path(place).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["street.gallery", "street.npz"])
def test_a_killed_add_leaves_a_gallery_that_goes_on(tmp_path: Path, name: str) -> None:
    if name.endswith(".gallery"):
        pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    place = str(tmp_path / name)
    for wait in (0.3, 0.7, 1.1):
        process = multiprocessing.get_context("spawn").Process(target=_add_for_ever, args=(place,))
        process.start()
        deadline = time.monotonic() + 120
        while not has_grown(place) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(wait)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        gallery = Gallery.open(place)
        assert len(gallery) % 120 == 0
        gallery.add(PEOPLE)
        assert gallery.search(QUERIES, 5).lists[0].paths
    assert len(Gallery.open(place)) > 120


@pytest.mark.parametrize("name", [pytest.param("street.gallery", marks=pytest.mark.slow), "street.npz"])
def test_a_full_disk_leaves_the_gallery_as_it_was(tmp_path: Path, name: str) -> None:
    if name.endswith(".gallery"):
        pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    place = tmp_path / name
    Gallery.open(place).add(PEOPLE)
    many = make_people(6000, seed=5, first=1000)
    with disk_of(100_000), pytest.raises(WriteError, match="what was there before is unchanged"):
        Gallery.open(place).add(many)
    assert len(Gallery.open(place)) == 120
    check(Gallery.open(place).search(QUERIES, 5), by_hand())
    Gallery.open(place).add(many)  # there is room again
    assert len(Gallery.open(place)) == 6120


def _build_for_ever(place: str) -> None:
    from crossreid.galleries import lance

    lance.EXACT, lance._IN_PARTITION = 500, 50
    while True:
        Gallery.open(place).build()


@pytest.mark.slow
def test_a_killed_build_leaves_a_gallery_that_is_searched_and_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    from crossreid.galleries import lance

    place = tmp_path / "g"
    Gallery.open(place).add(make_people(1500, seed=5, first=1000))
    Gallery.open(place).add(PEOPLE)
    for wait in (0.05, 0.5):
        process = multiprocessing.get_context("spawn").Process(target=_build_for_ever, args=(str(place),))
        process.start()
        deadline = time.monotonic() + 120
        versions = len(list((place / "images.lance" / "_versions").iterdir()))
        while len(list((place / "images.lance" / "_versions").iterdir())) == versions and time.monotonic() < deadline:
            time.sleep(0.02)  # until an index is there
        time.sleep(wait)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = Gallery.open(place).search(PEOPLE.select(slice(10)), 1)
        assert [entries.paths[0] for entries in found.lists] == list(PEOPLE.paths[:10])
    monkeypatch.setattr(lance, "EXACT", 500)
    monkeypatch.setattr(lance, "_IN_PARTITION", 50)
    assert Gallery.open(place).build()["index"]["recall"] >= 0.9


# ---------------------------------------------------------------- places that are no galleries


def test_places_that_are_no_galleries_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(DataError, match="is there and no gallery"):
        Gallery.open(tmp_path / "photos")
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        Gallery.open(tmp_path / "bad.npz")
    Gallery.open(tmp_path / "g").add(PEOPLE)
    header = tmp_path / "g" / "gallery.json"
    whole = header.read_text()
    for damage in ("{", "{}", whole.replace("16", "-1"), whole.replace('"cosine"', '"l7"')):
        header.write_text(damage)
        with pytest.raises(DataError):
            Gallery.open(tmp_path / "g")
    header.write_text(whole)
    for part in (tmp_path / "g").rglob("*.lance"):
        if part.is_file():
            part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read"):
        Gallery.open(tmp_path / "g").search(QUERIES)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossreid.galleries import lance

    monkeypatch.setattr(lance, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'crossreid\[search\]'"):
        Gallery.open(tmp_path / "street.gallery")


# ---------------------------------------------------------------- indices


@pytest.mark.parametrize(
    ("count", "partitions", "learned_from"),
    [(100, 1, 256), (100_000, 500, 256), (1_000_000, 1000, 128), (10_000_000, 10_000, 128)],
)
def test_partitions_are_small_until_there_are_a_thousand(count: int, partitions: int, learned_from: int) -> None:
    from crossreid.galleries.lance import partitions_of

    assert partitions_of(count) == (partitions, learned_from)


@pytest.mark.parametrize("partitions", [1, 7, 100, 1000, 10_000])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.2, 0.231, 0.9, 1.0])
def test_hardly_more_partitions_are_looked_at_than_the_recall_needs(partitions: int, share: float) -> None:
    from crossreid.galleries.recall import fewest_probes

    needed = max(1, round(share * partitions))
    asked: list[int] = []

    def recall(probes: int) -> float:
        asked.append(probes)
        return 0.995 if probes >= needed else 0.98

    probes, reached = fewest_probes(recall, partitions)
    fewest = -(-partitions // 50)
    assert reached == 0.995
    assert needed <= probes <= max(fewest, needed + 1, needed / 0.95)
    assert len(asked) == len(set(asked)) <= 20


def test_all_partitions_are_looked_at_where_none_are_enough() -> None:
    from crossreid.galleries.recall import fewest_probes

    assert fewest_probes(lambda probes: probes / 200, 100) == (100, 0.5)


@pytest.mark.slow
def test_an_index_reaches_its_recall_and_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    from crossreid.galleries import lance

    monkeypatch.setattr(lance, "EXACT", 2000)
    monkeypatch.setattr(lance, "_IN_PARTITION", 200)
    people = make_people(6000, dimension=64)
    gallery = Gallery.open(tmp_path / "g")
    gallery.add(people)
    index = gallery.build()["index"]
    assert index["partitions"] == 30
    assert index["recall"] >= 0.99
    queries = make_people(50, dimension=64, seed=3, first=90_000)
    hits = Gallery.open(tmp_path / "g").search(queries, 10)
    similarity = queries.features["main"] @ people.features["main"].T
    shares = []
    for place, found in enumerate(hits.lists):
        truth = {people.paths[row] for row in np.argsort(-similarity[place])[:10]}
        shares.append(len(truth & set(found.paths)) / 10)
    assert np.mean(shares) >= 0.95
    gallery.add(make_people(60, dimension=64, seed=4, first=50_000))  # not in the index, found all the same
    late = make_people(60, dimension=64, seed=4, first=50_000)
    assert gallery.search(late, 1).lists[5].paths == (late.paths[5],)


def test_an_index_finds_as_many_as_are_wanted_and_fulfil_a_condition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    from crossreid.galleries import lance

    monkeypatch.setattr(lance, "EXACT", 500)
    monkeypatch.setattr(lance, "_IN_PARTITION", 50)
    people = make_people(1500, dimension=32)
    gallery = Gallery.open(tmp_path / "g")
    gallery.add(people)
    index = gallery.build()["index"]
    assert index["probes"] < index["partitions"]
    queries = make_people(9, dimension=32, seed=3, first=90_000)
    for person in (1, 7, 12):  # most queries are of others, whose partitions hold none of these
        hits = gallery.search(queries, 20, filter=f"pid = {person}")
        assert [len(found) for found in hits.lists] == [20] * 9
    assert len(gallery.search(queries.select(slice(1)), 3, filter="path = 'images/00700.jpg'").lists[0]) == 1
    assert [len(found) for found in gallery.search(queries, 1500).lists] == [1500] * 9
    other = make_people(1500, dimension=32, seed=5)
    gallery.add(other, "replace")  # what the index knew of them does not count any more
    late = gallery.search(other.select(slice(20)), 1)
    assert [found.paths[0] for found in late.lists] == list(other.paths[:20])


@pytest.mark.slow
def test_a_graph_on_a_server_says_its_recall(milvus_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossreid.galleries import milvus

    monkeypatch.setattr(milvus, "EXACT", 500)
    place = f"{milvus_server}/graph"
    people = make_people(3000, dimension=32)
    Gallery.open(place).add(people)
    index = Gallery.open(place).build()["index"]
    assert index["recall"] >= 0.98
    assert Gallery.open(place).info()["index"] == index
    found = Gallery.open(place).search(people.select(slice(20)), 1)
    assert [entries.paths[0] for entries in found.lists] == list(people.paths[:20])


def test_a_server_that_is_not_there_is_one_sentence(milvus_server: str) -> None:
    with pytest.raises(DataError, match="does not do this"):
        Gallery.open("http://127.0.0.1:9/none")
    from pymilvus import MilvusClient

    client = MilvusClient(uri=milvus_server)
    client.create_collection("foreign", dimension=4)
    with pytest.raises(DataError, match="is no gallery"):
        Gallery.open(f"{milvus_server}/foreign")


def test_a_first_add_to_a_server_that_was_cut_off_is_made_anew(
    milvus_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossreid.galleries.milvus import MilvusStore

    place = f"{milvus_server}/cut_off"
    for step in ("_make_images", "_write_about"):
        with monkeypatch.context() as patched:
            patched.setattr(MilvusStore, step, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                Gallery.open(place).add(make_people(10, dimension=8))
        assert len(Gallery.open(place)) == 0
    people = make_people(20, dimension=16)  # of another length than those that were never added
    Gallery.open(place).add(people)
    assert len(Gallery.open(place)) == 20


@pytest.mark.parametrize(("dimension", "images"), [(8, 30), (16, 10)])
def test_of_two_first_adds_to_a_server_at_once_none_undoes_the_other(
    milvus_server: str, monkeypatch: pytest.MonkeyPatch, dimension: int, images: int
) -> None:
    from crossreid.galleries.milvus import MilvusStore

    place = f"{milvus_server}/at_once_{dimension}"
    first = Gallery.open(place)
    second = Gallery.open(place)
    known = MilvusStore.known

    def known_late(*_: object) -> set[str]:
        """The first one adds just when the second one has looked and found an empty gallery."""
        monkeypatch.setattr(MilvusStore, "known", known)
        first.add(make_people(10, dimension=8))
        return set()

    monkeypatch.setattr(MilvusStore, "known", known_late)
    others = make_people(20, dimension=dimension, first=100)
    if dimension == 8:
        second.add(others)
    else:
        with pytest.raises(DataError, match="holds vectors of 8 numbers"):
            second.add(others)
    assert len(Gallery.open(place)) == images


def test_names_that_are_made_are_not_those_of_files() -> None:
    people = PEOPLE.select(slice(4))
    gallery = Gallery.open()
    gallery.add(dataclasses.replace(people, paths=("a", "a", "a#2", "a")))
    found = gallery.search(people, 4).lists[0]
    assert sorted(str(name) for name in found.columns["id"]) == ["a", "a#2", "a#3", "a#4"]


# ---------------------------------------------------------------- what is written


def test_lists_are_written_without_formulas(tmp_path: Path) -> None:
    people = PEOPLE.select(slice(20))
    object.__setattr__(people, "columns", {"note": ["=1+1"] * 20})
    gallery = Gallery.open()
    gallery.add(people)
    hits = gallery.search(QUERIES, 3)
    with hits.save(tmp_path / "hits.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 24
    assert {line["note"] for line in lines} == {"'=1+1"}
    assert [line["rank"] for line in lines[:3]] == ["1", "2", "3"]
    content = json.loads(hits.save(tmp_path / "hits.json").read_text())
    assert content["hits"] == hits.records()
    with pytest.raises(ConfigError, match=r"end it in .json or .csv"):
        hits.save(tmp_path / "hits.txt")


def test_columns_of_the_gallery_hide_nothing_of_the_search(reopen, tmp_path: Path) -> None:
    names = ("query", "rank", "score", "match", "probability")
    odd: dict[str, list[str | int | float | None]] = {name: ["mine"] * 20 for name in names}
    odd["gallery_rank"] = ["theirs"] * 20
    odd["coat"] = ["red", None] * 10
    gallery = reopen()
    gallery.add(with_columns(PEOPLE.select(slice(20)), **odd))
    hits = gallery.search(QUERIES, 20, calibration=some_calibration())
    with hits.save(tmp_path / "hits.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    for line, record in zip(lines, hits.records(), strict=True):
        assert line["query"] == record["query"] in QUERIES.paths
        assert float(line["score"]) == record["score"]
        assert line["match"] in ("True", "False")
        assert 0 <= float(line["probability"]) <= 1
        for name in names:
            assert line["gallery_gallery_rank" if name == "rank" else f"gallery_{name}"] == "mine"
        assert line["gallery_rank"] == "theirs"
    assert [int(line["rank"]) for line in lines[:20]] == list(range(1, 21))
    assert {line["coat"] for line in lines} == {"red", ""}


def pictures_of(path: str, frames: list[int], first: int = 0, **columns: list[str | int | float | None]) -> Embeddings:
    """Embeddings of pictures of one video."""
    people = make_people(len(frames), seed=first)
    return with_columns(dataclasses.replace(people, paths=(path,) * len(frames)), frame=[*frames], **columns)


def test_pictures_and_boxes_of_one_file_have_names_of_their_own(reopen) -> None:
    gallery = reopen()
    assert gallery.add(pictures_of("v.mp4", [0, 1])).added == 2
    later = gallery.add(pictures_of("v.mp4", [1, 100, 101], 9))
    assert (later.added, later.skipped) == (2, 1)
    assert names_of(reopen()) == ["v.mp4#frame=0", "v.mp4#frame=1", "v.mp4#frame=100", "v.mp4#frame=101"]
    for left, added in ((0, 1), (0, 0), (10.5, 1)):
        box = with_columns(make_people(1), x=[left], y=[0], width=[32], height=[64])
        assert gallery.add(box).added == added
    assert gallery.add(make_people(1)).added == 1  # all of the picture
    assert names_of(reopen())[:3] == [
        "images/00000.jpg",
        "images/00000.jpg#box=0,0,32,64",
        "images/00000.jpg#box=10.5,0,32,64",
    ]


def test_names_of_before_are_valid(reopen) -> None:
    reopen().add(pictures_of("v.mp4", [0, 1], id=["v.mp4", "v.mp4#2"]))  # as they were named
    gallery = reopen()
    again = gallery.add(pictures_of("v.mp4", [1, 2, 0]))
    assert (again.added, again.skipped) == (1, 2)
    assert gallery.add(pictures_of("v.mp4", [1], 9), "replace").replaced == 1
    assert names_of(reopen()) == ["v.mp4", "v.mp4#2", "v.mp4#frame=2"]
    assert gallery.remove(["v.mp4#2"]) == 1


def test_contact_sheets_show_images_and_nothing_else(tmp_path: Path) -> None:
    people = PEOPLE.select(slice(20))
    paths = []
    for place in range(20):
        path = tmp_path / f"<script>{place}.png"
        Image.new("RGB", (32, 64), (10 * place, 0, 0)).save(path)
        paths.append(str(path))
    object.__setattr__(people, "paths", tuple(paths))
    gallery = Gallery.open()
    gallery.add(people)
    hits = gallery.search(QUERIES, 3)
    sheet = Image.open(save_sheet(hits, tmp_path / "sheet.png"))
    colours = {colour for _, colour in sheet.convert("RGB").getcolors(maxcolors=1_000_000)}
    best = people.paths.index(hits.lists[0].paths[0])
    assert (10 * best, 0, 0) in colours
    assert (200, 200, 200) in colours  # the queries' files are not there
    page = save_sheet(hits, tmp_path / "sheet.html").read_text()
    assert "<script" not in page
    assert page.count("data:image/jpeg;base64,") == 8 * 4
    assert str(tmp_path) not in page
    assert f'title="{tmp_path.name}/&lt;script&gt;{best}.png"' in page  # the folder is often the person's
    with pytest.raises(ConfigError, match=r"end it in .png or .html"):
        save_sheet(hits, tmp_path / "sheet.gif")


def test_a_contact_sheet_has_ten_images_in_a_line(tmp_path: Path) -> None:
    gallery = Gallery.open()
    gallery.add(PEOPLE)
    sizes = {}
    for count in (10, 12):
        hits = gallery.search(QUERIES.select(slice(1)), count)
        with Image.open(save_sheet(hits, tmp_path / f"{count}.png")) as sheet:
            sizes[count] = sheet.size
    assert sizes[12][0] == sizes[10][0]
    assert sizes[12][1] > 1.9 * sizes[10][1]


def test_the_front_door_has_it() -> None:
    assert crossreid.Gallery is Gallery
