"""Hydra's launcher of this package: jobs of a multirun one after the other, or several at once in processes of their own."""

from __future__ import annotations

import shlex
import signal
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, env_override, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from crossreid.console import CommandEnded, complain, notice, stop
from crossreid.interruption import Stopped, interruptible
from crossreid.invocation import command_line
from crossreid.machine import share_of_machine, usable_cores, visible_gpus
from crossreid.multirun.closing import report_on
from crossreid.multirun.frame import Frame
from crossreid.multirun.jobs import FAILED, Job, JobEnd
from crossreid.multirun.processes import Crew, JobProcess
from crossreid.multirun.task import CommandTask
from crossreid.multirun.worker import Work, be_job, good_end, run_job_of
from crossreid.settings.multirun import PLUGINS

LOGS = "logs"
"""Folder in that of a multirun, for the output of jobs that is not shown."""


class JobLauncher(Launcher):
    """What our launchers have in common: jobs, the frame around them, their ends in Hydra's form."""

    def __init__(self) -> None:
        self.expected: int | None = None
        """Jobs that a search is to have; None: those of the first call."""
        self._frame: Frame | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """For Hydra."""
        if not isinstance(task_function, CommandTask):
            raise TypeError("this launcher is of crossreid's own commands")
        self.task = task_function
        self.context = hydra_context
        self.config = config
        self._command = command_line()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, and wait for them.

        Args:
            job_overrides: what each is told.
            initial_job_idx: the number of the first.

        Returns:
            Hydra's description of each; what failed is kept by the command's task.
        """
        setup_globals()
        place = Path(str(self.config.hydra.sweep.dir))
        place.mkdir(parents=True, exist_ok=True)
        jobs, configs = self._composed(job_overrides, initial_job_idx, place)
        if self._frame is None:
            self._frame = Frame(self.expected or len(jobs), place, self._live, report_follows=self._reports)
        self._frame.add(jobs)
        self.task.told = self._frame.settings
        try:
            ends = self.run(jobs, configs, self._frame)
        except (Stopped, KeyboardInterrupt, SystemExit) as stop_of_all:
            # The table of what has ended is shown all the same, and names the command for a report, as none is written.
            self._frame.report_follows = False
            self._frame.close()
            if not isinstance(stop_of_all, CommandEnded):
                notice(f"The multirun was stopped: {how_to_go_on(self.config, self._command)}")
            raise
        # A search launches several times, and its frame stays open until the last.
        if len(self._frame.ends) >= (self.expected or len(jobs)):
            self._frame.close()
            if self._reports:
                report_on(place)
        returns = []
        for config, job, end in zip(configs, jobs, ends, strict=True):
            returns.append(_as_hydra_has_it(config, job, end))
        return returns

    def _composed(
        self, job_overrides: Sequence[Sequence[str]], first_number: int, place: Path
    ) -> tuple[list[Job], list[DictConfig]]:
        """The jobs of a call, and the settings of each."""
        jobs = []
        configs = []
        for number, overrides in enumerate(job_overrides, start=first_number):
            config = self._settings_of(number, overrides)
            self._check_one_value(config)
            configs.append(config)
            folder = place / str(config.hydra.sweep.subdir)
            log = place / LOGS / f"{number + 1}.log"
            jobs.append(Job(number, list(overrides), folder, log))
        return jobs, configs

    @abstractmethod
    def run(self, jobs: Sequence[Job], configs: Sequence[DictConfig], frame: Frame) -> list[JobEnd]:
        """Run jobs with their composed settings; a launcher's own part."""

    @property
    def _live(self) -> bool:
        """Jobs run out of sight, so that the frame shows where they are."""
        return True

    @property
    def _reports(self) -> bool:
        """The multirun ends in a report: it trains, and does not search.

        A search is told apart by ``expected``. Its trainings are steps on the way to one choice, made by validation persons;
        their scores of the test side by side would invite to choose by those.
        """
        return self.task.command == "train" and self.expected is None and bool(self.config.get("sweep_report"))

    def _check_one_value(self, config: DictConfig) -> None:
        """End the command where a job's settings differ in what is of the whole multirun."""
        if config.get("jobs") != self.config.get("jobs"):
            stop("jobs is of the whole multirun, so it has one value: give one number.")
        if config.get("sweep_report") != self.config.get("sweep_report"):
            stop("sweep_report is of the whole multirun, so it has one value: true or false.")

    def _settings_of(self, number: int, overrides: Sequence[str]) -> DictConfig:
        """What Hydra composes for a job."""
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        return config

    def failed(self, job: Job, end: JobEnd) -> None:
        """Name a job of another process that failed; end everything where it says so."""
        if end.status != FAILED:
            return
        if end.ends_all:
            complain(end.message)
            return
        self.task.fail(job.number, list(job.overrides), f"{end.message} Its output: {job.log}")


