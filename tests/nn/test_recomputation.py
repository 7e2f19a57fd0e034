"""Parts whose inner results are computed again in the backward pass learn what they learn otherwise, to the bit."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from crossreid.nn.normalisation import (
    add_infrared_averages,
    averages_of,
    evaluating,
    frozen_parameters,
    frozen_running_statistics,
)
from crossreid.nn.recomputation import recompute, recomputes


def network() -> nn.Sequential:
    """Everything that a second forward could do otherwise: batch norm, instance norm with averages, dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        nn.Dropout(0.5),
        nn.Conv2d(4, 2, 3),
    )


def outcome(layers: nn.Sequential, *, circumstances: str) -> list[Tensor]:
    """Losses, gradients, averages and the next random number after two forwards and one backward pass."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(3, 3, 8, 8, generator=generator, requires_grad=True)
    torch.manual_seed(2)
    if circumstances == "infrared":
        with averages_of(layers, "infrared"):
            made = layers(images)
    elif circumstances == "frozen averages":
        with frozen_running_statistics(layers):
            made = layers(images)
    elif circumstances == "frozen weights":
        with frozen_parameters(layers):
            made = layers(images)
    elif circumstances == "evaluating":
        with evaluating(layers):
            made = layers(images)
    else:
        made = layers(images)
    loss = made.square().sum()
    if circumstances != "evaluating":  # the second forward moves the averages once more
        loss = loss + layers(images * 2).sum()
    loss.backward()
    assert images.grad is not None
    gradients = [torch.zeros(1) if p.grad is None else p.grad for p in layers.parameters()]
    return [loss.detach(), images.grad, *gradients, *layers.state_dict().values(), torch.rand(1)]


@pytest.mark.parametrize(
    "circumstances",
    ["", "infrared", "frozen averages", "frozen weights", "evaluating"],
    ids=lambda name: name or "plain",
)
def test_losses_gradients_averages_and_random_numbers_are_equal(circumstances: str) -> None:
    plain, other = network(), network()
    if circumstances == "infrared":
        for layers in (plain, other):
            add_infrared_averages(layers)
    recompute([other])
    assert plain.state_dict().keys() == other.state_dict().keys()
    expected = outcome(plain, circumstances=circumstances)
    for value, there in zip(outcome(other, circumstances=circumstances), expected, strict=True):
        assert torch.equal(value, there)


def test_averages_that_move_between_a_forward_in_evaluation_and_its_backward_pass_do_not_count() -> None:
    """Where batch norm itself would take its gradient by averages that its forward did not see."""
    norm = nn.Sequential(nn.BatchNorm2d(3)).eval()
    recompute([norm])
    images = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = norm(images).sum()
    norm[0].running_var.fill_(100.0)
    loss.backward()
    assert images.grad is not None
    torch.testing.assert_close(images.grad, torch.full_like(images, (1 + 1e-5) ** -0.5))


def test_what_a_forward_found_is_left_as_it_was_after_the_backward_pass() -> None:
    layers = network()
    recompute([layers])
    outcome(layers, circumstances="evaluating")
    assert all(layer.training for layer in layers.modules())
    assert all(parameter.requires_grad for parameter in layers.parameters())


def test_inner_results_are_let_go_of() -> None:
    def kept(layers: nn.Module) -> int:
        """Bytes that the graph holds after a forward."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            made = layers(torch.randn(3, 3, 8, 8))
        assert made.requires_grad
        return sum(storages.values())

    other = network()
    recompute([other])
    images = 3 * 3 * 8 * 8 * 4
    assert kept(other) == images
    assert kept(network()) > 3 * images


def test_a_copy_recomputes_with_its_own_weights() -> None:
    layers = network().eval()
    recompute([layers])
    recompute([layers])  # once more changes nothing
    copy = deepcopy(layers)
    assert recomputes(copy)
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        copy[5].bias.add_(1.0)
    assert torch.allclose(copy(images), layers(images) + 1.0, atol=1e-6)


def test_a_graph_can_be_walked_twice() -> None:
    plain, other = network(), network()
    recompute([other])
    gradients = []
    for layers in (plain, other):
        torch.manual_seed(0)
        loss = layers(torch.full((2, 3, 8, 8), 0.5).cumsum(3)).square().sum()
        first = torch.autograd.grad(loss, list(layers.parameters()), retain_graph=True)
        second = torch.autograd.grad(loss, list(layers.parameters()))
        assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
        gradients.append(first)
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))
