"""A search for settings by Optuna, each judged by the mAP on the validation persons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from crossreid.console import notice, stop
from crossreid.errors import ConfigError
from crossreid.files import write_atomically
from crossreid.multirun.launcher import JobLauncher
from crossreid.multirun.task import CommandTask
from crossreid.multirun.words import assignments, plain_settings
from crossreid.settings.fields import from_plain
from crossreid.settings.multirun import PLUGINS, OptunaConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

STORY = "optuna.journal"
"""File in the multirun's folder that Optuna keeps its trials in, so that a search goes on."""
RESULT = "search.json"


class OptunaSearch(Sweeper):
    """Trainings one after another, or ``jobs`` at once, each with settings that Optuna chooses by the earlier ones.

    What is searched is said in Hydra's grammar: ``model.w_dt=interval(0.1,1)``, ``tag(log,interval(1e-4,1e-2))``,
    ``range(1,5)``, ``choice(a,b)`` or ``a,b``. A training that fails is named and counts as a trial without a score.

    Args:
        settings: those of :class:`OptunaConfig`, by Hydra.
    """

    __module__ = PLUGINS

    def __init__(self, **settings: Any) -> None:
        self.settings = from_plain(OptunaConfig, plain_settings(settings), "hydra.sweeper")

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """For Hydra."""
        self.config: DictConfig = config
        self.task = task_function
        self.place = Path(str(config.hydra.sweep.dir))
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Search.

        Args:
            arguments: the command line: what is searched, and what is fixed.
        """
        try:
            self.settings.check("hydra.sweeper")
            self._check()
            # The command line comes last, and wins over the sweep's own file.
            space, fixed = parted([*assignments(self.settings.params), *arguments])
            study = self._study()
        except ConfigError as error:
            stop(str(error))
        self.place.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self.place / "multirun.yaml")
        if isinstance(self.launcher, JobLauncher):
            self.launcher.expected = self.settings.trials
        trials = self._begun_before(study, space)
        while trials or self._left(study) > 0:
            at_once = max(1, int(self.config.get("jobs") or 1))
            while len(trials) < at_once and self._left(study) > 0:
                trial = study.ask(space)
                trials[trial.number] = trial.params
            self._try(study, fixed, trials)
            trials = {}
        self._tell(study)

    def _check(self) -> None:
        """Raise :class:`ConfigError` where there is no score to choose by, or no Optuna."""
        if OmegaConf.select(self.config, "selection.name") != "validation":
            raise ConfigError(
                "hydra/sweeper=optuna chooses settings by a score, which must not be that of the test: add "
                "selection=validation, so that it is the mAP on the validation persons."
            )
        try:
            import optuna  # noqa: F401, PLC0415 - an extra
        except ImportError as error:
            raise ConfigError(
                "hydra/sweeper=optuna needs the package optuna: pip install 'crossreid[sweep]'."
            ) from error

    def _study(self) -> Study:
        """The search in the multirun's folder, new or gone on with."""
        import optuna  # noqa: PLC0415 - an extra
        from optuna.storages import JournalStorage  # noqa: PLC0415
        from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.place.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(self.place / STORY)))
        # With constant_liar trials that still run count as poor ones, so that several at once do not try the same.
        sampler = optuna.samplers.TPESampler(
            seed=self.settings.seed, n_startup_trials=self.settings.random_first, constant_liar=True
        )
        return optuna.create_study(
            storage=storage, sampler=sampler, study_name="crossreid", direction="maximize", load_if_exists=True
        )

    def _left(self, study: Study) -> int:
        """Trials that are still to be asked for."""
        return self.settings.trials - len(study.trials)

    def _begun_before(self, study: Study, space: Mapping[str, BaseDistribution]) -> dict[int, dict[str, Any]]:
        """Trials that were stopped: number -> settings. They are run once more, under their number."""
        from optuna.trial import TrialState  # noqa: PLC0415 - an extra

        stopped = {}
        for trial in study.get_trials(states=[TrialState.RUNNING]):
            if trial.distributions != dict(space):
                stop(f"The search in {self.place} was one over other settings: choose another hydra.sweep.dir.")
            stopped[trial.number] = dict(trial.params)
        return stopped

    def _try(self, study: Study, fixed: Sequence[str], trials: Mapping[int, Mapping[str, Any]]) -> None:
        """Train with the settings of some trials, and tell Optuna."""
        from optuna.trial import TrialState  # noqa: PLC0415 - an extra

        for run in _neighbours(sorted(trials)):
            overrides = [[*fixed, *assignments(trials[number])] for number in run]
            returns = self.launcher.launch(overrides, initial_job_idx=run[0])
            for number, done in zip(run, returns, strict=True):
                if done.return_value is None:
                    study.tell(number, state=TrialState.FAIL)
                else:
                    study.tell(number, float(done.return_value))

    def _tell(self, study: Study) -> None:
        """Say what was best, and what failed, which does not fail the search."""
        scored = [trial for trial in study.trials if trial.value is not None]
        failed = len(study.trials) - len(scored)
        write_atomically(self.place / RESULT, lambda stream: stream.write(_as_json(study.trials)))
        if not scored:
            return  # the command names what failed, and ends with code 1
        best = max(scored, key=lambda trial: float(trial.value or 0.0))
        words = " ".join(assignments(best.params))
        notice(f"Best of {len(scored)} on the validation persons: job {best.number + 1}, mAP {_percent(best)}: {words}")
        notice(f"All of them: {self.place / RESULT}")
        if failed:
            notice(f"{failed} of {len(study.trials)} trials failed and have no score; the search went on without them.")
        if isinstance(self.task, CommandTask):
            self.task.failures.clear()  # with any left the command would end with code 1


