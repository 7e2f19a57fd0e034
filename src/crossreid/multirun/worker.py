"""The process of one job: Hydra's part of it, the command's work, and what it tells the multirun."""

from __future__ import annotations

import importlib
import pickle
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.utils import JobReturn, JobRuntime, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from crossreid.console import CommandEnded, quiet
from crossreid.errors import CrossReIDError
from crossreid.interruption import Stopped, exit_code, interruptible, name_of
from crossreid.multirun.jobs import FAILED, FINISHED, KEPT, STOPPED, JobEnd, scores_in, written_at
from crossreid.multirun.processes import settle_in
from crossreid.multirun.task import CommandTask
from crossreid.settings.compose import VERSION_BASE, hydra_context
from crossreid.settings.registry import use_plugins
from crossreid.settings.store import register
from crossreid.stages import Stage, watched_by

_TELL_EVERY = 0.2
"""Seconds between two stages that a job sends, where nothing else than the count has changed."""


@dataclass(frozen=True)
class Work:
    """What another process needs for one job; it travels as bytes.

    Attributes:
        command: ``train``, ...
        function: of the command's module, what it does with composed settings.
        plugins: packages that settings came from.
        settings: the job's composed settings, Hydra's own included, pickled; read after the plugins are there.
        folder: of the job.
    """

    command: str
    function: str
    plugins: Sequence[str]
    settings: bytes
    folder: Path

    @classmethod
    def of(cls, task: CommandTask, config: DictConfig, folder: Path) -> Work:
        """The work of one job.

        Args:
            task: of the command.
            config: the job's composed settings, Hydra's own included.
            folder: of the job.
        """
        plugins = list(config.get("plugins") or [])
        function = getattr(task.work, "__name__", "")
        return cls(task.command, function, plugins, pickle.dumps(config), folder)

    def going_on(self) -> Work:
        """The same work where it has begun before: its run goes on from its checkpoint, or starts over without one."""
        use_plugins(self.plugins)
        config: DictConfig = pickle.loads(self.settings)
        with open_dict(config):
            config.update(existing="continue", overwrite=False, resume=None)
        return replace(self, settings=pickle.dumps(config))

    def do(self) -> JobEnd:
        """Do it in this process; an exception of the job is its end, no exception of this function."""
        begun = time.time()
        # Plugins come first: the pickled settings may hold classes of theirs.
        use_plugins(self.plugins)
        register()
        version.setbase(VERSION_BASE)
        setup_globals()
        config: DictConfig = pickle.loads(self.settings)
        JobRuntime.instance().set("name", config.hydra.job.name)
        module = importlib.import_module(f"crossreid.{self.command}")
        with interruptible() as interruption:
            task = CommandTask(self.command, getattr(module, self.function), interruption)
            try:
                done = run_job_of(task, hydra_context(config), config)
            except (Stopped, KeyboardInterrupt, SystemExit) as reason:
                return _end_without_result(reason)
        if task.failures:
            return JobEnd(FAILED, message=task.failures[-1].message)
        return good_end(task, done, self.folder, begun)


def _end_without_result(reason: BaseException) -> JobEnd:
    """How a job ended that left by an exception which is no failure of it: a signal, or a mistake that all jobs have."""
    if isinstance(reason, CommandEnded):
        return JobEnd(FAILED, message=reason.message, ends_all=True)
    if isinstance(reason, Stopped):
        return JobEnd(STOPPED, message=name_of(reason.signum))
    if isinstance(reason, KeyboardInterrupt):  # of a run, which has said how to go on
        return JobEnd(STOPPED, message=name_of(signal.SIGINT))
    code = None
    if isinstance(reason, SystemExit):
        code = reason.code
    if code == exit_code(signal.SIGTERM):
        return JobEnd(STOPPED, message=name_of(signal.SIGTERM))
    end = JobEnd(FAILED, message=f"it ended with code {code}.")
    if isinstance(code, int):  # it may be a text, as Python's sys.exit takes
        end = replace(end, code=code)
    return end


def run_job_of(task: CommandTask, context: HydraContext, config: DictConfig) -> JobReturn:
    """One job of a multirun as Hydra runs it: in a folder of its own, with its settings at hand."""
    return run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def good_end(task: CommandTask, done: JobReturn, folder: Path, begun: float) -> JobEnd:
    """How a job ended that Hydra ran in this process, and that did not fail.

    Args:
        task: that it called.
        done: what Hydra returned.
        folder: of the job.
        begun: when it began, in seconds since 1970.
    """
    end = JobEnd(FINISHED)
    if done.return_value is not None:
        end = replace(end, value=float(done.return_value))
    if task.command != "train":
        return end
    if written_at(folder) < begun:  # existing=continue left a finished run as it was
        end = replace(end, status=KEPT)
    with suppress(CrossReIDError):  # the run has read them itself, and would have failed
        end = replace(end, scores=scores_in(folder))
    return end


def be_job(pipe: Connection, work: Work, log: Path) -> None:
    """The whole life of a job's process.

    Args:
        pipe: to the multirun.
        work: what to do.
        log: file of its output.
    """
    settle_in(log)
    quiet()
    with watched_by(_sending(pipe)):
        end = work.do()
    with suppress(OSError):  # nobody listens any more
        pipe.send(end)
    pipe.close()


def _sending(pipe: Connection) -> Callable[[Stage], None]:
    """Send stages, but not every iteration of a fast training."""
    last: dict[str, Any] = {"doing": "", "time": 0.0}

    def send(stage: Stage) -> None:
        now = time.monotonic()
        if stage.doing == last["doing"] and now - last["time"] < _TELL_EVERY:
            return
        last.update(doing=stage.doing, time=now)
        with suppress(OSError):
            pipe.send(stage)

    return send
