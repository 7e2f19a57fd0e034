"""Train a method, score it, show what it learned: ``python -m crossreid.train model=aligngan``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from crossreid.errors import ConfigError
from crossreid.invocation import in_multirun
from crossreid.launch import run_command
from crossreid.optimiser import check_optimiser, objective
from crossreid.settings.compose import Composed, run_config
from crossreid.settings.run import RunConfig

_LEAKING = ("LOCAL_RANK", "GLOBAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def main() -> None:
    """The command."""
    run_command("train", train)


def train(composed: Composed) -> float | None:
    """One run; returns what a sweeper may optimise: the mAP on the validation persons, None with ``selection=last``."""
    config = run_config(composed)
    check_optimiser(config)
    if in_multirun():
        config = replace(config, jobs=1)  # of the multirun, which this is one job of
    from crossreid.experiment import Experiment  # noqa: PLC0415 - torch is imported behind the first checks

    experiment = Experiment.from_config(config)
    if not in_multirun():
        return objective(experiment.run().results.facts)
    _prepare_sweep_job(config)
    run = experiment.run(sweep_dir=Path(HydraConfig.get().runtime.output_dir))
    return objective(run.results.facts)


def _prepare_sweep_job(config: RunConfig) -> None:
    """A relaunching DDP strategy would start the whole sweep again in every rank."""
    from crossreid.training.environment import world_size  # noqa: PLC0415

    if world_size(config.trainer) > 1:
        raise ConfigError(
            "A multirun cannot start DDP jobs, since each rank would start the whole sweep again: set "
            "trainer.devices=1, or start the DDP runs one by one without -m."
        )
    if config.run_dir:
        raise ConfigError("A multirun gives every job a folder of its own: leave run_dir out.")
    for name in _LEAKING:
        os.environ.pop(name, None)


if __name__ == "__main__":
    main()
