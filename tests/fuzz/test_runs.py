"""Run folders whose results.json, run.json, config.yaml or history.csv was damaged, through what reads them."""

from __future__ import annotations

import json
import shutil
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crossreid.evaluation import IdentityScores, ProtocolLabels, RetrievalResult
from crossreid.runs.folder import fingerprint, read_config, write_json
from crossreid.runs.history import read_history
from crossreid.runs.results import RunResults
from crossreid.settings.commands import ComparisonConfig
from crossreid.settings.compose import compose, run_config
from crossreid.settings.run import run_config_from_plain
from crossreid.studies.comparison.gathering import Comparison, compare_runs, keep
from crossreid.studies.comparison.rendering import problem_lines, rich_tables
from fuzz.oracle import PLAIN, cases, check_sentence, damaged, ends_well, untouched

FILES = ("results.json", "run.json", "config.yaml", "history.csv")
KEY = "sysu_mm01/all/single"


def result() -> RetrievalResult:
    """Two trials of three persons."""
    return RetrievalResult(
        protocol=KEY,
        labels=ProtocolLabels("all", "1", "official", "the probe's camera", "identities", "main, cosine", "plain"),
        cmc=np.array([[0.35, 0.9, 1.0], [0.45, 0.9, 1.0]]),
        mean_ap=np.array([0.25, 0.25]),
        mean_inp=np.array([0.1, 0.1]),
        n_probes=12,
        n_valid=np.array([12, 12]),
        n_gallery=np.array([6, 6]),
        chance={"rank1": 0.02, "rank5": 1.0, "rank10": 1.0, "rank20": 1.0, "mAP": 0.05, "mINP": 0.04},
        identities=IdentityScores(
            np.array([3, 5, 8]), np.array([8, 8, 8]), np.array([4.0, 3.0, 2.6]), np.full(3, 2.0), np.full(3, 0.8)
        ),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two finished runs, not to be written to."""
    root = tmp_path_factory.mktemp("runs")
    config = run_config(compose("train", ["experiment=lba/full"])).to_plain()
    for seed in (0, 1):
        folder = root / f"seed{seed}"
        folder.mkdir()
        own = {**config, "seed": seed}
        (folder / "config.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
        facts = {"fingerprint": fingerprint(own), "status": "finished", "seed": seed, "versions": {"torch": "2.6"}}
        times = {"started": "2030-01-01T00:00:00+00:00", "finished": "2030-01-01T01:00:00+00:00"}
        write_json(
            folder / "run.json", {**facts, **times, "choices": own["choices"], "python": "3.11", "command": ["x"]}
        )
        training = {"training_identities": 56, "training_seconds": 100.0, "iterations": 300}
        rows = {"lba/full": {"protocols": {KEY: result().to_json()}, "modality_pairs": {}}}
        write_json(folder / "results.json", {**training, "rows": rows})
        (folder / "history.csv").write_text("iteration,key,value\n" + "".join(f"{i},loss/id,0.5\n" for i in range(5)))
    return root


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested plain values."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value[:2]))
    found = [place] if place else []
    for name, part in inside:
        found += places(part, (*place, name))
    return found


@st.composite
def rewritten(draw: st.DrawFn, content: Any) -> Any:
    """Plain values with some replaced, removed, or put under another name."""
    content = deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        known = places(content)
        if not known:
            return content
        *sections, name = draw(st.sampled_from(known))
        section = content
        for part in sections:
            section = section[part]
        how = draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
        if how == "replace":
            section[name] = draw(PLAIN)
        elif how == "remove":
            del section[name]
        elif isinstance(section, dict):
            section[draw(st.sampled_from(["x", "", "[red]", "a\nb"]))] = section.pop(name)
    return content


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, str]:
    """Which file, and whether its bytes or its values are changed."""
    name = draw(st.sampled_from(FILES))
    return name, draw(st.sampled_from(["bytes", "values"] if name != "history.csv" else ["bytes"]))


@cases(150)
@given(damage=damages(), data=st.data())
def test_a_damaged_run_is_named_and_the_others_are_compared(
    runs: Path, damage: tuple[str, str], data: st.DataObject
) -> None:
    name, how = damage
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        shutil.copytree(runs, root)
        victim = root / "seed1" / name
        whole = victim.read_bytes()
        if how == "bytes":
            victim.write_bytes(data.draw(damaged(whole)))
        else:
            values = json.loads(whole) if name.endswith("json") else yaml.safe_load(whole)
            changed = data.draw(rewritten(values))
            text = json.dumps(changed) if name.endswith("json") else _yaml(changed)
            victim.write_bytes(text.encode("utf-8", "surrogatepass"))

        with untouched(root):
            comparison, _ = ends_well(lambda: compared(root, Path(folder) / "report"))
            ends_well(lambda: RunResults.read(root / "seed1" / "results.json").__repr__())
            ends_well(lambda: run_config_from_plain(read_config(root / "seed1")))
            ends_well(lambda: read_history(root / "seed1" / "history.csv"))
        assert comparison is not None, "one damaged run stopped the report of the other"
        assert root.resolve() / "seed0" in [run.folder for run in comparison.runs] or any(
            problem.kind in ("settings", "doubled") for problem in comparison.problems
        )


def _yaml(content: Any) -> str:
    try:
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    except (yaml.YAMLError, ValueError):  # a number of thousands of digits
        return str(content)


def compared(root: Path, output: Path) -> Comparison:
    """What ``crossreid.report`` does, but for the figure."""
    config = ComparisonConfig(runs=str(root), bootstrap=100)
    config.check()
    comparison = compare_runs(config, config.folders())
    for table in comparison.tables:
        rich_tables(table, comparison.settings)
    for line in problem_lines(comparison.problems):
        check_sentence(line)
    keep(comparison, output, figure=False)
    json.loads((output / "comparison.json").read_text())
    assert not list(output.glob("*.tmp"))
    return comparison
