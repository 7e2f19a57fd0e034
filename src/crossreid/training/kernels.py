"""Formats and kernels that a trainer's settings choose: they change how numbers are computed, not which.

Each changes results by rounding alone, and is part of a run's identity: a run goes on with the ones that it was started with.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import torch
from torch import nn

from crossreid.errors import ConfigError
from crossreid.machine import usable_cores
from crossreid.methods.base import CrossModalityModule
from crossreid.settings.run import TrainerConfig

DEFAULT_PRECISION = "highest"
DEFAULT_CONVOLUTIONS = True
"""Torch's own arithmetic of float32: products in full, convolutions of a GPU in TF32."""


def use_kernels(module: nn.Module, config: TrainerConfig) -> None:
    """Put a method's networks into the memory format of the settings.

    Args:
        module: before its optimizers are made.
        config: ``channels_last``.
    """
    if config.channels_last:
        # Convolutions pass their weights' format on, from the first one to all that follows.
        module.to(memory_format=torch.channels_last)


def use_arithmetic(config: TrainerConfig) -> None:
    """Put torch into the arithmetic of float32 of the settings, whatever an earlier run of this process chose.

    Args:
        config: ``tf32``.
    """
    precision = DEFAULT_PRECISION
    convolutions = DEFAULT_CONVOLUTIONS
    if config.tf32 is not None:
        precision = "high" if config.tf32 else "highest"
        convolutions = config.tf32
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = convolutions


RECOMPILATIONS = 64
"""Of one piece of code, such as a residual block's, which is compiled for each of its widths, sizes and modes."""


def compile_networks(module: CrossModalityModule[Any], config: TrainerConfig, backend: str = "inductor") -> None:
    """Compile what a method's networks are made of: blocks of encoders, generators, discriminators; names stay.

    Args:
        module: before its training.
        config: ``compile``.
        backend: of :func:`torch.compile`.
    """
    if config.compile == "off":
        return
    torch._dynamo.config.recompile_limit = max(RECOMPILATIONS, torch._dynamo.config.recompile_limit)
    mode = None
    if backend == "inductor" and config.compile != "default":
        mode = config.compile
    for network in module.compilable():
        network.compile(backend=backend, mode=mode)


def check_compiler(config: TrainerConfig, device: torch.device) -> None:
    """Raise :class:`ConfigError` for a compilation that this machine cannot do.

    Args:
        config: ``compile``.
        device: what is trained on.
    """
    if config.compile == "off":
        return
    if device.type == "cpu" and config.compile != "default":
        raise ConfigError(f"trainer.compile={config.compile} is of a GPU: on a CPU take trainer.compile=default.")
    if device.type == "cpu" and not _has_compiler():
        raise ConfigError(
            "trainer.compile=default makes C++ of the networks, and there is no C++ compiler here: install g++, name one by "
            "the environment variable CXX, or leave trainer.compile off."
        )


def _has_compiler() -> bool:
    """There is a C++ compiler, where torch looks for one."""
    names = [os.environ.get("CXX", ""), "g++", "clang++"]
    return any(name and shutil.which(name) for name in names)


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
