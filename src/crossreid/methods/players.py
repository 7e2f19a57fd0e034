"""Optimizers by name, and the two ways in which a method moves its players."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

Term = tuple[Tensor, float | Tensor]
"""Value and weight."""


@dataclass
class Losses:
    """The weighted terms of one player's loss in one turn.

    Attributes:
        terms: name -> (value, weight); values are logged unweighted.
    """

    terms: dict[str, Term] = field(default_factory=dict)

    def add(self, name: str, value: Tensor, weight: float | Tensor = 1.0) -> None:
        """Add ``weight * value``; a term of the number 0 as its weight is logged but not trained."""
        self.terms[name] = (value, weight)

    def total(self) -> Tensor:
        """The sum that is minimised, a scalar.

        Raises:
            ValueError: no term has a weight.
        """
        weighted = []
        for value, weight in self.terms.values():
            if isinstance(weight, Tensor) or weight:  # a weight that is computed is not looked at
                weighted.append(weight * value)
        if not weighted:
            raise ValueError("a turn needs a loss term with a weight other than 0")
        return torch.stack(weighted).sum()

    def detach(self) -> Losses:
        """The values without what led to them."""
        return Losses({name: (value.detach(), weight) for name, (value, weight) in self.terms.items()})


class Move(NamedTuple):
    """What players who move at once minimise together.

    Attributes:
        losses: their terms.
        owners: names of the players that they train.
        keep_graph: a later move's losses lead through the same operations. Else they are let go of, with all that they
            remember, as soon as the gradients are taken.
    """

    losses: Losses
    owners: Sequence[str]
    keep_graph: bool = False


def assert_disjoint(players: Mapping[str, Sequence[nn.Parameter]]) -> None:
    """A parameter in two optimizers would be stepped twice, in an order nobody chose.

    Raises:
        ValueError: names both owners.
    """
    owner: dict[int, str] = {}
    for name, parameters in players.items():
        for parameter in parameters:
            if owner.setdefault(id(parameter), name) != name:
                raise ValueError(f"a parameter belongs to two players: {owner[id(parameter)]} and {name}")


class PlayersMixin(pl.LightningModule):
    """Manual optimization by named players.

    A method names its optimizers once, in order, in ``OPTIMIZERS``; checkpoints restore by that order. A player whose
    parts a variant leaves out has no parameters and no optimizer.
    """

    OPTIMIZERS: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.player_order: tuple[str, ...] = ()

    def player(self, name: str) -> LightningOptimizer:
        """The optimizer of one player."""
        optimizers: Any = self.optimizers()
        if not isinstance(optimizers, list):  # Lightning returns the bare one when there is one
            optimizers = [optimizers]
        optimizer: LightningOptimizer = optimizers[self.player_order.index(name)]
        return optimizer

    def owned(self, name: str) -> list[nn.Parameter]:
        """The parameters that a player's optimizer steps."""
        return parameters_in(self.player(name).optimizer)

    @contextmanager
    def turn(self, name: str) -> Iterator[Losses]:
        """One player's move: inside, compute its losses; on leaving, zero, backward, clip and step.

        Only this player's parameters ask for gradients inside (others pass them through), so the forward belongs inside.

        Example:
            >>> with self.turn("generator") as losses:  # doctest: +SKIP
            ...     losses.add("gan", least_squares(self.discriminator(fake), 1.0), weight=0.5)
        """
        optimizer = self.player(name)
        losses = Losses()
        # Before the forward: what asks for no gradient is then not kept for the backward pass.
        self.toggle_optimizer(optimizer)
        try:
            yield losses
            optimizer.zero_grad(set_to_none=True)  # nothing of an earlier turn may be stepped on
            self.manual_backward(losses.total())
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)  # their memory is free for the next turn
        finally:
            self.untoggle_optimizer(optimizer)
        self.record_losses(name, losses)

    def simultaneous(self, moves: Iterable[Move]) -> None:
        """All players move at once: every gradient is taken at the old weights, then all step.

        The gradients of a loss reach only its owners; others' are not computed. A move's losses may be computed when it is
        asked for: its gradients are taken before the next one is, so that its activations are gone by then.

        Args:
            moves: in the order of the backward passes.
        """
        by_player = {name: self.owned(name) for name in self.player_order}
        moved: list[tuple[str, Losses]] = []
        movers: set[str] = set()
        _drop_gradients(by_player)
        for move in moves:
            losses, owners, keep_graph = Move(*move)  # a pair will do: keep_graph has a default
            owned: list[nn.Parameter] = []
            for name in owners:
                owned += by_player[name]
            self._take_gradients(losses.total(), owned, by_player, keep_graph)
            moved.append(("+".join(owners), losses.detach()))
            movers.update(owners)
        # Only now: a step before the last gradient would move weights that later losses are taken at.
        for name in self.player_order:
            if name in movers:
                self.player(name).step()
        _drop_gradients(by_player)
        for names, losses in moved:
            self.record_losses(names, losses)

    def _take_gradients(
        self, loss: Tensor, owned: list[nn.Parameter], by_player: Mapping[str, Sequence[nn.Parameter]], keep_graph: bool
    ) -> None:
        """Add the gradients of a loss to those of ``owned``; no other parameter's gradient changes."""
        if self.trainer.world_size == 1:
            self.manual_backward(loss, inputs=owned, retain_graph=keep_graph)
            return
        # DDP wants whole backward passes: others' gradients are computed, and thrown away.
        before = []
        for parameters in by_player.values():
            before += [(parameter, parameter.grad) for parameter in parameters]
        owners = {id(parameter) for parameter in owned}
        _drop_gradients(by_player)
        self.manual_backward(loss, retain_graph=keep_graph)
        for parameter, gradient in before:
            if id(parameter) not in owners or parameter.grad is None:
                parameter.grad = gradient
            elif gradient is not None:
                parameter.grad = gradient + parameter.grad

    def record_losses(self, player: str, losses: Losses) -> None:
        """Hook: a turn is over."""


def parameters_in(optimizer: Optimizer) -> list[nn.Parameter]:
    """All parameters that an optimizer steps, in its order."""
    parameters: list[nn.Parameter] = []
    for group in optimizer.param_groups:
        parameters.extend(group["params"])
    return parameters


def _drop_gradients(players: Mapping[str, Sequence[nn.Parameter]]) -> None:
    """Of all players."""
    for parameters in players.values():
        for parameter in parameters:
            parameter.grad = None
