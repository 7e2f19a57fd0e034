"""Calibrating a model: which persons, which rates, what is refused; and what a search makes of it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import crossreid
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.calibration import Calibration, camera_pair, modality_pair
from crossreid.evaluation.verification import pairs_of, threshold_at
from crossreid.extraction.labels import labels_of
from crossreid.galleries import Gallery
from crossreid.settings.calibration import CalibrationSettings
from crossreid.studies.calibration import calibrate_pairs
from crossreid.studies.calibration.pair_list import read_pairs

ABOUT = {"model": "a" * 64, "method": "agw", "preprocessing": {"height": 64, "width": 32}, "transfer": False}


def people(persons: int = 40, each: int = 12, *, seed: int = 0, dimension: int = 32, first: int = 1) -> Embeddings:
    """Images of persons in four cameras, two of them infrared and less alike."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(persons), each)
    camera = 1 + np.arange(len(person)) % 4
    noise = np.where(camera > 2, 0.9, 0.6)[:, None]
    centres = np.random.default_rng(99).standard_normal((500, dimension))
    features = centres[person + first] + noise * rng.standard_normal((len(person), dimension))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return Embeddings(
        {"main": features.astype(np.float32)},
        person + first,
        camera,
        camera > 2,
        np.zeros(len(person)),
        np.arange(len(person)),
        tuple(f"{first}-{row}.jpg" for row in range(len(person))),
        columns={"camera": camera.tolist()},
        about=ABOUT,
    )


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return crossreid.calibrate(embeddings=people(110), bootstrap=100)


def test_thresholds_are_those_of_all_pairs(calibration: Calibration) -> None:
    held = people(110)
    assert set(calibration.pairs) == {"visible-visible", "visible-infrared", "infrared-infrared"}
    for one, other in ((False, False), (False, True), (True, True)):
        name = modality_pair(one, other)
        impostor = pairs_of(held, one, other).impostor
        expected = [rate for rate in (0.0001, 0.001, 0.01, 0.1) if len(impostor) >= 1000 and rate * len(impostor) >= 30]
        assert list(calibration.rates(name)) == expected
        for rate in expected:
            assert calibration.threshold(name, rate) == threshold_at(impostor, rate)
    for cameras, of_cameras in pairs_of(held, False, True).by_cameras():
        rate = 0.1
        own = threshold_at(of_cameras.impostor, rate)
        assert calibration.threshold("visible-infrared", rate, camera_pair(*cameras)) == own
    assert calibration.default_rate() == 0.001
    assert calibration.model == "a" * 64
    assert calibration.source["persons"] == 110
    assert [result.queries for result in calibration.open_set].count("infrared") == 2
    assert calibration.pairs["visible-infrared"].reliability.persons == 55


def test_a_calibration_is_read_as_it_was_written(calibration: Calibration, tmp_path: Path) -> None:
    path = calibration.save(tmp_path / "calibration.json")
    again = Calibration.load(path)
    assert again == Calibration.from_plain(json.loads(path.read_text()), path)
    assert json.dumps(again.plain()) == json.dumps(calibration.plain())
    whole = json.loads(path.read_text())
    for damage in (
        {**whole, "version": 3},
        {**whole, "pairs": []},
        {**whole, "pairs": {"visible-infrared": {"thresholds": [{"rate": "x"}]}}},
        {name: value for name, value in whole.items() if name != "model"},
    ):
        path.write_text(json.dumps(damage))
        with pytest.raises(DataError, match=r"calibration"):
            Calibration.load(path)
    with pytest.raises(DataError, match="There is no calibration"):
        Calibration.load(tmp_path / "none.json")


def test_what_cannot_be_had_is_one_sentence() -> None:
    held = people()
    with pytest.raises(DataError, match=r"smallest rate that can be had is 0\.0\d+"):
        crossreid.calibrate(embeddings=held, rates=[0.0001])
    with pytest.raises(DataError, match="Nothing can be calibrated"):
        crossreid.calibrate(embeddings=people(8, 8))
    with pytest.raises(DataError, match="intervals over persons need"):
        crossreid.calibrate(embeddings=people(3, 12))
    with pytest.raises(DataError, match="cannot be calibrated"):
        crossreid.calibrate(embeddings=replace(held, about={**ABOUT, "transfer": True}))
    with pytest.raises(ConfigError, match="either checkpoint=RUN or embeddings=FILE"):
        crossreid.calibrate()
    with pytest.raises(ConfigError, match="rates"):
        crossreid.calibrate(embeddings=held, rates=[0.9])
    drawn = crossreid.calibrate(embeddings=held, most_images=400, bootstrap=100)
    assert drawn.source["images"] == 400
    assert "400 of 480 images were drawn" in drawn.left_out[0]


