"""Settings of what runs a multirun's jobs: a cluster's scheduler, a search. ``hydra.launcher`` and ``hydra.sweeper``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossreid.settings.fields import LARGEST_SEED, Settings, setting

PLUGINS = "hydra_plugins.crossreid"
"""The module that Hydra takes our plugins to stand in; it takes them from that package alone."""


@dataclass
class SideBySideConfig(Settings):
    """``hydra/launcher=side_by_side``: ``jobs`` of the command says how many run at once."""

    _target_: str = setting(f"{PLUGINS}.SideBySide", "for Hydra", choices=(f"{PLUGINS}.SideBySide",))


@dataclass
class SlurmConfig(Settings):
    """``hydra/launcher=slurm``: each job of a multirun is a job of a cluster, by submitit."""

    _target_: str = setting(f"{PLUGINS}.Slurm", "for Hydra", choices=(f"{PLUGINS}.Slurm",))
    cluster: str = setting(
        "slurm", "slurm, or local: processes of this machine, to try things out", choices=("slurm", "local")
    )
    partition: str | None = setting(None, "of the cluster; null: its default")
    account: str | None = setting(None, "that the time is charged to; null: yours")
    qos: str | None = setting(None, "quality of service; null: the cluster's default")
    constraint: str | None = setting(None, "features that a node must have")
    minutes: int = setting(240, "that a job may take", at_least=1, ceiling=1_000_000)
    gpus: int = setting(1, "of a job, 0 for none", at_least=0, ceiling=64)
    cores: int = setting(4, "of a job", at_least=1, ceiling=4096)
    memory: int = setting(32, "of a job", unit="GB", at_least=1, ceiling=100_000)
    at_once: int = setting(16, "jobs that run at the same time", at_least=1, ceiling=10_000)
    again: int = setting(
        0,
        "times that a job whose time is over is submitted anew, to go on from its checkpoint",
        at_least=0,
        ceiling=1000,
    )
    before: list[str] = setting([], "commands to run first on the node, such as 'module load cuda'")
    others: dict[str, Any] = setting({}, "further options of sbatch by name, such as {mail-user: me@example.org}")


@dataclass
class OptunaConfig(Settings):
    """``hydra/sweeper=optuna``: settings are chosen by the validation score of those that were tried."""

    _target_: str = setting(f"{PLUGINS}.OptunaSearch", "for Hydra", choices=(f"{PLUGINS}.OptunaSearch",))
    trials: int = setting(20, "trainings of the search, those that failed included", at_least=1, ceiling=100_000)
    seed: int = setting(0, "of the search's own choices", at_least=0, ceiling=LARGEST_SEED)
    random_first: int = setting(
        5, "trainings of settings drawn at random, before earlier ones are learned from", at_least=1, ceiling=100_000
    )
    params: dict[str, Any] = setting(
        {}, "what is searched: KEY -> interval(LOW, HIGH), tag(log, interval(LOW, HIGH)), range(...) or choice(A, B)"
    )


@dataclass
class ReproduceConfig(Settings):
    """``hydra/sweeper=reproduce``: the rows of a table by their presets, after what they will take was said."""

    _target_: str = setting(f"{PLUGINS}.ReproductionSweep", "for Hydra", choices=(f"{PLUGINS}.ReproductionSweep",))
    seeds: list[int] = setting(
        [0, 1, 2], "of each row and preset", at_least=0, ceiling=LARGEST_SEED, filled=True, distinct=True
    )
    splits: list[int] = setting(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        "of RegDB, each trained on with the first of the seeds alone",
        at_least=1,
        at_most=10,
        filled=True,
        distinct=True,
    )
    params: dict[str, Any] = setting({}, "what is listed: KEY -> VALUE,VALUE, experiment and preset among them")


LAUNCHERS = {"side_by_side": SideBySideConfig, "slurm": SlurmConfig}
SWEEPERS = {"optuna": OptunaConfig, "reproduce": ReproduceConfig}
