"""What a training step is made of: its passes through networks, done again one by one and bare, and its optimizers.

The passes are those of the outermost networks that a step calls, on the same images, forward and, where the step asked for
gradients, backward. Their sum is what the step takes at least: what is left are losses, augmentation, and graphs that are
walked more than once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from measuring import Work
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves, tree_map_only

from crossreid.methods.base import CrossModalityModule

PARTS = ("encoder", "generators", "discriminators")
GENERATORS = ("to_infrared", "to_visible", "generation", "variation", "generator", "decoders")
"""Names of networks that make images or maps. JSIA-ReID's ``generation`` has its content encoder's passes in it."""


@dataclass
class Pass:
    """One call of a network in a step."""

    network: nn.Module
    inputs: tuple[Any, ...]
    with_gradients: bool
    training: bool
    flags: list[bool]

    def repeat(self) -> None:
        """Forward, and backward where the step had gradients."""
        self.network.train(self.training)
        for parameter, wanted in zip(self.network.parameters(), self.flags, strict=True):
            parameter.requires_grad_(wanted)
        with torch.set_grad_enabled(self.with_gradients):
            outputs = self.network(*self.inputs)
        learning = [tensor for tensor in tree_leaves(outputs) if isinstance(tensor, Tensor) and tensor.requires_grad]
        if learning:
            torch.autograd.backward(learning, [torch.ones_like(tensor) for tensor in learning])


def part_of(name: str) -> str:
    """The part that a network belongs to, by its name in the method."""
    first = name.split(".", maxsplit=1)[0]
    if "discriminator" in first or first.startswith("warmup"):
        return "discriminators"
    return "generators" if first in GENERATORS else "encoder"


def passes_of(module: CrossModalityModule, step: Work) -> dict[str, list[Pass]]:
    """The passes of one step by part, in their order."""
    names = {network: name for name, network in module.named_modules()}
    passes: dict[str, list[Pass]] = {part: [] for part in PARTS}
    depth = 0

    def apart(tensor: Tensor) -> Tensor:
        return tensor.detach().requires_grad_(tensor.requires_grad)

    def enter(network: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal depth
        depth += 1
        if depth == 1 and network in names:
            flags = [parameter.requires_grad for parameter in network.parameters()]
            kept = tree_map_only(Tensor, apart, inputs)
            one = Pass(network, kept, torch.is_grad_enabled(), network.training, flags)
            passes[part_of(names[network])].append(one)

    def leave(*_: object) -> None:
        nonlocal depth
        depth -= 1

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        step()
    finally:
        for hook in hooks:
            hook.remove()
    return passes


@contextmanager
def circumstances_kept(module: CrossModalityModule) -> Iterator[None]:
    """Modes, flags and gradients of all parameters are afterwards what they were."""
    modes = {network: network.training for network in module.modules()}
    flags = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        yield
    finally:
        for network, training in modes.items():
            network.training = training
        for parameter, wanted in flags.items():
            parameter.requires_grad_(wanted)
            parameter.grad = None


def repeated(module: CrossModalityModule, passes: list[Pass], precision: str) -> Work:
    """All passes of a part, bare; nothing where there is none."""

    def work() -> None:
        with circumstances_kept(module):
            for one in passes:
                with torch.autocast(module.device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
                    one.repeat()

    return work


def optimizer_steps(module: CrossModalityModule, step: Work) -> Work:
    """The steps of the optimizers that a training step moves, alone, on gradients of zeros."""
    moved: list[Optimizer] = []
    hooks = []
    for optimizer in module.trainer.optimizers:
        hooks.append(optimizer.register_step_post_hook(lambda one, *_: moved.append(one)))
    step()
    for hook in hooks:
        hook.remove()

    gradients = [
        (parameter, torch.zeros_like(parameter))
        for optimizer in dict.fromkeys(moved)
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]

    def work() -> None:
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for optimizer in moved:
            optimizer.step()
        for parameter, _ in gradients:
            parameter.grad = None

    return work
