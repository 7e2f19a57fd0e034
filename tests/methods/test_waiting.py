"""A training step never waits for a value to come from the device; losses are looked at between steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from crossreid.data.batches import TrainingBatch
from crossreid.errors import CrossReIDError
from crossreid.methods.base import CrossModalityModule
from crossreid.settings.registry import built_in_methods, method_settings
from crossreid.training.loading import make_method
from methods_support import CLASSES, Harness, attach, compose_model, make_batch

VARIANTS = [
    *(f"model={name}" for name in built_in_methods() if method_settings(name).trains),
    "experiment=agw/caj",
    "experiment=aligngan/aligngan_minus",
    "model=jsia preset=official",
    "model=bdtr model.intra_positive=within",
]
READS = ("aten::_local_scalar_dense", "aten::nonzero")
"""What makes a program wait for a value, or for the number of values that are not zero."""


def made(variant: str) -> Harness:
    return attach(make_method(compose_model(*variant.split()), CLASSES, seed=0))


def reads_outside_optimizers(events: object) -> list[str]:
    """Names of reads in a profile that no optimizer's step made."""
    reads = []
    for event in events:
        parent = event
        while parent is not None and not parent.name.startswith("Optimizer.step#"):
            parent = parent.cpu_parent
        if event.name in READS and parent is None:
            reads.append(event.name)
    return reads


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_reads_nothing_outside_the_optimizers(variant: str) -> None:
    harness = made(variant)
    batch = make_batch(harness.module)
    for phase in harness.module.config.active_phases():
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            harness.step(phase, batch)
        assert not reads_outside_optimizers(profiled.events()), phase


def test_the_profile_would_show_a_read() -> None:
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        bool(torch.ones(3).sum() > 0)
        torch.ones(3)[torch.ones(3) > 0]
    assert set(reads_outside_optimizers(profiled.events())) == set(READS)


@contextlib.contextmanager
def no_autocast(*_: object, **__: object) -> Iterator[None]:
    """In the place of autocast, which knows no device without values."""
    yield


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_runs_on_tensors_that_have_no_values(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", no_autocast)
    with torch.device("meta"):  # shapes alone, so that making the networks takes no time
        module = make_method(compose_model(*variant.split()), CLASSES, seed=0)
    batch = without_values(make_batch(module))
    harness = attach(module)
    for phase in harness.module.config.active_phases():
        harness.step(phase, batch)
        assert all(value.is_meta for value in harness.module.losses.values())


def without_values(batch: TrainingBatch) -> TrainingBatch:
    """The same shapes."""
    return {
        name: stream._replace(
            visible=stream.visible.to("meta"), infrared=stream.infrared.to("meta"), pids=stream.pids.to("meta")
        )
        for name, stream in batch.items()
    }


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_on_a_gpu_never_waits(variant: str) -> None:
    harness = made(variant)
    module = harness.module.cuda()
    harness = attach(module)
    batch = {
        name: stream._replace(visible=stream.visible.cuda(), infrared=stream.infrared.cuda(), pids=stream.pids.cuda())
        for name, stream in make_batch(module).items()
    }
    for phase in module.config.active_phases():
        harness.step(phase, batch)  # the first step makes the optimizers' states
        torch.cuda.set_sync_debug_mode("error")
        try:
            harness.step(phase, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")


# ---------------------------------------------------------------- losses that are looked at later


def after_iterations(*values: float) -> CrossModalityModule:
    """A method after iterations with these losses, none of which was looked at."""
    module = made("model=onestream").module
    for value in values:
        module.losses = {"network/id": torch.tensor(value), "network/other": torch.tensor(1.0)}
        module._add_to_sums()
    return module


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_was_not_finite_for_one_iteration_is_not_forgotten(wrong: float) -> None:
    module = after_iterations(1.0, wrong, 2.0)
    with pytest.raises(CrossReIDError, match=r"The loss network/id is (nan|inf|-inf) at about iteration"):
        module.require_finite_losses()


def test_finite_losses_are_let_through_and_summed_anew() -> None:
    module = after_iterations(1.0, 2.0)
    module.require_finite_losses()
    assert not module._sums
    assert module.loss_values() == {"network/id": 2.0, "network/other": 1.0}


def test_losses_that_only_some_iterations_have_are_summed_apart() -> None:
    module = after_iterations(1.0)
    module.losses = {"network/rare": torch.tensor(float("nan"))}
    module._add_to_sums()
    with pytest.raises(CrossReIDError, match="network/rare is nan"):
        module.require_finite_losses()
