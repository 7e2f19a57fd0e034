"""What a job of a multirun is, and how it ended: what processes hand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FINISHED = "finished"
KEPT = "kept"
"""Of a run that was finished before, and not run again."""
FAILED = "failed"
STOPPED = "stopped"


@dataclass(frozen=True)
class JobScores:
    """What a run's results say, in [0, 1].

    Attributes:
        validation: mAP on the validation persons of the weights that were chosen; None where none were looked at.
        key: the protocol's first setting, such as ``sysu_mm01/all/single``.
        rank1: of the test, mean over trials.
        mean_ap: likewise.
    """

    validation: float | None
    key: str
    rank1: float
    mean_ap: float


@dataclass(frozen=True)
class JobEnd:
    """How a job ended.

    Attributes:
        status: ``finished``, ``kept``, ``failed`` or ``stopped``.
        value: what a sweeper may optimise.
        message: of a failed job, why, in a sentence.
        scores: of a finished job that trained.
        ends_all: what is wrong is wrong of all jobs, so that the multirun ends.
        code: with which it left before it had a result; None where it did not.
    """

    status: str
    value: float | None = None
    message: str = ""
    scores: JobScores | None = None
    ends_all: bool = False
    code: int | None = None

    @property
    def good(self) -> bool:
        """There are results."""
        return self.status in (FINISHED, KEPT)


@dataclass(frozen=True)
class Job:
    """One job of a multirun.

    Attributes:
        number: its place in the multirun, from 0.
        overrides: what it is told.
        folder: what the multirun gives it.
        log: where its output goes when it is not shown.
    """

    number: int
    overrides: Sequence[str]
    folder: Path
    log: Path


def scores_in(folder: Path) -> JobScores | None:
    """What the results of a run folder say; None where there are none."""
    from crossreid.runs.results import RunResults  # noqa: PLC0415 - torch comes with it, and only a job has use of torch

    path = folder / "results.json"
    if not path.is_file():
        return None
    results = RunResults.read(path)
    # The method's own row comes first, and in it the protocol's first setting.
    own = results.rows[0]
    key = next(iter(own.results))
    first = own.results[key]
    selected = results.facts.get("selected") or {}
    validation = selected.get("mAP")
    if validation is not None:
        validation = float(validation)
    return JobScores(
        validation=validation,
        key=key,
        rank1=float(first.rank(1).mean()),
        mean_ap=float(first.mean_ap.mean()),
    )


def written_at(folder: Path) -> float:
    """When the results of a run folder were written, in seconds since 1970; 0 where there are none."""
    path = folder / "results.json"
    if not path.is_file():
        return 0.0
    return path.stat().st_mtime