# ---------------------------------------------------------------- cameras


CALLED = {
    "from 0": (0, 1, 2, 3),
    "from 1": (1, 2, 3, 4),
    "with gaps": (7, 30, 2, 11),
    "text": ("hall", "door", "yard", "gate"),
    "text with hyphens": ("a", "b-c", "a-b", "c"),
    "fractions": (1.5, 2.0, 0.5, 4.0),
}
"""What the column ``camera`` calls four cameras."""


def with_cameras(held: Embeddings, called: tuple) -> Embeddings:
    """The same images with their cameras called otherwise, numbered as an extraction numbers them."""
    cells = [called[camid - 1] for camid in held.camids.tolist()]
    columns = {"camera": cells, "person": held.pids.tolist()}
    return replace(held, columns=columns, camids=labels_of(columns, held.infrared).camids)


@pytest.mark.parametrize("kind", CALLED)
def test_thresholds_of_two_cameras_are_found_by_what_the_column_calls_them(kind: str) -> None:
    held = people(110)
    calibration = crossreid.calibrate(embeddings=with_cameras(held, CALLED[kind]), bootstrap=100, rates=[0.1])
    gallery = Gallery.open()
    day = with_cameras(people(6, 12, seed=5), CALLED[kind])
    gallery.add(day.select(~day.infrared))
    night = with_cameras(people(6, 12, seed=7), CALLED[kind])
    hits = gallery.search(night.select(night.infrared), 40, calibration=calibration, per_camera=True)
    expected = {}
    for cameras, of_cameras in pairs_of(held, False, True).by_cameras():
        named = frozenset(CALLED[kind][camid - 1] for camid in cameras)
        expected[named] = threshold_at(of_cameras.impostor, 0.1)
    assert len(set(expected.values())) == 4
    found = {}
    for query in range(len(hits)):
        own = hits.queries.columns["camera"][query]
        for camera, match in zip(hits.lists[query].columns["camera"], hits.matches(query), strict=True):
            found[frozenset((own, camera))] = match.threshold
    assert found == expected


def test_cameras_that_nobody_named_have_no_thresholds() -> None:
    held = people(110)
    unknown = {"person": held.pids.tolist()}
    of_all = crossreid.calibrate(embeddings=held, bootstrap=100, rates=[0.1])
    for columns in (unknown, {**unknown, "camera": [None] * len(held)}):
        calibration = crossreid.calibrate(embeddings=replace(held, columns=columns), bootstrap=100, rates=[0.1])
        assert not calibration.pairs["visible-infrared"].cameras
        assert calibration.threshold("visible-infrared", 0.1) == of_all.threshold("visible-infrared", 0.1)
    some = [camid if camid in (1, 3) else None for camid in held.camids.tolist()]
    calibration = crossreid.calibrate(embeddings=replace(held, columns={"camera": some}), bootstrap=100, rates=[0.1])
    assert set(calibration.pairs["visible-infrared"].cameras) == {"1-3"}
    numbered = crossreid.calibrate(embeddings=replace(held, columns={}), bootstrap=100, rates=[0.1])  # of a dataset
    assert numbered.pairs["visible-infrared"].cameras == of_all.pairs["visible-infrared"].cameras


def test_two_numbers_of_one_camera_are_calibrated_together() -> None:
    """A folder's camera with both modalities is counted twice."""
    held = people(110)
    devices = [1 + (camid - 1) % 2 for camid in held.camids.tolist()]  # 1 and 3 are one, 2 and 4 the other
    calibration = crossreid.calibrate(embeddings=replace(held, columns={"camera": devices}), bootstrap=100, rates=[0.1])
    across = []
    for cameras, of_cameras in pairs_of(held, False, True).by_cameras():
        if cameras in ((1, 4), (2, 3)):
            across.append(of_cameras.impostor)
    assert calibration.threshold("visible-infrared", 0.1, "1-2") == threshold_at(np.concatenate(across), 0.1)


