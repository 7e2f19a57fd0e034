"""Networks without side effects: batch norm that leaves its averages alone, weights that ask for no gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen_running_statistics(module: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Inside, batch norms of ``module`` normalise as before but leave their running statistics and counters as they are.

    Keeps small auxiliary batches out of the averages that are used at test time (AlignGAN's pixel step).
    """
    originals: list[tuple[_BatchNorm, float | None, Tensor | None]] = []
    if enabled:
        for norm in _batch_norms(module):
            if norm.track_running_stats:
                originals.append((norm, norm.momentum, norm.num_batches_tracked))
    for norm, _, counter in originals:
        norm.momentum = 0.0  # new average = 1 * old average + 0 * that of the batch
        if counter is not None:
            norm.num_batches_tracked = counter.clone()  # counted up in place: the original is put back below
    try:
        yield
    finally:
        for norm, momentum, counter in originals:
            norm.momentum = momentum
            norm.num_batches_tracked = counter


AVERAGES = {"running_mean": "infrared_mean", "running_var": "infrared_var"}
"""Averages of a batch norm -> the second set of them, of infrared images."""


def add_infrared_averages(module: nn.Module) -> None:
    """Give the batch norms of ``module`` a second set of running averages, which :func:`averages_of` chooses.

    Their own averages are then those of visible images. Weights that hold one set only fill both.
    """
    for norm in _batch_norms(module):
        if norm.track_running_stats:
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

    Forwards outside go by those of visible images. Without :func:`add_infrared_averages` nothing changes. The module itself
    changes: threads take turns, as those of an extractor do.
    """
    kept: list[tuple[_BatchNorm, str, Tensor]] = []
    norms = []
    if modality == "infrared":
        norms = [norm for norm in _batch_norms(module) if hasattr(norm, "infrared_mean")]
    for norm in norms:
        for own, second in AVERAGES.items():
            found = norm.get_buffer(own)
            infrared = norm.get_buffer(second)
            if found is not infrared:  # else another one is inside, who puts those of visible images back
                kept.append((norm, own, found))
                setattr(norm, own, infrared)
    try:
        yield
    finally:
        for norm, own, visible in kept:
            setattr(norm, own, visible)


@contextmanager
def batch_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, batch norms of ``module`` normalise by the batch, whatever its mode, and leave their averages as they are."""
    # Batch norms alone change their mode: dropout, where there is any, stays as it was.
    modes: list[tuple[_BatchNorm, bool]] = []
    for norm in _batch_norms(module):
        modes.append((norm, norm.training))
        norm.train()
    try:
        with frozen_running_statistics(module):
            yield
    finally:
        for norm, training in modes:
            norm.train(training)


def _batch_norms(module: nn.Module) -> Iterator[_BatchNorm]:
    for layer in module.modules():
        if isinstance(layer, _BatchNorm):
            yield layer


@contextmanager
def evaluating(module: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Inside, ``module`` is in eval mode: batch norms use their running averages and do not change them."""
    training = module.training
    # Of the whole module: its parts are taken to be in one mode, which is put back below.
    module.train(training and not enabled)
    try:
        yield
    finally:
        module.train(training)


@contextmanager
def frozen_parameters(module: nn.Module) -> Iterator[None]:
    """Inside, a forward through ``module`` passes gradients on, but its parameters get none."""
    # Only these are put back: what was frozen before stays so.
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
