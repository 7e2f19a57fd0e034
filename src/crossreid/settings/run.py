"""Settings of a run: what is trained, on what, where it goes, and what is scored and shown at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from crossreid.errors import ConfigError
from crossreid.settings.data import NOT_PART_OF_DATA, DataConfig
from crossreid.settings.fields import LARGEST_SEED, REQUIRED, Settings, from_plain, key_below, setting
from crossreid.settings.method import MethodConfig
from crossreid.settings.protocol import PROTOCOLS, ProtocolConfig

FORMAT = 2
"""Of the settings that a run and its checkpoints keep; raised where older ones need :mod:`~crossreid.settings.conversion`."""


@dataclass
class SelectionConfig(Settings):
    """Which weights are scored."""

    name: str = setting(
        "last",
        "last (the papers' setting: trained on training and validation persons together) or validation (trained on the "
        "training persons, the best on the validation persons; the test gallery is never looked at before)",
        choices=("last", "validation"),
    )
    every: int = setting(
        0, "epochs between two looks at the validation persons; 0 with last", at_least=0, ceiling=1_000_000
    )

    def check_together(self, place: str) -> None:
        """``every`` goes with ``validation``."""
        if self.name == "validation" and self.every < 1:
            raise ConfigError(f"{place}.every is the number of epochs between two validations: give 1 or more.")
        if self.name == "last" and self.every:
            raise ConfigError(
                f"{place}.every goes with selection=validation; selection=last looks at no validation ids."
            )

    def check_epochs(self, epochs: int | None) -> None:
        """Raise :class:`ConfigError` where the last weights of so many epochs would not be looked at."""
        if self.name == "validation" and epochs is not None and epochs % self.every:
            raise ConfigError(
                f"selection.every={self.every} does not divide the {epochs} epochs of this training, so the last weights "
                "would not be looked at: choose another number."
            )


@dataclass
class TrainerConfig(Settings):
    """Where and how it runs."""

    accelerator: str = setting("auto", "a GPU where there is one (auto), or by name", choices=("auto", "cpu", "gpu"))
    devices: Any = setting(1, "processes on this machine, a list of GPUs, or auto")
    num_nodes: int = setting(1, "machines", at_least=1, ceiling=1000)
    strategy: str = setting(
        "auto",
        "auto: DDP on several devices, by the number of players",
        choices=("auto", "ddp", "ddp_find_unused_parameters_true"),
    )
    backend: str | None = setting(None, "of the process group (nccl, gloo); null: the accelerator's own")
    precision: str = setting(
        "32-true", "of training; 16-mixed for one player only", choices=("32-true", "bf16-mixed", "16-mixed")
    )
    channels_last: bool = setting(False, "convolutions with channels as the last axis in memory, for a GPU in bfloat16")
    tf32: bool | None = setting(
        None, "float32 products and convolutions of a GPU rounded to 10 bits; null: convolutions only, torch's default"
    )
    cudnn_benchmark: bool | None = setting(None, "try cuDNN's algorithms for each shape and keep the fastest; null: no")
    optimizer_kernels: str = setting(
        "auto",
        "how optimizers go through parameters: one by one (loop), in groups (foreach), in one kernel (fused), torch's choice",
        choices=("auto", "loop", "foreach", "fused"),
    )
    compile: str = setting(
        "off",
        "networks compiled by torch.compile in this mode, which takes minutes before the first step; reduce-overhead: with "
        "CUDA graphs, on a GPU",
        choices=("off", "default", "reduce-overhead", "max-autotune"),
    )
    deterministic: bool = setting(False, "only deterministic kernels, slower on a GPU")
    log_every: int = setting(10, "between logged losses", unit="iterations", at_least=1, ceiling=1_000_000_000)
    checkpoint_every: int = setting(100, "between checkpoints", unit="iterations", at_least=1, ceiling=1_000_000_000)
    phase_checkpoints: bool = setting(
        False, "keep a checkpoint of each phase's end too (<phase>.ckpt), to go on or compare from there"
    )
    keep_optimizers: bool = setting(
        True,
        "the last checkpoint keeps the optimizers once the run is finished; without them it is scored, not trained on",
    )
    pictures_every: int = setting(
        100, "between picture grids in W&B, 0 for none", unit="iterations", at_least=0, ceiling=1_000_000_000
    )
    progress: bool = setting(True, "show progress")
    keep_memory: bool = setting(
        True,
        "keep freed memory for the next step instead of giving it back, which a CPU is much faster with (glibc only)",
    )
    time_budget: float | None = setting(
        None,
        "time that training may take, over all resumes; then it stops unscored; null: any",
        unit="seconds",
        above=0,
        ceiling=1_000_000_000,
    )

    def check_together(self, place: str) -> None:
        """``devices`` is a number, a list or ``auto``; kernels are chosen one way."""
        if self.deterministic and self.cudnn_benchmark:
            raise ConfigError(
                f"{place}.cudnn_benchmark chooses algorithms by their time, which {place}.deterministic forbids: set one of "
                "them to false."
            )
        listed = isinstance(self.devices, list) and bool(self.devices)
        if not listed and not re.fullmatch(r"auto|-1|[1-9]\d*", str(self.devices)):
            raise ConfigError(f"{place}.devices is '{self.devices}': give a number from 1, a list, or 'auto'.")

    def check_players(self, players: int) -> None:
        """Raise :class:`ConfigError` for a precision that several optimizers cannot have."""
        if self.precision == "16-mixed" and players > 1:
            raise ConfigError(
                "trainer.precision=16-mixed updates one gradient scaler once a player, which is wrong with several: use "
                "trainer.precision=bf16-mixed."
            )


@dataclass
class LoggerConfig(Settings):
    """Where losses go besides history.csv in the run folder, which is always written."""

    name: str = setting("csv", "csv for nothing more, or wandb", choices=("csv", "wandb"))
    offline: bool = setting(True, "W&B without a login; `wandb sync` sends the run later")
    project: str = setting("crossreid", "W&B project")
    entity: str | None = setting(None, "W&B user or team; null: your default")
    tags: list[str] = setting([], "of one's own, beside data, protocol, scale, preset and row", distinct=True)
    notes: str | None = setting(None, "a sentence on the run")
    artifacts: bool = setting(False, "keep the checkpoint that is scored and the test embeddings as artifacts")


@dataclass
class ReportConfig(Settings):
    """What is scored and drawn at the end of training."""

    untrained: bool | None = setting(
        None, "score the network before training too; null: on the embedded set only, where it is cheap"
    )
    modality_pairs: bool = setting(True, "the four query/gallery modality pairings (AlignGAN, Table 1)")
    figures: bool = setting(True, "draw PNGs")
    tsne_identities: int = setting(
        7, "persons in the t-SNE figure (AlignGAN, Fig. 6), one marker shape each; 0 for none", at_least=0, at_most=10
    )


@dataclass
class TrainConfig(Settings):
    """Everything ``crossreid.train`` is told."""

    name: str | None = setting(None, "label of the run, in folders and as the W&B group; null: its row or method")
    seed: int = setting(0, "of initial weights, batches and augmentation", at_least=0, ceiling=LARGEST_SEED)
    resume: str | None = setting(
        None, "a run folder or checkpoint to go on from; auto: the newest run with these settings"
    )
    init: str | None = setting(
        None,
        "a run folder or checkpoint of the same method and network whose weights this training starts from; heads for persons "
        "are new",
    )
    run_dir: str | None = setting(None, "folder of the run; null: a new one, OUTPUT_ROOT/NAME/DATE_TIME_seedN")
    output_root: str = setting("outputs", "folder of run folders")
    overwrite: bool = setting(False, "replace a run that is already in run_dir")
    existing: str = setting(
        "refuse",
        "a run that is in its folder already: refuse, or continue: keep it if it is finished, else go on from its "
        "checkpoint, or start over; never one of other settings",
        choices=("refuse", "continue"),
    )
    jobs: int = setting(
        1, "jobs of a multirun that run at once, each with its share of the machine", at_least=1, ceiling=1000
    )
    sweep_report: bool = setting(
        True, "a multirun ends in the report of its runs, as crossreid.report writes it, in report/ of its folder"
    )
    plugins: list[str] = setting([], "packages to import first, for methods and datasets of one's own", distinct=True)
    defaults_for_missing: bool = setting(
        False, "take a method's own settings where it has none for the chosen scale or preset, instead of refusing"
    )
    people: Any = setting(None, "sizes of the embedded sets, chosen by people=NAME")
    data: Any = setting(REQUIRED, "the dataset")
    selection: SelectionConfig = setting(SelectionConfig(), "which weights are scored")
    protocol: Any = setting(REQUIRED, "how it is scored")
    trainer: TrainerConfig = setting(TrainerConfig(), "where and how it runs")
    logger: LoggerConfig = setting(LoggerConfig(), "where losses go")
    report: ReportConfig = setting(ReportConfig(), "what is scored and drawn at the end")
    model: Any = setting(REQUIRED, "the method")

    def check_together(self, place: str) -> None:
        """``existing=continue`` decides by itself."""
        if self.existing == "continue" and (self.overwrite or self.resume):
            raise ConfigError("existing=continue decides by itself what to resume: leave overwrite and resume out.")


@dataclass
class Choices(Settings):
    """What was chosen by name: with the settings it is a run's identity. None: not chosen by name, but given in Python."""

    method: str = setting(REQUIRED, "the method's registered name")
    data: str = setting(REQUIRED, "the dataset's registered name")
    protocol: str = setting(REQUIRED, "the protocol's name")
    row: str | None = setting(None, "a published row, such as lba/full")
    preset: str | None = setting(None, "paper or official")
    scale: str | None = setting(None, "smoke, small, medium or paper")
    people: str | None = setting(None, "sizes of the embedded set, such as small")


