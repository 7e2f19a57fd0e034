"""``sweep=reproduce``: what it says before anything is trained, what it leaves out, how it goes on, and what it ends in."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crossreid.multirun.frame import WIDTH, table_text
from crossreid.multirun.reproduction import Planned, expected_table, why_not
from crossreid.settings.compose import compose, run_config
from crossreid.settings.run import RunConfig
from crossreid.studies.estimate import MEMORY, SECONDS, STEPS, estimate, measured
from layouts import write_small_regdb
from support import Finished

REAL = ["data=sysu_mm01", "data.root=/nowhere"]


def settings(*words: str) -> RunConfig:
    """Of a run whose epoch has 100 iterations where the dataset says it."""
    config = run_config(compose("train", list(words)))
    config.model = config.model.with_epoch(100)
    return config


def test_hours_are_measured_milliseconds_times_iterations() -> None:
    steps = measured(STEPS)["methods"]
    lba = estimate(settings("experiment=lba/full", "trainer=gpu", *REAL))  # 80 epochs, in bfloat16
    assert lba.iterations == 8000
    assert lba.hours.value == pytest.approx(8000 * steps["lba"]["joint"]["bf16-mixed"]["milliseconds"] / 3.6e6)
    assert lba.memory.value == steps["lba"]["joint"]["bf16-mixed"]["peak_gib"]
    assert "H200" in lba.hours.source
    aligngan = estimate(settings("experiment=aligngan/full", "trainer.precision=32-true", *REAL))
    expected = 0.0
    for phase, iterations in {"feature": 5000, "pixel": 10000, "joint": 10000}.items():
        expected += iterations * steps["aligngan"][phase]["32-true"]["milliseconds"] / 3.6e6
    assert aligngan.hours.value == pytest.approx(expected)
    small = estimate(settings("experiment=lba/full"))
    assert small.hours.value == pytest.approx(measured(SECONDS)["rows"]["lba/full"]["seconds"] / 3600, rel=1e-3)


def test_memory_of_a_recomputed_method_is_the_prediction_for_it() -> None:
    jsia = estimate(settings("experiment=jsia/full", "trainer=gpu", *REAL))
    rows = measured(MEMORY)["rows"]
    predicted = [row["predicted_mib"] for row in rows if row["method"] == "jsia" and row["recompute"] == ["generators"]]
    assert jsia.memory.value == pytest.approx(max(predicted) / 1024)
    assert "predicted" in jsia.memory.source
    assert "at least" in jsia.hours.source  # recomputing takes time, which was not measured


@pytest.mark.parametrize(
    "words",
    [
        ["experiment=aligngan/full", "preset=official", "trainer=gpu", *REAL],  # other batches than were measured
        ["experiment=lba/full", "model.backbone.size=[384,192]", "trainer=gpu", *REAL],
        ["experiment=lba/full", "model.streams.identity.identities=4", "trainer=gpu", *REAL],
        ["experiment=lba/full", "trainer.precision=16-mixed", *REAL],
        ["experiment=lba/full", "scale=smoke"],
    ],
)
def test_where_nothing_was_measured_nothing_is_guessed(words: list[str]) -> None:
    found = estimate(settings(*words))
    assert found.hours.value is None
    assert found.memory.value is None
    assert found.hours.source


def test_the_table_fits_a_terminal_and_adds_up() -> None:
    lba = settings("experiment=lba/full", "trainer=gpu", *REAL)
    other = settings("experiment=aligngan/full", "preset=official", "trainer=gpu", *REAL)
    jobs = [Planned([], lba, "lba/full", "paper", finished) for finished in (True, False, False)]
    jobs += [Planned([], other, "aligngan/full", "official", False)]
    text = table_text(expected_table(jobs, Path("multirun/x")))
    assert max(map(len, text.splitlines())) <= WIDTH
    hours = estimate(lba).hours.value
    assert hours is not None
    assert f"{2 * hours:.1f} h of training and 1 runs of unknown length." in text  # one is finished
    assert "unknown" in text
    assert "NVIDIA H200" in text


def test_what_a_preset_does_not_have_is_left_out_with_its_reason() -> None:
    assert why_not("lba", "lba/full", "official") == ""
    assert why_not("cmssft", "cmssft/full", "paper") == ""
    assert why_not("cmssft", "cmssft/full", "official") == "the authors published no code, so it is as the paper"
    assert why_not("agw", "agw/caj", "official") == ""  # its row has a file of its own


def test_a_dataset_that_is_not_there_is_said_before_anything_else(run_here: Callable[..., Finished], tmp_path) -> None:
    finished = run_here("train", "sweep=reproduce", *REAL, "experiment=lba/full", "trainer=cpu")
    assert finished.code == 1
    assert "Error: " in finished.output
    assert "/nowhere" in finished.output
    assert "Traceback" not in finished.output
    assert not list(tmp_path.rglob("run.json"))
    nothing = run_here("train", "sweep=reproduce", "scale=smoke", "experiment=cmssft/full", "preset=official")
    assert nothing.code == 1
    assert "There is nothing to train: the authors published no code" in nothing.output


@pytest.mark.slow
def test_regdb_is_its_splits_goes_on_and_ends_beside_published_numbers(
    run_here: Callable[..., Finished], people_root: Path, tmp_path: Path
) -> None:
    root = write_small_regdb(tmp_path / "regdb", people_root)
    data = ["data=regdb", f"data.root={root}", "data.counts=any", f"data.cache={tmp_path / 'cache'}", "scale=smoke"]
    rows = ["experiment=zeropadding/full,lba/full", "trainer=cpu", "trainer.progress=false"]
    words = ["sweep=reproduce", *data, *rows, "hydra.sweep.dir=sweep", "report.modality_pairs=false"]
    first = run_here("train", *words, "preset=paper", "hydra.sweeper.splits=[1]")
    assert first.code == 0, first.output
    both = run_here("train", *words, "hydra.sweeper.splits=[1,2]")
    assert both.code == 0, both.output
    assert both.output.index("What is to be trained below sweep") < both.output.index("Job 1 of 6 begins")
    left_out = (
        "Left out: zeropadding/full by preset=official: no code of the authors was at hand, so it is as the paper"
    )
    assert left_out in both.output
    assert both.output.count(" kept, ") == 2  # the first split of both rows
    folders = {str(path.parent.relative_to(tmp_path / "sweep")) for path in (tmp_path / "sweep").rglob("run.json")}
    expected = {f"zeropadding/full_paper_seed0_split{split}" for split in (1, 2)}
    expected |= {f"lba/full_{preset}_seed0_split{split}" for split in (1, 2) for preset in ("paper", "official")}
    assert folders == expected
    content = json.loads((tmp_path / "sweep" / "report" / "comparison.json").read_text())
    mean = content["tables"][0]
    assert mean["dataset"] == "regdb, mean over splits"
    found = {row["row"]: row for row in mean["plain"]}
    assert set(found) == {"zeropadding/full", "lba/full, preset=paper", "lba/full, preset=official"}
    (rank1, _) = found["lba/full, preset=paper"]["reproduction"]
    ours = found["lba/full, preset=paper"]["metrics"]["rank1"]["mean"]
    assert rank1["ours_minus_published"] == pytest.approx(ours - 0.7417)
    assert rank1["within"] in ("yes", "below")  # two splits make a wide margin
    assert [problem for problem in content["not_in_tables"] if problem["kind"] == "missing"] == []
    assert "ours - published" in both.output


@pytest.mark.full
def test_the_layout_of_sysu_with_seeds(
    run_here: Callable[..., Finished], real_layout: Callable[[str], Path], tmp_path: Path
) -> None:
    data = ["data=sysu_mm01", f"data.root={real_layout('sysu_mm01')}", f"data.cache={tmp_path / 'cache'}"]
    quick = ["scale=smoke", "trainer=cpu", "trainer.progress=false", "protocol.trials=2", "report.modality_pairs=false"]
    words = ["sweep=reproduce", *data, *quick, "experiment=lba/full,hog/full", "hydra.sweeper.seeds=[0,1]"]
    finished = run_here("train", *words)
    assert finished.code == 0, finished.output
    report = tmp_path / "multirun" / "reproduce_sysu_mm01" / "report" / "comparison.json"
    table = json.loads(report.read_text())["tables"][0]
    rows = {row["row"]: row for row in table["plain"]}
    assert set(rows) == {"lba/full, preset=paper", "lba/full, preset=official", "hog/full"}
    rank1 = rows["lba/full, preset=paper"]["reproduction"][0]
    assert rank1["within"] == "below"  # six iterations
    assert rank1["margin"]["wide"] < 0.5
