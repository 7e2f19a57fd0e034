"""Formats and kernels that a trainer's settings choose: they change how numbers are computed, not which.

Each changes results by rounding alone, and is part of a run's identity: a run goes on with the ones that it was started with.
"""

from __future__ import annotations

import torch
from torch import nn

from crossreid.errors import ConfigError
from crossreid.machine import usable_cores
from crossreid.settings.run import TrainerConfig


def use_kernels(module: nn.Module, config: TrainerConfig) -> None:
    """Put a method's networks into the memory format of the settings, and torch into their arithmetic of float32.

    Args:
        module: before its optimizers are made.
        config: ``channels_last``, ``tf32``.
    """
    if config.channels_last:
        # Convolutions pass their weights' format on, from the first one to all that follows.
        module.to(memory_format=torch.channels_last)
    if config.tf32 is not None:
        torch.set_float32_matmul_precision("high" if config.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = config.tf32


def check_threads(config: TrainerConfig, device: torch.device, processes: int) -> None:
    """Raise :class:`ConfigError` for bfloat16 with more threads than cores: they wait for each other at every block.

    Args:
        config: ``precision``.
        device: what is trained on.
        processes: of this machine.
    """
    threads = torch.get_num_threads() * processes
    cores = usable_cores()
    if device.type == "cpu" and config.precision == "bf16-mixed" and threads > cores:
        each = max(1, cores // processes)
        raise ConfigError(
            f"trainer.precision=bf16-mixed with {threads} threads on {cores} core(s) takes several times as long as with one "
            f"a core: set OMP_NUM_THREADS={each}, or trainer.precision=32-true."
        )
