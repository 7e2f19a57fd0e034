"""What every method is: a LightningModule with players, phases, a counter of iterations, ``embed`` and a scorer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from omegaconf import MISSING
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from crossreid.data.batches import EvaluationBatch, PairedBatch, TrainingBatch
from crossreid.data.records import MODALITIES, Modality
from crossreid.data.sampler import StreamConfig
from crossreid.errors import CheckpointError, ConfigError, CrossReIDError
from crossreid.evaluation.gather import EmbeddingGatherer
from crossreid.evaluation.modality_pairs import ReportedPair
from crossreid.evaluation.scorers import Cosine, Scorer
from crossreid.methods.players import Losses, PlayersMixin, assert_disjoint
from crossreid.randomness import derive_seed


@dataclass
class MethodConfig:
    """Settings that every method has.

    Attributes:
        _target_: import path of the method's module class.
        name: the method's name in tables and folders.
        preset: ``paper`` or ``official``, for the record.
        streams: the training streams; ``identity`` is always there.
        phases: phase name -> its length in iterations, in order.
        iterations_per_epoch: iterations in an epoch of the trainer.
        trains: False for what has nothing to learn, and no phases.
        clip_norm: largest gradient norm of a player, 0 for no clipping.
        flip: probability of mirroring a training image, in [0, 1].
        channel_exchange: probability of copying one channel of a visible training image to all three (CAJ), in [0, 1].
    """

    trains: ClassVar[bool] = True

    _target_: str = MISSING
    name: str = MISSING
    preset: str = MISSING
    streams: dict[str, StreamConfig] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)
    iterations_per_epoch: int = MISSING
    clip_norm: float = 0.0
    flip: float = 0.5
    channel_exchange: float = 0.0

    def active_phases(self) -> dict[str, int]:
        """Phases that this variant has, with their lengths in iterations, in order."""
        return {name: length for name, length in self.phases.items() if length}

    @property
    def iterations(self) -> int:
        """Iterations of all phases together."""
        return sum(self.active_phases().values())

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        if not self.trains and self.phases:
            raise ConfigError(f"{self.name} is not trained, so model.phases is empty, not {dict(self.phases)}.")
        if self.trains and (self.iterations <= 0 or min(self.phases.values()) < 0):
            raise ConfigError(f"The phases of {self.name} need iterations, not {dict(self.phases)}: set model.phases.")
        if not 0 <= self.flip <= 1 or not 0 <= self.channel_exchange <= 1 or self.clip_norm < 0:
            raise ConfigError(
                "model.flip and model.channel_exchange are probabilities in [0, 1], and model.clip_norm is 0 or more."
            )
        if self.iterations_per_epoch <= 0 or self.iterations % self.iterations_per_epoch:
            raise ConfigError(
                f"The phases of {self.name} sum to {self.iterations} iterations, which is not a multiple of "
                f"model.iterations_per_epoch={self.iterations_per_epoch}: change one of them."
            )
        for name, stream in self.streams.items():
            if min(stream.identities, stream.images, stream.height, stream.width) < 1 or stream.identities < 2:
                raise ConfigError(
                    f"The stream '{name}' needs at least 2 identities and 1 image of at least 1x1 pixels, not "
                    f"{stream.identities} x {stream.images} of {stream.height}x{stream.width}."
                )


ConfigT = TypeVar("ConfigT", bound=MethodConfig)
Gathered = tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float32]]]
"""Rows (N,) and features by name (N, D)."""


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule that is stepped once an iteration, only in the named phases."""

    scheduler: LRScheduler
    phases: tuple[str, ...]


