"""What a multirun shows: which job of how many, what sets it apart, how far it is, the scores so far, the best of them.

The best job is marked by its score on the validation persons, and by nothing else: a choice by scores of the test would make
them scores of the choice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from crossreid.console import console, err_console, make_console, notice
from crossreid.escaping import one_line
from crossreid.multirun.jobs import FAILED, FINISHED, Job, JobEnd, JobScores
from crossreid.multirun.task import telling
from crossreid.stages import Stage

WIDTH = 100
"""Columns of a table."""
_LINE_EVERY = 60.0
"""Seconds between two lines on running jobs where there is no terminal."""
_BEST = "*"
_LINES_AROUND = 8
"""Of a live table, lines that are not rows."""
_SHARE_OF_TRAINING = 0.9
"""Of a job's time; the rest is start and scoring. An estimate, for the time that is left."""


class Frame:
    """The frame of one multirun, in one process or around many.

    Args:
        total: jobs of the multirun.
        place: its folder.
        live: jobs run out of sight, so that their stages are shown here; else each job prints for itself.
        report_follows: the report of all scores is written next, so that nobody has to be told how to get one.

    Attributes:
        jobs: that were added, by their numbers.
        settings: what sets each apart.
        ends: of those that have ended.
    """

    def __init__(self, total: int, place: Path, live: bool, *, report_follows: bool = False) -> None:
        self.total = total
        self.place = place
        self.live = live
        self.report_follows = report_follows
        self.jobs: dict[int, Job] = {}
        self.ends: dict[int, JobEnd] = {}
        self._begun: dict[int, float] = {}
        self._seconds: dict[int, float] = {}
        self._stages: dict[int, Stage] = {}
        self.settings: dict[int, str] = {}
        self._display: Live | None = None
        self._started = time.monotonic()
        self._last_line = self._started
        self._closed = False

    # ------------------------------------------------------------------ what happens

    def add(self, jobs: Sequence[Job]) -> None:
        """Jobs that are to run next."""
        for job in jobs:
            self.jobs[job.number] = job
        self.total = max(self.total, len(self.jobs))
        # What sets a job apart depends on all others, so that it is found anew for each.
        told = {number: job.overrides for number, job in self.jobs.items()}
        self.settings = what_differs(told)

    def begin(self, job: Job) -> None:
        """A job begins."""
        self._begun[job.number] = time.monotonic()
        self._stages[job.number] = Stage("starting")
        if self._shows_live:
            self._open()
        else:
            notice(f"Job {self._ordinal(job.number)} begins: {self.settings[job.number]}{self._outlook()}")

    def show(self, stages: Mapping[int, Stage]) -> None:
        """Where the running jobs are."""
        self._stages |= stages
        now = time.monotonic()
        if self._display is not None:
            self._display.update(self._picture(stages))
        elif now - self._last_line > _LINE_EVERY:
            self._last_line = now
            running = [f"job {number + 1} {in_words(stage)}" for number, stage in stages.items()]
            notice(f"Running: {'; '.join(running)}{self._outlook()}")

    def end(self, job: Job, end: JobEnd) -> None:
        """A job has ended."""
        self.ends[job.number] = end
        now = time.monotonic()
        self._seconds[job.number] = now - self._begun.get(job.number, now)
        self._stages.pop(job.number, None)
        if self._display is not None:
            return
        if not self.live and console.is_terminal:
            console.print(table_text(self.table()))
        notice(f"Job {self._ordinal(job.number)} {self._in_a_line(job.number)}{self._outlook()}")

    def close(self) -> None:
        """The multirun is over: the table of all jobs."""
        if self._closed:
            return
        self._closed = True
        if self._display is not None:
            self._display.stop()
            self._display = None
        console.print(table_text(self.table()))

    # ------------------------------------------------------------------ what is shown

    def table(self, numbers: Sequence[int] | None = None) -> Table:
        """Jobs that have ended or run, at most 100 columns wide.

        Args:
            numbers: which; by default all that have begun or ended.
        """
        if numbers is None:
            numbers = sorted({*self.ends, *self._stages})
        scores: dict[int, JobScores] = {}
        for number, end in self.ends.items():
            if end.scores is not None:
                scores[number] = end.scores
        best = best_on_validation(scores)
        table = Table(
            title=Text(f"Jobs of {one_line(self.place)}"),
            caption=Text("\n".join(self._notes(scores, best))),
            title_justify="left",
            caption_justify="left",
        )
        table.add_column("job", justify="right", no_wrap=True)
        table.add_column("settings", overflow="fold")
        table.add_column("state", no_wrap=True)
        for heading in ("time", "val. mAP", "R1", "mAP"):
            table.add_column(heading, justify="right", no_wrap=True)
        for number in numbers:
            settings = Text(self.settings.get(number, ""))
            marked = number == best
            cells = [self._state(number), self._time(number), *_score_cells(scores.get(number), marked)]
            table.add_row(str(number + 1), settings, *cells)
        wanted = make_console(width=1000).measure(table).maximum
        table.width = min(WIDTH, wanted)
        return table

    def _notes(self, scores: Mapping[int, JobScores], best: int | None) -> list[str]:
        """What stands below a table: what its numbers are, what is marked, where everything is."""
        notes = []
        keys = {one_line(score.key) for score in scores.values()}
        if keys:
            notes.append(f"R1 and mAP of the test, in percent: {', '.join(sorted(keys))}")
        if best is not None:
            notes.append(f"{_BEST} best mAP on the validation persons")
        elif len(scores) > 1:
            notes.append("None is marked as the best: add selection=validation to choose by validation persons.")
        if scores and not self.report_follows:
            notes.append(f"All scores: python -m crossreid.report runs={one_line(self.place)}")
        return notes

    def _state(self, number: int) -> str:
        end = self.ends.get(number)
        if end is not None:
            return end.status
        return in_words(self._stages[number])

    def _time(self, number: int) -> str:
        if number in self._seconds:
            return clock(self._seconds[number])
        return clock(time.monotonic() - self._begun[number])

    def _ordinal(self, number: int) -> str:
        return f"{number + 1} of {self.total}"

    def _in_a_line(self, number: int) -> str:
        """How a job ended, with its scores."""
        end = self.ends[number]
        line = f"{end.status}, {clock(self._seconds[number])}"
        if end.scores is not None:
            validation, rank1, mean_ap = _score_cells(end.scores, best=False)
            if validation != "-":
                line += f", val. mAP {validation}"
            line += f", R1 {rank1}, mAP {mean_ap}"
        return line

    def _outlook(self) -> str:
        """How many jobs are over, and how long the rest may take."""
        if not self.ends:
            return ""
        text = f" ({len(self.ends)} of {self.total} over"
        failed = sum(end.status == FAILED for end in self.ends.values())
        if failed:
            text += f", {failed} failed"
        left = self._seconds_left()
        if left is not None and len(self.ends) < self.total:
            text += f", about {clock(left)} left"
        return f"{text})"

    def _seconds_left(self) -> float | None:
        """By what was done since the start; None before there is anything to go by.

        Jobs that were kept or failed say nothing of the others.
        """
        finished = sum(end.status == FINISHED for end in self.ends.values())
        quick = len(self.ends) - finished
        done = finished + sum(_SHARE_OF_TRAINING * stage.fraction for stage in self._stages.values())
        if done < 0.1:  # of a job
            return None
        elapsed = time.monotonic() - self._started
        # As long for each job that is left as for those that are done; quick ones take no part on either side.
        return elapsed * (self.total - quick - done) / done

    # ------------------------------------------------------------------ on a terminal

    @property
    def _shows_live(self) -> bool:
        return self.live and err_console.is_terminal

    def _open(self) -> None:
        if self._display is None and not self._closed:
            self._display = Live(
                console=err_console, transient=True, refresh_per_second=4, redirect_stdout=sys.stdout.isatty()
            )
            self._display.start()

    def _picture(self, stages: Mapping[int, Stage]) -> Any:
        """The running jobs and, as far as there is room, those that ended last."""
        room = max(1, err_console.height - _LINES_AROUND - len(stages))
        ended = list(self.ends)[-room:]
        shown = sorted({*ended, *stages})
        line = f"{len(stages)} of {self.total} running{self._outlook()}"
        return Group(self.table(shown), Text(line))


