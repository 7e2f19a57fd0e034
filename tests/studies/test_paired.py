"""Two methods on the same probes: numbers against plain loops, every refusal before any scoring, the real command."""

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import crossreid
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import IdentityScores, foreign, load_foreign
from crossreid.runs.folder import fingerprint
from crossreid.settings.compose import compose, protocol_part, run_config
from crossreid.studies.paired.sources import PairedSource, check_paired, tasks_of
from foreign_files import write_cameras, write_listed, write_matlab_73
from support import files_in
from test_report import KEY, changed, result, write_run

CAMERAS = (1, 2, 3, 6)
SEEDED = ("protocol=sysu_mm01", "protocol.draw=seeded", "protocol.trials=2")
QUICK = ("bootstrap=200", "progress=false")


def world(quality: float, seed: int, *, persons: int = 8) -> dict[str, np.ndarray]:
    """Persons in two visible and two infrared cameras, two images each; features know them by ``quality``."""
    images = [(pid, camera, frame) for pid in range(1, persons + 1) for camera in CAMERAS for frame in range(2)]
    pids, camids, frames = np.array(images).T
    centres = np.random.default_rng(0).standard_normal((persons + 1, 6))
    features = quality * centres[pids] + np.random.default_rng(seed).standard_normal((len(pids), 6))
    return {
        "features": features,
        "pids": pids,
        "camids": camids,
        "frames": frames,
        "infrared": np.isin(camids, (3, 6)),
    }


def save(path: Path, data: dict[str, np.ndarray], order: int | None = None) -> Path:
    if order is not None:
        rows = np.random.default_rng(order).permutation(len(data["pids"]))
        data = {name: array[rows] for name, array in data.items()}
    np.savez(path, **data)
    return path


def probes_of(data: dict[str, np.ndarray]) -> dict[int, list[tuple[bool, float]]]:
    """Person -> (found first, average precision) of each infrared image among all visible ones; plain loops.

    In this world no camera has both modalities, so that nothing is left out.
    """
    unit = data["features"] / np.linalg.norm(data["features"], axis=1, keepdims=True)
    gallery = np.flatnonzero(~data["infrared"])
    scores: dict[int, list[tuple[bool, float]]] = {}
    for probe in np.flatnonzero(data["infrared"]):
        ranked = sorted(gallery, key=lambda image, probe=probe: -float(unit[probe] @ unit[image]))
        pid = int(data["pids"][probe])
        ranks = [rank for rank, image in enumerate(ranked, start=1) if data["pids"][image] == pid]
        precision = [number / rank for number, rank in enumerate(ranks, start=1)]
        scores.setdefault(pid, []).append((ranks[0] == 1, sum(precision) / len(precision)))
    return scores


def slow_test(first: list, second: list, column: int, resamples: int) -> tuple[float, list[float], float]:
    """Difference, interval and share above 0, drawing persons and runs one resample at a time."""

    def mean(run: dict, people: list[int]) -> float:
        values = [float(probe[column]) for person in people for probe in run[person]]
        return sum(values) / len(values)

    def difference(people: list[int], ours: list, theirs: list) -> float:
        means = [sum(mean(run, people) for run in side) / len(side) for side in (ours, theirs)]
        return means[1] - means[0]

    everyone = sorted(first[0])
    people = np.random.default_rng(0).integers(len(everyone), size=(resamples, len(everyone)))
    runs = []
    for side, of_side in enumerate((first, second), start=1):
        runs.append(np.random.default_rng([0, side]).integers(len(of_side), size=(resamples, len(of_side))))
    values = []
    for number in range(resamples):
        drawn = [everyone[place] for place in people[number]]
        ours = [first[place] for place in runs[0][number]]
        theirs = [second[place] for place in runs[1][number]]
        values.append(difference(drawn, ours, theirs))
    share = sum(value > 1e-12 for value in values) / resamples
    return difference(everyone, first, second), list(np.percentile(values, [2.5, 97.5])), share


