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
        found: LightningOptimizer = optimizers[self.player_order.index(name)]
        return found

    def owned(self, name: str) -> list[nn.Parameter]:
        """The parameters that a player's optimizer steps."""
        return [p for group in self.player(name).optimizer.param_groups for p in group["params"]]

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
        everyone = {name: self.owned(name) for name in self.player_order}
        kept: dict[nn.Parameter, Tensor] = {}
        _forget(everyone)
        for losses, owners in moves:
            self.manual_backward(losses.total(), retain_graph=True)
            for parameter in (p for name in owners for p in everyone[name] if p.grad is not None):
                assert parameter.grad is not None
                kept[parameter] = kept[parameter] + parameter.grad if parameter in kept else parameter.grad.clone()
            _forget(everyone)
        moving = [name for name in self.player_order if any(name in owners for _, owners in moves)]
        for parameter, gradient in kept.items():
            parameter.grad = gradient
        for name in moving:
            self.player(name).step()
        _forget(everyone)
        for losses, owners in moves:
            self.record_losses("+".join(owners), losses)

    def record_losses(self, player: str, losses: Losses) -> None:
        """Hook: a turn is over."""


def _forget(players: Mapping[str, Sequence[nn.Parameter]]) -> None:
    """Drop all gradients."""
    for parameters in players.values():
        for parameter in parameters:
            parameter.grad = None