@dataclass
class RunConfig(TrainConfig):
    """One run, typed: its settings with the method's, the dataset's and the protocol's, and what was chosen by name."""

    model: MethodConfig = setting(REQUIRED, "the method")
    data: DataConfig = setting(REQUIRED, "the dataset")
    protocol: ProtocolConfig = setting(REQUIRED, "how it is scored")
    row: str | None = setting(None, "a published row, such as lba/full")
    preset: str | None = setting(None, "paper or official")
    scale: str | None = setting(None, "smoke, small, medium or paper")

    @property
    def choices(self) -> Choices:
        """What was chosen by name."""
        people = None
        if self.data.embedded and isinstance(self.people, Mapping):
            people = self.people["name"]
        return Choices(self.model.name, self.data.name, self.protocol.name, self.row, self.preset, self.scale, people)

    @property
    def label(self) -> str:
        """The run's name in tables and folders."""
        return self.name or self.row or self.model.name

    def check_together(self, place: str) -> None:
        """As of :class:`TrainConfig`, epochs that can be selected from, and networks that are compiled or recomputed."""
        super().check_together(place)
        if self.trainer.compile != "off" and self.model.recompute:
            raise ConfigError(
                "trainer.compile and model.recompute do not go together: what is computed again goes by the state of its first "
                "forward, which compiled code does not see. Set trainer.compile=off, or model.recompute=[]."
            )
        self.selection.check_epochs(self.model.epochs_of_training)

    def to_plain(self) -> dict[str, Any]:
        """Everything as plain values, as a run and its checkpoints keep it."""
        kept = asdict(self)
        for key in ("row", "preset", "scale", "people", "jobs", "sweep_report", "plugins", "defaults_for_missing"):
            del kept[key]
        kept["name"] = self.label
        return {"format": FORMAT, "choices": asdict(self.choices), **kept}


