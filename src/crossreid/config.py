"""Typed settings of the commands, and how a composed Hydra config becomes them.

Method settings live with the methods (``CONFIG`` of each module class); everything else stands here. What a type cannot
say is checked in :mod:`crossreid.checks`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from hydra.utils import get_class
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from crossreid.errors import ConfigError
from crossreid.methods.base import CrossModalityModule, MethodConfig

T = TypeVar("T")

OmegaConf.register_new_resolver("product", lambda one, two: one * two, replace=True)
"""``${product:a,b}`` in a config file: epochs times iterations an epoch."""


@dataclass
class SelectionConfig:
    """Which weights are scored.

    Attributes:
        name: ``last`` (trained on training and validation identities together) or ``validation`` (trained on the
            training identities, the best on the validation identities).
        every: epochs between two looks at the validation identities; 0 with ``last``.
    """

    name: str = "last"
    every: int = 0


@dataclass
class TrainerConfig:
    """Where and how it runs.

    Attributes:
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: processes on this machine, or ``auto``.
        num_nodes: machines.
        strategy: ``auto`` chooses by the number of players; ``ddp`` or ``ddp_find_unused_parameters_true`` by name.
        backend: of the process group (``nccl``, ``gloo``); null for the accelerator's own.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        deterministic: only deterministic kernels.
        log_every: iterations between logged losses.
        checkpoint_every: iterations between checkpoints; phase ends are kept besides.
        pictures_every: iterations between picture grids, 0 for none but the last.
        progress: show a progress bar.
        time_budget: seconds that training may take, over all resumes; null for any time.
    """

    accelerator: str = "auto"
    devices: Any = 1
    num_nodes: int = 1
    strategy: str = "auto"
    backend: str | None = None
    precision: str = "32-true"
    deterministic: bool = False
    log_every: int = 10
    checkpoint_every: int = 100
    pictures_every: int = 0
    progress: bool = True
    time_budget: float | None = None


@dataclass
class LoggerConfig:
    """Besides history.csv in the run folder, which is always written.

    Attributes:
        name: ``csv`` for nothing more, or ``wandb``.
        offline: W&B without a login; ``wandb sync`` sends the run later.
        project: W&B project.
        entity: W&B team or user.
    """

    name: str = "csv"
    offline: bool = True
    project: str = "crossreid"
    entity: str | None = None


@dataclass
class ReportConfig:
    """What is scored and drawn at the end of training.

    Attributes:
        untrained: score the network before training too; null for the embedded set only, where it is cheap.
        modality_pairs: the four query/gallery modality pairings (AlignGAN, Table 1).
        figures: draw PNGs.
        tsne_identities: identities in the t-SNE figure (AlignGAN, Fig. 6), 0 for none.
    """

    untrained: bool | None = None
    modality_pairs: bool = True
    figures: bool = True
    tsne_identities: int = 7


@dataclass
class TrainConfig:
    """Everything ``crossreid.train`` is told.

    Attributes:
        name: of the run, in folders and as the W&B group.
        seed: of initial weights, batches and augmentation.
        resume: a run folder or checkpoint, or ``auto`` for the newest run with these settings.
        run_dir: folder of the run; by default a new one under ``output_root``.
        output_root: folder of run folders.
        overwrite: replace a run that is already in ``run_dir``.
        existing: what to do with a run that is already in the folder: ``refuse``, or ``continue`` (a finished one of these
            settings is kept and not run again, an unfinished one goes on from its checkpoint or else starts over).
        scale: name of the scale.
        people: the embedded set's sizes.
        preset: name of the preset.
        data: settings of the dataset, see :mod:`crossreid.datasets`.
        protocol: settings of the protocol, see :mod:`crossreid.protocols`.
    """

    name: str = MISSING
    seed: int = 0
    resume: str | None = None
    run_dir: str | None = None
    output_root: str = "outputs"
    overwrite: bool = False
    existing: str = "refuse"
    scale: dict[str, Any] = field(default_factory=dict)
    people: dict[str, Any] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    protocol: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    model: Any = None


@dataclass
class EvaluateConfig:
    """Everything ``crossreid.evaluate`` is told; exactly one of ``checkpoint`` and ``embeddings``.

    Attributes:
        checkpoint: a checkpoint of ``crossreid.train``; it knows its method, data and settings.
        embeddings: an .npz of features from anywhere (``features``, ``pids``, ``camids``, ``frames``).
        output: the JSON to write; by default ``NAME.evaluation.json`` beside the checkpoint or embeddings.
        save_embeddings: path of an .npz to keep the checkpoint's embeddings in.
        scale: name of the scale, which implies ``people``.
        people: sizes of the embedded set, if that is scored.
        data: settings of the dataset, see :mod:`crossreid.datasets`; by default that of training.
        protocol: settings of the protocol, see :mod:`crossreid.protocols`; by default that of training.
    """

    checkpoint: str | None = None
    embeddings: str | None = None
    output: str | None = None
    save_embeddings: str | None = None
    scale: dict[str, Any] = field(default_factory=dict)
    people: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    report: ReportConfig = field(default_factory=ReportConfig)


@dataclass
class CheckConfig:
    """Everything ``crossreid.check`` is told.

    Attributes:
        output: a JSON file for the findings.
        progress: show a progress bar.
        scale: name of the scale, which implies ``people``.
        people: sizes of the embedded set, if that is examined.
        data: settings of the dataset, see :mod:`crossreid.datasets`.
        protocol: settings of the protocol whose probes and galleries are counted, see :mod:`crossreid.protocols`.
    """

    output: str | None = None
    progress: bool = True
    scale: dict[str, Any] = field(default_factory=dict)
    people: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)


@dataclass
class AuxiliaryConfig:
    """Everything ``crossreid.auxiliary`` is told.

    Attributes:
        checkpoint: of cm-SSFT.
        sizes: queries in a group.
        output: the JSON to write; by default ``NAME.auxiliary.json`` beside the checkpoint.
        figure: draw a PNG beside the JSON.
        scale, people, data, protocol, trainer: as in :class:`EvaluateConfig`.
    """

    checkpoint: str = MISSING
    sizes: list[int] = MISSING
    output: str | None = None
    figure: bool = True
    scale: dict[str, Any] = field(default_factory=dict)
    people: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


def typed(schema: type[T], config: DictConfig | dict[str, Any]) -> T:
    """A composed config as an object of ``schema``.

    Raises:
        ConfigError: a key is unknown, missing or of another type.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True) if isinstance(config, DictConfig) else config
        return cast(T, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), plain)))
    except OmegaConfBaseException as error:
        raise ConfigError(one_line(error)) from error