class CrossModalityModule(PlayersMixin, Generic[ConfigT]):
    """Base of every method.

    A method gives its networks, :meth:`make_optimizers`, ``training_step`` and :meth:`embed`. Training is counted in
    ``iteration``; the phase follows from it, and the trainer's own step counter is not used.

    Args:
        config: the method's settings.
        num_identities: number of training identities.
        seed: the run's seed; all randomness inside an iteration is drawn from (seed, iteration, rank).
    """

    CONFIG: ClassVar[type[MethodConfig]]

    def __init__(self, config: ConfigT, num_identities: int, seed: int) -> None:
        super().__init__()
        config.check()
        self.config = config
        self.num_identities = num_identities
        self.seed = seed
        self.iteration = 0
        self.log_every = 10
        self.checkpoint_extras: dict[str, Any] = {}
        self.losses: dict[str, Tensor] = {}
        self.schedules: dict[str, Schedule] = {}
        self._gatherer: EmbeddingGatherer | None = None
        self._gathered: Gathered | None = None

    # ------------------------------------------------------------------ what a method gives

    @abstractmethod
    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizer of each player that has parameters, by the names in ``OPTIMIZERS``."""

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Learning-rate schedules by player; none by default."""
        return {}

    @abstractmethod
    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Images (B, 3, H, W) in [0, 1] -> named features (B, D), float32, each L2-normalised; ``main`` always."""

    def report_features(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Features that a report scores and retrieval does not use, as :meth:`embed` gives them; none by default."""
        return {}

    def reported_pairs(self) -> dict[str, ReportedPair]:
        """Further columns of the report's modality pairings, by name; none by default."""
        return {}

    def scorer(self) -> Scorer:
        """How retrieval compares two images; cosine of ``main`` by default."""
        return Cosine()

    def scorers(self) -> dict[str, Scorer]:
        """All that a test scores, by name: ``""`` is :meth:`scorer`, the row of the method; others are rows of their own."""
        return {"": self.scorer()}

    def scoring_parameters(self) -> list[nn.Parameter]:
        """Parameters that scoring uses on top of embeddings; none by default."""
        return []

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Named rows of pictures for a grid, each (B, 3, H, W) in [0, 1]; the real ones by default."""
        return {"real visible": visible, "real infrared": infrared}

    def figure_data(self, batch: PairedBatch) -> dict[str, Tensor]:
        """What the method's own figures show of test persons, K images of each; nothing by default.

        :func:`crossreid.visualization.method_figures` draws it, by the method's name.
        """
        return {}

    def begin_phase(self, phase: str) -> None:
        """Called once, before the first iteration of a phase (never again on resume inside it)."""

    feature_names: tuple[str, ...] = ("main",)
    """What :meth:`embed` and :meth:`report_features` give."""

    pooling: ClassVar[str] = "average"
    """How the feature that retrieval uses is pooled, for comparisons."""

    pictures_name: ClassVar[str] = "translation"
    """What the figure of :meth:`translate` is called."""

    # ------------------------------------------------------------------ phases and iterations

    @property
    def phase(self) -> str:
        """The phase that the next iteration belongs to; the last one when training is over."""
        return self.place[0]

    @property
    def place(self) -> tuple[str, int]:
        """Phase and 0-based iteration inside it; no phase where nothing is trained."""
        if not self.config.trains:
            return "", 0
        left = self.iteration
        phases = self.config.active_phases()
        for name, length in phases.items():
            if left < length:
                return name, left
            left -= length
        return list(phases.items())[-1]

    def on_train_batch_start(self, batch: TrainingBatch, batch_idx: int) -> None:
        """Make the iteration's randomness a function of (seed, iteration, rank), and open a phase at its first one."""
        torch.manual_seed(derive_seed(self.seed, "iteration", self.iteration, self.global_rank))
        phase, inside = self.place
        if inside == 0:
            self.begin_phase(phase)
        self.losses = {}

    def on_train_batch_end(self, outputs: Any, batch: TrainingBatch, batch_idx: int) -> None:
        """Step the schedules of this phase, log, count."""
        phase = self.phase
        for schedule in self.schedules.values():
            if phase in schedule.phases:
                schedule.scheduler.step()
        if self.iteration % self.log_every == 0:
            self._log_iteration(phase)
        self.iteration += 1

    def require_finite_losses(self) -> None:
        """Raise :class:`CrossReIDError` in one sentence if the last iteration's losses are not finite."""
        for name, value in self.losses.items():
            if not bool(torch.isfinite(value)):
                raise CrossReIDError(
                    f"The loss {name} is {float(value)} at about iteration {self.iteration} (phase {self.phase}): lower "
                    "the learning rates, or train with trainer.precision=32-true; the last checkpoint has finite losses."
                )

    def _log_iteration(self, phase: str) -> None:
        self.require_finite_losses()
        values = {f"train/{name}": float(value) for name, value in self.losses.items()}
        rates = {f"lr/{name}": self.player(name).param_groups[0]["lr"] for name in self.player_order}
        counters = {"iteration": float(self.iteration), "phase": float(list(self.config.phases).index(phase))}
        if self.trainer.is_global_zero:
            for logger in self.loggers:
                logger.log_metrics({**counters, **values, **rates}, step=self.iteration)

    def record_losses(self, player: str, losses: Losses) -> None:
        """Keep a turn's terms, unweighted, for the log."""
        self.losses |= {f"{player}/{name}": value.detach() for name, (value, _) in losses.terms.items()}

    # ------------------------------------------------------------------ optimizers

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """All players' optimizers and schedules, in the order of ``OPTIMIZERS``."""
        made = self.make_optimizers()
        if unknown := set(made) - set(self.OPTIMIZERS):
            raise ValueError(f"optimizers without a place in OPTIMIZERS: {unknown}")
        self.player_order = tuple(name for name in self.OPTIMIZERS if name in made)
        assert_disjoint({n: [p for g in made[n].param_groups for p in g["params"]] for n in self.player_order})
        self.schedules = dict(self.make_schedules(made))
        schedulers = [self.schedules[name].scheduler for name in self.player_order if name in self.schedules]
        return [made[name] for name in self.player_order], schedulers

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip here, where gradients are unscaled whatever the precision (Lightning#18089)."""
        if self.config.clip_norm > 0:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.config.clip_norm)

    # ------------------------------------------------------------------ embeddings

    def on_test_start(self) -> None:
        """Buffers (batch-norm averages) of rank 0 everywhere, so that ranks embed with one network."""
        if self.trainer.world_size > 1:
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, 0)
        self._gathered = None
        self._gatherer = EmbeddingGatherer(self.feature_names).to(self.device)

    def test_step(self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Embed a batch of one modality: loader 0 is visible, 1 infrared."""
        assert self._gatherer is not None
        with torch.autocast(self.device.type, enabled=False):  # the same embeddings whatever the training precision
            modality = MODALITIES[dataloader_idx]
            features = self.embed(batch.images, modality) | self.report_features(batch.images, modality)
        self._gatherer.update(batch.rows, features)

    def on_test_epoch_end(self) -> None:
        """Gather from all ranks while features are still on the device, then let go of it."""
        assert self._gatherer is not None
        rows, features = self._gatherer.compute()
        self._gathered = rows.cpu().numpy(), {name: value.cpu().numpy() for name, value in features.items()}
        self._gatherer = None

    def gathered(self) -> Gathered:
        """After a test or validation loop: rows (N,) ascending and unique, features by name (N, D)."""
        if self._gathered is None:
            raise RuntimeError("no test or validation loop has run")
        return self._gathered

    def on_validation_start(self) -> None:
        """As before a test."""
        self.on_test_start()

    def validation_step(self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """As in a test."""
        self.test_step(batch, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """As in a test."""
        self.on_test_epoch_end()

    # ------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counter, and what is needed to build the method again: plain values only."""
        checkpoint["crossreid"] = {
            "iteration": self.iteration,
            "phase": self.phase,
            "num_identities": self.num_identities,
            "seed": self.seed,
            "players": list(self.player_order),
            **self.checkpoint_extras,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the counter; refuse a checkpoint of another training set."""
        saved = checkpoint.get("crossreid")
        if saved is None:
            raise CheckpointError("The checkpoint was not written by crossreid: it lacks the iteration counter.")
        if saved["num_identities"] != self.num_identities:
            raise CheckpointError(
                f"The checkpoint was trained on {saved['num_identities']} identities, this run has "
                f"{self.num_identities}: use the dataset that it was trained on."
            )
        self.iteration = int(saved["iteration"])


def parameters_of(*modules: nn.Module) -> list[nn.Parameter]:
    """All parameters of several networks, in order."""
    return [parameter for module in modules for parameter in module.parameters()]
