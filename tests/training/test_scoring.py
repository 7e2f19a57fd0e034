"""Scores are saved before anything is shown, and what cannot be scored is refused before it is trained."""

import json
import shutil
from pathlib import Path

import pytest

from support import newest_run

QUICK = ["model=baseline", "model.phases.joint=1", "model.iterations_per_epoch=1"]


def without(root: Path, tmp_path: Path, *cameras: int) -> Path:
    """A copy of the people whose test persons some cameras have not seen."""
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    for person in (copy / "exp" / "test_id.txt").read_text().strip().split(","):
        for camera in cameras:
            shutil.rmtree(copy / f"cam{camera}" / f"{int(person):04d}", ignore_errors=True)
    return copy


def arguments(smoke_args: list[str], root: Path, tmp_path: Path) -> list[str]:
    kept = [word for word in smoke_args if not word.startswith(("data.", "report.figures"))]
    own = ["data=sysu_mm01", "data.counts=any", f"data.root={root}", f"data.cache={tmp_path / 'cache'}"]
    return [*QUICK, *own, *kept, "scale=smoke"]


@pytest.mark.slow
def test_one_infrared_camera_has_scores_pictures_and_a_reason(
    run_here, smoke_args, people_root, tmp_path: Path
) -> None:
    root = without(people_root, tmp_path, 6)
    finished = run_here("train", *arguments(smoke_args, root, tmp_path), "protocol.draw=seeded")
    assert finished.code == 0, finished.output
    run = newest_run(tmp_path)
    (own, *_) = json.loads((run / "results.json").read_text())["rows"].values()
    assert set(own["modality_pairs"]) == {"rgb2rgb", "ir2rgb", "rgb2ir"}
    assert "ir2ir" in own["modality_pairs_left_out"]
    assert "ir2ir cannot be scored" in finished.output
    assert (run / "figures" / "ranked_lists.png").is_file()
    assert (run / "embeddings.npz").is_file()


def test_a_test_split_of_one_modality_is_refused_before_training(
    run_here, smoke_args, people_root, tmp_path: Path
) -> None:
    root = without(people_root, tmp_path, 3, 6)
    finished = run_here("train", *arguments(smoke_args, root, tmp_path), "protocol.draw=seeded")
    assert finished.code == 1
    assert "Error: " in finished.output
    assert "Traceback" not in finished.output
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize("name", ["[red]x[/]", "[/x", "=1+1", "$x", ":smile:"])
def test_markup_in_a_name_does_not_cost_the_scores(run_here, smoke_args, tmp_path: Path, name: str) -> None:
    finished = run_here("train", *QUICK, *smoke_args, f"name='{name}'", "run_dir='out [b]'")
    assert finished.code == 0, finished.output
    assert name in finished.output
    assert name in json.loads((tmp_path / "out [b]" / "results.json").read_text())["rows"]
