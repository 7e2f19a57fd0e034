"""The front door: an experiment is a method, a dataset, a protocol and a trainer; running it leaves a run on disk.

Example:
    >>> import crossreid
    >>> run = crossreid.Experiment(model="lba", scale="small", overrides={"model.w_dt": 0.0}).run()  # doctest: +SKIP
    >>> run.results  # doctest: +SKIP
    >>> method = crossreid.load(run.path)  # doctest: +SKIP
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossreid.console import main_process, notice, quiet
from crossreid.errors import ConfigError
from crossreid.evaluation import Embeddings, load_foreign
from crossreid.evaluation.building import build_scorers
from crossreid.evaluation.foreign import Reading
from crossreid.interruption import Interruption, Stopped, interruptible
from crossreid.memory import keep_memory
from crossreid.methods.base import CrossModalityModule
from crossreid.runs.choosing import TORCHRUN, forget_ranks
from crossreid.runs.existing import open_or_keep
from crossreid.runs.folder import RunFolder, owned, read_config
from crossreid.runs.results import RunResults
from crossreid.settings.compose import compose, protocol_part, run_config
from crossreid.settings.data import DataConfig
from crossreid.settings.fields import Settings
from crossreid.settings.method import MethodConfig
from crossreid.settings.overrides import as_overrides
from crossreid.settings.protocol import NO_PROTOCOL, ProtocolConfig
from crossreid.settings.registry import method_class
from crossreid.settings.run import RunConfig, run_config_from_plain
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.environment import (
    check_devices,
    check_figures,
    check_files,
    check_wandb,
    choose_device,
    world_size,
)
from crossreid.training.loading import checkpoint_at, method_from
from crossreid.training.scoring import protocols_for, score_all
from crossreid.training.session import Session
from crossreid.training.wandb_run import finish_wandb

_before: list[bool] = []
"""Of the experiments that this process has run: whether its ranks were started by Lightning, which starts the program again."""


@dataclass(frozen=True)
class FinishedRun:
    """What an experiment left.

    Attributes:
        path: the run folder: checkpoints, embeddings, scores, history, pictures.
        results: its scores.
        config: its settings, with what the dataset decided.
    """

    path: Path
    results: RunResults
    config: RunConfig


class Experiment:
    """A method, a dataset, a protocol and a trainer, put together and checked.

    Args:
        model: a method's registered name, or its settings, which are then taken as they are (no scale or preset applies to
            them).
        data: a dataset's registered name, or its settings; by default the embedded people.
        row: a published row in the place of a model, such as ``aligngan/pixalign``.
        scale: ``smoke``, ``small`` or ``paper``; by default what suits the dataset. Beside settings of a method it chooses
            the size of the embedded set alone.
        preset: ``paper`` or ``official``.
        protocol: a protocol's name or settings; by default the dataset's.
        seed: of initial weights, batches and augmentation.
        overrides: other settings by their key, such as ``{"model.w_dt": 0.0, "trainer.time_budget": 600}``.
        plugins: packages to import first, for methods and datasets of one's own.
        others: further choices and settings at the top: ``trainer="gpu"``, ``logger="wandb"``, ``selection="validation"``,
            ``run_dir="outputs/mine"``, ``name="a label"``, ``init=run.path``, ``resume=...``, ``overwrite=True``.

    Attributes:
        config: the typed settings.

    Raises:
        ConfigError: in one sentence, what cannot be.
    """

    def __init__(
        self,
        model: str | MethodConfig | None = None,
        data: str | DataConfig | None = None,
        *,
        row: str | None = None,
        scale: str | None = None,
        preset: str | None = None,
        protocol: str | ProtocolConfig | None = None,
        seed: int = 0,
        overrides: Mapping[str, Any] | None = None,
        plugins: Sequence[str] = (),
        **others: Any,
    ) -> None:
        if model is not None and row is not None:
            raise ConfigError("A row says its method itself: give model or row, not both.")
        if isinstance(model, MethodConfig) and preset is not None:
            raise ConfigError("A preset does not apply to settings that are given: give preset or settings, not both.")
        # first composed by names, as on a command line; settings that are given take their places behind it
        words = {
            "experiment": row,
            "model": _word_of("model", model, MethodConfig),
            "data": _word_of("data", data, DataConfig),
            "protocol": _word_of("protocol", protocol, ProtocolConfig),
            "scale": scale,
            "preset": preset,
            "seed": seed,
            "plugins": list(plugins) or None,
            **others,
        }
        if isinstance(others.get("init"), FinishedRun):
            words["init"] = others["init"].path
        given = {key: value for key, value in words.items() if value is not None}
        given |= overrides or {}
        _refuse_objects(given)
        _refuse_lost(given, {"model": model, "data": data, "protocol": protocol})
        if isinstance(model, MethodConfig):
            given["defaults_for_missing"] = True  # what is composed for the model is replaced
        if isinstance(data, DataConfig):
            given["data.root"] = "."  # likewise, and some need one
        composed = compose("train", as_overrides(given))
        config = run_config(composed)
        self.config = _with_parts(config, model, data, protocol)
        self.config.check()

    @classmethod
    def from_config(cls, config: RunConfig) -> Experiment:
        """An experiment of settings that are there already."""
        experiment = cls.__new__(cls)
        experiment.config = config
        return experiment

    def check(self) -> None:
        """Raise :class:`ConfigError` for what this machine or the method cannot do, before anything expensive."""
        config = self.config
        if config.jobs > 1:
            raise ConfigError(
                f"jobs={config.jobs} is of a multirun, and this is one run: add -m or sweep=..., or leave it out."
            )
        check_devices(config.trainer)
        check_figures(config.report.figures, "report.figures")
        check_wandb(config.logger)
        check_files(config.model, config.protocol)
        config.trainer.check_players(len(method_class(config.model).OPTIMIZERS))

    def run(self, *, sweep_dir: Path | None = None) -> FinishedRun:
        """Train, score, show and keep; or, with ``existing="continue"``, take what is finished already.

        Args:
            sweep_dir: folder that a sweep gave this job.

        Raises:
            CrossReIDError: in one sentence, what went wrong.
            KeyboardInterrupt: Ctrl-C stopped it, and it has said how to go on.
            SystemExit: likewise, SIGTERM did; the code is 143.
        """
        quiet()
        if self.config.trainer.keep_memory:
            keep_memory()
        try:
            with interruptible() as interruption:
                return self._run(sweep_dir, interruption)
        except Stopped as stop:
            if stop.signum == signal.SIGINT:
                raise KeyboardInterrupt from stop
            raise SystemExit(stop.code if main_process() else 0) from stop

    def _run(self, sweep_dir: Path | None, interruption: Interruption) -> FinishedRun:
        self.check()
        self._refuse_second_with_ranks()
        found = open_or_keep(self.config.to_plain(), sweep_dir)
        if isinstance(found, Path):
            results = RunResults.read(found / "results.json")
            return FinishedRun(found, results, run_config_from_plain(read_config(found)))
        if not main_process():  # a rank that DDP started: the folder is its parent's
            return self._complete(found, interruption)
        with owned(found, overwrite=self.config.overwrite) as run:
            return self._complete(run, interruption)

    def _refuse_second_with_ranks(self) -> None:
        """Lightning starts a rank by starting the whole program again, so that one program has one experiment of several ranks.

        A rank that has had its experiment ends here: what comes after is its parent's.
        """
        with_ranks = world_size(self.config.trainer) > 1 and TORCHRUN not in os.environ
        if not main_process() and any(_before):
            raise SystemExit(0)
        if main_process() and with_ranks and _before:
            raise ConfigError(
                "An experiment on several devices must be the first of its program, since each of its processes starts the "
                "program from the top: give it a program of its own, or set trainer.devices=1."
            )
        _before.append(with_ranks)

    def _complete(self, run: RunFolder, interruption: Interruption) -> FinishedRun:
        """Train, score, show and keep in a folder that is this process's; say how it ended."""
        session = Session(self.config, run, interruption)
        try:
            results = session.complete()
        except BaseException as error:
            if isinstance(error, Stopped):
                notice(session.farewell(error))
            if main_process() and session.began:
                run.note_problem(error, interrupted=isinstance(error, Stopped | KeyboardInterrupt))
            finish_wandb(exit_code=1)
            raise
        finally:
            forget_ranks()
        finish_wandb(exit_code=0)
        return FinishedRun(run.path, results, session.config)


