"""Jobs of a multirun as jobs of a cluster, by submitit: submitted, waited for, named where one fails."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from crossreid.console import quiet, stop
from crossreid.errors import ConfigError, reason_of
from crossreid.interruption import interruptible
from crossreid.multirun.frame import Frame
from crossreid.multirun.jobs import FAILED, Job, JobEnd
from crossreid.multirun.launcher import LOGS, JobLauncher
from crossreid.multirun.words import plain_settings
from crossreid.multirun.worker import Work
from crossreid.settings.fields import from_plain
from crossreid.settings.multirun import PLUGINS, SlurmConfig
from crossreid.stages import Stage

_LOOK_EVERY = 1.0
"""Seconds between two looks at the jobs; submitit asks the scheduler itself much less often."""
_SLURM_ONLY = ("partition", "account", "qos", "constraint")


class RemoteJob:
    """What the node of a cluster does: one job, again from its checkpoint when the scheduler takes the node away.

    Args:
        work: the job.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self._again = False

    def __call__(self) -> JobEnd:
        """Do it."""
        quiet()
        end = self.work.do()
        if self._again and end.code is not None:  # submitit has put it into the queue once more, and this was no end
            sys.exit(end.code)
        return end

    def checkpoint(self) -> Any:
        """For submitit, when the time is over or the node is wanted for something else: the same job, which goes on."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415 - an extra

        self._again = True
        return DelayedSubmission(RemoteJob(self.work.going_on()))


class Slurm(JobLauncher):
    """Every job of a multirun as a job of a cluster. This process waits for them and shows their states; where it is stopped,
    they are cancelled, which lets each save.

    Args:
        settings: those of :class:`SlurmConfig`, by Hydra.
    """

    __module__ = PLUGINS

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = from_plain(SlurmConfig, plain_settings(settings), "hydra.launcher")

    def run(self, jobs: Sequence[Job], configs: Sequence[DictConfig], frame: Frame) -> list[JobEnd]:
        """Submit them, and wait."""
        try:
            executor = self._executor()
        except ConfigError as error:
            stop(str(error))
        works = []
        for job, config in zip(jobs, configs, strict=True):
            works.append(RemoteJob(Work.of(self.task, config, job.folder)))
        with executor.batch():  # on Slurm as one array, of which ``at_once`` run at a time
            submitted = [executor.submit(work) for work in works]
        for job in jobs:
            frame.begin(job)
        try:
            return self._wait_for(jobs, submitted, frame)
        except BaseException:  # Ctrl-C and SIGTERM too: jobs that nobody waits for must not stay in the queue
            for handle in submitted:
                handle.cancel(check=False)
            raise

    def _executor(self) -> Any:
        """Submitit's, with the settings.

        Raises:
            ConfigError: they cannot be, or submitit or the scheduler is missing.
        """
        settings = self.settings
        settings.check("hydra.launcher")
        if int(self.config.get("jobs") or 1) > 1:
            raise ConfigError("jobs is of hydra/launcher=side_by_side: set hydra.launcher.at_once for a cluster.")
        try:
            import submitit  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigError(
                "hydra/launcher=slurm needs the package submitit: pip install 'crossreid[slurm]'."
            ) from error
        folder = f"{self.config.hydra.sweep.dir}/{LOGS}"
        try:
            executor = submitit.AutoExecutor(
                folder=folder, cluster=settings.cluster, slurm_max_num_timeout=settings.again
            )
        except RuntimeError as error:
            raise ConfigError(
                "There is no Slurm here (sbatch is missing): start it where the cluster's jobs are submitted, or try it out "
                "by hydra.launcher.cluster=local."
            ) from error
        executor.update_parameters(
            name="crossreid",
            timeout_min=settings.minutes,
            gpus_per_node=settings.gpus,
            cpus_per_task=settings.cores,
            mem_gb=settings.memory,
            slurm_array_parallelism=settings.at_once,
            slurm_setup=settings.before or None,
            slurm_additional_parameters=settings.others,
            **self._slurm_only(),
        )
        return executor

    def _slurm_only(self) -> dict[str, Any]:
        """What only Slurm knows, as submitit names it; what is not set is left to the cluster."""
        parameters = {}
        for name in _SLURM_ONLY:
            value = getattr(self.settings, name)
            if value:
                parameters[f"slurm_{name}"] = value
        return parameters

    def _wait_for(self, jobs: Sequence[Job], submitted: Sequence[Any], frame: Frame) -> list[JobEnd]:
        """How the jobs ended, in their order."""
        ends: dict[int, JobEnd] = {}
        with interruptible() as interruption:
            while len(ends) < len(jobs):
                stages = {}
                for place, (job, handle) in enumerate(zip(jobs, submitted, strict=True)):
                    if place in ends:
                        continue
                    if handle.done():
                        ends[place] = _end_of(handle)
                        frame.end(job, ends[place])
                        # The output of a job on a cluster lies where submitit has put it.
                        self.failed(replace(job, log=handle.paths.stderr), ends[place])
                    else:
                        stages[job.number] = Stage(str(handle.state).lower())
                frame.show(stages)
                interruption.check()
                if len(ends) < len(jobs):
                    time.sleep(_LOOK_EVERY)
        return [ends[place] for place in range(len(jobs))]


def _end_of(handle: Any) -> JobEnd:
    """How a job of the cluster ended; one that died says so in words of submitit, which name its state and its logs."""
    error = handle.exception()
    if error is not None:
        return JobEnd(FAILED, message=f"job {handle.job_id} of the cluster has no result ({reason_of(error)}).")
    end = handle.result()
    assert isinstance(end, JobEnd)
    return end
