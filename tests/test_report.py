"""The comparison of many runs: run folders written by hand, so that every odd one can be there."""

import dataclasses
import json
import shutil
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from crossreid.console import as_text
from crossreid.evaluation import IdentityScores, ProtocolLabels, RetrievalResult
from crossreid.evaluation.published import LITERATURE, PUBLISHED, published
from crossreid.runs.folder import fingerprint, raw_config, write_json
from crossreid.runs.results import UNTRAINED
from crossreid.settings.commands import ComparisonConfig
from crossreid.settings.compose import compose, run_config
from crossreid.settings.conversion import fingerprint_of_format_1
from crossreid.settings.registry import built_in_methods, method_settings
from crossreid.studies.comparison.gathering import compare_runs, keep
from crossreid.studies.comparison.page.summary import what_can_be_said
from crossreid.studies.comparison.recipes import augmentation, pooling
from crossreid.studies.comparison.rendering import rich_tables
from support import choices

KEY = "sysu_mm01/all/single"
PLAIN_SECTION, OTHER_SECTION = "plain", "not_comparable"
Rows = Mapping[str, Mapping[str, RetrievalResult]]


@pytest.fixture(scope="module")
def settings() -> dict[str, dict[str, Any]]:
    """Of runs of three rows, as a run folder keeps them."""
    kept = {}
    for row in ("lba/full", "cmssft/full", "aligngan/full"):
        kept[row] = run_config(compose("train", [f"experiment={row}"])).to_plain()
    return kept


def result(
    rank1: float, inference: str = "plain", key: str = KEY, pids: tuple[int, ...] = (3, 5, 8)
) -> RetrievalResult:
    """Two trials whose mean is ``rank1``; identities that sum to it."""
    hits = np.array([2.0, 1.0, 0.0]) * rank1 * 10
    ap = np.array([5.0, 3.0, 2.0]) * 0.5
    return RetrievalResult(
        protocol=key,
        labels=ProtocolLabels("all", "1", "official", "the probe's camera", "identities", "main, cosine", inference),
        cmc=np.array([[rank1 - 0.05, 0.9, 1.0], [rank1 + 0.05, 0.9, 1.0]]),
        mean_ap=np.array([0.25, 0.25]),
        mean_inp=np.array([0.1, 0.1]),
        n_probes=12,
        n_valid=np.array([15, 15]),
        n_gallery=np.array([6, 6]),
        chance={"rank1": 0.02, "rank5": 1.0, "rank10": 1.0, "rank20": float("nan"), "mAP": 0.05, "mINP": 0.04},
        identities=IdentityScores(np.array(pids), np.array([10.0, 10.0, 10.0]), hits, ap, ap / 2),
    )


