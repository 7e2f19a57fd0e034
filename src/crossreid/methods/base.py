"""What every method is: a LightningModule with players, phases, a counter of iterations, ``embed`` and a scorer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer

from crossreid.errors import CheckpointError
from crossreid.methods.embedding import EmbeddingModule
from crossreid.methods.phases import ConfigT, PhasedModule, Schedule
from crossreid.methods.players import assert_disjoint, parameters_in
from crossreid.nn.optimization import use_optimizer_kernels
from crossreid.nn.pretrained import PeopleWeights, load_pretrained
from crossreid.nn.recomputation import encoder_blocks, recompute
from crossreid.settings.fields import from_plain
from crossreid.settings.method import MethodConfig
from crossreid.settings.run import FORMAT

__all__ = ["CrossModalityModule", "Schedule", "parameters_of"]


class CrossModalityModule(PhasedModule[ConfigT], EmbeddingModule):
    """Base of every method.

    A method gives its networks, :meth:`make_optimizers`, ``training_step`` and :meth:`embed`. Weights are random until a
    checkpoint or :meth:`load_pretrained` brings others: a constructor never downloads.

    Args:
        config: the method's settings, or the same as plain values (which is how checkpoints keep them).
        num_identities: number of training identities.
        seed: all randomness inside an iteration is drawn from (seed, iteration, rank).

    Attributes:
        optimizer_kernels: how optimizers go through parameters, a key of
            :data:`~crossreid.nn.optimization.OPTIMIZER_KERNELS`; to be set before they are made.

    Raises:
        ConfigError: settings cannot be, or a plain value has no place in them.
    """

    CONFIG: ClassVar[type[MethodConfig]]

    def __init__(self, config: ConfigT | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__()
        settings: Any = config
        if isinstance(config, Mapping):
            settings = from_plain(self.CONFIG, config, "model")
        settings.check()
        self.config = settings
        self.num_identities = num_identities
        self.seed = seed
        self.checkpoint_extras: dict[str, Any] = {}
        self.optimizer_kernels = "auto"
        plain = {"config": settings.plain(), "num_identities": num_identities, "seed": seed}
        # Plain values: a checkpoint holds no object of ours.
        self.save_hyperparameters(plain, logger=False)

    # ------------------------------------------------------------------ what a method gives

    @abstractmethod
    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizer of each player that has parameters, by the names in ``OPTIMIZERS``."""

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Learning-rate schedules by player; none by default."""
        return {}

    # ------------------------------------------------------------------ memory

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """Modules of the parts that ``config.recompute`` may name, none of them inside another; the encoder's by default."""
        return {"encoder": encoder_blocks(self)}

    def recompute_parts(self) -> None:
        """Let the parts that ``config.recompute`` names keep their inputs alone for the backward pass; once is enough."""
        parts = self.recomputable()
        for name in self.config.recompute:
            recompute(parts[name])

    def compilable(self) -> list[nn.Module]:
        """Networks that ``trainer.compile`` compiles: those of :meth:`recomputable`, and discriminators."""
        networks: list[nn.Module] = []
        for modules in self.recomputable().values():
            networks += modules
        # Discriminators are never computed again, so they are not among the parts above.
        for name, network in self.named_children():
            if "discriminator" in name:
                networks.append(network)
        return networks

    def setup(self, stage: str) -> None:
        """As of :class:`~crossreid.methods.phases.PhasedModule`, and the parts that are recomputed."""
        super().setup(stage)
        if stage == "fit":
            self.recompute_parts()

    # ------------------------------------------------------------------ weights and optimizers

    def load_pretrained(self, people: PeopleWeights | None = None) -> list[str]:
        """Put the weights that ``backbone.weights`` names into every part that has a backbone of its own.

        Args:
            people: makes or finds the weights of ``backbone.weights=people``; a run of the experiment brings it.

        Returns:
            What was loaded, a sentence for each backbone; nothing where weights are to be random.

        Raises:
            ConfigError: they cannot be had, or are another network's.
        """
        return load_pretrained(self, people)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """All players' optimizers and schedules, in the order of ``OPTIMIZERS``."""
        by_player = self.make_optimizers()
        unknown = set(by_player) - set(self.OPTIMIZERS)
        if unknown:
            raise ValueError(f"optimizers without a place in OPTIMIZERS: {unknown}")
        use_optimizer_kernels(by_player.values(), self.optimizer_kernels)
        self.player_order = tuple(name for name in self.OPTIMIZERS if name in by_player)
        assert_disjoint({name: parameters_in(by_player[name]) for name in self.player_order})
        self.schedules = dict(self.make_schedules(by_player))
        optimizers = []
        schedulers = []
        for name in self.player_order:
            optimizers.append(by_player[name])
            if name in self.schedules:
                schedulers.append(self.schedules[name].scheduler)
        return optimizers, schedulers

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip here, where gradients are unscaled whatever the precision (Lightning#18089)."""
        if self.config.clip_norm > 0:
            nn.utils.clip_grad_norm_(parameters_in(optimizer), self.config.clip_norm)

    # ------------------------------------------------------------------ checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counter, and what is needed to build the method again: plain values only."""
        checkpoint["crossreid"] = {
            "format": FORMAT,
            "method": self.config.name,
            "model": self.config.plain(),
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
    parameters: list[nn.Parameter] = []
    for module in modules:
        parameters.extend(module.parameters())
    return parameters