NOT_PART_OF_A_RUN = (
    "name",
    "resume",
    "run_dir",
    "output_root",
    "overwrite",
    "existing",
    "logger",
    "report",
    "protocol",
)
"""Settings that do not change what a run computes; of the protocol see :data:`NOT_PART_OF_SELECTION`."""
NOT_PART_OF_SELECTION = ("modes", "shots", "rerank", "reranking")
"""Of the protocol, what the validation persons are scored without: the rest decides which weights are kept."""
MOST_LISTED = 8
"""Values of a list that a sentence on a difference writes out."""
LEFT_TO_DATASET = ("model.iterations_per_epoch", "data.divide")
"""Settings that the dataset may decide."""
NOT_PART_OF_TRAINER = (
    "progress",
    "checkpoint_every",
    "phase_checkpoints",
    "keep_optimizers",
    "pictures_every",
    "time_budget",
    "keep_memory",
)
"""Likewise, of the trainer."""
NOT_PART_OF_METHOD = ("recompute",)
"""Likewise, of the method."""


def run_config_from_plain(kept: Mapping[str, Any]) -> RunConfig:
    """The settings that a run or a checkpoint keeps (:meth:`RunConfig.to_plain`), typed and checked.

    Text is taken literally: nothing is imported, looked up or resolved because a file says so.

    Raises:
        ConfigError: a name is not registered here, or a value has no place.
    """
    from crossreid.settings.registry import dataset_settings, method_settings  # noqa: PLC0415 - it knows this module

    for part in ("choices", "model", "data", "protocol"):
        if not isinstance(kept.get(part), Mapping):
            raise ConfigError(f"These are no settings of a run: {part} is missing.")
    chosen = from_plain(Choices, kept["choices"], "choices")
    chosen.check("choices")
    if chosen.protocol not in PROTOCOLS:
        raise ConfigError(f"The run was scored by the protocol '{chosen.protocol}', which is not known here.")
    parts: dict[str, Settings] = {
        "model": from_plain(method_settings(chosen.method), kept["model"], "model"),
        "data": from_plain(dataset_settings(chosen.data), kept["data"], "data"),
        "protocol": from_plain(PROTOCOLS[chosen.protocol], kept["protocol"], "protocol"),
    }
    others = without(kept, ("format", "choices", "model", "data", "protocol"))
    named: dict[str, Any] = {"row": chosen.row, "preset": chosen.preset, "scale": chosen.scale}
    if chosen.people:
        named["people"] = {"name": chosen.people}
    config = from_plain(RunConfig, {**others, **parts, **named})
    config.check()
    return config


