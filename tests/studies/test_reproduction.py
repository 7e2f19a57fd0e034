"""Ours beside published numbers: margins against formulas written out by hand, where they stand, and where they do not."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crossreid.evaluation.published import published, with_preset, without_preset
from crossreid.runs.folder import fingerprint
from crossreid.settings.compose import compose, run_config
from test_report import KEY, result, write_run

REGDB = "regdb/visible_to_thermal"


def kept(*words: str) -> dict[str, Any]:
    return run_config(compose("train", list(words))).to_plain()


def report(run_here: Callable, tmp_path: Path) -> dict[str, Any]:
    finished = run_here("report", "runs=runs", "figure=false")
    assert finished.code == 0, finished.output
    content = json.loads((tmp_path / "runs" / "report" / "comparison.json").read_text())
    return {**content, "printed": finished.output}


def with_trials(per_trial: list[float], key: str = KEY, draw: str = "official") -> Any:
    """A result of these Rank-1 values, and twice their deviations in mAP."""
    one = result(float(np.mean(per_trial)), key=key)
    trials = len(per_trial)
    cmc = np.array([[value, 0.95, 1.0] for value in per_trial])
    mean_ap = np.mean(per_trial) + 2 * (np.array(per_trial) - np.mean(per_trial))
    counts = {name: np.full(trials, getattr(one, name)[0]) for name in ("n_valid", "n_gallery")}
    labels = replace(one.labels, draw=draw)
    return replace(one, cmc=cmc, mean_ap=mean_ap, mean_inp=np.full(trials, 0.1), labels=labels, **counts)


def test_a_margin_is_of_training_draws_and_persons(run_here: Callable, tmp_path: Path) -> None:
    config = kept("experiment=lba/full", "data=sysu_mm01", "data.root=/nowhere")
    trials = {0: [0.50, 0.54, 0.52], 1: [0.56, 0.55, 0.60], 2: [0.53, 0.49, 0.54]}
    for seed, per_trial in trials.items():
        of_seed = {**config, "seed": seed}
        rows = {"lba/full": {KEY: with_trials(per_trial)}}
        write_run(tmp_path / "runs" / str(seed), of_seed, fingerprint(of_seed), rows=rows)
    content = report(run_here, tmp_path)
    (row,) = content["tables"][0]["plain"]
    (rank1, mean_ap) = row["reproduction"]
    means = [sum(values) / 3 for values in trials.values()]
    training = stats.t(2).ppf(0.975) * stdev(means) * sqrt(4 / 3)
    variance = sum(stdev(values) ** 2 for values in trials.values()) / 3
    draws = stats.t(2).ppf(0.975) * sqrt(variance) * sqrt(2 / 3)
    low, high = row["interval_95"]["rank1"]
    assert rank1["margin"]["training"] == pytest.approx(training)
    assert rank1["margin"]["draws"] == pytest.approx(draws)
    assert rank1["margin"]["persons"] == pytest.approx((high - low) / 2)
    assert rank1["margin"]["narrow"] == pytest.approx(sqrt(training**2 + draws**2))
    assert rank1["margin"]["wide"] == pytest.approx(sqrt(training**2 + draws**2 + (high - low) ** 2 / 4))
    assert mean_ap["margin"]["draws"] == pytest.approx(2 * draws)
    assert rank1["ours_minus_published"] == pytest.approx(sum(means) / 3 - 0.5541)  # LbA's Table 3
    assert rank1["within"] == "yes"
    assert f"{100 * (sum(means) / 3 - 0.5541):+.1f}" in content["printed"]
    lines = list(csv.DictReader((tmp_path / "runs" / "report" / "comparison.csv").open()))
    assert float(lines[0]["rank1 narrow margin"]) == pytest.approx(100 * rank1["margin"]["narrow"], abs=1e-3)
    assert lines[0]["rank1 within"] == "yes"


def test_a_difference_that_noise_does_not_make_is_above_or_below(run_here: Callable, tmp_path: Path) -> None:
    levels = {"lba/full": 0.2, "jsia/full": 0.9, "aligngan/full": 0.9}
    for place, (experiment, level) in enumerate(levels.items()):
        for seed in (0, 1):
            config = {**kept(f"experiment={experiment}", "data=sysu_mm01", "data.root=/nowhere"), "seed": seed}
            scores = with_trials([level, level + 1e-3 * seed])
            if experiment == "aligngan/full":  # all persons are alike: others would be no different
                alike = replace(scores.identities, rank1=np.full(3, 10 * level))
                scores = replace(scores, identities=alike)
            write_run(
                tmp_path / "runs" / f"{place}{seed}", config, fingerprint(config), rows={experiment: {KEY: scores}}
            )
    content = report(run_here, tmp_path)
    verdicts = {}
    for row in content["tables"][0]["plain"]:
        verdicts[row["row"]] = {one["within"] for one in row["reproduction"] if one["metric"] == "rank1"}
    assert verdicts == {"lba/full": {"below"}, "jsia/full": {"with other persons"}, "aligngan/full": {"above"}}
    printed = " ".join(content["printed"].split())
    assert "Below the published Rank-1 by more than the margin: lba/full (-35.4)." in printed
    assert "Above the published Rank-1 by more than the margin: aligngan/full (+47." in printed
    assert "Published Rank-1 reached within the wide margin alone: jsia/full (+46." in printed


def test_one_seed_has_no_margin_and_embedded_people_no_difference(run_here: Callable, tmp_path: Path) -> None:
    real = kept("experiment=lba/full", "data=sysu_mm01", "data.root=/nowhere")
    drawn = kept("experiment=lba/full")
    write_run(tmp_path / "runs" / "real", real, fingerprint(real))
    write_run(tmp_path / "runs" / "drawn", drawn, fingerprint(drawn))
    content = report(run_here, tmp_path)
    of_real, of_drawn = ([row] for table in content["tables"][::-1] for row in table["plain"])
    if content["tables"][0]["dataset"].startswith("sysu"):
        of_real, of_drawn = of_drawn, of_real
    assert of_drawn[0]["reproduction"] == []
    assert {one["margin"] for one in of_real[0]["reproduction"]} == {None}
    assert "No margin of lba/full: one seed does not say how far trainings differ." in content["printed"].replace(
        "\n", " "
    )
    markdown = (tmp_path / "runs" / "report" / "comparison.md").read_text()
    real_section, drawn_section = markdown.split("## synthetic")[::-1]
    assert ("ours - published" in real_section) != ("ours - published" in drawn_section)


def test_the_splits_of_regdb_are_one_row_with_a_margin_of_their_own(run_here: Callable, tmp_path: Path) -> None:
    scores = {1: 0.70, 2: 0.76, 3: 0.74}
    for split, rank1 in scores.items():
        config = kept("experiment=lba/full", "data=regdb", "data.root=/nowhere", f"data.split={split}")
        rows = {"lba/full": {REGDB: with_trials([rank1], REGDB, f"split {split}")}}
        write_run(tmp_path / "runs" / str(split), config, fingerprint(config), rows=rows)
    content = report(run_here, tmp_path)
    names = [table["dataset"] for table in content["tables"]]
    assert names == ["regdb, mean over splits", *(f"regdb, split {split} of 10" for split in scores)]
    mean, *singles = [table["plain"][0] for table in content["tables"]]
    assert all(single["reproduction"] == [] for single in singles)  # the mean of ten is no number of one
    rank1 = mean["reproduction"][0]
    assert mean["metrics"]["rank1"]["mean"] == pytest.approx(np.mean(list(scores.values())))
    expected = stats.t(2).ppf(0.975) * stdev(scores.values()) * sqrt(1 / 3 + 1 / 10)
    assert rank1["margin"] == pytest.approx(
        {"narrow": expected, "wide": expected, "training": expected, "draws": 0, "persons": 0}
    )
    assert "a mean over 3 of 10 splits" in content["printed"].replace("\n", " ")
    assert len(content["runs"]) == 3  # the mean is no run


def test_presets_of_one_row_are_two_rows_beside_the_same_published_number(run_here: Callable, tmp_path: Path) -> None:
    for preset in ("paper", "official"):
        config = kept("experiment=lba/full", f"preset={preset}", "data=sysu_mm01", "data.root=/nowhere")
        write_run(tmp_path / "runs" / preset, config, fingerprint(config))
    content = report(run_here, tmp_path)
    rows = {row["row"]: row for row in content["tables"][0]["plain"]}
    assert set(rows) == {"lba/full, preset=paper", "lba/full, preset=official"}
    assert {len(row["published"]) for row in rows.values()} == {1}
    assert content["not_in_tables"] == []


def test_names_of_presets_come_apart_again() -> None:
    assert without_preset(with_preset("lba/full", "official")) == "lba/full"
    for name in ("lba/full", "lba/full, w_dt=0.1", "lba/full, preset=official, w_dt=0.1"):
        assert without_preset(name) == name
    assert published(with_preset("lba/full", "paper"), "", "plain", KEY) == published("lba/full", "", "plain", KEY)
