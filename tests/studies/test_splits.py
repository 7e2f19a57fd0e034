"""The mean over RegDB's splits: run folders written by hand, the callback called as Hydra calls it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from crossreid.runs.folder import fingerprint
from crossreid.runs.results import UNTRAINED
from crossreid.settings.compose import compose, run_config
from crossreid.studies.splits import AverageSplits
from test_report import result, write_run

KEY = "regdb/visible_to_thermal"


def of_split(rank1: float, split: int) -> Any:
    """One trial, as a split of RegDB has it."""
    from dataclasses import replace

    both = result(rank1, key=KEY)
    labels = replace(both.labels, draw=f"split {split}", shots="all", mode="visible_to_thermal")
    one = slice(0, 1)
    return replace(
        both,
        labels=labels,
        cmc=np.array([[rank1, 0.9, 1.0]]),
        mean_ap=both.mean_ap[one],
        mean_inp=both.mean_inp[one],
        n_valid=both.n_valid[one],
        n_gallery=both.n_gallery[one],
    )


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    """Write the run of one job of a sweep."""

    def write(number: int, split: int, rank1: float, *words: str, untrained: bool = False, **run: Any) -> Path:
        told = ["data=synthetic_regdb", f"data.split={split}", *words]
        config = run_config(compose("train", told)).to_plain()
        rows = {config["name"]: {KEY: of_split(rank1, split)}}
        if untrained:
            rows[UNTRAINED] = {KEY: of_split(0.05, split)}
        place = tmp_path / "sweep" / str(number)
        write_run(place, config, fingerprint(config), rows=rows, **run)
        return place

    return write


def ended(tmp_path: Path) -> dict[str, Any]:
    """What the callback wrote: name of the file -> its content."""
    AverageSplits().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "sweep")}}}))
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "sweep").glob("mean_*.json")}


def test_a_mean_says_over_how_many_splits_it_is(job, tmp_path: Path, capsys) -> None:
    for number, rank1 in enumerate((0.2, 0.4, 0.6)):
        job(number, number + 1, rank1, "model=baseline")
    means = ended(tmp_path)
    entry = means["mean_baseline"][KEY]
    assert entry["metrics"]["rank1"]["mean"] == pytest.approx(0.4)
    assert entry["metrics"]["rank1"]["std"] == pytest.approx(0.2)  # of a sample
    assert entry["labels"]["draw"] == "3 of 10 splits"
    shown = capsys.readouterr().out
    assert "40.00 ± 20.00" in shown
    assert "mean over 3 of 10 splits" in shown


def test_seeds_and_untrained_rows_have_means_of_their_own(job, tmp_path: Path) -> None:
    number = 0
    for seed in (0, 1):
        for split in (1, 2):
            job(number, split, 0.2 + 0.1 * seed + 0.1 * split, "model=baseline", f"seed={seed}", untrained=not seed)
            number += 1
    means = ended(tmp_path)
    assert set(means) == {
        "mean_baseline_seed_0",
        f"mean_baseline_seed_0_{UNTRAINED.replace(' ', '_')}",
        "mean_baseline_seed_1",
    }
    assert means["mean_baseline_seed_1"][KEY]["metrics"]["rank1"]["per_trial"] == pytest.approx([0.4, 0.5])


def test_two_models_and_two_settings_of_one_model_are_told_apart(job, tmp_path: Path) -> None:
    kinds = (["model=baseline"], ["model=onestream"], ["model=onestream", "model.flip=0.1"])
    for number, words in enumerate(kinds):
        job(2 * number, 1, 0.3, *words, untrained=True)
        job(2 * number + 1, 2, 0.5, *words, untrained=True)
    means = ended(tmp_path)
    assert len(means) == 6  # each with its untrained network
    assert {entry[KEY]["metrics"]["rank1"]["mean"] for name, entry in means.items() if UNTRAINED[:9] not in name} == {
        0.4
    }


def test_what_is_missing_or_damaged_is_named_and_left_out(job, tmp_path: Path, capsys) -> None:
    job(0, 1, 0.2, "model=baseline")
    job(1, 2, 0.4, "model=baseline")
    (job(2, 3, 0.9, "model=baseline") / "results.json").write_text("{")
    job(3, 4, 0.9, "model=baseline", status="interrupted")
    (tmp_path / "sweep" / "4").mkdir()
    means = ended(tmp_path)
    assert means["mean_baseline"][KEY]["labels"]["draw"] == "2 of 10 splits"
    shown = capsys.readouterr().out
    for word in ("results.json' cannot be read", "interrupted", "job 4"):
        assert word in shown


def test_no_mean_is_exit_code_1_and_a_sentence(job, tmp_path: Path, capsys) -> None:
    job(0, 1, 0.2, "model=baseline", status="failed")
    with pytest.raises(SystemExit) as stop:
        ended(tmp_path)
    assert stop.value.code == 1
    assert "No mean over splits: no job left results." in capsys.readouterr().err
