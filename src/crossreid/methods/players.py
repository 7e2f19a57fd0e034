"""Optimizers by name, and the two ways in which a method moves its players."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

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
        self.toggle_optimizer(optimizer)
        try:
            yield losses
            optimizer.zero_grad(set_to_none=True)
            self.manual_backward(losses.total())
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        finally:
            self.untoggle_optimizer(optimizer)
        self.record_losses(name, losses)

    def simultaneous(self, moves: Sequence[tuple[Losses, Sequence[str]]]) -> None:
        """All players move at once: every gradient is taken at the old weights, then all step.

        The gradients of a loss reach only its owners; what it leaves in other players is thrown away.

        Args:
            moves: (losses, names of the players that they train), in the order of the backward passes.
        """
        owned_parameters = {name: self.owned(name) for name in self.player_order}
        gradients: dict[nn.Parameter, Tensor] = {}  # sums over the losses that own the parameter
        movers: set[str] = set()
        _drop_gradients(owned_parameters)
        for losses, owners in moves:
            self.manual_backward(losses.total(), retain_graph=True)
            for name in owners:
                movers.add(name)
                _add_gradients(gradients, owned_parameters[name])
            _drop_gradients(owned_parameters)  # those of the owners are in ``gradients``, the others go
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        for name in self.player_order:
            if name in movers:
                self.player(name).step()
        _drop_gradients(owned_parameters)
        for losses, owners in moves:
            self.record_losses("+".join(owners), losses)

    def record_losses(self, player: str, losses: Losses) -> None:
        """Hook: a turn is over."""


def parameters_in(optimizer: Optimizer) -> list[nn.Parameter]:
    """All parameters that an optimizer steps, in its order."""
    parameters: list[nn.Parameter] = []
    for group in optimizer.param_groups:
        parameters.extend(group["params"])
    return parameters


def _add_gradients(sums: dict[nn.Parameter, Tensor], parameters: Sequence[nn.Parameter]) -> None:
    """Add the parameters' gradients to ``sums``; a copy of the first one, since the next backward pass makes others."""
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter in sums:
            sums[parameter] = sums[parameter] + parameter.grad
        else:
            sums[parameter] = parameter.grad.clone()


def _drop_gradients(players: Mapping[str, Sequence[nn.Parameter]]) -> None:
    """Of all players."""
    for parameters in players.values():
        for parameter in parameters:
            parameter.grad = None
