"""What the benchmarks say of two files, and that a step is measured beside its reference."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

from crossreid.settings.compose import compose
from support import ROOT


def benchmark(name: str) -> ModuleType:
    """A script of benchmarks/ as a module; scripts import each other by their names."""
    place = str(ROOT / "benchmarks")
    if place not in sys.path:
        sys.path.append(place)
    return importlib.import_module(name)


def measured(**ratios: tuple[float, float]) -> dict[str, object]:
    """Measurements with these (multiple, noise)."""
    return {"measurements": {name: {"ratio": ratio, "noise": noise} for name, (ratio, noise) in ratios.items()}}


def test_a_change_counts_where_it_is_larger_than_the_noise_of_both() -> None:
    before = measured(faster=(2.0, 0.1), noisy=(2.0, 0.3), slower=(1.0, 0.0), small=(1.0, 0.0), gone=(1.0, 0.0))
    after = measured(faster=(1.5, 0.1), noisy=(1.5, 0.3), slower=(1.1, 0.0), small=(1.02, 0.0), new=(1.0, 0.0))
    rows = {name: (share, verdict) for name, share, verdict in benchmark("compare").changes(before, after)}
    assert rows == {
        "faster": (0.75, "faster"),
        "noisy": (0.75, "same"),
        "slower": (pytest.approx(1.1), "slower"),
        "small": (pytest.approx(1.02), "same"),
    }


def test_something_slower_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, ratio in (("one", 1.0), ("two", 1.5)):
        (tmp_path / f"{name}.json").write_text(json.dumps(measured(step=(ratio, 0.0))))
    one, two = (str(tmp_path / f"{name}.json") for name in ("one", "two"))
    compare = benchmark("compare")
    assert compare.main([one, two]) == 1
    assert "| step | 1.50 | slower |" in capsys.readouterr().out
    assert compare.main([two, one]) == 0


@pytest.mark.slow
def test_steps_are_measured_beside_a_bare_network_and_their_own_passes(tmp_path: Path) -> None:
    output = tmp_path / "steps.json"
    content = benchmark("steps").main([str(output), "cmgan", "hog", "--scale", "smoke", "--rounds", "2", "--parts"])
    assert json.loads(output.read_text()) == content
    assert set(content["measurements"]) == {"cmgan, joint", "cmgan, joint, its passes"}
    assert content["measurements"]["cmgan, joint"]["of"] == "bare network"
    for found in content["measurements"].values():
        assert found["ratio"] > 0.5
        assert found["value"] > 0
    parts = content["parts"]["cmgan, joint"]
    assert set(parts) == {"encoder", "discriminators", "optimizers", "losses and the rest"}
    assert parts["encoder"] > parts["discriminators"] > 0
    assert "| cmgan, joint |" in output.with_suffix(".md").read_text()


@pytest.mark.slow
def test_repeated_passes_leave_modes_flags_and_gradients_as_they_were() -> None:
    measuring, parts = benchmark("measuring"), benchmark("parts")
    config = measuring.method_settings_of("aligngan", "smoke")
    from crossreid.training.loading import make_method

    module = make_method(config, 5, seed=0)
    trainer = measuring.attached(module)
    steps = measuring.phase_steps(module, trainer, measuring.random_batch(config, "cpu"))
    passes = {}
    for phase, step in steps:
        passes = parts.passes_of(module, step)
        assert passes["encoder"], phase
        for one in passes.values():
            parts.repeated(module, one, "32-true")()
        assert all(layer.training for layer in module.modules())
        assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    names = [type(one.network).__name__ for one in passes["generators"]]
    assert names == 5 * ["ResNetGenerator"]  # joint: one image for Gf's turn, two fakes and two cycles for Gp's
    assert not passes["generators"][0].with_gradients


@pytest.mark.slow
def test_memory_is_predicted_as_it_is_measured() -> None:
    """The same step on tensors without values, for which it takes no memory."""
    memory = benchmark("memory")
    rows = list(memory.rows_of("strong", "smoke", "32-true", measure="cpu"))
    assert [row["recompute"] for row in rows] == [[], ["encoder"]]
    for row in rows:
        assert row["measured_mib"] == pytest.approx(row["predicted_mib"], abs=0.1), row


def test_a_meter_counts_what_is_there_at_once() -> None:
    import torch

    meter = benchmark("memory").StorageMeter()
    with meter:
        kept = torch.zeros(1000)
        passing = torch.zeros(5000)
        view = passing[:10]
        assert meter.now == 4 * 6000
        del passing
        assert meter.now == 4 * 6000  # the view holds it
        del view
        assert meter.now == 4 * 1000
        meter.begin()
        kept.add_(1)
        assert meter.peak == 4 * 1000
        torch.cat([kept, kept])
    assert meter.peak == 4 * 3000


@pytest.mark.full
def test_the_whole_bench_runs_quickly_and_can_be_compared(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "bench.py"), str(output), "--quick"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    content = json.loads(output.read_text())
    for start in ("drawing", "onestream, joint", "waiting", "extraction", "scoring", "re-ranking", "start-up"):
        assert any(name.startswith(start) for name in content["measurements"]), start
    assert all(found["ratio"] > 0 and found["of"] for found in content["measurements"].values())
    assert benchmark("compare").main([str(output), str(output)]) == 0


def slices_module() -> ModuleType:
    """The script behind benchmarks/gpu/compare.sh."""
    place = str(ROOT / "benchmarks" / "gpu")
    if place not in sys.path:
        sys.path.append(place)
    return importlib.import_module("slices")


def test_a_slice_hands_on_what_the_next_one_needs_and_merges_scores(tmp_path: Path, capsys) -> None:
    from crossreid.runs.folder import fingerprint
    from crossreid.settings.compose import compose, run_config
    from test_report import write_run

    slices = slices_module()
    work = tmp_path / "work"
    for row, seed, status in (("lba/full", 0, "finished"), ("lba/full", 1, "finished"), ("agw/full", 0, "interrupted")):
        config = run_config(compose("train", [f"experiment={row}", f"seed={seed}"])).to_plain()
        folder = work / f"{row}_seed{seed}"
        write_run(folder, config, fingerprint(config), status=status, rank1=0.4 + 0.1 * seed)
        (folder / "last.ckpt").write_bytes(b"x" * 3000)
    (work / "agw" / "full_seed0" / "history.csv").write_text("iteration\n1\n")
    variables = {"WORK": str(work), "STATE": str(tmp_path / "state"), "RESULTS": str(tmp_path / "results")}
    chosen = slices.told(["300", "2", "lba/full,agw/full"], {**variables, "PART_MIB": "0.01"})
    assert "experiment=lba/full,agw/full" in slices.command(chosen)
    slices.pack(chosen)
    assert len(list((tmp_path / "state").iterdir())) > 1  # in parts
    assert slices.merge(chosen) == 2
    table = (tmp_path / "results" / "comparison.md").read_text()
    assert "| sysu_mm01/all/single | lba/full | 2 | 45.0 ± 7.1 | 25.0 ± 0.0 |" in table

    there = slices.told(["300", "2", "lba/full"], {**variables, "WORK": str(tmp_path / "there")})
    slices.unpack(there)
    assert (there.work / "agw" / "full_seed0" / "last.ckpt").read_bytes() == b"x" * 3000
    assert not list((there.work / "lba").rglob("last.ckpt"))  # of a finished run nobody needs it
    assert slices.merge(there) == 2
    assert json.loads((tmp_path / "results" / "comparison.json").read_text())["runs"].keys() == {
        "lba/full_seed0",
        "lba/full_seed1",
    }
    small = slices.told(["300", "2", "lba/full"], {**variables, "STATE_MIB": "0.001"})
    slices.pack(small)
    assert "too large for the state: starts over" in capsys.readouterr().out
    assert not (tmp_path / "work2").exists()


def test_scores_of_other_settings_are_not_merged(tmp_path: Path, capsys) -> None:
    from crossreid.runs.folder import fingerprint
    from crossreid.settings.compose import compose, run_config
    from test_report import write_run

    slices = slices_module()
    for name, words in (("one", []), ("two", ["model.w_dt=3"])):
        config = run_config(compose("train", ["experiment=lba/full", *words])).to_plain()
        write_run(tmp_path / name / "lba" / "full_seed0", config, fingerprint(config), rank1=0.4 if not words else 0.9)
        variables = {"WORK": str(tmp_path / name), "RESULTS": str(tmp_path / "results")}
        slices.merge(slices.told(["1", "1", "lba/full"], variables))
    assert "not merged: " in capsys.readouterr().out
    assert "| 40.0 |" in (tmp_path / "results" / "comparison.md").read_text()


@pytest.mark.full
def test_the_second_slice_goes_on_where_the_first_one_ended(tmp_path: Path, people_root: Path) -> None:
    words = [
        "model.phases.joint=40",
        f"data.root={people_root}",
        f"data.cache={tmp_path / 'cache'}",
        "protocol.trials=2",
    ]
    variables = {"SEEDS": "0", "SCALE": "smoke", "DEVICE": "cpu", "RESERVE": "5", "OMP_NUM_THREADS": "1"}
    variables |= {"STATE": str(tmp_path / "state"), "RESULTS": str(tmp_path / "results"), "PYTHON": sys.executable}
    script = str(ROOT / "benchmarks" / "gpu" / "compare.sh")

    def slice_of(seconds: int, work: str) -> str:
        command = ["bash", script, str(seconds), "2", "aligngan/featalign,aligngan/pixalign", *words]
        environment = {**os.environ, **variables, "WORK": str(tmp_path / work)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # a busy machine has not begun to train after 25 seconds: longer, until there is a checkpoint to go on from
    for seconds in (25, 50, 100, 200):
        first = slice_of(seconds, f"first{seconds}")
        if any((tmp_path / f"first{seconds}").rglob("last.ckpt")):
            break
    assert "== the same call goes on" in first
    assert "== 2 runs are scored" in slice_of(600, "second")
    log = (tmp_path / "second" / "logs" / "1.log").read_text()
    assert "Resuming from " in log


# ---------------------------------------------------------------- evidence


PAPERS = ["aligngan", "tsgan", "lba", "jsia", "cmssft"]
TABLES = [
    *product(PAPERS, ["pilot", "pilot_people"]),
    ("aligngan", "pilot_people_long"),
    ("aligngan", "pilot_people_colour"),
]


@pytest.mark.parametrize(("method", "pilot"), TABLES)
def test_a_page_of_evidence_has_the_tables_of_the_committed_scores(method: str, pilot: str) -> None:
    evidence = benchmark("evidence")
    page = (ROOT / "docs" / "evidence" / f"{method}.md").read_text(encoding="utf-8")
    table = evidence.tables(ROOT / "benchmarks" / "results" / pilot)[method]
    assert table.count("\n") >= 4
    assert evidence.with_table(page, pilot, table) == page


@pytest.mark.parametrize(
    ("pilot", "name", "evidence_pages"),
    [
        ("pilot", "docs/comparison.md", "evidence"),
        ("pilot_people", "docs/comparison.md", "evidence"),
        ("pilot_people", "README.md", "docs/evidence"),
    ],
)
def test_the_summary_of_the_papers_methods_is_of_the_committed_scores(
    pilot: str, name: str, evidence_pages: str
) -> None:
    evidence = benchmark("evidence")
    page = (ROOT / name).read_text(encoding="utf-8")
    runs = evidence.read(ROOT / "benchmarks" / "results" / pilot / "comparison.json")["runs"]
    table = evidence.summary(runs, evidence_pages)
    assert table.count("[evidence]") == 5
    assert evidence.with_table(page, pilot, table) == page


def test_the_page_of_the_comparison_has_the_tables_of_the_committed_scores() -> None:
    evidence = benchmark("evidence")
    page = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    runs = evidence.read(ROOT / "benchmarks" / "results" / "pilot_people" / "comparison.json")["runs"]
    for name, table in benchmark("comparison").TABLES.items():
        assert evidence.with_table(page, name, table(runs)) == page


def test_the_comparison_has_plain_rows_by_map_and_the_others_apart() -> None:
    comparison = benchmark("comparison")
    facts = {"iterations": 300, "training_seconds": 400.4}
    runs = {
        "lba/full_seed0": facts | run_of([1.0, 1.2, 1.4, 1.6], "lba/full"),
        "lba/baseline_seed0": facts | run_of([1.2, 1.4, 1.6, 1.8], "lba/baseline"),
        "lba/baseline_seed1": facts | {"training_seconds": 1500} | run_of([1.2, 1.4, 1.6, 1.8], "lba/baseline"),
        "best/full_seed0": facts | run_of([1.4, 1.6, 1.8, 2.0], "best/full"),
        "lba/ic_seed0": facts | run_of([1.2, 1.4, 1.6, 1.8], "lba/ic"),  # a row between: on its method's page alone
    }
    scores = {"inference": "re-ranked", "rank1": 0.25, "mAP": 0.75}
    runs["lba/full_seed0"]["rows"]["lba/full/reranked"] = {"sysu_mm01/all/single": scores}  # type: ignore[index]
    plain = comparison.plain(runs).splitlines()[2:]
    assert plain[0].startswith("| `best/full` | 1 | 50.0 | 85.0 | ")
    assert plain[0].endswith(" |  | 300 | 400 |")
    assert plain[1].startswith("| `lba/baseline` | 2 | 50.0 ± 0.0 | 75.0 ± 0.0 | ")
    assert plain[1].endswith(" | -10.0 (-10.0 to -10.0) | 300 | 400 to 1,500 |")  # seed 0 alone: best has no other
    assert plain[2].startswith("| `lba/full` | 1 | 50.0 | 65.0 | ")
    assert len(plain) == 3
    assert comparison.other(runs).splitlines()[2:] == ["| `lba/full/reranked` | re-ranked | 1 | 25.0 | 75.0 |"]


def test_persons_of_the_small_set_are_told_from_those_who_are_in_no_other() -> None:
    comparison = benchmark("comparison")
    small = comparison.persons_of_small()
    assert small == set(range(1, 105))  # a person is known by the number: 48 + 8 + 48 of them
    facts = {"persons": {"pids": [104, 105, 200], "valid": [2, 1, 3]}}
    cut = comparison.of_persons({"lba/full_seed0": facts}, lambda pid: pid not in small)
    assert cut["lba/full_seed0"]["persons"] == {"pids": [105, 200], "valid": [1, 3]}


def test_a_page_without_a_place_for_a_table_is_not_written_to() -> None:
    with pytest.raises(ValueError, match="table pilot"):
        benchmark("evidence").with_table("a page", "pilot", "a table")


def run_of(mean_ap: list[float], row: str) -> dict[str, object]:
    """A run on four persons with two probes each."""
    persons = {"pids": [1, 2, 3, 4], "valid": [2] * 4, "rank1": [1.0] * 4, "mean_ap": mean_ap}
    scores = {"inference": "plain", "rank1": 0.5, "mAP": sum(mean_ap) / 8}
    return {"persons": persons, "rows": {row: {"sysu_mm01/all/single": scores}}}


def test_a_table_has_the_papers_order_and_what_a_row_gains_on_the_first() -> None:
    runs = {
        "lba/full_seed0": run_of([1.0, 1.2, 1.4, 1.6], "lba/full"),
        "lba/baseline_seed0": run_of([0.8, 1.0, 1.2, 1.4], "lba/baseline"),
        "lba/baseline_seed1": run_of([0.6, 0.8, 1.0, 1.2], "lba/baseline"),
    }
    seen = {"lba/full_seed0": {"training": {"mAP": 0.9}, "test": {"mAP": 0.5}}}
    lines = benchmark("evidence").table("lba", runs, seen).splitlines()[2:]
    # means 0.55 and 0.45 of the baseline, 0.65 of the full model; of seed 0 each person gains 0.2 in two probes
    assert lines[0] == "| `lba/baseline` | 2 | 50.0 ± 0.0 | 50.0 ± 7.1 |  |  |  |  |"
    row, _, _, mean_ap, gain, trained, strangers, centred = (cell.strip() for cell in lines[1].strip("|").split("|"))
    assert (row, mean_ap, trained, strangers, centred) == ("`lba/full`", "65.0", "90.0", "50.0", "")
    assert gain == "+10.0 (+10.0 to +10.0)"


def test_trials_are_of_rows_and_settings_that_are_there_and_as_many_of_a_model_as_of_its_baseline() -> None:
    trials = benchmark("tuning").TRIALS
    counts = {row: len(settings) for row, settings in trials.items()}
    for full, baseline in zip(list(trials)[::2], list(trials)[1::2], strict=True):
        assert counts[full] == counts[baseline]
    for row, of_row in trials.items():
        for words in of_row.values():
            compose("train", [f"experiment={row}", "scale=small", "people=tuning", *words])


def test_trials_of_the_log_are_known_by_row_and_settings(tmp_path: Path) -> None:
    tuning = benchmark("tuning")
    result = {"row": "lba/full", "trial": "x", "settings": ["model.w_ic=0.5"], "rank1": 1.0, "mAP": 2.0, "seconds": 3}
    (tmp_path / "log.json").write_text(json.dumps({"trials": [result]}), encoding="utf-8")
    assert tuning.read_log(tmp_path / "log.md") == {("lba/full", "model.w_ic=0.5"): result}
    assert tuning.read_log(tmp_path / "none.md") == {}