@pytest.mark.usefixtures("few_pairs")
def test_cameras_of_a_folder_are_those_that_its_names_say(run_here, write_checkpoint, people, tmp_path: Path) -> None:
    for named in (True, False):
        root = tmp_path / f"named_{named}"
        for row in people.rows("test"):
            record = people.records[row]
            device = 1 + record.camid % 2  # each has both modalities
            name = f"{record.pid:04d}_c{device}s1_{row:06d}_00.jpg" if named else f"{row}.jpg"
            place = root / record.modality / ("" if named else f"{record.pid}") / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(record.path)
        words = ("data=folder", f"data.root={root}", f"data.cache={tmp_path / 'cache'}", f"output={named}.json")
        quiet = ("trainer=cpu", "figure=false", "bootstrap=100", "trainer.progress=false")
        done = run_here("calibrate", f"checkpoint={write_checkpoint('onestream')}", *words, *quiet)
        assert done.code == 0, done.output
        found = Calibration.load(tmp_path / f"{named}.json").pairs["visible-infrared"].cameras
        assert set(found) == ({"1-1", "1-2", "2-2"} if named else set())


def test_thresholds_by_older_numbers_of_cameras_are_not_taken_for_others(
    calibration: Calibration, tmp_path: Path
) -> None:
    path = tmp_path / "old.json"
    numbered = {"kind": "embeddings", "file": "people.npz"}
    for source in (numbered, {"kind": "images"}, {"kind": "dataset", "dataset": "folder"}):
        replace(calibration, version=1, source=source).save(path)
        old = Calibration.load(path)
        assert old.threshold("visible-infrared", 0.1) == calibration.threshold("visible-infrared", 0.1)
        gallery = Gallery.open()
        gallery.add(people(5, 12))
        gallery.keep_calibration(old)
        assert gallery.search(people(5, 12), 1).matches(0)[0].threshold is not None
        with pytest.raises(DataError, match="calibrate again, or leave per_camera out"):
            gallery.search(people(5, 12), 1, per_camera=True).matches(0)
    replace(calibration, version=1, source={"kind": "dataset", "dataset": "sysu_mm01"}).save(path)
    own = calibration.threshold("visible-infrared", 0.1, "1-3")
    assert own is not None
    assert Calibration.load(path).threshold("visible-infrared", 0.1, "1-3") == own


# ---------------------------------------------------------------- labelled pairs


def test_pairs_of_modalities_that_are_not_asked_for_play_no_part() -> None:
    held = people(110)
    groups = {}
    for one, other in ((False, False), (False, True), (True, True)):
        groups[modality_pair(one, other)] = pairs_of(held, one, other)
    few = groups["visible-visible"]
    groups["visible-visible"] = few.select(np.arange(len(few)) < 1000)
    settings = CalibrationSettings(between=["visible-infrared"], rates=[0.001], bootstrap=100)
    calibration = calibrate_pairs(groups, settings, {}, ABOUT)
    assert set(calibration.pairs) == {"visible-infrared"}
    with pytest.raises(DataError, match="of visible-visible, and no rate"):
        calibrate_pairs(groups, replace(settings, between=None), {}, ABOUT)


