"""Exponential moving average of a network's weights (Polyak and Juditsky, 1992), by torch's ``AveragedModel``."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network that follows its weights and batch-norm averages, and gets no gradient.

    Args:
        network: that is trained; ``update_parameters(network)`` after each step.
        decay: share of the average that stays. Update t, from 1, keeps at most (1 + t) / (10 + t): the first weights, which
            are random, are soon forgotten.
    """
    averaged = AveragedModel(network, multi_avg_fn=partial(_follow, decay), use_buffers=True)
    averaged.requires_grad_(False)
    return averaged


def _follow(decay: float, averages: list[Tensor], weights: list[Tensor], updates: Tensor | int) -> None:
    """One update; the first one of all, number 0, is torch's own and copies."""
    number = int(updates)
    kept = min(decay, (1 + number) / (10 + number))
    follow = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        follow(averages, weights, updates)
