"""``sweep=reproduce``: rows of the published tables by their presets, after what they will take was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from rich.table import Table

from crossreid.console import console, notice, stop
from crossreid.errors import ConfigError, CrossReIDError
from crossreid.multirun.frame import table_text
from crossreid.multirun.task import sentence_of
from crossreid.multirun.words import assignments, plain_settings
from crossreid.settings.compose import Composed, has_settings, plain_values, run_config
from crossreid.settings.data import RegDBSplitConfig
from crossreid.settings.fields import from_plain
from crossreid.settings.multirun import PLUGINS, ReproduceConfig
from crossreid.settings.registry import dataset_settings, method_settings
from crossreid.settings.run import RunConfig
from crossreid.settings.store import is_choice
from crossreid.untrusted import read_json

UNKNOWN = "unknown"
_SPLIT = "data.split"


@dataclass(frozen=True)
class Planned:
    """One job that is to run.

    Attributes:
        overrides: what it is told.
        config: its settings, ``model.iterations_per_epoch`` known.
        row: what it trains.
        preset: by which settings.
        finished: it is there already, and is kept.
    """

    overrides: list[str]
    config: RunConfig
    row: str
    preset: str
    finished: bool


class ReproductionSweep(Sweeper):
    """Every row by every preset that it has, with each seed; on RegDB with each split and the first seed.

    Args:
        settings: those of :class:`ReproduceConfig`, by Hydra.
    """

    __module__ = PLUGINS

    def __init__(self, **settings: Any) -> None:
        self.settings = from_plain(ReproduceConfig, plain_settings(settings), "hydra.sweeper")

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """For Hydra."""
        self.context = hydra_context
        self.config: DictConfig = config
        self.place = Path(str(config.hydra.sweep.dir))
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Say what the runs will take, and run them.

        Args:
            arguments: the command line.
        """
        try:
            self.settings.check("hydra.sweeper")
            values = self._values(arguments)
            jobs, left_out = self._jobs(values)
        except (CrossReIDError, HydraException, OmegaConfBaseException, OSError) as error:
            stop(sentence_of(error) or str(error))
        console.print(table_text(expected_table(jobs, self.place)))
        for reason, rows in left_out.items():
            notice(f"Left out: {', '.join(rows)}: {reason}")
        self._note(values)
        self.launcher.launch([job.overrides for job in jobs], initial_job_idx=0)

    def _values(self, arguments: Sequence[str]) -> dict[str, list[str]]:
        """Key -> the values that it is to have, in the order of the jobs; later words win."""
        words = [*assignments(self.settings.params), *arguments]
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        values: dict[str, list[str]] = {}
        for override in parser.parse_overrides(words):
            # Hydra's own sweeper knows all kinds of lists and ranges: of one override it makes a job for each value, in one
            # batch, and a job is told a single KEY=VALUE.
            jobs = BasicSweeper.split_arguments([override], None)[0]
            values[override.get_key_element()] = [word.partition("=")[2] for (word,) in jobs]
        if "experiment" not in values:
            raise ConfigError("sweep=reproduce needs rows: give experiment=lba/full,agw/full or others.")
        dataset = str(self.config.hydra.runtime.choices["data"])
        seeds = self.settings.seeds
        if issubclass(dataset_settings(dataset), RegDBSplitConfig):
            values.setdefault(_SPLIT, [str(split) for split in self.settings.splits])
            seeds = seeds[:1]
        values.setdefault("seed", [str(seed) for seed in seeds])
        return values

    def _jobs(self, values: Mapping[str, Sequence[str]]) -> tuple[list[Planned], dict[str, list[str]]]:
        """The jobs, and why rows are left out: reason -> rows with their presets.

        Raises:
            ConfigError: settings of a job cannot be, or nothing is left to train.
            DataError: the dataset is not there, or damaged.
        """
        words_by_key = []
        for key, values_of_key in values.items():
            words_by_key.append([f"{key}={value}" for value in values_of_key])
        jobs = []
        left_out: dict[str, dict[str, None]] = {}
        epochs = _Epochs()
        for words in product(*words_by_key):
            overrides = list(words)
            if _SPLIT in values:
                overrides.append(f"hydra.sweep.subdir={self._folder_of_job}_split${{{_SPLIT}}}")
            config = self.context.config_loader.load_sweep_config(self.config, overrides)
            choices = dict(config.hydra.runtime.choices)
            row = str(choices["experiment"])
            preset = str(choices["preset"])
            reason = why_not(str(choices["model"]), row, preset)
            if reason:
                left_out.setdefault(reason, {})[f"{row} by preset={preset}"] = None
                continue
            folder = self.place / str(config.hydra.sweep.subdir)
            with open_dict(config):
                config.pop("hydra")
            composed = Composed(plain_values(config), choices, tuple(overrides))
            run = epochs.known(run_config(composed))
            jobs.append(Planned(overrides, run, row, preset, _is_finished(folder)))
        reasons = {reason: list(rows) for reason, rows in left_out.items()}
        if not jobs:
            raise ConfigError(f"There is nothing to train: {'; '.join(reasons)}.")
        return jobs, reasons

    @property
    def _folder_of_job(self) -> str:
        """As it is written, with what each job puts in."""
        hydra: Any = OmegaConf.to_container(self.config.hydra, resolve=False)
        return str(hydra["sweep"]["subdir"])

    def _note(self, values: Mapping[str, Sequence[str]]) -> None:
        """Keep what is run, which the report looks up to name what never began."""
        self.place.mkdir(parents=True, exist_ok=True)
        kept = self.config.copy()
        with open_dict(kept):
            for key in ("experiment", "seed"):
                kept.hydra.sweeper.params[key] = ",".join(values[key])
        OmegaConf.save(kept, self.place / "multirun.yaml")


