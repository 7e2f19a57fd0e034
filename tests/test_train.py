"""The real commands on the smoke setting: every method, its paper's baseline, and every published row (`full`)."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from support import ROOT, choices, newest_run

ROWS = choices("experiment")
MODELS = choices("model")
OTHERS = ("jsia/full", "tsgan/jd_all_ts_rerank", "cmssft/queries", "agw/caj")
"""Rows that are not their method by itself, or are scored in another way."""


def first_rows() -> list[str]:
    """Of each method's ablation: the baseline that its paper measures it by."""
    sweeps = sorted((ROOT / "conf" / "sweep").glob("*/ablation.yaml"))
    return [
        yaml.safe_load(sweep.read_text())["hydra"]["sweeper"]["params"]["experiment"].split(",")[0] for sweep in sweeps
    ]


def commands() -> list[object]:
    """Every method, and every row; steps of the rows between are those of test_every_method.py, which takes all of them."""
    regular = {*first_rows(), *OTHERS}
    rows = [pytest.param(f"experiment={row}", marks=() if row in regular else pytest.mark.full) for row in ROWS]
    return [*rows, *(f"model={model}" for model in MODELS)]


@pytest.mark.slow
@pytest.mark.parametrize("choice", commands())
def test_every_row_trains_and_is_scored(run_here, smoke_args: list[str], tmp_path: Path, choice: str) -> None:
    whole = choice.startswith("model=")  # a row is scored in fewer ways than a method
    less = [] if whole else ["report.untrained=false", "report.modality_pairs=false"]
    finished = run_here("train", choice, *smoke_args, *less)
    assert finished.code == 0, finished.output
    run = newest_run(tmp_path)
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "finished"
    results = json.loads((run / "results.json").read_text())
    name, variants = facts_name(run), variants_of(run)
    untrained = {"untrained network"} if whole and "hog" not in choice else set()
    assert set(results["rows"]) == untrained | {name, *(f"{name}/{variant}" for variant in variants)}
    assert all(f"{name}/{variant} " in finished.output for variant in variants)
    keys = {"sysu_mm01/all/single", "sysu_mm01/all/multi", "sysu_mm01/indoor/single", "sysu_mm01/indoor/multi"}
    for row in results["rows"].values():
        assert set(row["protocols"]) == keys
    assert "chance" in finished.output
    assert (run / "last.ckpt").is_file()


def facts_name(run: Path) -> str:
    from omegaconf import OmegaConf

    return str(OmegaConf.load(run / "config.yaml").name)


def variants_of(run: Path) -> list[str]:
    """Rows that a method or protocol scores besides the method's own."""
    from omegaconf import OmegaConf

    config = OmegaConf.load(run / "config.yaml")
    transferred = ["single_query", "all_queries"] if config.model.get("transfer") else []
    return transferred + (["reranked"] if config.protocol.rerank else [])


def test_the_official_preset_trains(run_here, smoke_args: list[str]) -> None:
    assert run_here("train", "preset=official", *smoke_args).code == 0


@pytest.mark.slow
def test_figures_history_and_evaluation_of_the_checkpoint(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    arguments = [arg for arg in smoke_args if not arg.startswith("report.figures")]
    assert run_here("train", *arguments, "run_dir=run", "trainer.log_every=1").code == 0
    run = tmp_path / "run"
    from PIL import Image

    for name in ("translation", "ranked_lists", "tsne"):
        with Image.open(run / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert np.asarray(picture.convert("L")).std() > 10
    with (run / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["iteration"]) for row in rows} == set(range(7))
    assert {"train/pixel/cycle", "train/feature/gan", "lr/feature"} <= {row["key"] for row in rows}

    finished = run_here("evaluate", "checkpoint=run/last.ckpt", "trainer=cpu", "save_embeddings=kept.npz")
    assert finished.code == 0, finished.output
    again = json.loads((run / "last.evaluation.json").read_text())
    trained = json.loads((run / "results.json").read_text())["rows"]["aligngan"]["protocols"]
    for key, metrics in again.items():
        assert metrics == trained[key]["metrics"]
    from crossreid.evaluation import Embeddings

    kept = Embeddings.load(tmp_path / "kept.npz")
    assert np.allclose(kept.features["main"], Embeddings.load(run / "embeddings.npz").features["main"], atol=1e-6)


@pytest.mark.slow
def test_lba_draws_its_correspondences(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    arguments = [arg for arg in smoke_args if not arg.startswith("report.figures")]
    finished = run_here("train", "experiment=lba/full", *arguments, "run_dir=run", "report.tsne_identities=0")
    assert finished.code == 0, finished.output
    from PIL import Image

    with Image.open(tmp_path / "run" / "figures" / "correspondences.png") as picture:
        assert min(picture.size) > 200
        assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(
    run_here, smoke_args: list[str], tmp_path: Path
) -> None:
    short = ["report.untrained=false", "report.modality_pairs=false", "trainer.log_every=1"]
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        assert run_here("train", *smoke_args, *short, f"run_dir={name}", f"seed={seed}").code == 0
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("one", "two", "three")]
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


@pytest.mark.slow
def test_a_multirun_gives_every_job_its_folder(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    finished = run_here("train", "-m", "model=baseline", "seed=0,1", *smoke_args, "sweep_report=false")
    assert finished.code == 0, finished.output
    seeds = [json.loads(path.read_text())["seed"] for path in sorted(tmp_path.glob("multirun/*/*/run.json"))]
    assert sorted(seeds) == [0, 1]  # nothing is asked of a plain multirun: selection=last is as good as another


def test_scoring_embeddings_from_anywhere(run_here, people_root: Path, people, tmp_path: Path) -> None:
    from crossreid.evaluation import GalleryPermutations, score_sysu
    from crossreid.training.scoring import as_embeddings

    generator = np.random.default_rng(0)
    rows = people.rows("test")
    embeddings = as_embeddings(people, rows, {"main": generator.normal(size=(len(rows), 6)).astype(np.float32)})
    order = generator.permutation(len(rows))
    np.savez(
        tmp_path / "mine.npz",
        features=embeddings.features["main"][order],
        pids=embeddings.pids[order],
        camids=embeddings.camids[order],
        frames=embeddings.frames[order],
    )
    mat = people_root / "exp" / "rand_perm_cam.mat"
    finished = run_here(
        "evaluate", "embeddings=mine.npz", "protocol=sysu_mm01", f"protocol.permutations={mat}", "output=scores.json"
    )
    assert finished.code == 0, finished.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    expected = score_sysu(embeddings, permutations=GalleryPermutations.from_mat(mat))
    assert set(scores) == set(expected)
    for key, result in expected.items():
        assert scores[key] == result.metrics()
        assert set(scores[key]) == {"rank1", "rank5", "rank10", "rank20", "mAP", "mINP", "valid"}
        assert len(scores[key]["mAP"]["per_trial"]) == 10