@pytest.mark.parametrize("seeds", [1, 2])
def test_numbers_are_those_of_plain_loops(seeds: int, tmp_path: Path) -> None:
    first = [world(0.8, seed) for seed in range(seeds)]
    second = [world(1.1, 10 + seed) for seed in range(seeds)]
    places = {}
    for side, of_side in (("a", first), ("b", second)):
        # rows in another order in each file: a probe is who and where it is, not its row
        places[side] = [save(tmp_path / f"{side}{n}.npz", data, order=n) for n, data in enumerate(of_side)]
    settings = {"bootstrap": 300, "progress": False, "protocol.pairings": ["ir2rgb"]}
    found = crossreid.compare_embeddings(places["a"], places["b"], protocol="all_pairs", **settings)
    slow = [[probes_of(data) for data in side] for side in (first, second)]
    for test, column in zip(found.tests, (0, 1), strict=True):
        value, interval, share = slow_test(*slow, column, 300)
        assert (test.protocol, test.metric) == ("all/pairs/ir2rgb", ("rank1", "mAP")[column])
        assert test.difference.value == pytest.approx(value, abs=1e-12)
        assert test.second - test.first == pytest.approx(value, abs=1e-12)
        assert test.difference.interval == pytest.approx(tuple(interval), abs=1e-12)
        assert test.difference.share_above == pytest.approx(share)
    assert "b0 less a0, on the same probes" in repr(found)
    assert [record["metric"] for record in found.to_records()] == ["rank1", "mAP"]


def test_in_memory_and_alone(tmp_path: Path) -> None:
    held = load_foreign(save(tmp_path / "a.npz", world(1.0, 0)))
    alone = crossreid.compare_embeddings(held, protocol="regdb", **{"protocol.split": 3}, bootstrap=200)
    assert alone.tests == ()
    (method,) = alone.methods
    ours = crossreid.score(held, "regdb", split=3, pairs=False)
    for setting in alone.settings:
        low, high = alone.intervals[0, setting, "rank1"]
        mean = method.mean(setting, "rank1")
        assert mean == ours[setting[1]].metrics()["rank1"]["mean"]
        assert low <= mean <= high
    other = crossreid.compare_embeddings(held, tmp_path / "a.npz", protocol="llcm", bootstrap=200)
    assert len(other.tests) == 2 * 4
    assert {test.difference.value for test in other.tests} == {0}


