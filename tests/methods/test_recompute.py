"""``model.recompute``: a training that keeps less for the backward pass is the same training."""

from __future__ import annotations

import pytest
import torch

from crossreid.errors import ConfigError
from crossreid.nn.recomputation import recomputes
from crossreid.settings.method import MethodConfig
from crossreid.settings.registry import built_in_methods, method_settings
from crossreid.settings.run import differences, identity_of
from crossreid.training.loading import make_method
from methods_support import CLASSES, Harness, attach, compose_model, make_batch

TRAINED = [name for name in built_in_methods() if method_settings(name).trains]
VARIANTS = [
    *(f"model={name}" for name in TRAINED),
    "model=aligngan preset=official",  # generators with averages
    "model=aligngan model.test_norm=per_modality",
    "model=jsia preset=official model.test_norm=per_modality",
    "experiment=aligngan/featalign",  # no generators
]


def steps(variant: str, *, recompute: bool) -> Harness:
    """A method after two steps in each phase."""
    settings = compose_model(*variant.split())
    if recompute:
        settings.recompute = list(settings.recomputable)
    module = make_method(settings, CLASSES, seed=0)
    module.recompute_parts()
    harness = attach(module)
    for phase in settings.active_phases():
        for seed in range(2):
            harness.step(phase, make_batch(module, seed))
    return harness


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_weights_and_averages_are_equal_to_the_bit(variant: str) -> None:
    plain = steps(variant, recompute=False).module
    other = steps(variant, recompute=True).module
    assert any(recomputes(layer) for layer in other.modules())
    assert plain.losses.keys() == other.losses.keys()
    assert all(torch.equal(value, other.losses[name]) for name, value in plain.losses.items())
    expected = plain.state_dict()
    assert expected.keys() == other.state_dict().keys()
    assert not [name for name, value in other.state_dict().items() if not torch.equal(value, expected[name])]


@pytest.mark.parametrize("name", built_in_methods())
def test_settings_name_the_parts_that_the_method_has(name: str) -> None:
    settings = compose_model(f"model={name}")
    module = make_method(settings, CLASSES, seed=0)
    parts = module.recomputable()
    if not settings.trains:
        assert settings.recomputable == ()
        return
    assert set(parts) == set(settings.recomputable)
    for part, modules in parts.items():
        assert modules, part
        inside = [layer for module in modules for layer in list(module.modules())[1:]]
        assert not set(inside) & set(modules), part


def test_a_part_that_a_method_lacks_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"model.recompute names 'generators': parts of agw that can be .*: encoder\.$"
    ):
        compose_model("model=agw", "model.recompute=[generators]")


def test_it_is_not_part_of_a_run() -> None:
    from crossreid.settings.compose import compose, run_config

    def identity(*overrides: str) -> dict[str, object]:
        return identity_of(run_config(compose("train", ["model=agw", *overrides])).to_plain())

    assert not differences(identity("model.recompute=[encoder]"), identity())
    assert MethodConfig().recompute == []