def load(place: str | Path, device: str = "auto") -> CrossModalityModule[Any]:
    """A trained method from a run folder or a checkpoint, in eval mode.

    Args:
        place: a run folder, or a ``.ckpt`` of a run or of a plain Lightning trainer.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``gpu`` or ``cuda:1``.

    Raises:
        CheckpointError: there is none, it is damaged, or its method is not registered here.
        ConfigError: the device is not there.
    """
    chosen = choose_device(device)
    path = checkpoint_at(place)
    return method_from(read_checkpoint(path), path).to(chosen)


def score(
    embeddings: str | Path | Embeddings,
    protocol: str | ProtocolConfig,
    *,
    name: str | None = None,
    pairs: bool = True,
    reading: Reading | None = None,
    **settings: Any,
) -> RunResults:
    """Score embeddings from anywhere by a protocol.

    Args:
        embeddings: embeddings, or a file or folder of them as :func:`~crossreid.evaluation.load_foreign` reads it, such as
            an .npz of ``features`` (N, D), ``pids``, ``camids`` (1-based), ``frames`` (0-based).
        protocol: its name or settings.
        name: of the row; by default the file's name.
        pairs: score the four query/gallery modality pairings too (AlignGAN, Table 1).
        reading: what the file does not say.
        settings: of a protocol that is named, such as ``modes=["all"]``, ``permutations="rand_perm_cam.mat"``.

    Raises:
        ConfigError: the protocol or its settings are not known.
        DataError: the file is damaged, or holds nothing to score.
    """
    config: Any = protocol
    if isinstance(protocol, str):
        config = protocol_part(protocol, settings)
    if not isinstance(config, ProtocolConfig):
        raise ConfigError(NO_PROTOCOL)
    config.check()
    if isinstance(embeddings, Embeddings):
        held = embeddings
        default_name = "embeddings"
    else:
        held = load_foreign(embeddings, reading)
        default_name = Path(embeddings).stem
    protocols = protocols_for(held, config)
    rows = score_all(name or default_name, held, protocols, build_scorers(config), pairs=pairs)
    return RunResults(rows)


