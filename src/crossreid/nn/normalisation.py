"""Networks without side effects: batch norm that leaves its averages alone, weights that ask for no gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen_running_statistics(module: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Inside, batch norms of ``module`` normalise as before but leave their running statistics and counters as they are.

    Keeps small auxiliary batches out of the averages that are used at test time (AlignGAN's pixel step).
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats] if enabled else []
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, momentum, tracked in kept:
            norm.momentum = momentum
            norm.num_batches_tracked = tracked


AVERAGES = {"running_mean": "infrared_mean", "running_var": "infrared_var"}
"""Averages of a batch norm -> the second set of them, of infrared images."""


def add_infrared_averages(module: nn.Module) -> None:
    """Give the batch norms of ``module`` a second set of running averages, which :func:`averages_of` chooses.

    Their own averages are then those of visible images. Weights that hold one set only fill both.
    """
    for norm in module.modules():
        if isinstance(norm, _BatchNorm) and norm.track_running_stats:
            for own, second in AVERAGES.items():
                norm.register_buffer(second, norm.get_buffer(own).clone())
            norm.register_load_state_dict_pre_hook(_fill_both_sets)  # type: ignore[no-untyped-call]


def _fill_both_sets(norm: nn.Module, state_dict: dict[str, Any], prefix: str, *_: object) -> None:
    """Before weights are loaded: one set of averages serves for two."""
    for own, second in AVERAGES.items():
        if prefix + own in state_dict:
            state_dict.setdefault(prefix + second, state_dict[prefix + own])


@contextmanager
def averages_of(module: nn.Module, modality: str) -> Iterator[None]:
    """Inside, batch norms of ``module`` use and update the running averages of a modality, where they have two sets.

    Forwards outside go by those of visible images. Without :func:`add_infrared_averages` nothing changes.
    """
    norms = []
    if modality == "infrared":
        norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and hasattr(norm, "infrared_mean")]
    kept = [(norm, norm.running_mean, norm.running_var) for norm in norms]
    for norm in norms:
        norm.running_mean = norm.get_buffer("infrared_mean")
        norm.running_var = norm.get_buffer("infrared_var")
    try:
        yield
    finally:
        for norm, mean, variance in kept:
            norm.running_mean = mean
            norm.running_var = variance


@contextmanager
def batch_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, batch norms of ``module`` normalise by the batch, whatever its mode, and leave their averages as they are."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    modes = [norm.training for norm in norms]
    for norm in norms:
        norm.train()
    try:
        with frozen_running_statistics(module):
            yield
    finally:
        for norm, mode in zip(norms, modes, strict=True):
            norm.train(mode)


@contextmanager
def evaluating(module: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Inside, ``module`` is in eval mode: batch norms use their running averages and do not change them."""
    training = module.training
    module.train(training and not enabled)
    try:
        yield
    finally:
        module.train(training)


@contextmanager
def frozen_parameters(module: nn.Module) -> Iterator[None]:
    """Inside, a forward through ``module`` passes gradients on, but its parameters get none."""
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
