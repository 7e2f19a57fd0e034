"""The offline W&B run holds the same scalars as history.csv, pictures, tables and the config."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossreid.runs.history import read_history
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
    """Records of an offline run by kind: history rows as dicts, the run, and how metrics are defined."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, list] = {"history": [], "run": [], "metric": []}
    for data in log_records(next(folder.rglob("run-*.wandb")).read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            found["history"].append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.history.item})
        elif kind in ("run", "metric"):
            found[kind].append(getattr(record, kind))
    return found


@pytest.mark.slow
def test_the_offline_run_holds_what_the_history_holds(smoke_args: list[str], tmp_path: Path) -> None:
    arguments = [arg for arg in smoke_args if not arg.startswith("report.figures")]
    Command(tmp_path, "train", *arguments, "logger=wandb", "trainer.log_every=2", "trainer.pictures_every=3").finish()
    run = newest_run(tmp_path)
    stored = read_offline_run(run)
    logged: dict[str, list[tuple[int, float]]] = {}
    for row in stored["history"]:
        for key, value in row.items():
            if isinstance(value, int | float) and "iteration" in row and not key.startswith(("_", "trainer/")):
                logged.setdefault(key, []).append((int(row["iteration"]), float(value)))
    for key, values in read_history(run / "history.csv").items():
        assert [i for i, _ in logged[key]] == [i for i, _ in values], key
        assert [v for _, v in logged[key]] == pytest.approx([v for _, v in values]), key
    assert {"train/pixel/cycle", "lr/feature", "test/sysu_mm01/all/single/rank1"} <= set(logged)
    pictures = [row for row in stored["history"] if "pictures/translation" in row]
    assert [row["iteration"] for row in pictures] == [0, 3]
    for logged_picture in run.rglob("media/images/pictures/*.png"):  # people, not a black field
        pixels = np.asarray(Image.open(logged_picture))
        assert pixels.max() > 100
        assert pixels.std() > 10
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
