"""The offline W&B run holds the same scalars as history.csv, pictures, tables and the config."""

import itertools
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossreid.runs.history import read_history
from crossreid.settings.registry import built_in_methods
from processes import Command
from support import newest_run


def log_records(content: bytes) -> Iterator[bytes]:
    """Records of a .wandb file: a 7-byte header, then LevelDB's log format (blocks of 32 KiB; crc, length, type)."""
    block, place, parts = 32768, 7, b""
    while place + 7 <= len(content):
        if block - place % block < 7:  # what is left of a block is padding
            place += block - place % block
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        part = content[place + 7 : place + 7 + length]
        place += 7 + length
        parts = part if kind in (1, 2) else parts + part  # full, first; middle, last
        if kind in (1, 4):
            yield parts


def read_offline_run(folder: Path) -> dict[str, list]:
    """Records of an offline run by kind, of all its parts where it was resumed: history rows as dicts, the run, and how
    metrics are defined."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, list] = {"history": [], "run": [], "metric": [], "summary": [], "artifact": []}
    files = sorted(folder.rglob("run-*.wandb"), key=lambda file: file.stat().st_mtime)
    for data in itertools.chain.from_iterable(log_records(file.read_bytes()) for file in files):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            found["history"].append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.history.item})
        elif kind == "summary":
            found[kind].append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.summary.update})
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            found["artifact"].append(record.request.log_artifact.artifact)
        elif kind in ("run", "metric", "artifact"):
            found[kind].append(getattr(record, kind))
    return found


def logged_scalars(stored: dict[str, list]) -> dict[str, list[tuple[int, float]]]:
    """Key -> (iteration, value) in the order in which they were sent."""
    logged: dict[str, list[tuple[int, float]]] = {}
    for row in stored["history"]:
        for key, value in row.items():
            if isinstance(value, int | float) and "iteration" in row and not key.startswith(("_", "trainer/")):
                logged.setdefault(key, []).append((int(row["iteration"]), float(value)))
    return logged


@pytest.mark.slow
def test_the_offline_run_holds_what_the_history_holds(smoke_args: list[str], tmp_path: Path) -> None:
    arguments = [arg for arg in smoke_args if not arg.startswith("report.figures")]
    own = ["logger.tags=[mine]", "logger.notes=first", "logger.artifacts=true"]
    Command(
        tmp_path, "train", *arguments, "logger=wandb", *own, "trainer.log_every=2", "trainer.pictures_every=3"
    ).finish()
    run = newest_run(tmp_path)
    stored = read_offline_run(run)
    logged = logged_scalars(stored)
    for key, values in read_history(run / "history.csv").items():
        if key.startswith("test/"):  # once, in the summary, in percent
            assert key not in logged
            continue
        assert [i for i, _ in logged[key]] == [i for i, _ in values], key
        assert [v for _, v in logged[key]] == pytest.approx([v for _, v in values]), key
    assert {"train/pixel/cycle", "lr/feature"} <= set(logged)
    summary: dict = {}
    for update in stored["summary"]:
        summary |= update
    scored = json.loads((run / "results.json").read_text())["rows"]["aligngan"]["protocols"]["sysu_mm01/all/single"]
    assert summary["test/sysu_mm01/all/single/rank1"] == pytest.approx(
        100 * scored["metrics"]["rank1"]["mean"], abs=0.006
    )
    assert summary["chance/sysu_mm01/all/single/mAP"] == pytest.approx(100 * scored["chance"]["mAP"], abs=0.006)
    pictures = [row for row in stored["history"] if "pictures/translation" in row]
    assert [row["iteration"] for row in pictures] == [0, 3]
    for logged_picture in run.rglob("media/images/pictures/*.png"):  # people, not a black field
        pixels = np.asarray(Image.open(logged_picture))
        assert pixels.max() > 100
        assert pixels.std() > 10
    assert {"figures/ranked_lists", "figures/translation", "figures/tsne"} <= {
        k for row in stored["history"] for k in row
    }
    (scores,) = [json.loads(path.read_text()) for path in run.rglob("media/table/scores_*.table.json")]
    rows = [row[1] for row in scores["data"] if row[0] == "sysu_mm01/all/single"]
    assert rows[0] == "aligngan"
    assert "chance" in rows
    assert "published on real images, AlignGAN (ICCV 2019)" in rows
    (trials,) = [json.loads(path.read_text()) for path in run.rglob("media/table/trials_*.table.json")]
    first_trial = [row[3] for row in trials["data"] if row[:3] == ["sysu_mm01/all/single", "aligngan", 0]]
    assert first_trial == [pytest.approx(100 * scored["metrics"]["rank1"]["per_trial"][0], abs=0.006)]
    (lists,) = [json.loads(path.read_text()) for path in run.rglob("media/table/ranked_lists_*.table.json")]
    assert len(lists["data"]) == 6
    assert lists["columns"][:4] == ["person", "camera", "probe", "rank 1"]
    assert "run_table" in {artifact.type for artifact in stored["artifact"]}  # the table's images lie there
    assert len(list(run.rglob("*.png"))) >= 3 + 2
    (described,) = stored["run"][:1]
    assert described.run_group == "aligngan"
    assert {"synthetic", "sysu_mm01", "smoke", "paper", "mine"} <= set(described.tags)
    assert (described.job_type, described.notes) == ("train", "first")
    assert sorted(artifact.type for artifact in stored["artifact"] if artifact.type in ("model", "embeddings")) == [
        *("embeddings", "model"),
    ]
    config = {item.key: json.loads(item.value_json) for item in described.config.update}
    assert config["model"]["margin"] == 1.0
    assert json.loads((run / "run.json").read_text())["wandb_id"] == described.run_id
    steps = {metric.glob_name or metric.name: metric.step_metric for metric in stored["metric"]}
    assert steps["train/*"] == "iteration"


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in built_in_methods() if name != "hog"])
def test_a_run_of_every_method_that_was_stopped_and_resumed(smoke_args: list[str], tmp_path: Path, model: str) -> None:
    run = tmp_path / "run"
    arguments = [argument for argument in smoke_args if not argument.startswith("report.figures")]
    arguments += [f"model={model}", "logger=wandb", "logger.artifacts=true", "trainer.log_every=1", f"run_dir={run}"]
    arguments += ["trainer.pictures_every=2", "trainer.checkpoint_every=1", "report.untrained=false"]
    command = Command(tmp_path, "train", *arguments)
    while not ((run / "history.csv").is_file() and "\n2,phase" in (run / "history.csv").read_text()):
        assert not command.ended, command.output
        time.sleep(0.02)
    command.send(signal.SIGINT)
    assert command.wait() == 130, command.output
    Command(tmp_path, "train", *arguments, f"resume={run}").finish()

    stored = read_offline_run(run)
    assert len({described.run_id for described in stored["run"]}) == 1
    assert {described.run_group for described in stored["run"]} == {model}
    logged = logged_scalars(stored)
    losses = {key: values for key, values in read_history(run / "history.csv").items() if key.startswith("train/")}
    assert losses
    for key, values in losses.items():
        assert [i for i, _ in logged[key]] == [i for i, _ in values], key  # each of them once
        assert [v for _, v in logged[key]] == pytest.approx([v for _, v in values]), key
    steps = {metric.glob_name or metric.name: metric.step_metric for metric in stored["metric"]}
    assert steps["train/*"] == "iteration"
    tables = {path.name.rsplit("_", 2)[0] for path in run.rglob("media/table/*.table.json")}
    assert {"scores", "trials", "ranked_lists"} <= tables
    drawn = {key for row in stored["history"] for key in row if key.startswith("figures/")}
    assert {"figures/ranked_lists", "figures/tsne", "figures/similarities"} <= drawn
    if model in ("aligngan", "tsgan", "jsia", "cmssft", "lba", "xmodality"):  # those that make images
        assert any(key.startswith("pictures/") for row in stored["history"] for key in row)
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in run.rglob("media/images/**/*.png")]
    assert pictures
    assert all(pixels.std() > 10 for pixels in pictures)
    assert {"model", "embeddings", "run_table"} <= {artifact.type for artifact in stored["artifact"]}
    assert json.loads((run / "run.json").read_text())["wandb_id"] == stored["run"][0].run_id


def test_a_resumed_run_sends_no_iteration_twice() -> None:
    from crossreid.training.wandb_run import IterationWandbLogger

    sent: list[int] = []

    class Experiment:
        """What W&B gives a logger."""

        def log(self, values: dict, **_: object) -> None:
            sent.append(values["iteration"])

        def define_metric(self, *_: object, **__: object) -> None:
            """Not looked at here."""

    logger = IterationWandbLogger(4, experiment=Experiment())
    for iteration in (2, 4, 6):
        logger.log_metrics({"train/id": 1.0, "iteration": iteration}, step=iteration)
    assert sent == [6]


def test_the_history_says_what_was_sent(tmp_path: Path) -> None:
    from crossreid.training.loggers import HistoryLogger

    history = HistoryLogger(tmp_path / "history.csv")
    assert history.truncate(3) == -1
    for iteration in (0, 2, 4):
        history.log_metrics({"train/id": 1.0}, step=iteration)
    history.log_metrics({"test/rank1": 0.5}, step=6)
    assert history.truncate(3) == 4  # what came after the checkpoint was sent too
    assert read_history(tmp_path / "history.csv") == {"train/id": [(0, 1.0), (2, 1.0)]}


def test_a_row_of_ranked_lists_says_what_is_right() -> None:
    from types import SimpleNamespace

    from crossreid.evaluation import RankedLists
    from crossreid.training.wandb_run import IterationWandbLogger, send_ranked_lists
    from figures_support import embeddings

    sent: dict = {}
    experiment = SimpleNamespace(log=sent.update, define_metric=lambda *_, **__: None)
    lists = RankedLists(
        queries=np.array([6]),
        indices=np.array([[4, 8, -1]]),
        correct=np.array([[True, False, False]]),
        similarity=np.array([[0.75, 0.5, np.nan]]),
        valid=np.array([True]),
    )
    people = embeddings(people=3, images=2)
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 4, 3), dtype=np.uint8)
    send_ranked_lists(IterationWandbLogger(experiment=experiment), lists, people, images)
    table = sent["ranked_lists"]
    assert table.columns == ["person", "camera", "probe", "rank 1", "rank 2", "rank 3"]
    (row,) = table.data
    assert row[:2] == [1, 3]
    assert [cell._caption for cell in row[3:5]] == ["right, 0.750, camera 1", "wrong, 0.500, camera 1"]
    assert np.asarray(row[3].image)[0, 0, 0] == people.rows[4]
    assert row[5] is None
