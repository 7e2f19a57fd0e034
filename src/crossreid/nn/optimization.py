"""Optimizers and learning-rate schedules from their settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR

from crossreid.settings.optimization import (
    AdamConfig,
    DecayConfig,
    EpochScheduleConfig,
    EpochStepsConfig,
    FeatureOptimizerConfig,
)

OPTIMIZER_KERNELS: Mapping[str, Mapping[str, bool]] = {
    "auto": {},
    "loop": {"foreach": False, "fused": False},
    "foreach": {"foreach": True, "fused": False},
    "fused": {"foreach": False, "fused": True},
}
"""Setting -> what an optimizer of torch is told; with nothing it chooses itself."""


def use_optimizer_kernels(optimizers: Iterable[Optimizer], kernels: str) -> None:
    """Choose how optimizers go through their parameters: one by one, in groups, or in one kernel.

    Args:
        optimizers: before their first step.
        kernels: a key of :data:`OPTIMIZER_KERNELS`.
    """
    # Each group holds these switches itself, once its optimizer is made.
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.update(OPTIMIZER_KERNELS[kernels])


def make_adam(config: AdamConfig, parameters: Iterable[nn.Parameter]) -> Adam:
    """Adam of one player."""
    first, second = config.betas
    return Adam(list(parameters), lr=config.lr, betas=(first, second), weight_decay=config.weight_decay)


def make_feature_optimizer(
    config: FeatureOptimizerConfig, encoder: Iterable[nn.Parameter], heads: Iterable[nn.Parameter]
) -> Optimizer:
    """One rate for the encoder's parameters and one for those of the heads."""
    groups = [
        {"params": list(encoder), "lr": config.encoder_lr},
        {"params": list(heads), "lr": config.head_lr},
    ]
    if config.kind == "adam":
        return Adam(groups, weight_decay=config.weight_decay)
    return SGD(groups, momentum=config.momentum, nesterov=config.nesterov, weight_decay=config.weight_decay)


def decay_schedule(config: DecayConfig, optimizer: Optimizer) -> MultiStepLR:
    """One cut, counted in iterations of the phase in which the schedule is stepped."""
    return MultiStepLR(optimizer, milestones=[config.after], gamma=config.factor)


def step_schedule(config: EpochStepsConfig, optimizer: Optimizer, iterations_per_epoch: int) -> MultiStepLR:
    """Cuts at epochs; to be stepped once an iteration."""
    # Schedules are stepped once an iteration, so cuts are counted in iterations.
    milestones = [round(epoch * iterations_per_epoch) for epoch in config.after]
    return MultiStepLR(optimizer, milestones=milestones, gamma=config.factor)


def epoch_schedule(
    config: EpochScheduleConfig, optimizer: Optimizer, iterations_per_epoch: int, epochs: int
) -> LambdaLR:
    """A warm-up, and cuts or a cosine that ends after ``epochs``, constant in an epoch; to be stepped once an iteration."""
    return LambdaLR(optimizer, lambda iteration: config.share(iteration // iterations_per_epoch, epochs))