def _word_of(part: str, given: object, kind: type[MethodConfig | DataConfig | ProtocolConfig]) -> Any:
    """What composes a part: the name of settings of its kind, or the name that was given.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(given, kind):
        return given.name
    if given is None or isinstance(given, str):
        return given
    raise ConfigError(f"{part} was given {_kind_of(given)}: give it a name, or a {kind.__name__} of its own.")


def _refuse_objects(words: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` where a choice by name, or a setting, was given settings or a class."""
    for key, given in words.items():
        if isinstance(given, Settings | type):
            raise ConfigError(f"{key} was given {_kind_of(given)}: give it a name or a value.")


def _kind_of(given: object) -> str:
    """What something is, in a sentence."""
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return f"a {type(given).__name__}"


def _refuse_lost(given: Mapping[str, Any], parts: Mapping[str, object]) -> None:
    """Raise :class:`ConfigError` where something is said of a part that is given as settings, which are taken as they are."""
    for key in given:
        name, _, inside = key.lstrip("+~").partition(".")
        if inside and isinstance(parts.get(name), Settings):
            raise ConfigError(f"{name} is given as settings, which are taken as they are: say {key} in them.")


def _with_parts(
    config: RunConfig,
    model: str | MethodConfig | None,
    data: str | DataConfig | None,
    protocol: str | ProtocolConfig | None,
) -> RunConfig:
    """Parts that were given as settings in the places of those that were composed."""
    if isinstance(model, MethodConfig):
        config = replace(config, model=model, preset=None, scale=None)
    if isinstance(data, DataConfig):
        config = replace(config, data=data, people=None)
    if isinstance(protocol, ProtocolConfig):
        config = replace(config, protocol=protocol)
    return config