def why_not(method: str, row: str, preset: str) -> str:
    """Why a row has no training of its own by a preset; empty where it has."""
    settings = method_settings(method)
    if preset == "paper":
        return ""
    if f"preset={preset}" in settings.settled:
        return settings.settled[f"preset={preset}"]
    if has_settings("model_preset", settings(), preset) or is_choice(f"row_preset/{row}", preset):
        return ""
    return f"{method} has no settings for preset={preset}"


class _Epochs:
    """Completes settings by the number of iterations in an epoch, which the size of the dataset says."""

    def __init__(self) -> None:
        self._images: dict[str, int] = {}

    def known(self, config: RunConfig) -> RunConfig:
        """The settings with ``model.iterations_per_epoch``.

        Raises:
            DataError: the dataset is not there, or damaged.
        """
        if config.model.iterations_per_epoch is not None or not config.model.trains:
            return config
        from crossreid.data.datamodule import ReIDDataModule  # noqa: PLC0415 - torch comes with it
        from crossreid.data.datasets.sources import open_source  # noqa: PLC0415

        validating = config.selection.name == "validation"
        stream = config.model.streams["identity"]
        # An epoch's iterations follow from the images of a batch and the persons of training. Splits have no part in the key:
        # all splits of RegDB have as many images.
        key = f"{stream.identities * stream.images} {validating}"
        if key not in self._images:
            data = open_source(config.data).for_training()
            module = ReIDDataModule.for_method(data, config.model, validating=validating)
            self._images[key] = module.iterations_per_epoch
        return replace(config, model=config.model.with_epoch(self._images[key]))


def _is_finished(folder: Path) -> bool:
    """A run there says so; whether it is of these settings its job looks at."""
    with suppress(CrossReIDError):
        return bool(read_json(folder / "run.json").get("status") == "finished")
    return False


# ---------------------------------------------------------------------- what they will take


def expected_table(jobs: Sequence[Planned], place: Path) -> Table:
    """Hours and memory of every row by each preset, and of all together, with where the figures come from."""
    from crossreid.studies.estimate import Estimate, estimate  # noqa: PLC0415 - a command that does not train has no use of it

    table = Table(title=f"What is to be trained below {place}", title_justify="left", caption_justify="left")
    table.add_column("row", overflow="fold")
    table.add_column("preset")
    for heading in ("runs", "finished", "iterations", "h a run", "h left", "GiB", "figures"):
        table.add_column(heading, justify="right")
    sources: dict[str, int] = {}
    total = 0.0
    unknown = 0
    for (row, preset), of_row in _by_row_and_preset(jobs).items():
        one: Estimate = estimate(of_row[0].config)  # seeds and splits take as long as each other
        finished = sum(job.finished for job in of_row)
        left = len(of_row) - finished
        hours = one.hours.value
        hours_left = None
        if hours is None:
            unknown += left
        else:
            hours_left = left * hours
            total += hours_left
        marks = [_mark(one.hours.source, sources), _mark(one.memory.source, sources)]
        table.add_row(
            row,
            preset,
            str(len(of_row)),
            str(finished),
            str(one.iterations),
            _number(hours),
            _number(hours_left),
            _number(one.memory.value),
            ", ".join(dict.fromkeys(marks)),
        )
    table.caption = _caption(total, unknown, sources)
    return table


def _by_row_and_preset(jobs: Sequence[Planned]) -> dict[tuple[str, str], list[Planned]]:
    """The jobs that differ in seed or split alone, together."""
    groups: dict[tuple[str, str], list[Planned]] = {}
    for job in jobs:
        groups.setdefault((job.row, job.preset), []).append(job)
    return groups


def _caption(hours: float, unknown: int, sources: Mapping[str, int]) -> str:
    """How long all that is left takes, and what the marks of the last column stand for."""
    lines = [
        f"All that is left, one run after the other: {hours:.1f} h of training and {unknown} runs of unknown length.",
        "Reading, scoring and saving come on top. Where the figures come from:",
    ]
    for source, mark in sources.items():
        lines.append(f"{mark}: {source}")
    return "\n".join(lines)


def _mark(source: str, sources: dict[str, int]) -> str:
    """The number of a source below the table."""
    return str(sources.setdefault(source, len(sources) + 1))


def _number(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.1f}"