def test_pairs_say_who_is_one_person(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(
        "first,second,same\na.jpg,b.jpg,yes\nb.jpg,c.jpg,Same\nd.jpg,a.jpg,no\nd.jpg,e.jpg,1\nf.jpg,c.jpg,different\n"
    )
    labelled = read_pairs(path)
    person = dict(zip([image.name for image in labelled.paths], labelled.persons.tolist(), strict=True))
    assert person["a.jpg"] == person["b.jpg"] == person["c.jpg"]
    assert person["d.jpg"] == person["e.jpg"]
    assert len({person["a.jpg"], person["d.jpg"], person["f.jpg"]}) == 3
    path.write_text("first,second,same\na.jpg,b.jpg,yes\nb.jpg,c.jpg,yes\na.jpg,c.jpg,no\n")
    with pytest.raises(DataError, match=r"Line 4 .* two persons, and other lines that they show one"):
        read_pairs(path)
    for text in ("one,two\na,b\n", "first,second,same\n", ""):
        path.write_text(text)
        with pytest.raises(DataError, match="needs the columns"):
            read_pairs(path)
    for line in ("a.jpg,,yes", "a.jpg,a.jpg,yes", "a.jpg,b.jpg,perhaps"):
        path.write_text(f"first,second,same\n{line}\n")
        with pytest.raises(DataError, match=r"Line 2 .* is no pair"):
            read_pairs(path)


# ---------------------------------------------------------------- search


@pytest.fixture(params=["memory", "npz", "lance"])
def gallery(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "memory":
        made = Gallery.open()
        return lambda: made
    if request.param == "lance":
        pytest.importorskip("lancedb", reason="galleries in folders need the extra `search`")
    return lambda: Gallery.open(tmp_path / ("g.npz" if request.param == "npz" else "g.gallery"))


def test_a_search_marks_what_matches_and_says_nobody(calibration: Calibration, gallery) -> None:
    day = people(6, 12, seed=5)
    gallery().add(day.select(~day.infrared))
    gallery().keep_calibration(calibration)
    strangers = people(5, 12, seed=6, first=300)
    night = people(6, 12, seed=7)
    for queries in (night.select(night.infrared), strangers.select(strangers.infrared)):
        hits = gallery().search(queries, 5)
        assert hits.rule.rate == calibration.default_rate()
        threshold = calibration.threshold("visible-infrared", hits.rule.rate)
        for place in range(len(hits)):
            for match, score in zip(hits.matches(place), hits.scores[place], strict=True):
                assert match.matches == (score >= threshold)
                expected = calibration.pairs["visible-infrared"].probability(np.array([score]))[0]
                assert match.probability == pytest.approx(expected)
            assert hits.nobody(place) == (hits.scores[place].max() < threshold)
        records = hits.records()
        assert [record["match"] for record in records[:5]] == [match.matches for match in hits.matches(0)]
    alone = {}
    for name, queries in (("known", night), ("unknown", strangers)):
        hits = gallery().search(queries.select(queries.infrared), 1)
        alone[name] = np.mean([hits.nobody(place) for place in range(len(hits))])
    assert alone["known"] < 0.2
    assert alone["unknown"] > 0.5
    by_camera = gallery().search(night.select(night.infrared), 5, false_match_rate=0.1, per_camera=True)
    found, own = by_camera.lists[0].columns["camera"][0], by_camera.queries.columns["camera"][0]
    assert by_camera.matches(0)[0].threshold == calibration.threshold("visible-infrared", 0.1, camera_pair(own, found))
    with pytest.raises(ConfigError, match=r"no false-match rate 0\.05"):
        gallery().search(night, 5, false_match_rate=0.05)
    described = gallery().info()["calibration"]
    assert f"{calibration.threshold('visible-infrared', 0.1):.3f} at 0.1" in described["visible-infrared"]


def test_an_add_and_an_export_keep_the_calibration(calibration: Calibration, gallery, tmp_path: Path) -> None:
    day = people(30, 12, seed=5)
    gallery().add(day.select(slice(100)))
    gallery().keep_calibration(calibration)
    gallery().add(day)
    gallery().build()
    assert gallery().calibration() == calibration.compact()
    other = Gallery.open(gallery().export(tmp_path / "all.npz"))
    assert other.calibration() == calibration.compact()


def test_a_calibration_of_another_model_is_refused(calibration: Calibration, gallery) -> None:
    with pytest.raises(DataError, match="is empty"):
        gallery().keep_calibration(calibration)
    gallery().add(people(5, 12))
    for stranger in (replace(calibration, model="b" * 64), replace(calibration, preprocessing={"height": 9})):
        with pytest.raises(DataError, match="of another model"):
            gallery().keep_calibration(stranger)
        with pytest.raises(DataError, match="of another model"):
            gallery().search(people(5, 12), calibration=stranger)
    with pytest.raises(ConfigError, match="has no calibration"):
        gallery().search(people(5, 12), false_match_rate=0.1)
    assert gallery().search(people(5, 12)).nobody(0) is None


# ---------------------------------------------------------------- the command


def test_the_command_writes_figures_and_search_goes_by_them(run_here, tmp_path: Path) -> None:
    held = people()
    held.save(tmp_path / "people.npz")
    people(10, 12, seed=3, first=300).save(tmp_path / "night.npz")
    Gallery.open(tmp_path / "g.npz").add(people(30, 12, seed=5))
    done = run_here("calibrate", "embeddings=people.npz", "gallery=g.npz", "bootstrap=100", "output=c.json")
    assert done.code == 0, done.output
    for name in ("roc", "det", "scores", "reliability", "open_set"):
        assert (tmp_path / f"c_{name}.png").stat().st_size > 10_000
    assert Calibration.load(tmp_path / "c.json").threshold("visible-infrared", 0.1) is not None
    assert "Open set" in done.output
    found = run_here(
        "search", "gallery=g.npz", "embeddings=night.npz", "output=hits.csv", "false_match_rate=0.1", "top_k=100"
    )
    assert found.code == 0, found.output
    with (tmp_path / "hits.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert {line["match"] for line in lines} == {"True", "False"}
    assert all(0 <= float(line["probability"]) <= 1 for line in lines)
    assert "one pair of two persons in 10" in found.output
    info = run_here("index", "info", "gallery=g.npz")
    assert "at 0.1" in info.output


MISTAKES = {
    (): "either checkpoint=RUN or embeddings=FILE",
    ("checkpoint=a", "embeddings=b"): "either checkpoint=RUN or embeddings=FILE",
    ("embeddings=b", "pairs=c"): "name it in the place of embeddings",
    ("checkpoint=a", "pairs=c", "images=d"): "leave one of them out",
    ("embeddings=b", "split=test"): "split chooses persons of a dataset",
    ("embeddings=b", "grey_range=[1,2]"): "leave it out with embeddings",
    ("checkpoint=a", "grey_range=[2,1]"): "grey_range",
    ("checkpoint=a", "pairs=c", "same_camera=true"): "leave them out with pairs",
    ("checkpoint=a", "pairs=c", "most_images=100"): "leave them out with pairs",
    ("checkpoint=a", "modality=auto"): "modality is of images and pairs",
    ("embeddings=none.npz",): "There is no embeddings file",
    ("checkpoint=none",): "There is no checkpoint",
    ("embeddings=b", "output=c.txt"): "end it in .json",
    ("embeddings=b", "prior=1"): "prior",
    ("embeddings=b", "between=[night-day]"): "between",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_sentence(run_here, words: tuple[str, ...]) -> None:
    done = run_here("calibrate", *words)
    assert done.code == 1
    assert MISTAKES[words] in done.output
    assert "Traceback" not in done.output


@pytest.mark.slow
@pytest.mark.usefixtures("few_pairs")
def test_a_runs_own_persons_are_those_that_it_was_not_trained_on(
    run_here, write_checkpoint, manifest: Path, tmp_path: Path
) -> None:
    quiet = ("trainer=cpu", "figure=false", "bootstrap=100", "trainer.progress=false")
    path = write_checkpoint("onestream")
    refused = run_here("calibrate", f"checkpoint={path}", *quiet)
    assert refused.code == 1
    assert "trained on its validation persons" in refused.output
    asked = run_here("calibrate", f"checkpoint={path}", "split=test", *quiet)
    assert asked.code == 0, asked.output
    assert "no independent estimates" in asked.output
    calibration = Calibration.load(path.parent / "calibration.json")
    assert calibration.source["split"] == "test"
    extract = crossreid.Extractor(path, "cpu", workers=0)
    assert calibration.model == extract.about["model"]
    assert dict(calibration.preprocessing) == extract.about["preprocessing"]
    by_manifest = run_here("calibrate", f"checkpoint={path}", f"images={manifest}", "output=m.json", *quiet)
    assert by_manifest.code == 0, by_manifest.output
    other = Calibration.load(tmp_path / "m.json")
    assert other.pairs.keys() == calibration.pairs.keys()
    for name, pair in other.pairs.items():
        for entry, expected in zip(pair.thresholds, calibration.pairs[name].thresholds, strict=True):
            assert entry.threshold == pytest.approx(
                expected.threshold, abs=1e-5
            )  # the same images, embedded another way
    added = run_here(
        "index", "add", "gallery=g.npz", f"checkpoint={path}", f"images={manifest}", "device=cpu", "workers=0"
    )
    assert added.code == 0, added.output
    assert Gallery.open(tmp_path / "g.npz").calibration() == calibration.compact()
    found = run_here(
        "search", "gallery=g.npz", f"checkpoint={path}", f"query={manifest}", "device=cpu", "workers=0", "top_k=2"
    )
    assert "for each query" in found.output
    again = run_here("calibrate", f"checkpoint={path}", "split=test", "prior=0.2", *quiet)
    assert again.code == 0, again.output  # a run has one calibration, which a new one replaces
    validated = write_checkpoint("onestream", "selection=validation", "model.flip=0.25")  # beside the same file
    words = ("gallery=h.npz", f"checkpoint={validated}", f"images={manifest}", "device=cpu", "workers=0")
    added = run_here("index", "add", *words)
    assert added.code == 0, added.output
    assert "is of other weights" in added.output
    assert Gallery.open(tmp_path / "h.npz").calibration() is None
    done = run_here("calibrate", f"checkpoint={validated}", "output=v.json", *quiet)
    assert done.code == 0, done.output
    assert Calibration.load(tmp_path / "v.json").source["split"] == "val"


@pytest.mark.usefixtures("few_pairs")
def test_a_calibration_of_images_in_another_grey_range_is_not_judged_by(
    run_here, write_checkpoint, manifest: Path, tmp_path: Path
) -> None:
    path = write_checkpoint("onestream")
    quiet = (f"checkpoint={path}", "trainer=cpu", "figure=false", "bootstrap=100", "trainer.progress=false")
    done = run_here("calibrate", *quiet, f"images={manifest}")
    assert done.code == 0, done.output
    words = ("gallery=g.npz", f"checkpoint={path}", "device=cpu", "workers=0", "progress=false", "grey_range=[10,4000]")
    added = run_here("index", "add", *words, f"images={manifest}")
    assert added.code == 0, added.output
    assert "came to pixels otherwise than the gallery's" in added.output
    assert Gallery.open(tmp_path / "g.npz").calibration() is None
    query = (f"query={manifest}", "top_k=2")
    found = run_here("search", *words, *query, "output=hits.json")
    assert found.code == 0, found.output
    assert "matches are not judged" in found.output
    assert "match" not in json.loads((tmp_path / "hits.json").read_text())["hits"][0]
    kinds = {"listed": (f"images={manifest}",), "dataset": ("split=test",)}
    for name, asked in kinds.items():
        again = run_here("calibrate", *quiet, *asked, "grey_range=[10,4000]", f"output={name}.json")
        assert again.code == 0, again.output
        found = run_here("search", *words, *query, f"calibration={name}.json", f"output=by_{name}.json")
        assert found.code == 0, found.output
        assert "match" in json.loads((tmp_path / f"by_{name}.json").read_text())["hits"][0]


@pytest.mark.usefixtures("few_pairs")
def test_labelled_pairs_are_scored_by_a_checkpoint(run_here, write_checkpoint, people, tmp_path: Path) -> None:
    path = write_checkpoint("onestream")
    records = [people.records[row] for row in people.rows("test")]
    lines, scored = ["first,second,same"], []
    for one in records[::3]:
        for other in records[1::3]:
            if one.modality == other.modality == "visible":
                lines.append(f"{one.path},{other.path},{'yes' if one.pid == other.pid else 'no'}")
                scored.append((one, other))
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    words = (
        f"checkpoint={path}",
        "pairs=pairs.csv",
        "modality=visible",
        "figure=false",
        "trainer=cpu",
        "output=p.json",
    )
    done = run_here("calibrate", *words, "bootstrap=100", "trainer.progress=false")
    assert done.code == 0, done.output
    found = Calibration.load(tmp_path / "p.json").pairs["visible-visible"]
    assert found.thresholds[0].impostor == sum(one.pid != other.pid for one, other in scored)
    assert found.thresholds[0].genuine == sum(one.pid == other.pid for one, other in scored)
    extract = crossreid.Extractor(path, "cpu", workers=0)
    impostors = []
    features = {}
    for record in {record.path: record for pair in scored for record in pair}.values():
        features[record.path] = extract([record.path], modality="visible").features["main"][0]
    for one, other in scored:
        if one.pid != other.pid:
            impostors.append(float(features[one.path] @ features[other.path]))
    for entry in found.thresholds:
        assert entry.threshold == pytest.approx(threshold_at(np.array(impostors), entry.rate), abs=1e-5)
