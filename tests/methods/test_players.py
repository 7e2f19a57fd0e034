"""The two ways of moving players, on a toy that can be computed by hand."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from pytorch_lightning.loggers import Logger
from torch import nn

from crossreid.methods.base import CrossModalityModule
from crossreid.methods.players import Losses, Move, assert_disjoint
from crossreid.settings.method import MethodConfig
from methods_support import attach, make_batch


@dataclass
class ToyConfig(MethodConfig):
    """Two phases of two and four iterations."""

    name: ClassVar[str] = "toy"

    def phase_lengths(self) -> dict[str, int]:
        return {"one": 2, "two": 4}


class Toy(CrossModalityModule[ToyConfig]):
    """Two scalars a and b with plain SGD of rate 1."""

    CONFIG = ToyConfig
    OPTIMIZERS = ("first", "second")

    def __init__(self, clip_norm: float = 0.0) -> None:
        super().__init__(ToyConfig(clip_norm=clip_norm), num_identities=3)
        self.a = nn.Parameter(torch.tensor(2.0))
        self.b = nn.Parameter(torch.tensor(3.0))

    def make_optimizers(self):
        return {"second": torch.optim.SGD([self.b], lr=1.0), "first": torch.optim.SGD([self.a], lr=1.0)}

    def embed(self, images, modality):
        return {"main": images.flatten(1)}


def one(name: str, value: torch.Tensor, weight: float = 1.0) -> Losses:
    losses = Losses()
    losses.add(name, value, weight)
    return losses


def test_order_is_that_of_the_names_not_of_creation() -> None:
    module = attach(Toy()).module
    assert module.player_order == ("first", "second")
    assert module.owned("first") == [module.a]
    assert module.owned("second") == [module.b]


def test_a_turn_steps_its_player_on_the_weighted_sum() -> None:
    module = attach(Toy()).module
    with module.turn("first") as losses:
        losses.add("product", module.a * module.b, 0.5)  # d/da = 1.5
        losses.add("watched", module.a * 100, 0.0)
        assert not module.b.requires_grad
    assert (module.a.item(), module.b.item()) == (0.5, 3.0)
    assert module.b.requires_grad
    assert {name: value.item() for name, value in module.losses.items()} == {
        "first/product": 6.0,
        "first/watched": 200.0,
    }


def test_a_turn_that_fails_steps_nothing_and_gives_flags_back() -> None:
    module = attach(Toy()).module
    with pytest.raises(RuntimeError, match="broken"), module.turn("first"):
        raise RuntimeError("broken")
    assert (module.a.item(), module.b.requires_grad) == (2.0, True)
    with pytest.raises(ValueError, match="weight other than 0"), module.turn("first") as losses:
        losses.add("nothing", module.a, 0.0)


def test_simultaneous_takes_every_gradient_at_the_old_weights() -> None:
    module = attach(Toy()).module
    product, square = module.a * module.b, module.b**2 * module.a
    module.simultaneous([(one("product", product), ["first"]), (one("square", square), ["second"])])
    assert module.a.item() == pytest.approx(2.0 - 3.0)  # d(ab)/da = 3; square's 9 is thrown away
    assert module.b.item() == pytest.approx(3.0 - 12.0)  # d(b^2 a)/db = 12, at the old a
    assert module.a.grad is None


def test_simultaneous_adds_the_losses_of_a_shared_owner() -> None:
    module = attach(Toy()).module
    moves = [(one("x", module.a * 1.0), ["first"]), (one("y", module.a * module.b), ["first", "second"])]
    module.simultaneous(moves)
    assert module.a.item() == pytest.approx(2.0 - 1.0 - 3.0)
    assert module.b.item() == pytest.approx(3.0 - 2.0)
    assert set(module.losses) == {"first/x", "first+second/y"}


def test_gradients_are_clipped_by_player() -> None:
    module = attach(Toy(clip_norm=0.25)).module
    with module.turn("first") as losses:
        losses.add("steep", module.a * 100)
    assert module.a.item() == pytest.approx(2.0 - 0.25, abs=1e-4)


def test_phases_follow_from_the_iteration() -> None:
    module = Toy()
    places = []
    for module.iteration in range(7):
        places.append(module.place)
    assert places == [("one", 0), ("one", 1), ("two", 0), ("two", 1), ("two", 2), ("two", 3), ("two", 4)]


def test_a_parameter_with_two_owners_is_refused() -> None:
    shared = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match="two players: one and two"):
        assert_disjoint({"one": [shared], "two": [shared]})


def test_simultaneous_computes_gradients_of_owners_only() -> None:
    module = attach(Toy()).module
    reached: list[str] = []
    module.a.register_hook(lambda _: reached.append("a"))
    module.b.register_hook(lambda _: reached.append("b"))
    module.simultaneous([(one("product", module.a * module.b), ["first"])])
    assert reached == ["a"]


def test_a_move_is_computed_when_the_gradients_before_it_are_taken_and_its_graph_is_freed() -> None:
    module = attach(Toy()).module
    products = []

    def moves():
        products.append(module.a * module.b)
        yield Move(one("kept", products[0] * 1.0), ["first"], keep_graph=True)
        assert module.a.grad.item() == 3.0
        assert module.a.item() == 2.0  # nobody has moved
        yield Move(one("freed", products[0] * 1.0), ["second"])
        with pytest.raises(RuntimeError, match="second time"):
            products[0].backward()

    module.simultaneous(moves())
    assert (module.a.item(), module.b.item()) == (2.0 - 3.0, 3.0 - 2.0)


def test_several_processes_throw_away_what_is_not_the_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    module = attach(Toy()).module
    monkeypatch.setattr(type(module.trainer), "world_size", 2)
    product = module.a * module.b
    moves = [
        Move(one("x", product * 1.0), ["first"], keep_graph=True),
        Move(one("y", product * 1.0), ["second"]),
        Move(one("z", module.a * 10.0 + module.b), ["first"]),
    ]
    module.simultaneous(moves)
    assert module.a.item() == pytest.approx(2.0 - 3.0 - 10.0)
    assert module.b.item() == pytest.approx(3.0 - 2.0)
    assert module.a.grad is None


class Kept(Logger):
    """Keeps what is logged."""

    name, version = "kept", 0

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    def log_metrics(self, metrics, step=None) -> None:
        """One row an iteration."""
        self.rows.append({**metrics, "step": step})

    def log_hyperparams(self, *args, **kwargs) -> None:
        """Nothing."""


SCHEDULED = {
    "agw": ("model.schedule={warmup: 2, steps: [3], factor: 0.1}",),
    "tsgan": (
        "model.epochs={teacher: 2, gan: 2, joint: 3}",
        "model.teacher_schedule={passes: 2, warmup: 0, steps: [1], factor: 0.5}",
        "model.schedule={passes: 3, warmup: 2, start: 0.5, steps: [2], factor: 0.1}",
    ),
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_the_rates_that_are_logged_are_those_that_the_iteration_was_trained_with(make, name: str) -> None:
    module = make(f"model={name}", *SCHEDULED[name], "model.iterations_per_epoch=1").module
    kept = Kept()
    module.trainer.loggers = [kept]
    module.log_every = 1
    rates: dict[str, list[float]] = {f"lr/{player}": [] for player in module.player_order}
    for iteration in range(5):
        for player in module.player_order:
            rates[f"lr/{player}"].append(module.player(player).param_groups[0]["lr"])
        module.training_step(make_batch(module))
        module.on_train_batch_end(None, {}, 0)
        assert kept.rows[-1]["step"] == iteration
    for key, used in rates.items():
        assert [row[key] for row in kept.rows] == used
    assert any(len(set(used)) > 1 for used in rates.values())
