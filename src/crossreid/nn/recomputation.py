"""Activation checkpointing: parts of a network that keep their inputs alone for the backward pass, and compute the rest again.

It takes memory and costs a second forward of these parts (Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016).
Losses, gradients and buffers are those of the plain network: what a forward sees besides its inputs, which may have changed by
the time of the backward pass, is remembered and put back for the second forward. State-dict keys do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint
from torchvision.models.resnet import BasicBlock, Bottleneck

from crossreid.nn.non_local import NonLocal
from crossreid.nn.timm_networks import BLOCK_MARK, MapNetwork

ENCODER_BLOCKS = (BasicBlock, Bottleneck, NonLocal)
"""What encoders are made of, behind their stems."""


def encoder_blocks(module: nn.Module) -> list[nn.Module]:
    """All residual and non-local blocks of the ResNets in a module, and the blocks or stages of timm's other networks."""
    blocks: list[nn.Module] = []
    for layer in module.modules():
        if isinstance(layer, MapNetwork):
            blocks += layer.blocks()
        elif isinstance(layer, ENCODER_BLOCKS) or hasattr(layer, BLOCK_MARK):
            blocks.append(layer)
    return blocks


def recompute(modules: Iterable[nn.Module]) -> None:
    """From here on these modules keep only their inputs for the backward pass; once more changes nothing.

    Args:
        modules: none of them inside another one, or that part is computed three times.
    """
    for module in modules:
        if not recomputes(module):
            # an attribute of this instance hides the method of its class; no module is added, so that names stay
            module.forward = Recomputation(module)


def recomputes(module: nn.Module) -> bool:
    """Whether :func:`recompute` was called for this module."""
    return isinstance(vars(module).get("forward"), Recomputation)


class Recomputation:
    """A module's forward whose inner results are forgotten until the backward pass asks for them.

    An object and no function, so that a copy of a module has a copy of this that points to it.

    Args:
        module: whose class has the forward.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """As the module's own forward."""
        # The method of the class: this object hides it in the instance.
        forward = partial(type(self.module).forward, self.module, **named)
        if not torch.is_grad_enabled():
            return forward(*inputs)
        circumstances = Circumstances.of(self.module).kept()

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), SecondForward(self.module, circumstances)

        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts)


class Norm(NamedTuple):
    """A norm with the averages that it goes by, which may be one of two sets; None where it keeps none."""

    layer: _NormBase
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    @classmethod
    def of(cls, layer: _NormBase) -> Norm:
        """As it is now."""
        return cls(layer, layer.running_mean, layer.running_var, layer.num_batches_tracked)

    def with_others(self, other: Callable[[Tensor], Tensor]) -> Norm:
        """With what ``other`` makes of each of the averages."""

        def changed(average: Tensor | None) -> Tensor | None:
            return None if average is None else other(average)

        return Norm(
            self.layer, changed(self.running_mean), changed(self.running_var), changed(self.num_batches_tracked)
        )

    def put_back(self) -> None:
        """The norm goes by these averages."""
        self.layer.running_mean = self.running_mean
        self.layer.running_var = self.running_var
        self.layer.num_batches_tracked = self.num_batches_tracked


class Circumstances(NamedTuple):
    """What a module's forward depends on besides its inputs and weights.

    Attributes:
        modes: each layer, and whether it is in training mode.
        flags: each parameter, and whether it asks for a gradient: what nobody asks for is not kept for the backward pass.
        norms: those among the layers.
    """

    modes: list[tuple[nn.Module, bool]]
    flags: list[tuple[nn.Parameter, bool]]
    norms: list[Norm]

    @classmethod
    def of(cls, module: nn.Module) -> Circumstances:
        """As they are now."""
        modes = [(layer, layer.training) for layer in module.modules()]
        flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
        norms = [Norm.of(layer) for layer in module.modules() if isinstance(layer, _NormBase)]
        return cls(modes, flags, norms)

    def kept(self) -> Circumstances:
        """With copies of the averages that are gone by in evaluation, which later forwards may move."""
        norms = [norm if norm.layer.training else norm.with_others(torch.clone) for norm in self.norms]
        return self._replace(norms=norms)

    def put_back(self) -> None:
        """Make them what they were."""
        for layer, training in self.modes:
            layer.training = training
        for parameter, wanted in self.flags:
            parameter.requires_grad_(wanted)
        for norm in self.norms:
            norm.put_back()


class SecondForward:
    """Inside it is as it was in the first one, but for averages that a norm in training moves: nothing is counted twice.

    A graph may be walked more than once, so that this may be entered again.

    Args:
        module: what is computed again.
        circumstances: of its first forward.
    """

    def __init__(self, module: nn.Module, circumstances: Circumstances) -> None:
        self.module = module
        self.circumstances = circumstances

    def __enter__(self) -> None:
        self.now = Circumstances.of(self.module)
        self.circumstances.put_back()
        for norm in self.circumstances.norms:
            if norm.layer.training:
                norm.with_others(torch.empty_like).put_back()  # written to, and not read

    def __exit__(self, *_: object) -> None:
        self.now.put_back()
