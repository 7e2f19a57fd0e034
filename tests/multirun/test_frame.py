"""What a multirun shows: the printed text, compared with the docs, and what may be marked as the best."""

from pathlib import Path

import pytest

from crossreid import console as shared_console
from crossreid.console import make_console
from crossreid.multirun import frame as frames
from crossreid.multirun.frame import WIDTH, Frame, best_on_validation, clock, table_text, what_differs
from crossreid.multirun.jobs import FAILED, FINISHED, KEPT, Job, JobEnd, JobScores
from crossreid.stages import Stage
from support import ROOT

KEY = "sysu_mm01/all/single"
TOLD = ["model=lba", "scale=small", "data.root=/data"]


def job(number: int, *words: str) -> Job:
    return Job(number, [*TOLD, *words], Path(str(number)), Path(f"logs/{number + 1}.log"))


def scored(validation: float | None, rank1: float, mean_ap: float, status: str = FINISHED) -> JobEnd:
    return JobEnd(status, scores=JobScores(validation, KEY, rank1, mean_ap))


@pytest.fixture
def clock_of_test(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The frame's time, which a test moves."""
    now = [0.0]
    monkeypatch.setattr(frames.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared console writes to what pytest captures."""
    for name, stderr in (("console", False), ("err_console", True)):
        monkeypatch.setattr(getattr(shared_console, name), "__dict__", make_console(stderr=stderr, width=200).__dict__)


def run_through(now: list[float], live: bool = True) -> Frame:
    """Three jobs, two at once, one of which fails; a report is written next."""
    frame = Frame(3, Path("multirun/w_dt"), live, report_follows=True)
    first, second, third = (job(number, f"model.w_dt={value}") for number, value in enumerate((0.1, 0.5, 1.0)))
    frame.add([first, second, third])
    frame.begin(first)
    frame.begin(second)
    now[0] = 61
    frame.show({0: Stage("training", 120, 240), 1: Stage("reading the data")})
    now[0] = 130
    frame.end(first, scored(0.312, 0.193, 0.240))
    frame.begin(third)
    now[0] = 140
    frame.end(third, JobEnd(FAILED, message="no"))
    now[0] = 150
    frame.end(second, scored(0.298, 0.204, 0.251))
    frame.close()
    return frame


def test_the_lines_and_the_table_of_the_docs_are_what_is_printed(clock_of_test, plain, capsys) -> None:
    run_through(clock_of_test)
    printed = capsys.readouterr().out
    block = "\n".join(line.rstrip() for line in printed.splitlines())
    assert block in (ROOT / "docs" / "training.md").read_text(encoding="utf-8"), block
    assert max(map(len, printed.splitlines())) <= WIDTH


def test_the_best_is_marked_by_validation_and_never_by_the_test() -> None:
    better_in_test = {0: JobScores(0.30, KEY, 0.9, 0.9), 1: JobScores(0.31, KEY, 0.1, 0.1)}
    assert best_on_validation(better_in_test) == 1
    assert best_on_validation({0: JobScores(None, KEY, 0.9, 0.9), 1: JobScores(None, KEY, 0.1, 0.1)}) is None
    assert best_on_validation({0: JobScores(0.3, KEY, 0.9, 0.9)}) is None


def test_without_validation_nothing_is_marked_and_the_table_says_so() -> None:
    frame = Frame(2, Path("multirun/x"), live=False)
    frame.add([job(0, "seed=0"), job(1, "seed=1")])
    for number, rank1 in ((0, 0.1), (1, 0.9)):
        frame.begin(frame.jobs[number])
        frame.end(frame.jobs[number], scored(None, rank1, rank1))
    text = table_text(frame.table())
    assert "*" not in text
    assert "add selection=validation" in text
    assert "All scores: python -m crossreid.report runs=multirun/x" in text  # where no report follows


def test_a_table_is_never_wider_than_it_may_be() -> None:
    frame = Frame(2, Path("multirun/" + "deep/" * 30), live=False)
    frame.add([job(0, "model.streams.identity.sampling=" + "x" * 200), job(1, "[red]model=lba[/red]")])
    for number in (0, 1):
        frame.begin(frame.jobs[number])
        frame.end(frame.jobs[number], scored(0.5, 1.0, 1.0))
    text = table_text(frame.table())
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "[red]model=lba[/red]" in text


def test_only_what_tells_jobs_apart_is_shown() -> None:
    told = {0: [*TOLD, "seed=0", "jobs=2"], 1: [*TOLD, "seed=1", "jobs=2"]}
    assert what_differs(told) == {0: "seed=0", 1: "seed=1"}
    assert what_differs({0: [*TOLD]}) == {0: "model=lba scale=small"}
    assert what_differs({0: ["a=1"], 1: ["a=1"]}) == {0: "-", 1: "-"}


def test_time_left_goes_by_the_jobs_that_trained(clock_of_test) -> None:
    frame = Frame(4, Path("x"), live=False)
    frame.add([job(number, f"seed={number}") for number in range(4)])
    frame.end(frame.jobs[0], scored(None, 0.1, 0.1, KEPT))
    assert frame._seconds_left() is None
    frame.begin(frame.jobs[1])
    clock_of_test[0] = 100
    frame.end(frame.jobs[1], scored(None, 0.1, 0.1))
    assert frame._seconds_left() == 200  # two of the three that are trained
    frame.begin(frame.jobs[2])
    frame.show({2: Stage("training", 5, 9)})
    clock_of_test[0] = 150
    assert frame._seconds_left() == pytest.approx(150)
    assert (clock(59.6), clock(61), clock(3723)) == ("1:00", "1:01", "1 h 02 min")


def test_on_a_terminal_the_running_jobs_are_one_picture(clock_of_test, monkeypatch) -> None:
    import io

    stream = io.StringIO()
    terminal = make_console(file=stream, force_terminal=True, width=120, height=30, soft_wrap=False)
    monkeypatch.setattr(frames, "err_console", terminal)
    monkeypatch.setattr(frames, "console", make_console(file=io.StringIO(), width=120))
    frame = Frame(2, Path("multirun/x"), live=True)
    frame.add([job(0, "seed=0"), job(1, "seed=1")])
    frame.begin(frame.jobs[0])
    frame.show({0: Stage("training", 7, 20)})
    frame._display.refresh()
    assert "training 7/20" in stream.getvalue()
    assert "1 of 2 running" in stream.getvalue()
    frame.end(frame.jobs[0], scored(0.2, 0.1, 0.1))
    frame.close()
    assert frame._display is None