def parted(words: Sequence[str]) -> tuple[dict[str, BaseDistribution], list[str]]:
    """A command line as what is searched, key -> distribution, and what is fixed; later words win.

    Raises:
        ConfigError: nothing is searched.
    """
    overrides: dict[str, Override] = {}
    for override in OverridesParser.create().parse_overrides(list(words)):
        overrides[override.get_key_element()] = override
    space = {}
    fixed = []
    for key, override in overrides.items():
        if override.is_sweep_override():
            space[key] = distribution(override)
        else:
            fixed.append(f"{key}={override.get_value_element_as_str()}")
    if not space:
        raise ConfigError(
            "hydra/sweeper=optuna is told nothing to search: give a setting several values, such as "
            "model.w_dt=interval(0.1,1), or take a plain multirun."
        )
    return space, fixed


def distribution(override: Override) -> BaseDistribution:
    """What Optuna draws a setting from."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: PLC0415

    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None
        assert sweep.end is not None
        log = "log" in sweep.tags
        if isinstance(sweep.start, int) and isinstance(sweep.end, int):
            return IntDistribution(sweep.start, sweep.end, log=log)
        return FloatDistribution(float(sweep.start), float(sweep.end), log=log)
    values = list(override.sweep_string_iterator())
    whole = all(value.lstrip("-").isdecimal() for value in values)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle and whole:
        numbers = sorted(map(int, values))  # a range may run downwards
        return IntDistribution(numbers[0], numbers[-1], step=abs(int(sweep.step)))
    return CategoricalDistribution(values)


def _neighbours(numbers: Sequence[int]) -> list[list[int]]:
    """Numbers in runs without a gap, which is how a launcher numbers jobs."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _percent(trial: FrozenTrial) -> str:
    return f"{100 * float(trial.value or 0.0):.1f}"


def _as_json(trials: Sequence[FrozenTrial]) -> bytes:
    """Every trial: job, settings, validation mAP in [0, 1] or null."""
    entries = []
    for trial in trials:
        entries.append({"job": trial.number, "settings": trial.params, "validation_mAP": trial.value})
    return (json.dumps({"trials": entries}, indent=2) + "\n").encode()