def table_text(table: Table) -> str:
    """A table as plain text of at most 100 columns, whatever the width of the terminal: long cells have several lines."""
    text = StringIO()
    make_console(file=text, width=WIDTH, soft_wrap=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(lines)


def what_differs(told: Mapping[int, Sequence[str]]) -> dict[int, str]:
    """Of what jobs were told, what is not the same for all; of a single job, everything.

    Args:
        told: number -> overrides.
    """
    words = {number: telling(list(overrides)) for number, overrides in told.items()}
    everywhere: set[str] = set()
    if len(words) > 1:
        sets = map(set, words.values())
        everywhere = set.intersection(*sets)
    texts = {}
    for number, words_of_job in words.items():
        own = [one_line(word) for word in words_of_job if word not in everywhere]
        texts[number] = " ".join(own) or "-"
    return texts


def best_on_validation(scores: Mapping[int, JobScores]) -> int | None:
    """The job with the highest mAP on the validation persons; None where fewer than two jobs have one."""
    known: dict[int, float] = {}
    for number, score in scores.items():
        if score.validation is not None:
            known[number] = score.validation
    if len(known) < 2:
        return None
    return max(known, key=lambda number: known[number])


def in_words(stage: Stage) -> str:
    """A stage in a few words."""
    if stage.total:
        return f"{stage.doing} {stage.done}/{stage.total}"
    return stage.doing


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, seconds_left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes}:{seconds_left:02d}"


def _score_cells(scores: JobScores | None, best: bool) -> list[str]:
    """Validation mAP, marked where it is the best; Rank-1 and mAP of the test. In percent."""
    if scores is None:
        return ["-", "-", "-"]
    validation = "-"
    if scores.validation is not None:
        validation = f"{100 * scores.validation:.1f}"
        if best:
            validation = f"{_BEST} {validation}"
    return [validation, f"{100 * scores.rank1:.1f}", f"{100 * scores.mean_ap:.1f}"]