def identity_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run's plain settings, those that decide what it computes; of the data, not where it lies."""
    identity = without(kept, NOT_PART_OF_A_RUN)
    identity["trainer"] = without(kept["trainer"], NOT_PART_OF_TRAINER)
    identity["model"] = without(kept["model"], NOT_PART_OF_METHOD)
    identity["data"] = without(kept["data"], NOT_PART_OF_DATA)
    identity["choices"] = without(kept["choices"], ("protocol",))
    # the protocol computes nothing of a run, unless it chooses the weights
    if kept["selection"]["name"] == "validation":
        identity["protocol"] = without(kept["protocol"], NOT_PART_OF_SELECTION)
    # settings that came later: at their defaults they are left out, as in runs that were there before
    for part, name in ((identity, "init"), (identity["data"], "divide"), (identity["data"], "divide_seed")):
        if not part.get(name):
            part.pop(name, None)
    return identity


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Keys in which two runs' identities differ, each with both values; none where they are one run.

    A number of iterations, or a division of persons, that one of them leaves to its dataset is no difference.
    """
    values_here = _flat(one)
    values_there = _flat(other)
    sentences = []
    for key in sorted({*values_here, *values_there}):
        here = values_here.get(key)
        there = values_there.get(key)
        unknown = key in LEFT_TO_DATASET and None in (here, there)  # one of them has not seen its dataset
        if here != there and not unknown:
            sentences.append(_difference(key, here, there))
    return sentences


def _difference(key: str, here: Any, there: Any) -> str:
    """A sentence on two values; of long lists, such as the files of a folder, how many there are and the first that differ."""
    if not isinstance(here, list) or not isinstance(there, list) or max(len(here), len(there)) <= MOST_LISTED:
        return f"{key} is {there} there and {here} here"
    known_here = set(map(str, here))
    known_there = set(map(str, there))
    only_there = [value for value in there if str(value) not in known_here]
    only_here = [value for value in here if str(value) not in known_there]
    parts = [f"{key} has {len(there)} values there and {len(here)} here"]
    if only_there:
        parts.append(f"{only_there[0]} is only there")
    if only_here:
        parts.append(f"{only_here[0]} is only here")
    if len(parts) == 1:
        parts.append("in another order or number")
    return ", ".join(parts)


def _flat(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = key_below(place, str(name))
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, key)
        else:
            flat[key] = value
    return flat


def without(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A mapping without some keys."""
    return {key: value for key, value in values.items() if key not in names}
