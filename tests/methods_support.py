"""A method with everything around it that a training step needs, in seconds."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.players import Losses
from crossreid.settings.compose import compose, run_config
from crossreid.settings.method import MethodConfig

CLASSES = 5


def compose_model(*overrides: str) -> MethodConfig:
    """A method's settings at scale=smoke, checked."""
    return run_config(compose("train", ["scale=smoke", *overrides])).model


def make_batch(module: CrossModalityModule, seed: int = 0) -> TrainingBatch:
    """Random images whose tone depends on the identity, in the method's streams."""
    generator = torch.Generator().manual_seed(seed)
    batch = {}
    for name, stream in module.config.streams.items():
        pids = torch.arange(stream.identities).repeat_interleave(stream.images)
        shape = (len(pids), 3, stream.height, stream.width)
        tone = (pids[:, None, None, None] + 1) / (CLASSES + 1)
        visible = torch.rand(shape, generator=generator) * tone
        infrared = (torch.rand(shape, generator=generator) * tone)[:, :1].expand(-1, 3, -1, -1)
        batch[name] = PairedBatch(visible, infrared, pids, 0)
    return batch


class Harness:
    """A method attached to a trainer that never runs: turns can be watched one by one."""

    def __init__(self, module: CrossModalityModule) -> None:
        self.module = module

    def step(self, phase: str, batch: TrainingBatch) -> None:
        """One training step in the named phase, noting for each turn whose parameters changed."""
        module = self.module
        done = 0
        for name, length in module.config.active_phases().items():
            if name == phase:
                break
            done += length
        module.iteration = done
        module.train()
        torch.manual_seed(0)
        module.training_step(batch)

    def changed(self, before: dict[str, torch.Tensor], kind: str = "parameters") -> set[str]:
        """Names of parameters (or buffers) that differ from ``before``."""
        now = dict(getattr(self.module, f"named_{kind}")())
        return {name for name, value in now.items() if not torch.equal(value, before[name])}

    def snapshot(self, kind: str = "parameters") -> dict[str, torch.Tensor]:
        """Copies of all parameters (or buffers)."""
        return {name: value.detach().clone() for name, value in getattr(self.module, f"named_{kind}")()}


def attach(module: CrossModalityModule) -> Harness:
    """Give a method its optimizers as Lightning would."""
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.strategy.connect(module)
    trainer.strategy._lightning_module = module
    module.trainer = trainer
    trainer.strategy.setup_optimizers(trainer)
    return Harness(module)


def gradient_norms(harness: Harness, term: str, player: str, networks: str, phase: str) -> dict[str, float]:
    """Train on one term alone, and see how much gradient reaches each network of the player."""
    module = harness.module
    norms: dict[str, float] = {}
    optimizer = module.player(player).optimizer

    def spy(*args: object, **kwargs: object) -> None:
        if turn["name"] == player:
            for network in networks.split():
                grads = [p.grad.norm() for p in module.get_submodule(network).parameters() if p.grad is not None]
                norms[network] = float(torch.stack(grads).sum()) if grads else 0.0

    turn = {"name": ""}
    original = type(module).turn

    def watched(self, name: str):
        turn["name"] = name
        return original(self, name)

    module.turn = watched.__get__(module)
    handle = optimizer.register_step_pre_hook(spy)
    total = Losses.total
    Losses.total = lambda self: self.terms[term][0] if turn["name"] == player else total(self)
    try:
        harness.step(phase, make_batch(module))
    finally:
        Losses.total = total
        handle.remove()
    return norms
