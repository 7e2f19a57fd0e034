"""Networks without side effects: batch norm that leaves its averages alone, weights that ask for no gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
