"""Exponential moving average of a network's weights (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class MovingAverage(nn.Module, Generic[NetworkT]):
    """A copy of a network that follows its weights and batch-norm averages, and gets no gradient.

    As torch's ``AveragedModel``, which counts its updates in a tensor and waits for a GPU to read it at every step.

    Args:
        network: that is trained.

    Attributes:
        network: the copy.
    """

    network: NetworkT

    def __init__(self, network: NetworkT) -> None:
        super().__init__()
        self.network = deepcopy(network)
        self.network.requires_grad_(False)

    @torch.no_grad()
    def follow(self, network: nn.Module, decay: float, updates: int) -> None:
        """One update.

        Args:
            network: after a step.
            decay: share of the average that stays, at most. Of ``updates`` t it is at most t / (t + 9): the first update copies
                the weights, and the first ones, which are random, are soon forgotten.
            updates: before this one.
        """
        kept = min(decay, updates / (updates + 9))
        follow = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
        averages = _values(self.network)
        weights = _values(network)
        # By name, since the two may list their values in different orders.
        weights_in_order = [weights[name] for name in averages]
        follow(list(averages.values()), weights_in_order, None)


def _values(network: nn.Module) -> dict[str, Tensor]:
    """Weights and batch-norm averages by name; counters of batches, which nothing goes by, are left out."""
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: value for name, value in named.items() if value.is_floating_point()}
