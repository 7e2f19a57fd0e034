"""Jobs in processes of their own: how many at once, what their ends are called, what signals do.

The jobs are forked and do little.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossreid import interruption
from crossreid.interruption import Interruption, Stopped, interruptible
from crossreid.multirun import processes
from crossreid.multirun.jobs import FAILED, FINISHED, STOPPED, Job, JobEnd
from crossreid.multirun.processes import Crew, JobProcess
from crossreid.stages import Stage

FORK = multiprocessing.get_context("fork")


def jobs(number: int) -> list[Job]:
    return [Job(index, [f"seed={index}"], Path(str(index)), Path("log")) for index in range(number)]


def finishes(pipe: Any, number: int) -> None:
    pipe.send(Stage("training", number, 10))
    time.sleep(0.05)
    pipe.send(JobEnd(FINISHED, value=float(number)))


def dies(pipe: Any, number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leaves(pipe: Any, number: int) -> None:
    os._exit(7)


def is_stopped_alone(pipe: Any, number: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def ends_all(pipe: Any, number: int) -> None:
    pipe.send(JobEnd(FAILED, message="no job can do this", ends_all=True))


def saves_when_asked(pipe: Any, number: int) -> None:
    """As a training: a signal ends it in good order, a second one is not needed."""
    interruption._here.interruption = None  # forked with that of the parent
    with interruptible():
        try:
            pipe.send(Stage("training"))
            time.sleep(60)
        except Stopped as stopped:
            pipe.send(JobEnd(STOPPED, message=str(stopped.signum)))


def is_deaf(pipe: Any, number: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe.send(Stage("training"))
    time.sleep(60)


class Told:
    """What a crew told, and how many ran at once."""

    def __init__(self, *works: Callable[..., None]) -> None:
        self.works = works
        self.begun: list[tuple[int, int]] = []
        self.ended: list[int] = []
        self.most = 0
        self.stages: list[Stage] = []

    def start(self, job: Job, slot: int) -> JobProcess:
        self.begun.append((job.number, slot))
        work = self.works[job.number % len(self.works)]
        return JobProcess(work, (job.number,), context=FORK)

    def watch(self, running: Any) -> None:
        self.most = max(self.most, len(running))
        self.stages += [process.stage for process in running.values()]

    def end(self, job: Job, end: JobEnd) -> None:
        self.ended.append(job.number)

    def crew(self, number: int, at_once: int) -> Crew:
        return Crew(jobs(number), at_once, self.start, self.end)


def test_so_many_at_once_each_in_a_slot_and_ends_in_order() -> None:
    told = Told(finishes)
    ends = told.crew(5, 2).run(told.watch, Interruption())
    assert [end.value for end in ends] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert told.most == 2
    assert sorted(told.ended) == [0, 1, 2, 3, 4]
    assert {slot for _, slot in told.begun} == {0, 1}
    assert Stage("training", 0, 10) in told.stages


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (dies, "killed (SIGKILL), as the system does where memory runs out"),
        (leaves, "ended with code 7"),
        (is_stopped_alone, "stopped by SIGTERM, and it alone"),
    ],
)
def test_a_job_that_dies_is_named_and_the_others_go_on(work: Callable[..., None], message: str) -> None:
    told = Told(finishes, work, finishes)
    ends = told.crew(3, 2).run(told.watch, Interruption())
    assert [end.status for end in ends] == [FINISHED, FAILED, FINISHED]
    assert message in ends[1].message


def test_what_is_wrong_of_all_jobs_ends_the_others() -> None:
    told = Told(ends_all, saves_when_asked, finishes)
    ends = told.crew(3, 2).run(told.watch, Interruption())
    assert [end.status for end in ends] == [FAILED, STOPPED, STOPPED]
    assert [number for number, _ in told.begun] == [0, 1]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_once_and_no_further_job_begins(signum: int) -> None:
    told = Told(saves_when_asked)
    threading.Timer(0.3, os.kill, (os.getpid(), signum)).start()
    with interruptible() as signals, pytest.raises(Stopped) as stopped:
        told.crew(3, 2).run(told.watch, signals)
    assert stopped.value.signum == signum
    assert [number for number, _ in told.begun] == [0, 1]
    assert sorted(told.ended) == [0, 1]


def test_a_job_that_does_not_listen_is_killed_after_a_second_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE", 0.3)
    told = Told(is_deaf)
    for seconds in (0.2, 0.6):
        threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM)).start()
    crew = told.crew(1, 1)
    with interruptible() as signals, pytest.raises(Stopped):
        crew.run(told.watch, signals)
    (process,) = crew.running.values()
    process._process.join(5)
    assert process._process.exitcode == -signal.SIGKILL


def test_a_job_ends_when_its_multirun_is_killed() -> None:
    """A parent that is killed cannot tell: the job notices by itself."""
    mine, theirs = FORK.Pipe(duplex=False)

    def parent(pipe: Any) -> None:
        from crossreid.multirun.processes import settle_in

        def job(pipe: Any) -> None:
            settle_in(Path(os.devnull))
            with interruptible():
                try:
                    pipe.send(os.getpid())
                    time.sleep(30)
                except Stopped:
                    pipe.send("saved")

        process = FORK.Process(target=job, args=(pipe,))
        process.start()
        process.join()

    process = FORK.Process(target=parent, args=(theirs,))
    process.start()
    theirs.close()
    assert mine.recv() > 0
    process.kill()
    assert mine.poll(10)
    assert mine.recv() == "saved"


def test_the_machine_is_shared_fairly(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossreid import machine

    monkeypatch.setattr(machine, "usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    shares = [machine.share_of_machine(slot, 3, ["0", "5"]) for slot in range(3)]
    assert [share["OMP_NUM_THREADS"] for share in shares] == ["2", "2", "2"]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["0", "5", "0"]
    assert machine.share_of_machine(0, 20, [])["OMP_NUM_THREADS"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in machine.share_of_machine(0, 20, [])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machine.share_of_machine(0, 2, [])["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 3")
    assert machine.visible_gpus() == ["1", "3"]
