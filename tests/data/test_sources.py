"""Every dataset through the real commands: trained on, scored by its own protocol, refused where it must be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from layouts import write_small_folder, write_small_llcm, write_small_regdb
from support import Finished

Run = Callable[..., Finished]
QUICK = ["scale=smoke", "model=baseline", "trainer=cpu", "trainer.progress=false", "report.figures=false"]


def rows(path: Path) -> dict[str, dict]:
    content = json.loads(path.read_text())
    return content["rows"]["baseline"]["protocols"]


@pytest.mark.slow
def test_regdb_trains_and_scores_its_own_split_only(run_here: Run, people_root: Path, tmp_path: Path) -> None:
    root = write_small_regdb(tmp_path / "regdb", people_root)
    data = ["data=regdb", f"data.root={root}", "data.counts=any", f"data.cache={tmp_path / 'cache'}"]
    assert run_here("train", *QUICK, *data, "data.split=2", "run_dir=run").code == 0
    results = rows(tmp_path / "run" / "results.json")
    assert set(results) == {"regdb/visible_to_thermal", "regdb/thermal_to_visible"}
    for result in results.values():
        assert (result["labels"]["draw"], result["labels"]["ranks"]) == ("split 2", "images")
        assert result["counts"]["probes"] == result["counts"]["gallery"][0] == 30

    again = run_here("evaluate", "checkpoint=run/last.ckpt", "trainer=cpu", "report.figures=false")
    assert again.code == 0, again.output
    scores = json.loads((tmp_path / "run" / "last.evaluation.json").read_text())
    assert {key: result["metrics"] for key, result in results.items()} == scores

    other_output = ["output=other.json", "report.figures=false"]
    leaking = run_here("evaluate", "checkpoint=run/last.ckpt", *data, "data.split=1", "trainer=cpu", *other_output)
    assert leaking.code == 1
    assert "A model trained on split 2 of RegDB has seen people of the test of split 1" in leaking.output
    for split, message in ((0, "data.split is 0: choose 1 to 10 (which of the ten splits"), (3, "is missing")):
        refused = run_here("train", *QUICK, *data, f"data.split={split}", "run_dir=other")
        assert refused.code == 1
        assert message in refused.output
    assert not (tmp_path / "other").exists()
    selecting = run_here("train", *QUICK, *data, "selection=validation", "run_dir=other")
    assert selecting.code == 1
    assert "regdb has no validation identities to select on: use selection=last" in selecting.output


@pytest.mark.slow
def test_a_sweep_averages_the_splits_of_regdb(run_here: Run, people_root: Path, tmp_path: Path) -> None:
    root = write_small_regdb(tmp_path / "regdb", people_root)
    data = ["data=regdb", f"data.root={root}", "data.counts=any", f"data.cache={tmp_path / 'cache'}"]
    finished = run_here("train", "sweep=regdb_splits", *QUICK, *data, "data.split=1,2", "report.modality_pairs=false")
    assert finished.code == 0, finished.output
    assert "mean over splits" in finished.output
    sweep = next((tmp_path / "multirun").iterdir())
    mean = json.loads((sweep / "mean_baseline.json").read_text())
    single = [rows(sweep / job / "results.json") for job in ("0", "1")]
    for key, result in mean.items():
        both = [one[key]["metrics"]["rank1"]["mean"] for one in single]
        assert result["metrics"]["rank1"]["mean"] == pytest.approx(sum(both) / 2)
        assert result["metrics"]["rank1"]["per_trial"] == pytest.approx(both)
        assert result["labels"]["draw"] == "2 of 10 splits"


def test_llcm_trains_and_is_scored_in_both_readings(run_here: Run, people_root: Path, tmp_path: Path) -> None:
    root = write_small_llcm(tmp_path / "llcm", people_root)
    data = ["data=llcm", f"data.root={root}", "data.counts=any", f"data.cache={tmp_path / 'cache'}"]
    finished = run_here("train", *QUICK, *data, "protocol.trials=2", "run_dir=run")
    assert finished.code == 0, finished.output
    results = rows(tmp_path / "run" / "results.json")
    directions = ("visible_to_infrared", "infrared_to_visible")
    assert set(results) == {f"llcm/{d}/{r}" for d in directions for r in ("sampled_gallery", "sampled_query")}
    for key, result in results.items():
        assert result["labels"]["ranks"] == "identities"
        assert (result["counts"]["probes"] > result["counts"]["gallery"][0]) == key.endswith("sampled_gallery")


@pytest.mark.slow
def test_ones_own_folders_are_trained_on_and_scored_all_against_all(
    run_here: Run, people_root: Path, tmp_path: Path
) -> None:
    root = write_small_folder(tmp_path / "own", people_root)
    cache = f"data.cache={tmp_path / 'cache'}"
    finished = run_here("train", *QUICK, "data=folder", f"data.root={root}", cache, "run_dir=run")
    assert finished.code == 0, finished.output
    assert set(rows(tmp_path / "run" / "results.json")) == {
        f"all/pairs/{p}" for p in ("ir2rgb", "rgb2ir", "rgb2rgb", "ir2ir")
    }

    scoring = ["evaluate", "checkpoint=run/last.ckpt", "trainer=cpu", "data=folder", cache, "output=scores.json"]
    visible = run_here(*scoring, f"data.root={root / 'test' / 'visible'}", "data.modality=visible")
    assert visible.code == 0, visible.output
    assert set(json.loads((tmp_path / "scores.json").read_text())) == {"all/pairs/rgb2rgb"}
    assert (tmp_path / "run" / "figures_last" / "ranked_lists.png").is_file()

    (tmp_path / "scores.json").unlink()
    impossible = run_here(
        *scoring,
        f"data.root={root / 'test' / 'visible'}",
        "data.modality=visible",
        "protocol.pairings=[ir2ir]",
        "report.figures=false",
    )
    assert impossible.code == 1
    assert "There are no infrared images" in impossible.output
    assert not (tmp_path / "scores.json").exists()


def test_pairings_without_a_match_are_left_out_aloud(run_here: Run, people_root: Path, tmp_path: Path) -> None:
    root = write_small_folder(tmp_path / "own", people_root)
    for path in [*root.rglob("c6_*.jpg")]:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    cache = f"data.cache={tmp_path / 'cache'}"
    finished = run_here("train", *QUICK, "data=folder", f"data.root={root}", cache, "run_dir=run")
    assert finished.code == 0, finished.output
    assert "Left out: all/pairs/ir2ir: none of the" in finished.output
    assert "all/pairs/ir2ir" not in rows(tmp_path / "run" / "results.json")


@pytest.mark.slow
def test_a_model_of_one_dataset_is_scored_on_another(run_here: Run, people_root: Path, tmp_path: Path) -> None:
    root = write_small_folder(tmp_path / "own", people_root)
    cache = f"data.cache={tmp_path / 'cache'}"
    assert run_here("train", *QUICK, "data=folder", f"data.root={root}", cache, "run_dir=run").code == 0
    people = ["data=sysu_mm01", f"data.root={people_root}", "data.counts=any", cache]
    finished = run_here("evaluate", "checkpoint=run/last.ckpt", "trainer=cpu", "report.figures=false", *people)
    assert finished.code == 0, finished.output
    assert "sysu_mm01/all/single" in json.loads((tmp_path / "run" / "last.evaluation.json").read_text())
