"""The offline W&B run holds the same scalars as history.csv, pictures, tables and the config."""

import json
from pathlib import Path

import pytest

from crossreid.training.loggers import read_history
from support import newest_run


def read_offline_run(folder: Path) -> dict[str, list]:
    """Records of an offline run by kind: history rows as dicts, config and summary."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(str(next(folder.rglob("run-*.wandb"))))
    found: dict[str, list] = {"history": [], "run": [], "metric": []}
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            found["history"].append(
                {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
            )
        elif kind in ("run", "metric"):
            found[kind].append(getattr(record, kind))
    return found


@pytest.mark.slow
def test_the_offline_run_holds_what_the_history_holds(run_apart, smoke_args: list[str], tmp_path: Path) -> None:
    arguments = [arg for arg in smoke_args if not arg.startswith("report.figures")]
    finished = run_apart("train", *arguments, "logger=wandb", "trainer.log_every=2", "trainer.pictures_every=3")
    assert finished.code == 0, finished.output
    run = newest_run(tmp_path)
    stored = read_offline_run(run)
    logged: dict[str, list[tuple[int, float]]] = {}
    for row in stored["history"]:
        for key, value in row.items():
            if isinstance(value, int | float) and "iteration" in row and not key.startswith(("_", "trainer/")):
                logged.setdefault(key, []).append((int(row["iteration"]), float(value)))
    for key, values in read_history(run / "history.csv").items():
        assert logged[key] == pytest.approx(values), key
    assert {"train/pixel/cycle", "lr/feature", "test/sysu_mm01/all/single/rank1"} <= set(logged)
    pictures = [row for row in stored["history"] if "pictures/translation" in row]
    assert [row["iteration"] for row in pictures] == [0, 3]
    assert {"figures/ranked_lists", "figures/translation", "figures/tsne"} <= {
        k for row in stored["history"] for k in row
    }
    assert any("tables/sysu_mm01/all/single" in row for row in stored["history"])
    assert len(list(run.rglob("*.png"))) >= 3 + 2
    (described,) = stored["run"][:1]
    assert described.run_group == "aligngan"
    assert {"synthetic", "sysu_mm01", "smoke", "paper"} <= set(described.tags)
    config = {item.key: json.loads(item.value_json) for item in described.config.update}
    assert config["model"]["margin"] == 1.0
    assert json.loads((run / "run.json").read_text())["wandb_id"] == described.run_id
    steps = {metric.glob_name or metric.name: metric.step_metric for metric in stored["metric"]}
    assert steps["train/*"] == "iteration"
