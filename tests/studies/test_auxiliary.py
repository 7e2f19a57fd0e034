"""The command of cm-SSFT's Fig. 4."""

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.mark.slow
def test_the_curve_joins_single_and_all_queries(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    from PIL import Image

    assert run_here("train", "model=cmssft", *smoke_args, "run_dir=run").code == 0
    finished = run_here("auxiliary", "checkpoint=run/last.ckpt", "sizes=[50,1,4,9999]", "trainer=cpu")
    assert finished.code == 0, finished.output
    assert "transferred, groups of 4 queries (transductive)" in finished.output
    content = json.loads((tmp_path / "run" / "last.auxiliary.json").read_text())
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    queries = content["untransferred"]["counts"]["probes"]
    assert list(content["sizes"]) == ["1", "4", "50", str(queries)]

    def scored(row: str) -> dict:
        return rows[row]["protocols"]["sysu_mm01/all/single"]["metrics"]

    assert content["sizes"]["1"]["metrics"] == scored("cmssft/single_query")
    assert content["sizes"][str(queries)]["metrics"] == scored("cmssft/all_queries")
    assert content["untransferred"]["metrics"] == scored("cmssft")
    with Image.open(tmp_path / "run" / "last.auxiliary.png") as picture:
        assert min(picture.size) > 200
        assert np.asarray(picture.convert("L")).std() > 10


@pytest.mark.slow
def test_without_a_pairing_of_both_modalities_there_is_no_curve(run_here, smoke_args: list[str]) -> None:
    assert run_here("train", "model=cmssft", *smoke_args, "run_dir=run").code == 0
    one = ["protocol=all_pairs", "protocol.pairings=[rgb2rgb]"]
    refused = run_here("auxiliary", "checkpoint=run/last.ckpt", *one, "sizes=[1]", "trainer=cpu")
    assert refused.code == 1
    assert "Nothing to draw a curve of" in refused.output
    assert "Traceback" not in refused.output


def test_mistakes_are_said_in_one_sentence(run_here, smoke_args: list[str]) -> None:
    assert run_here("train", "experiment=cmssft/shl", *smoke_args, "run_dir=run").code == 0
    for arguments, message in (
        (["checkpoint=run/last.ckpt"], "has no transfer network"),
        (["checkpoint=run/last.ckpt", "sizes=[0]"], "sizes is 0: choose 1 or more (queries in a group"),
        (["checkpoint=none.ckpt"], "none.ckpt"),
    ):
        refused = run_here("auxiliary", *arguments, "trainer=cpu")
        assert refused.code == 1
        assert message in refused.output