def write_run(
    folder: Path,
    config: Mapping[str, Any],
    digest: str,
    *,
    status: str = "finished",
    rank1: float = 0.4,
    rows: Rows | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """A run folder: config.yaml, run.json and, of a finished run, results.json."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False))
    recorded = {
        "fingerprint": digest,
        "status": status,
        "seed": config["seed"],
        "git": "abc",
        "python": "3.11",
        "versions": {"torch": "2.6"},
        "started": "2030-01-01T00:00:00+00:00",
        "command": ["x"],
        "machine": "cpu",
    }
    write_json(folder / "run.json", {**recorded, **(facts or {})})
    if status == "finished":
        scores = rows or {config["name"]: {KEY: result(rank1)}}
        training = {"training_identities": 56, "training_seconds": 100.0 + config["seed"], "iterations": 300}
        write_json(folder / "results.json", {**training, "rows": plain(scores)})


def plain(rows: Rows) -> dict[str, Any]:
    """Rows as results.json has them."""
    content = {}
    for row, results in rows.items():
        content[row] = {"protocols": {key: scores.to_json() for key, scores in results.items()}}
    return content


def changed(config: Mapping[str, Any], changes: Mapping[str, object]) -> dict[str, Any]:
    """A config with other values under keys such as ``model.alpha``."""
    config = deepcopy(dict(config))
    for key, value in changes.items():
        *sections, name = key.split(".")
        section = config
        for part in sections:
            section = section[part]
        section[name] = value
    return config


Make = Callable[..., Path]


@pytest.fixture
def make(settings: dict, tmp_path: Path) -> Make:
    """Write one run folder below ``runs``."""

    def write(name: str, seed: int, folder: str = "", /, *, changes: Mapping[str, object] | None = None, **run) -> Path:
        place = tmp_path / "runs" / (folder or f"{name}_seed{seed}")
        config = changed(settings[name], {"seed": seed, **(changes or {})})
        write_run(place, config, fingerprint(config), **run)
        return place

    return write


def reported(run_here: Callable, tmp_path: Path, *args: str) -> tuple[dict, str, str]:
    """The JSON, the Markdown and what was printed."""
    finished = run_here("report", "runs=runs", *args)
    assert finished.code == 0, finished.output
    out = tmp_path / "runs" / "report"
    return json.loads((out / "comparison.json").read_text()), (out / "comparison.md").read_text(), finished.output


def rows_of(table: Mapping[str, Any], section: str = PLAIN_SECTION) -> dict[str, Any]:
    """Row -> its entry in one section of a table."""
    return {row["row"]: row for row in table[section]}


def kinds(content: dict) -> list[tuple[str, str]]:
    """Kind and row of each problem."""
    return sorted((problem["kind"], problem["what"].split(",")[0]) for problem in content["not_in_tables"])


def missing(content: dict) -> set[str]:
    """Rows and seeds that are missing."""
    return {problem["what"] for problem in content["not_in_tables"]}


def test_missing_failed_and_doubled_runs_are_named_and_the_rest_is_right(run_here, make: Make, tmp_path: Path) -> None:
    for seed, rank1 in ((0, 0.4), (1, 0.5), (2, 0.6)):
        make("lba/full", seed, rank1=rank1)
    make("aligngan/full", 0, rank1=0.2)
    make("aligngan/full", 1, status="failed", facts={"problem": "The loss is nan."})
    make("cmssft/full", 0, "older", rank1=0.1)
    make("cmssft/full", 0, "newer", rank1=0.3, facts={"finished": "2031-01-01T00:00:00+00:00"})
    make("cmssft/full", 1, status="over budget", facts={"problem": "Training went over."})
    make("cmssft/full", 2, status="running")
    content, text, output = reported(run_here, tmp_path)
    (table,) = content["tables"]
    rows = rows_of(table)
    lba = rows["lba/full"]["metrics"]["rank1"]
    assert lba["mean"] == pytest.approx(0.5)
    assert lba["std_over_seeds"] == pytest.approx(0.1)  # of a sample
    assert rows["aligngan/full"]["metrics"]["rank1"] == {
        "mean": pytest.approx(0.2),
        "std_over_seeds": None,
        "by_seed": {"0": pytest.approx(0.2), "1": None, "2": None},
    }
    assert rows["cmssft/full"]["metrics"]["rank1"]["by_seed"]["0"] == pytest.approx(0.3)  # the newest
    assert kinds(content) == [
        ("doubled", "cmssft/full"),
        ("failed", "aligngan/full"),
        ("missing", "aligngan/full"),
        ("missing", "cmssft/full"),
        ("over budget", "cmssft/full"),
        ("running", "cmssft/full"),
    ]
    for shown in (text, output):
        assert "50.00 ± 10.00" in shown
        assert "failed: aligngan/full, seed 1, synthetic: The loss is nan." in shown
        assert "older" in shown
        assert "55.41 / 54.14" in shown
        assert "orientation only" in shown
    assert "0: 20.00, 1: missing, 2: missing" in text
    tables = [line for line in output.splitlines() if line.startswith(("│", "┃", "┏", "└"))]
    assert tables
    assert max(map(len, tables)) <= 100  # what does not fit is in the files
    assert "| chance |" in text
    assert "| GeM |" in text
    assert "56, last weights" in text
    with (tmp_path / "runs" / "report" / "comparison.png").open("rb") as stream:
        assert stream.read(8) == b"\x89PNG\r\n\x1a\n"
    assert {run["name"] for run in content["runs"]} == {"lba/full", "aligngan/full", "cmssft/full"}
    assert content["versions"]["torch"]


def test_the_interval_is_over_identities_and_averages_the_seeds(run_here, make: Make, tmp_path: Path) -> None:
    for seed, rank1 in ((0, 0.4), (1, 0.6)):
        make("lba/full", seed, rank1=rank1)
    content, _, _ = reported(run_here, tmp_path, "figure=false", "bootstrap=500", "seed=4")
    (row,) = content["tables"][0][PLAIN_SECTION]
    means = []
    for draw in np.random.default_rng(4).integers(3, size=(500, 3)):  # three of the three people, again and again
        of_seeds = []
        for rank1 in (0.4, 0.6):
            people = result(rank1).identities
            of_seeds.append(people.rank1[draw].sum() / people.valid[draw].sum())
        means.append(np.mean(of_seeds))
    assert row["interval_95"]["rank1"] == pytest.approx(list(np.percentile(means, [2.5, 97.5])))
    assert not (tmp_path / "runs" / "report" / "comparison.png").exists()


def test_other_identities_leave_the_interval_out(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0)
    make("lba/full", 1, rows={"lba/full": {KEY: result(0.4, pids=(3, 5, 9))}})
    content, text, _ = reported(run_here, tmp_path, "figure=false")
    (row,) = content["tables"][0][PLAIN_SECTION]
    assert "different identities" in row["interval_95"]["rank1"]["left_out"]
    assert row["metrics"]["rank1"]["mean"] == pytest.approx(0.4)
    assert "left out" in text


def test_a_weight_study_is_a_row_a_value_and_a_curve(run_here, make: Make, tmp_path: Path) -> None:
    scores = {0.5: (0.3, 0.5), 10.0: (0.2, 0.2), 2.0: (0.6, 0.7)}
    for weight, of_seeds in scores.items():
        for seed, rank1 in enumerate(of_seeds):
            make("lba/full", seed, f"w{weight}_seed{seed}", rank1=rank1, changes={"model.w_dt": weight})
    make("lba/full", 2, "failed", status="failed", changes={"model.w_dt": 2.0}, facts={"problem": "Full disk."})
    make("cmssft/full", 0, rank1=0.4)
    content, text, output = reported(run_here, tmp_path)
    (table,) = content["tables"]
    names = [row["row"] for row in table[PLAIN_SECTION]]
    assert names == ["lba/full, w_dt=0.5", "lba/full, w_dt=2.0", "lba/full, w_dt=10.0", "cmssft/full"]
    (study,) = content["studies"]
    assert study["row"] == "lba/full"
    assert study["setting"] == "w_dt"
    assert study["values"] == [0.5, 2.0, 10.0]
    assert study["scores"]["rank1"] == [pytest.approx([0.3, 0.5]), pytest.approx([0.6, 0.7]), pytest.approx([0.2, 0.2])]
    assert study["chance"]["rank1"] == pytest.approx(0.02)
    assert "failed: lba/full, w_dt=2.0, seed 2" in output
    assert "lba/full, w\\_dt=0.5" in text or "lba/full, w_dt=0.5" in text
    with (tmp_path / "runs" / "report" / "studies.png").open("rb") as stream:
        assert stream.read(8) == b"\x89PNG\r\n\x1a\n"


def test_settings_that_go_together_are_one_study(run_here, make: Make, tmp_path: Path) -> None:
    for weight in (0.1, 1.0):
        changes = {"model.pixel.id": weight, "model.pixel.triplet": weight / 2}
        make("aligngan/full", 0, f"w{weight}", changes=changes)
    content, _, _ = reported(run_here, tmp_path)
    (study,) = content["studies"]
    assert study["setting"] == "pixel.id (with pixel.triplet)"
    assert study["values"] == [0.1, 1.0]


def test_runs_that_differ_in_much_are_refused_and_words_make_no_curve(run_here, make: Make, tmp_path: Path) -> None:
    much = {"model.w_dt": 3.0, "model.w_ic": 3.0, "model.alpha": 0.1, "model.beta": 3.0}
    make("lba/full", 0, "one")
    make("lba/full", 0, "other", changes=much)
    make("cmssft/full", 0, "plain")
    make("cmssft/full", 0, "half", changes={"trainer.precision": "bf16-mixed"})
    content, _, _ = reported(run_here, tmp_path)
    assert ("settings", "lba/full") in kinds(content)
    assert content["studies"] == []
    names = {row["row"] for row in content["tables"][0][PLAIN_SECTION]}
    assert names == {"cmssft/full, trainer.precision=32-true", "cmssft/full, trainer.precision=bf16-mixed", "lba/full"}


@pytest.mark.parametrize(
    "label",
    ["transductive", "re-ranked", "single query", "undeclared", "Plain", "plain ", " plain", "", "plain, re-ranked"],
)
def test_nothing_but_plain_lands_among_the_plain_numbers(run_here, make: Make, tmp_path: Path, label: str) -> None:
    make("lba/full", 0)
    rows = {
        "cmssft/full": {KEY: result(0.55, label)},  # the method's own row, and names that look plain
        "cmssft/full/plain": {KEY: result(0.66, label)},
        "cosine": {KEY: result(0.93, label)},
    }
    make("cmssft/full", 0, rows=rows)
    content, text, output = reported(run_here, tmp_path, "figure=false")
    (table,) = content["tables"]
    assert [row["row"] for row in table[PLAIN_SECTION]] == ["lba/full"]
    assert {row["inference"] for row in table[OTHER_SECTION]} == {label}
    assert len(table[OTHER_SECTION]) == 3
    for shown in (text, output):
        first, second = shown.split("Not comparable with the rows above")
        assert not any(number in first for number in ("55.00", "66.00", "93.00"))
        assert all(number in second for number in ("55.00", "66.00", "93.00"))


def test_one_row_with_two_labels_is_two_rows(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0)
    make("lba/full", 1, rows={"lba/full": {KEY: result(0.9, "transductive")}})
    content, _, _ = reported(run_here, tmp_path, "figure=false")
    (table,) = content["tables"]
    assert [row["seeds"] for row in table[PLAIN_SECTION]] == [[0]]
    assert [row["seeds"] for row in table[OTHER_SECTION]] == [[1]]
    assert table[PLAIN_SECTION][0]["metrics"]["rank1"]["mean"] == pytest.approx(0.4)


def test_one_row_with_two_similarities_is_two_rows(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0)
    other = result(0.9)
    labels = dataclasses.replace(other.labels, feature="main, Euclidean")
    make("lba/full", 1, rows={"lba/full": {KEY: dataclasses.replace(other, labels=labels)}})
    content, text, _ = reported(run_here, tmp_path, "figure=false")
    (table,) = content["tables"]
    seeds = {row["feature"]: row["seeds"] for row in table[PLAIN_SECTION]}
    assert seeds == {"main, cosine": [0], "main, Euclidean": [1]}
    for feature in seeds:
        assert f"| {feature} |" in text


def test_jobs_of_a_sweep_that_never_began_are_missing(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0)
    sweep = {
        "sweeper": {"params": {"experiment": "lba/full,jsia/full", "seed": "0,1"}},
        "overrides": {"task": ["sweep=comparison", "seed=0,2", "trainer.time_budget=9"]},
    }
    plan = tmp_path / "runs" / "multirun.yaml"
    plan.write_text(yaml.safe_dump({"hydra": sweep}))
    content, _, output = reported(run_here, tmp_path, "figure=false")
    assert missing(content) == {"lba/full, seed 2", "jsia/full, seed 0, 2"}
    assert "jsia/full, seed 0, 2" in output


@pytest.mark.parametrize("content", ["hydra: {sweeper: {params: {seed: one}}}", "hydra: ["])
def test_a_damaged_plan_is_named(run_here, make: Make, tmp_path: Path, content: str) -> None:
    make("lba/full", 0)
    (tmp_path / "runs" / "multirun.yaml").write_text(content)
    report, _, _ = reported(run_here, tmp_path, "figure=false")
    assert kinds(report) == [("unreadable", "runs")]


def test_published_numbers_stand_beside_rows_of_their_own_kind_only() -> None:
    assert published("cmssft/full", "", "plain", KEY) == ()
    (transductive,) = published("cmssft/full", "all_queries", "transductive", KEY)
    assert (transductive.rank1, transductive.mean_ap) == (61.6, 63.2)
    assert published("cmssft/full", "all_queries", "plain", KEY) == ()
    assert published("cmssft", "single_query", "single query", KEY)[0].rank1 == 47.7
    assert len(published("jsia/full", "", "plain", KEY)) == 2  # the paper contradicts itself
    assert published("agw/full", "", "plain", KEY)[0].rank1 == 47.5
    assert all(entry.variant for entry in PUBLISHED if entry.inference != "plain")
    queries = published("cmssft/queries", "all_queries", "transductive", "regdb/visible_to_thermal")
    assert [(entry.rank1, entry.mean_ap) for entry in queries] == [(72.3, 72.9)]  # Table 5
    (teacher,) = published("tsgan/teacher_ir", "", "plain", "sysu_mm01/pairs/ir2ir")
    assert (teacher.rank1, teacher.mean_ap) == (98.0, 97.4)  # Table III


def test_what_is_wrong_elsewhere_in_a_paper_marks_no_number_of_its_own() -> None:
    """A gain in its text, a neighbour's row, another protocol: the pair itself is as all sources have it."""
    for row, variant, inference in (
        ("aligngan/full", "", "plain"),
        ("bdtr", "", "plain"),
        ("xmodality", "", "plain"),
        ("zeropadding", "", "plain"),
        ("cmssft/full_no_augmentation", "all_queries", "transductive"),
    ):
        assert [entry.disputed for entry in published(row, variant, inference, KEY)] == [""]
    for row, protocol in (("cmgan", KEY), ("tsgan/od_single_ts", KEY), ("xmodality", "regdb/thermal_to_visible")):
        assert all(entry.disputed for entry in published(row, "", "plain", protocol))
    swapped = [entry for entry in PUBLISHED if entry.protocol.startswith("llcm/visible")]
    assert swapped
    assert all("interchanges query and gallery" in entry.disputed for entry in swapped)


def test_published_rows_exist_and_are_percent() -> None:
    experiments = choices("experiment")
    keys = set()
    for entry in PUBLISHED:
        assert entry.row in experiments or entry.row in LITERATURE, entry
        assert entry.dataset in ("sysu_mm01", "regdb", "llcm")
        assert 1 < entry.rank1 < 100
        assert 1 < entry.mean_ap < 100
        assert entry.source
        key = (entry.row, entry.variant, entry.inference, entry.protocol)
        assert key not in keys or entry.disputed, entry
        keys.add(key)
    assert {entry.row.split("/")[0] for entry in PUBLISHED} >= {"aligngan", "tsgan", "lba", "jsia", "cmssft", "agw"}


def test_runs_of_other_settings_are_never_averaged(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0)
    make("lba/full", 1, changes={"model.alpha": 0.7})
    make("aligngan/full", 0)
    content, _, _ = reported(run_here, tmp_path, "figure=false")
    rows = rows_of(content["tables"][0])
    assert rows["lba/full, alpha=0.3"]["seeds"] == [0]
    assert rows["lba/full, alpha=0.7"]["seeds"] == [1]
    assert missing(content) >= {"lba/full, alpha=0.3, seed 1", "lba/full, alpha=0.7, seed 0"}


def test_folders_that_cannot_be_read_are_named(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0)
    old = make("lba/full", 1)
    content = json.loads((old / "results.json").read_text())
    del content["rows"]["lba/full"]["protocols"][KEY]["identities"]
    write_json(old / "results.json", content)
    (make("lba/full", 2) / "results.json").write_text("{")
    (make("aligngan/full", 0) / "config.yaml").unlink()
    edited = make("aligngan/full", 1)
    (edited / "config.yaml").write_text(yaml.safe_dump(changed(raw_config(edited), {"seed": 7})))
    unlabelled = make("aligngan/full", 2)
    content = json.loads((unlabelled / "results.json").read_text())
    content["rows"]["aligngan/full"]["protocols"][KEY]["labels"]["inference"] = ["plain"]
    write_json(unlabelled / "results.json", content)
    content, text, _ = reported(run_here, tmp_path, "figure=false")
    assert [kind for kind, _ in kinds(content)].count("unreadable") == 5
    assert "not all details are there" in text
    assert [row["row"] for row in content["tables"][0][PLAIN_SECTION]] == ["lba/full"]


def test_datasets_protocols_and_draws_have_tables_of_their_own(run_here, make: Make, tmp_path: Path) -> None:
    indoor = "sysu_mm01/indoor/single"
    make("lba/full", 0, rows={"lba/full": {KEY: result(0.4), indoor: result(0.5, key=indoor)}})
    make("lba/full", 0, "elsewhere", changes={"data.people.test_ids": 7}, rank1=0.3)
    content, _, _ = reported(run_here, tmp_path, "figure=false")
    assert not [kind for kind, _ in kinds(content) if kind in ("doubled", "settings")]
    assert sorted(table["protocol"] for table in content["tables"]) == [KEY, KEY, indoor]
    assert len({table["dataset"] for table in content["tables"]}) == 2


def test_captions_tell_of_mixed_versions_and_budgets(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0, changes={"trainer.time_budget": 600})
    make("lba/full", 1, facts={"git": "other", "versions": {"torch": "2.7"}}, changes={"trainer.time_budget": 600})
    _, text, _ = reported(run_here, tmp_path, "figure=false", "untrained=true", "metrics=[rank1,rank20]")
    assert "different git revisions: abc, other" in text
    assert "different versions of torch: 2.6, 2.7" in text
    assert "Time budget of training a run, in seconds: 600" in text
    assert "R20" in text
    assert "mINP" not in text


def test_asked_rows_and_seeds_that_are_not_there_are_missing(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0)
    arguments = ["figure=false", "seeds=[0,1]", "rows=[lba/full,jsia/full]", "output=there"]
    finished = run_here("report", "runs=[runs,runs]", *arguments)
    assert finished.code == 0, finished.output
    content = json.loads((tmp_path / "there" / "comparison.json").read_text())
    assert missing(content) == {"lba/full, seed 1", "jsia/full, seed 0, 1"}  # and runs named twice are not doubled


def test_bad_input_is_one_sentence(run_here, make: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make("lba/full", 0, status="failed", facts={"problem": "Broken."})
    for arguments, message in (
        (["runs=nowhere"], "There is no folder 'nowhere'"),
        (["runs=empty"], "No run (run.json) lies below"),
        (["runs=runs"], "No run can be compared: failed: lba/full"),
        (["runs=runs", "metrics=[rank2]"], "choose from rank1"),
        (["runs=runs", "bootstrap=3"], "choose 100 or more"),
        (["runs=[]"], "a folder or a list"),
        ([], "runs"),
    ):
        finished = run_here("report", *arguments)
        assert finished.code == 1, arguments
        assert message in finished.output, finished.output
        assert "Traceback" not in finished.output
    assert not (tmp_path / "runs" / "report").exists()
    shutil.rmtree(tmp_path / "empty")


def test_augmentation_names_what_is_on() -> None:
    erasing = {"probability": 0.5, "area": [0.02, 0.4]}
    assert augmentation({"flip": 0.5, "crop_padding": 10, "erasing": erasing, "channel_exchange": 0.0}) == (
        "flip 0.5, crop 10, erasing 0.5"
    )
    assert augmentation({"flip": 0.0, "erasing": {"probability": 0.0}}) == "none"
    assert augmentation({"flip": 0.0, "channel_exchange": 0.5, "exchanged_view": True}) == (
        "channel exchange 0.5, exchanged view"
    )


def test_poolings_are_those_of_the_methods() -> None:
    poolings = {}
    for method in built_in_methods():
        config = {"choices": {"method": method}, "model": method_settings(method)().plain()}
        poolings.setdefault(pooling(config), set()).add(method)
    assert poolings.pop("GeM") == {"lba", "agw", "best"}
    assert "strong" in poolings.pop("average")
    assert set().union(*poolings.values()) == {"hog"}


def test_the_pooling_of_a_method_that_is_not_installed_is_not_known() -> None:
    assert pooling({"choices": {"method": "elsewhere"}, "model": {}}) == "not recorded"


def settings_of_format_1(seed: int) -> dict[str, Any]:
    """What config.yaml of ``experiment=lba/full scale=smoke trainer=cpu`` was in version 0.1."""
    return {
        "name": "lba/full",
        "seed": seed,
        "resume": None,
        "run_dir": None,
        "output_root": "outputs",
        "overwrite": False,
        "existing": "refuse",
        "report": {"untrained": None, "modality_pairs": True, "figures": True, "tsne_identities": 7},
        "people": {
            "name": "smoke",
            "train_ids": 8,
            "val_ids": 4,
            "test_ids": 10,
            "frames": 3,
            "pairs": {"ids": 20, "frames": 3},
        },
        "scale": {"name": "smoke"},
        "preset": {"name": "paper"},
        "protocol": {
            "name": "sysu_mm01",
            "modes": ["all", "indoor"],
            "shots": [1, 10],
            "trials": 10,
            "draw": "official",
            "permutations": None,
            "similarity": "cosine",
            "rerank": False,
            "reranking": {"k1": 20, "k2": 6, "lambda_": 0.3, "convention": "paper"},
        },
        "data": {
            "name": "synthetic",
            "root": "datasets/synthetic-smoke",
            "cache": "datasets/cache",
            "evaluation_batch": 64,
            "people": {
                "train_ids": 8,
                "val_ids": 4,
                "test_ids": 10,
                "frames": 3,
                "height": 128,
                "width": 64,
                "seed": 0,
            },
        },
        "selection": {"name": "last", "every": 0},
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "num_nodes": 1,
            "strategy": "auto",
            "backend": None,
            "precision": "32-true",
            "deterministic": False,
            "log_every": 10,
            "checkpoint_every": 100,
            "pictures_every": 100,
            "progress": True,
            "time_budget": None,
        },
        "logger": {"name": "csv"},
        "model": {
            "_target_": "crossreid.methods.lba.LbA",
            "name": "lba",
            "preset": "paper",
            "streams": {"identity": {"identities": 2, "images": 2, "height": 64, "width": 32}},
            "epochs": 3,
            "iterations_per_epoch": 2,
            "phases": {"joint": 6},
            "clip_norm": 0.0,
            "flip": 0.5,
            "channel_exchange": 0.0,
            "backbone": {"name": "resnet18", "weights": "random", "size": [64, 32], "last_stride": 1},
            "specific_stages": 0,
            "optimizer": {
                "kind": "sgd",
                "encoder_lr": 0.01,
                "head_lr": 0.1,
                "momentum": 0.9,
                "nesterov": True,
                "weight_decay": 0.0005,
            },
            "schedule": {"warmup": 1, "steps": [1, 2], "factor": 0.1},
            "layers": [3, 4],
            "beta": 50.0,
            "coattention": "per_image",
            "dt_reduction": "mean",
            "margin": 0.3,
            "alpha": 0.3,
            "w_ic": 1.0,
            "w_dt": 0.5,
        },
    }


def test_runs_of_format_1_and_of_today_are_one_row(run_here, tmp_path: Path) -> None:
    before = settings_of_format_1(seed=0)
    scores = {UNTRAINED: {KEY: result(0.1)}, "lba/full": {KEY: result(0.4)}}
    write_run(tmp_path / "runs" / "before", before, fingerprint_of_format_1(before), rows=scores)
    today = run_config(compose("train", ["experiment=lba/full", "scale=smoke", "trainer=cpu", "seed=1"])).to_plain()
    write_run(tmp_path / "runs" / "today", today, fingerprint(today), rank1=0.5)
    content, text, _ = reported(run_here, tmp_path, "figure=false")
    assert content["not_in_tables"] == []
    (table,) = content["tables"]
    assert table["dataset"] == "synthetic, people=smoke"
    row = rows_of(table)["lba/full"]
    assert row["metrics"]["rank1"]["by_seed"] == {"0": pytest.approx(0.4), "1": pytest.approx(0.5)}
    assert row["recipe"]["image size"] == "64x32"
    assert row["recipe"]["backbone"] == "resnet18, random"
    assert row["recipe"]["pooling"] == "GeM"
    assert "55.41 / 54.14" in text

    edited = tmp_path / "runs" / "before" / "config.yaml"
    edited.write_text(edited.read_text().replace("alpha: 0.3", "alpha: 0.4"))
    content, _, _ = reported(run_here, tmp_path, "figure=false")
    (problem,) = [entry for entry in content["not_in_tables"] if entry["kind"] == "unreadable"]
    assert "their fingerprints differ" in problem["note"]


def test_the_network_before_training_is_a_row_where_asked_for(run_here, make: Make, tmp_path: Path) -> None:
    make("lba/full", 0, rows={UNTRAINED: {KEY: result(0.1)}, "lba/full": {KEY: result(0.4)}})
    content, _, _ = reported(run_here, tmp_path, "figure=false")
    assert list(rows_of(content["tables"][0])) == ["lba/full"]
    assert run_here("report", "runs=runs", "figure=false", "untrained=true").code == 0
    content = json.loads((tmp_path / "runs" / "report_2" / "comparison.json").read_text())  # the first report stays
    rows = rows_of(content["tables"][0])
    untrained = rows[f"lba/full/{UNTRAINED}"]
    assert untrained["metrics"]["rank1"]["mean"] == pytest.approx(0.1)
    assert untrained["recipe"]["iterations"] == "0"
    assert rows["lba/full"]["recipe"]["iterations"] == "300"


ODD = (
    None,
    True,
    -1,
    3.5,
    float("nan"),
    float("inf"),
    10**30,
    "",
    "x",
    "[red]",
    "\x1b[31m",
    "${oc.env:HOME}",
    [],
    [[1], [2, 3]],
    {},
)
"""What a value becomes."""


def mutated(content: Any, random: Random) -> Any:
    """One entry anywhere is taken out, renamed, made a text, or has an odd value."""
    node = content
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = random.choice(list(keys))
        if not isinstance(node[key], dict | list) or not node[key] or random.random() < 0.2:
            break
        node = node[key]
    way = random.randrange(4)
    if way == 0:
        del node[key]
    elif way == 1:
        node[key] = str(node[key])
    elif way == 2 and isinstance(node, dict):
        node["=renamed"] = node.pop(key)
    else:
        node[key] = random.choice(ODD)
    return content


def damaged(raw: bytes, random: Random) -> bytes:
    """Cut off, bytes changed, another encoding, nested deeply, or empty."""
    place = random.randrange(len(raw))
    flipped = bytes([*raw[:place], random.randrange(256), *raw[place + 1 :]])
    return random.choice([raw[:place], flipped, raw.decode().encode("utf-16"), b"\xff" + raw, b"[" * 100_000, b""])


@pytest.mark.parametrize("file", ["results.json", "run.json", "config.yaml", "multirun.yaml"])
def test_whatever_one_run_holds_the_others_are_reported(make: Make, tmp_path: Path, file: str) -> None:
    good = make("aligngan/full", 0)
    bad = make("lba/full", 0)
    plan = {"hydra": {"sweeper": {"params": {"experiment": "lba/full", "seed": "0,1"}}}}
    (bad / "multirun.yaml").write_text(yaml.safe_dump(plan))
    whole = {path.name: path.read_bytes() for path in bad.iterdir()}
    random = Random(file)
    config = ComparisonConfig(runs=str(tmp_path / "runs"), bootstrap=100, untrained=True)
    for case in range(20):
        for name, raw in whole.items():
            (bad / name).write_bytes(raw)
        if case % 4 == 0:
            (bad / file).write_bytes(damaged(whole[file], random))
        else:
            in_yaml = file.endswith("yaml")
            content = mutated(yaml.safe_load(whole[file]) if in_yaml else json.loads(whole[file]), random)
            (bad / file).write_text(yaml.safe_dump(content, sort_keys=False) if in_yaml else json.dumps(content))
            if file == "config.yaml":  # as somebody would who wants it read
                with suppress(KeyError, TypeError, AttributeError, ValueError):
                    digest = fingerprint(content)
                    write_json(bad / "run.json", {**json.loads(whole["run.json"]), "fingerprint": digest})
        comparison = compare_runs(config, [tmp_path / "runs"])
        assert good.resolve() in [run.folder for run in comparison.runs]
        keep(comparison, tmp_path / "out", figure=False)
        for table in comparison.tables:
            for shown in rich_tables(table, comparison.settings):
                assert "\x1b" not in as_text(shown)


# ---------------------------------------------------------------- the page


class Outline(HTMLParser):
    """What a page holds: its tables as text, the sources of its pictures, its headings, everything that names a place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.places: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.scripts = 0
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attributes:
            if name in ("src", "href", "action", "data", "poster", "srcset"):
                self.places.append((tag, name, value or ""))
            assert not name.startswith("on"), f"<{tag} {name}>"
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._in_cell:
            self.tables[-1][-1][-1] += data.strip()


def page_of(tmp_path: Path) -> tuple[str, Outline]:
    """The page as it stands in its file, and what it holds."""
    text = (tmp_path / "runs" / "report" / "comparison.html").read_text(encoding="utf-8")
    return text, Outline(text)


def test_the_page_holds_the_tables_and_says_what_they_mean(run_here, make: Make, tmp_path: Path) -> None:
    spent = {"training": 100.0, "scoring": 7.25, "figures": 12.5, "saving": 0.01}
    for seed, rank1 in ((0, 0.4), (1, 0.5)):
        make("lba/full", seed, rank1=rank1, facts={"seconds": spent})
    guess = dataclasses.replace(result(0.1), chance={"rank1": 0.09, "mAP": 0.05})
    make("aligngan/full", 0, rows={"aligngan/full": {KEY: guess}})
    make("cmssft/full", 0, status="failed", facts={"problem": "The loss is nan."})
    content, _, _ = reported(run_here, tmp_path)
    _, page = page_of(tmp_path)
    head, chance, *rows = page.tables[0]
    assert head[:4] == ["method", "seeds", "R1", "R1 95 %"]
    assert chance[0] == "chance"
    cells = {row[0]: row for row in rows}
    assert cells["lba/full"][1:3] == ["2", "45.00 ± 7.07"]
    low, high = rows_of(content["tables"][0])["lba/full"]["interval_95"]["rank1"]
    assert cells["lba/full"][3] == f"{100 * low:.2f} to {100 * high:.2f}"
    text = " ".join(" ".join(page.text).split())
    assert "3 finished runs of 2 rows, 2 seeds (0, 1)" in text
    assert "lba/full reaches a Rank-1 of 45.0 %" in text
    assert "Near chance level, so that nothing can be read from them: aligngan/full." in text
    assert "failed: cmssft/full" in text
    differing = next(table for table in page.tables if table[0][0] == "setting")
    assert differing[0] == ["setting", "aligngan/full", "lba/full"] or differing[0] == [
        "setting",
        "lba/full",
        "aligngan/full",
    ]
    assert all(row[1] != row[2] for row in differing[1:])
    recorded = next(table for table in page.tables if "other seconds" in table[0])
    place = recorded[0].index("other seconds")
    assert {row[0]: row[place] for row in recorded[1:]} == {
        "lba/full": "figures 12.5, scoring 7.2",
        "aligngan/full": "not recorded",
    }


def test_gains_are_over_a_methods_own_lowest_row(settings: dict, tmp_path: Path) -> None:
    base = run_config(compose("train", ["experiment=lba/baseline"])).to_plain()
    write_run(tmp_path / "a", base, fingerprint(base), rank1=0.3)
    full = settings["lba/full"]
    write_run(tmp_path / "b", full, fingerprint(full), rank1=0.45)
    comparison = compare_runs(ComparisonConfig(runs=str(tmp_path)), [tmp_path])
    sentences = what_can_be_said(comparison.tables[0])
    assert "lba: the full method is +15.0 points of Rank-1 from lba/baseline." in sentences
    assert sentences[0].startswith("lba/full has the highest Rank-1, 45.0 %")
    assert "cannot be told apart from lba/baseline" in sentences[0]
    assert any(sentence.startswith("Of one seed only") for sentence in sentences)


def test_the_page_asks_for_nothing_and_shows_hostile_names_as_text(run_here, make: Make, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>\u202e</script>{{ 7 * 7 }}"
    folder = make("lba/full", 0, changes={"name": evil}, facts={"machine": evil, "command": [evil]})
    (folder / "figures").mkdir()
    Image.new("RGB", (3000, 20), "red").save(folder / "figures" / "ranked_lists.png")
    (folder / "figures" / "broken.png").write_bytes(b"no picture")
    (folder / "history.csv").write_text("iteration,key,value\n0,train/net/id,2.5\n5,train/net/id,1.5\n")
    assert run_here("report", "runs=runs").code == 0
    text, page = page_of(tmp_path)
    assert page.scripts == 1  # its own
    assert "Content-Security-Policy" in text
    assert "http://" not in text
    assert "https://" not in text
    assert "49" not in "".join(cell for table in page.tables for row in table for cell in row if evil[:4] in cell)
    assert "\u202e" not in text
    pictures = [place for tag, name, place in page.places if tag == "img"]
    assert len(pictures) == 4  # the chart, found by rank k, the losses, the ranked lists
    for source in pictures:
        kind, _, encoded = source.partition("base64,")
        assert kind == "data:image/png;"
        with Image.open(BytesIO(b64decode(encoded))) as image:
            image.load()
            assert image.width <= 1400
    assert all(place.startswith("#") for tag, name, place in page.places if tag == "a")
    assert "broken.png cannot be read" in text


def test_protocols_stand_in_the_order_of_scoring(run_here, make: Make, tmp_path: Path) -> None:
    keys = ("sysu_mm01/all/single", "sysu_mm01/all/multi", "sysu_mm01/indoor/single", "sysu_mm01/indoor/multi")
    make("lba/full", 0, rows={"lba/full": {key: result(0.4, key=key) for key in keys}})
    content, _, _ = reported(run_here, tmp_path, "figure=false")
    assert [table["protocol"] for table in content["tables"]] == list(keys)
    _, page = page_of(tmp_path)
    assert not [place for tag, _, place in page.places if tag == "img"]  # figure=false draws none
