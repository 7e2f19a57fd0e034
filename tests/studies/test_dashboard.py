"""The workspace and the report, by what would be sent."""

import json
from pathlib import Path

import pytest

pytest.importorskip("wandb_workspaces")


def test_what_would_be_sent_asks_for_keys_that_runs_send(run_here, tmp_path: Path) -> None:
    protocol = "protocols=[regdb/visible_to_thermal]"
    finished = run_here("dashboard", "project=night", "entity=lab", protocol, "output=out.json")
    assert finished.code == 0, finished.output
    content = json.loads((tmp_path / "out.json").read_text())
    own, shared = content["workspace"], content["report"]
    assert (own["entity"], own["project"]) == ("lab", "night")
    sections = own["spec"]["section"]["panelBankConfig"]["sections"]
    titles = [panel["config"].get("chartTitle") for section in sections for panel in section["panels"]]
    assert "Rank-1, regdb/visible_to_thermal, percent" in titles
    assert "Losses of generator" in titles
    text = json.dumps(own)
    assert "test/regdb/visible_to_thermal/rank1" in text
    assert "chance/regdb/visible_to_thermal/mAP" in text
    assert "^train/generator/.*" in text
    axes = {panel["config"].get("xAxis") for section in sections for panel in section["panels"]} - {None}
    assert axes == {"iteration"}
    assert own["spec"]["section"]["runSets"][0]["grouping"][0]["name"] == "group"
    assert "test/regdb/visible_to_thermal/rank1" in json.dumps(shared)


def test_without_an_account_one_sentence_says_so(run_here, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def refused(**_: object) -> None:
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr("wandb.Api", refused)
    finished = run_here("dashboard", "project=night")
    assert finished.code == 1
    assert "W&B takes no dashboard (UsageError: No API key configured.): run `wandb login`" in finished.output
    assert "Traceback" not in finished.output