class SideBySide(JobLauncher):
    """``jobs=1``: one job after the other in this process. ``jobs=2`` and more: so many at once, each in a process of its own
    with its share of the cores, and a GPU in turn.

    A job that fails, or whose process dies, is named, and the others go on. Ctrl-C and SIGTERM end all; each job saves.
    """

    __module__ = PLUGINS

    def run(self, jobs: Sequence[Job], configs: Sequence[DictConfig], frame: Frame) -> list[JobEnd]:
        """One after the other, or at once."""
        if self._at_once == 1:
            return self._run_serially(jobs, configs, frame)
        return self._run_at_once(jobs, configs, frame)

    @property
    def _at_once(self) -> int:
        """``jobs`` of the command's settings; 1 for a command that has no such setting."""
        # What is no number of jobs, such as 0, is refused by each job, which checks its settings.
        return max(1, int(self.config.get("jobs") or 1))

    @property
    def _live(self) -> bool:
        return self._at_once > 1

    def _run_serially(self, jobs: Sequence[Job], configs: Sequence[DictConfig], frame: Frame) -> list[JobEnd]:
        ends = []
        for job, config in zip(jobs, configs, strict=True):
            frame.begin(job)
            begun = time.time()
            before = len(self.task.failures)
            done = run_job_of(self.task, self.context, config)
            # The task keeps a job's exception as a failure and returns, so that Hydra sees none.
            if len(self.task.failures) > before:
                end = JobEnd(FAILED, message=self.task.failures[-1].message)
            else:
                end = good_end(self.task, done, job.folder, begun)
            frame.end(job, end)
            ends.append(end)
        return ends

    def _run_at_once(self, jobs: Sequence[Job], configs: Sequence[DictConfig], frame: Frame) -> list[JobEnd]:
        at_once = min(self._at_once, len(jobs))
        gpus = visible_gpus()
        cores = usable_cores()
        if at_once > cores and not gpus:
            notice(f"{at_once} jobs at once on {cores} core(s): they wait for each other, jobs={cores} is as fast.")
        config_of = {job.number: config for job, config in zip(jobs, configs, strict=True)}

        def start(job: Job, slot: int) -> JobProcess:
            work = Work.of(self.task, config_of[job.number], job.folder)
            # A process inherits its environment, so its share of cores and its GPU are set only while it starts.
            with env_override(share_of_machine(slot, at_once, gpus)):
                process = JobProcess(be_job, (work, job.log))
            frame.begin(job)
            return process

        def watch(running: Any) -> None:
            stages = {jobs[place].number: process.stage for place, process in running.items()}
            frame.show(stages)

        def ended(job: Job, end: JobEnd) -> None:
            frame.end(job, end)
            self.failed(job, end)

        with interruptible() as interruption:
            try:
                ends = Crew(jobs, at_once, start, ended).run(watch, interruption)
            except Stopped as stopped:
                if stopped.signum == signal.SIGINT:
                    raise KeyboardInterrupt from stopped
                raise SystemExit(stopped.code) from stopped
        for end in ends:
            if end.ends_all:
                stop("The multirun ended with its first job: all others would have failed likewise.")
        return ends


def how_to_go_on(config: DictConfig, command: str) -> str:
    """What to type for a multirun that was stopped.

    Args:
        config: of the multirun.
        command: that started it.
    """
    words = []
    if config.get("existing") != "continue":
        words.append("existing=continue")
    if OmegaConf.is_interpolation(config.hydra.sweep, "dir"):  # it names the time
        words.append(f"hydra.sweep.dir={shlex.quote(str(config.hydra.sweep.dir))}")
    if not words:
        return f"the same command goes on, {command}"
    return f"go on with {command} {' '.join(words)}"


def _as_hydra_has_it(config: DictConfig, job: Job, end: JobEnd) -> JobReturn:
    """A job's end as Hydra and its sweepers read it; a failed one returned nothing."""
    done = JobReturn(overrides=list(job.overrides), hydra_cfg=config, working_dir=str(job.folder))
    done.status = JobStatus.COMPLETED
    done.return_value = end.value
    return done