@pytest.mark.slow
def test_the_command_takes_every_layout_and_writes_what_it_prints(run_here: Callable, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    ours, theirs = world(0.8, 0), world(1.3, 1)
    save(tmp_path / "ours.npz", ours)
    write_cameras(tmp_path / "cameras", theirs)
    write_listed(tmp_path / "listed.npy", theirs)
    scipy.io.savemat(tmp_path / "five.mat", theirs)
    write_matlab_73(tmp_path / "seven.mat", theirs)
    written = {}
    for second in ("cameras", "listed.npy", "five.mat", "seven.mat"):
        done = run_here(
            "compare_embeddings", "first=ours.npz", f"second={second}", *SEEDED, *QUICK, f"output=to_{second}"
        )
        assert done.code == 0, done.output
        written[second] = json.loads((tmp_path / f"to_{second}" / "comparison.json").read_text())
    assert f"Comparison: to_{second}" in done.output
    for content in written.values():
        assert content["tests"] == written["cameras"]["tests"]
    tests = written["cameras"]["tests"]
    assert {test["setting"] for test in tests} == {
        f"sysu_mm01/{mode}/{shots}" for mode in ("all", "indoor") for shots in ("single", "multi")
    }
    with (tmp_path / "to_cameras" / "differences.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    for line, test in zip(lines, tests, strict=True):
        assert float(line["difference"]) == pytest.approx(100 * test["difference"], abs=1e-4)
        assert f"{100 * test['difference']:+.2f}" in done.output
    with (tmp_path / "to_cameras" / "scores.csv").open(newline="") as stream:
        assert [line["method"] for line in csv.DictReader(stream)] == ["ours", "cameras"] * 4
    page = (tmp_path / "to_cameras" / "comparison.md").read_text()
    assert "is a single run: how much its training depends on chance is not in the interval" in page

    again = run_here("compare_embeddings", "first=ours.npz", "second=listed.npy", *SEEDED, *QUICK, "output=to_cameras")
    assert again.code == 1
    assert "was written from other inputs or settings" in again.output


def test_a_whole_file_is_compared_with_queries_and_gallery(run_here: Callable, tmp_path: Path) -> None:
    data = world(0.8, 0)
    whole = save(tmp_path / "whole.npz", data)
    query = data["infrared"]
    sides = {}
    for side, chosen in (("query", query), ("gallery", ~query)):
        sides |= {
            f"{side}_f": data["features"][chosen],
            f"{side}_label": data["pids"][chosen],
            f"{side}_cam": data["camids"][chosen],
        }
    np.savez(tmp_path / "sides.npz", **sides)
    words = [f"first={whole.name}", "second=sides.npz", "query_modality=infrared", *SEEDED, *QUICK, "output=to"]
    done = run_here("compare_embeddings", *words)
    assert done.code == 0, done.output
    for test in json.loads((tmp_path / "to" / "comparison.json").read_text())["tests"]:
        assert test["difference"] == 0


def test_a_modality_that_is_said_goes_to_queries_and_gallery_and_reads_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = world(0.8, 0) | {
        "camids": np.where(world(0.8, 0)["infrared"], 2, 1)
    }  # RegDB's, which tell SYSU-MM01 nothing
    data["frames"] = np.arange(len(data["pids"])) % 4
    whole = save(tmp_path / "whole.npz", data)
    sides = {}
    for side, chosen in (("query", data["infrared"]), ("gallery", ~data["infrared"])):
        sides |= {f"{side}_f": data["features"][chosen], f"{side}_label": data["pids"][chosen]}
    np.savez(tmp_path / "sides.npz", **sides)
    reads = []
    named_arrays = foreign.named_arrays
    monkeypatch.setattr(foreign, "named_arrays", lambda path: reads.append(path) or named_arrays(path))
    how = {"protocol.split": 1, "protocol.directions": ["thermal_to_visible"], "bootstrap": 100}
    same = crossreid.compare_embeddings(
        whole, tmp_path / "sides.npz", protocol="regdb", query_modality="infrared", **how
    )
    assert [test.difference.value for test in same.tests] == [0.0] * len(same.tests)
    assert sorted(path.name for path in reads) == ["sides.npz", "whole.npz"]
    turned = crossreid.compare_embeddings(
        whole, tmp_path / "sides.npz", protocol="regdb", query_modality="visible", **how
    )
    assert all(test.difference.value != 0 for test in turned.tests)  # the gallery's images query now


@pytest.mark.parametrize("first", [np.zeros((3, 4)), [np.zeros((3, 4))], b"ab", None, 3])
def test_what_are_no_embeddings_is_refused_in_python(first: object) -> None:
    with pytest.raises(ConfigError, match=r"compare_embeddings takes the folder of a run, .* is none: features need"):
        crossreid.compare_embeddings(first, protocol="sysu_mm01")


def test_that_the_official_draw_is_missing_is_said_once(run_here: Callable, tmp_path: Path) -> None:
    save(tmp_path / "ours.npz", world(0.8, 0))
    save(tmp_path / "theirs.npz", world(1.3, 1))
    done = run_here(
        "compare_embeddings", "first=ours.npz", "second=theirs.npz", "protocol=sysu_mm01", *QUICK, "output=to"
    )
    assert done.code == 0, done.output
    assert done.output.count("rand_perm_cam.mat was not found") == 1
    assert json.loads((tmp_path / "to" / "comparison.json").read_text())["protocol"]["draw"] == "seeded"


def test_a_file_of_anybody_becomes_one_of_ours(run_here: Callable, tmp_path: Path) -> None:
    theirs = world(1.3, 1)
    write_cameras(tmp_path / "cameras", theirs)
    (tmp_path / "some.txt").write_text("1,2,3,5")
    done = run_here(
        *("evaluate", "embeddings=cameras", "save_embeddings=converted.npz", "test_ids=some.txt"),
        *SEEDED,
        "output=a.json",
    )
    assert done.code == 0, done.output
    again = run_here("evaluate", "embeddings=converted.npz", *SEEDED, "output=b.json")
    assert again.code == 0, again.output
    scores = json.loads((tmp_path / "a.json").read_text())
    assert scores == json.loads((tmp_path / "b.json").read_text())
    assert scores["sysu_mm01/all/single"]["valid"]["per_trial"] == [16, 16]  # of four persons
    assert set(load_foreign(tmp_path / "converted.npz").pids.tolist()) == {1, 2, 3, 5}


def refusals(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Files that are not paired with ``ours.npz``, or none -> arguments, and what is said."""
    ours = world(0.8, 0)
    save(folder / "ours.npz", ours)
    cases: dict[str, tuple[list[str], str]] = {}

    def add(name: str, message: str, *arguments: str, protocol: str = "sysu_mm01", **changes: np.ndarray) -> None:
        data = {**world(1.0, 1), **changes}
        if not arguments:
            save(folder / f"{name}.npz", data)
        words = list(arguments) or ["first=ours.npz", f"second={name}.npz", f"protocol={protocol}"]
        if protocol == "sysu_mm01":
            words += ["protocol.draw=seeded", "protocol.trials=2"]
        cases[name] = (words, message)

    fewer = {name: array[ours["pids"] < 8] for name, array in world(1.0, 1).items()}
    add("persons", "8 persons query in the first and 7 in the second, only there 8 and nobody", **fewer)
    probes = {name: array[1 + np.argmax(ours["camids"] == 3) :] for name, array in ours.items()}
    add("probes", "'ours.npz' and 'probes.npz' are not scored on the same probes: .*", **probes)
    camids = np.where((ours["pids"] == 4) & (ours["camids"] == 3), 6, ours["camids"])
    frames = np.where((ours["pids"] == 4) & (camids == 6) & (ours["camids"] == 3), ours["frames"] + 2, ours["frames"])
    add(
        "camera",
        "an image differs .person, camera, infrared, frame: 4 3 1 0 in the first and",
        camids=camids,
        frames=frames,
    )
    add("rows", "do not fit each other", features=ours["features"][1:])
    add(
        "finite",
        "NaN or infinite values in 1 rows, first in row 5",
        features=np.where(np.arange(64)[:, None] == 5, np.nan, 1.0),
    )
    add("key", "an array 'infrard', which is none of .*; is infrared meant", infrard=ours["infrared"])
    add("objects", "holds Python objects", pids=ours["pids"].astype(object))
    add("protocol", "do not say which protocol they are for", "first=ours.npz", "second=ours2.npz", protocol="")
    save(folder / "ours2.npz", world(1.0, 3))
    add("same", "'ours.npz' is named by first and second", "first=ours.npz", "second=[ours2.npz,ours.npz]", protocol="")
    add("twice", "first names the same place twice", "first=[ours.npz,ours.npz]", protocol="")
    add("nothing", "There is no embeddings file none.npz", "first=ours.npz", "second=none.npz", "protocol=sysu_mm01")
    add("ckpt", "'last.ckpt' is a checkpoint: name its run folder", "first=last.ckpt", "protocol=sysu_mm01")
    add(
        "names",
        "names has 1 of them: give one for first and one for second",
        "first=ours.npz",
        "second=ours2.npz",
        "names=[a]",
        protocol="",
    )
    add("unknown", "permutation", "first=ours.npz", "permutation=x", protocol="")
    scipy.io.savemat(folder / "text.mat", {**world(1.0, 1), "note": "hello"})
    add(
        "text",
        "'note' in text.mat is of MATLAB's class char",
        "first=ours.npz",
        "second=text.mat",
        "protocol=sysu_mm01",
    )
    add(
        "split",
        "Nothing says which split of RegDB",
        "first=ours.npz",
        "second=ours2.npz",
        "protocol=regdb",
        protocol="",
    )
    add(
        "modality",
        "query_modality is of files with queries and gallery",
        "first=ours.npz",
        "query_modality=visible",
        *SEEDED,
    )
    add(
        "fixed",
        "ours.npz: protocol.queries=fixed needs images",
        "first=ours.npz",
        "protocol=all_pairs",
        "protocol.queries=fixed",
        protocol="",
    )
    add("ckpt2", "'last.ckpt' is a checkpoint: name its run", "first=last.ckpt", "query_modality=infrared", *SEEDED)
    add(
        "permutations",
        "protocol.draw is seeded, which reads no file",
        "first=ours.npz",
        "protocol.permutations=x",
        *SEEDED,
    )
    add("ids", "The id list 'none.txt' is missing; check its path", "first=ours.npz", "test_ids=none.txt", *SEEDED)
    return cases


@pytest.mark.slow
def test_what_is_not_paired_is_one_sentence_before_any_scoring(
    run_here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was scored")

    monkeypatch.setattr("crossreid.studies.paired.comparison.score_all", never)
    cases = refusals(tmp_path)
    before = files_in(tmp_path)
    for name, (arguments, message) in cases.items():
        done = run_here("compare_embeddings", *dict.fromkeys(arguments), *QUICK)
        assert done.code == 1, (name, done.output)
        errors = [line for line in done.output.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, (name, done.output)
        assert re.search(message, errors[0]), (name, errors)
        assert "Traceback" not in done.output
    assert files_in(tmp_path) == before


def test_trials_that_differ_are_told(tmp_path: Path) -> None:
    sources, tasks = [], []
    for trials in (2, 3):
        config = compose("evaluate", ["embeddings=a.npz", *SEEDED[:2], f"protocol.trials={trials}"])
        held = load_foreign(save(tmp_path / f"{trials}.npz", world(1.0, trials)))
        sources.append(PairedSource(f"of {trials}", "x", embeddings=held))
        tasks.append(tasks_of(sources[-1], protocol_part("sysu_mm01", config.values["protocol"])))
    with pytest.raises(
        DataError, match="'of 2' and 'of 3' are not scored on the same probes: the first has 2 trials and the second 3"
    ):
        check_paired(sources, tasks)


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Path]:
    """Makes a finished run of a row and seed with sums of its own."""
    kept = {row: run_config(compose("train", [f"experiment={row}"])).to_plain() for row in ("lba/full", "agw/full")}

    def make(row: str, seed: int, hits: list[float], **options: object) -> Path:
        config = changed({**kept[row], "seed": seed}, options.pop("changes", {}))
        sums = IdentityScores(np.array([3, 5, 8]), np.full(3, 10.0), np.array(hits), np.array(hits) / 2, np.zeros(3))
        scored = replace(result(sum(hits) / 30), **{"identities": sums, **options.pop("result", {})})
        folder = tmp_path / f"{row.replace('/', '_')}_{seed}_{len(list(tmp_path.iterdir()))}"
        write_run(folder, config, fingerprint(config), rows={row: {scored.protocol: scored}}, **options)
        return folder

    return make


def test_runs_are_compared_by_persons_and_seeds(runs: Callable, run_here: Callable, tmp_path: Path) -> None:
    hits = {"lba/full": ([3.0, 2.0, 1.0], [4.0, 2.0, 2.0]), "agw/full": ([6.0, 2.0, 3.0], [5.0, 4.0, 3.0])}
    folders = {row: [runs(row, seed, of) for seed, of in enumerate(sums)] for row, sums in hits.items()}
    first, second = (f"[{','.join(path.name for path in folders[row])}]" for row in hits)
    done = run_here("compare_embeddings", f"first={first}", f"second={second}", *QUICK, "output=out")
    assert done.code == 0, done.output
    assert "agw/full less lba/full" in done.output
    assert "its 2 runs are drawn too" in done.output
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    rank1 = content["tests"][0]
    assert rank1["difference"] == pytest.approx((11 + 12) / 60 - (6 + 8) / 60)
    as_probes = []
    for sums in hits.values():
        as_probes.append([{pid: [(hit / 10, 0.0)] for pid, hit in zip((3, 5, 8), run, strict=True)} for run in sums])
    _, interval, share = slow_test(*as_probes, 0, 200)
    assert [rank1["low"], rank1["high"]] == pytest.approx(interval, abs=1e-12)
    assert rank1["share_above"] == pytest.approx(share)


def test_runs_that_are_not_seeds_of_one_method_or_not_of_one_test_are_refused(runs: Callable) -> None:
    hits = [3.0, 2.0, 1.0]
    one = runs("lba/full", 0, hits)
    with pytest.raises(DataError, match="are both of seed 0: each counts once"):
        crossreid.compare_embeddings([one, runs("lba/full", 0, hits)])
    with pytest.raises(DataError, match="are runs of different settings, and so not seeds of one method"):
        crossreid.compare_embeddings([one, runs("agw/full", 1, hits)])
    with pytest.raises(DataError, match=r"is not finished \(it is interrupted\)"):
        crossreid.compare_embeddings(one, runs("agw/full", 0, hits, status="interrupted"))
    other_data = runs("agw/full", 0, hits, changes={"data.seed": 7})
    with pytest.raises(DataError, match="scored on different datasets"):
        crossreid.compare_embeddings(one, other_data)
    with pytest.raises(DataError, match="the first has 12 probes and the second 13"):
        crossreid.compare_embeddings(one, runs("agw/full", 0, hits, result={"n_probes": 13}))
    labels = replace(result(0.4).labels, draw="seeded")
    with pytest.raises(DataError, match="draw is 'official' in the first and 'seeded' in the second"):
        crossreid.compare_embeddings(one, runs("agw/full", 0, hits, result={"labels": labels}))
    with pytest.raises(DataError, match="was not scored by one protocol"):
        crossreid.compare_embeddings(one, runs("agw/full", 0, hits, result={"protocol": "sysu_mm01/indoor/single"}))
    with pytest.raises(ConfigError, match="protocol=regdb is for embeddings, and runs are scored already"):
        crossreid.compare_embeddings(one, protocol="regdb")
    wrong = IdentityScores(np.array([3, 5, 8]), np.array([9.0, 10, 11]), *np.ones((3, 3)))
    with pytest.raises(DataError, match="different probes, so that they are not paired"):
        crossreid.compare_embeddings(one, runs("agw/full", 0, hits, result={"identities": wrong}))


def test_a_run_and_embeddings_of_the_same_probes_are_compared(runs: Callable, tmp_path: Path) -> None:
    held = load_foreign(save(tmp_path / "theirs.npz", world(1.0, 0)))
    settings = {"protocol.draw": "seeded", "protocol.trials": 2, "bootstrap": 200, "progress": False}
    with pytest.raises(DataError, match="not scored on the same probes: draw is 'official'"):
        crossreid.compare_embeddings(runs("lba/full", 0, [1.0, 2.0, 3.0]), held, protocol="sysu_mm01", **settings)
    scored = crossreid.score(held, "sysu_mm01", draw="seeded", trials=2, modes=["all"], shots=[1], pairs=False)[KEY]
    run = runs("lba/full", 1, [1.0, 2.0, 3.0], result=vars(scored))
    found = crossreid.compare_embeddings(run, held, protocol="sysu_mm01", **settings)
    assert [test.protocol for test in found.tests] == [KEY, KEY]
    assert {test.difference.value for test in found.tests} == {0}
    assert set(found.left_out) == {"sysu_mm01/all/multi", "sysu_mm01/indoor/single", "sysu_mm01/indoor/multi"}
