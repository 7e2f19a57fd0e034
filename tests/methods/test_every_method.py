"""What every method must do; a new file in conf/model is tested without writing a test."""

from pathlib import Path

import pytest
import torch

from crossreid.errors import ConfigError, DataError
from crossreid.methods.base import CrossModalityModule
from crossreid.settings.registry import built_in_methods
from methods_support import make_batch
from support import ROOT, choices

MODELS = list(built_in_methods())
# X/full is model=X itself, but for JSIA-ReID's, whose row says more
ROWS = [row for row in choices("experiment") if not row.endswith("/full") or row == "jsia/full"]
VARIANTS = [f"model={name}" for name in MODELS] + [f"experiment={name}" for name in ROWS]


def owner_of(module: CrossModalityModule) -> dict[str, str]:
    """Parameter name -> player."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {names[id(p)]: player for player in module.player_order for p in module.owned(player)}


@pytest.fixture(params=["paper", "official"])
def preset(request: pytest.FixtureRequest) -> str:
    return f"preset={request.param}"


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_has_one_owner_whose_moves_alone_change_it(make, variant: str, preset: str) -> None:
    harness = make(variant, preset)
    module = harness.module
    owners = owner_of(module)
    followers = {
        name for name, parameter in module.named_parameters() if not parameter.requires_grad
    }  # of a moving average
    assert set(owners) == {name for name, _ in module.named_parameters()} - followers
    moved: set[str] = set()
    learned: set[str] = set()
    record, simultaneous = module.record_losses, module.simultaneous
    before = harness.snapshot()

    def check(players: set[str]) -> None:
        nonlocal before
        changed = harness.changed(before) - followers
        assert {owners[name] for name in changed} == players
        assert all(parameter.grad is None for parameter in module.parameters()), "a gradient was left behind"
        moved.update(players)
        learned.update(changed)
        before = harness.snapshot()

    def turn_is_over(player: str, losses) -> None:
        check({player})
        record(player, losses)

    def together(moves) -> None:
        moves = list(moves)
        module.record_losses = record
        simultaneous(moves)
        module.record_losses = turn_is_over
        check({name for move in moves for name in move.owners})

    module.record_losses, module.simultaneous = turn_is_over, together
    for phase in module.config.active_phases():
        harness.step(phase, make_batch(module))
        assert not harness.changed(before) - followers, "something moved outside a turn"
        for name, value in module.losses.items():
            assert torch.isfinite(value), name
    assert moved == set(module.player_order)
    assert learned == set(owners), f"never trained: {sorted(set(owners) - learned)}"


@pytest.mark.parametrize("variant", VARIANTS)
def test_embeddings_are_normalised_and_independent_of_the_batch(make, variant: str) -> None:
    harness = make(variant)
    module = harness.module.eval()
    stream = module.config.streams["identity"]
    images = torch.rand(3, 3, stream.height, stream.width)
    with torch.no_grad():
        for modality in ("visible", "infrared"):
            features = module.embed(images, modality)
            assert features["main"].dtype == torch.float32
            assert torch.allclose(features["main"].norm(dim=1), torch.ones(3), atol=1e-5)
            alone = torch.cat([module.embed(image[None], modality)["main"] for image in images])  # a batch of one
            assert torch.allclose(alone, features["main"], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_what_are_no_images_is_one_sentence(make, name: str) -> None:
    module = make(f"model={name}").module.eval()
    stream = module.config.streams["identity"]
    images = torch.rand(2, 3, stream.height, stream.width)
    for given, modality, error, message in [
        (images, "thermal", ConfigError, "modality of images is visible or infrared, not 'thermal'"),
        (images.numpy(), "visible", DataError, "are a tensor of torch, not ndarray"),
        (images[0], "visible", DataError, r"are \(B, 3, H, W\), .* not \(3, "),
        (images[:, :1], "visible", DataError, r"are \(B, 3, H, W\), .* not \(2, 1, "),
        (images.permute(0, 2, 3, 1), "visible", DataError, r"are \(B, 3, H, W\)"),
        ((images * 255).to(torch.uint8), "infrared", DataError, r"float in \[0, 1\], not torch.uint8: divide by 255"),
        (images * 255, "infrared", DataError, r"these go from .* to 25\d.*: divide by 255"),
        (images - 0.5, "infrared", DataError, r"these go from -0\.\d+ to 0\.\d+"),
        (images * torch.nan, "infrared", DataError, "these go from nan to nan"),
    ]:
        with pytest.raises(error, match=message):
            module.embed(given, modality)


@pytest.mark.parametrize("name", MODELS)
def test_it_documents_itself(name: str) -> None:
    readme = ROOT / "src" / "crossreid" / "methods" / name / "README.md"
    assert readme.is_file()
    assert "| paper" in readme.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("name", MODELS)
def test_methods_do_not_import_each_other(name: str) -> None:
    others = [other for other in MODELS if other != name]
    for path in Path(ROOT, "src", "crossreid", "methods", name).glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(f"crossreid.methods.{other}" in text for other in others), path