def method_class(config: dict[str, Any]) -> type[CrossModalityModule[Any]]:
    """The module class that a model config names.

    Raises:
        ConfigError: it is not a method.
    """
    target = str(config.get("_target_", ""))
    try:
        found = get_class(target)
    except Exception as error:
        raise ConfigError(f"model._target_='{target}' cannot be imported: name a method's module class.") from error
    if not issubclass(found, CrossModalityModule):
        raise ConfigError(f"model._target_='{target}' is not a CrossModalityModule: name a method's module class.")
    return found


def method_config(config: dict[str, Any]) -> MethodConfig:
    """A model config as its method's typed settings, checked.

    Raises:
        ConfigError: a key is unknown, or settings cannot work together.
    """
    settings = typed(method_class(config).CONFIG, config)
    settings.check()
    return settings


def check_choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise :class:`ConfigError` naming the choices."""
    if value not in allowed:
        raise ConfigError(f"{key} is '{value}': choose from {', '.join(allowed)}.")


def one_line(error: BaseException) -> str:
    """An error's message as one line."""
    return " ".join(str(error).split())


def packaged_conf() -> Path:
    """The folder of config files: inside an installed wheel, or at the top of the repository."""
    here = Path(__file__).resolve().parent
    inside = here / "conf"
    return inside if inside.is_dir() else here.parents[1] / "conf"
