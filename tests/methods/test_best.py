"""The toolbox's own method: its moving average, its norms, its colours, its schedule."""

import copy
import math

import pytest
import torch

from crossreid.data.transforms import to_grey
from crossreid.errors import ConfigError
from crossreid.methods.best.config import BestConfig
from crossreid.nn.backbones import pool
from crossreid.nn.pooling import generalised_mean
from crossreid.settings.optimization import EpochScheduleConfig
from methods_support import gradient_norms, make_batch


def images_like(module) -> torch.Tensor:
    stream = module.config.streams["identity"]
    return torch.rand((4, 3, stream.height, stream.width), generator=torch.Generator().manual_seed(1))


def floats(network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items() if value.is_floating_point()}


def test_both_losses_train_the_encoder_and_ranking_leaves_the_classifier_alone(make) -> None:
    for term in ("id", "ranking"):
        norms = gradient_norms(make("model=best"), term, "network", "network.encoder network.block.classifier", "joint")
        assert norms["network.encoder"] > 0
        assert (norms["network.block.classifier"] > 0) is (term == "id")


@pytest.mark.parametrize("norms", ["joint", "neck", "per_modality"])
def test_the_average_follows_weights_and_norms_as_the_formula_says(make, norms) -> None:
    harness = make("model=best", "model.weight_average=0.15", f"model.norms={norms}")
    module = harness.module
    expected: dict[str, torch.Tensor] = {}
    for update in range(4):
        module.iteration = update
        module.train().training_step(make_batch(module, seed=update))
        weights = floats(module.network)
        kept = min(0.15, update / (update + 9))  # 0, 0.1, 0.15, 0.15
        expected = {name: kept * expected.get(name, 0) + (1 - kept) * weight for name, weight in weights.items()}
    averages = floats(module.averaged.network)
    assert averages.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(averages[name], value, rtol=1e-5, atol=1e-6)
    moved = [name for name, value in floats(module.network).items() if not torch.equal(value, averages[name])]
    assert any("running_mean" in name for name in moved)
    assert any("classifier" in name for name in moved)


def test_the_average_is_what_is_scored_and_nothing_trains_it(make) -> None:
    harness = make("model=best")
    module = harness.module
    harness.step("joint", make_batch(module))
    module.eval()
    images = images_like(module)
    vectors = module.embed(images, "visible")["main"]
    module.network.load_state_dict(
        {name: torch.zeros_like(value) for name, value in module.network.state_dict().items()}
    )
    assert torch.equal(module.embed(images, "visible")["main"], vectors)
    of_optimizer = {
        parameter for group in harness.module.make_optimizers()["network"].param_groups for parameter in group["params"]
    }
    assert of_optimizer == set(module.network.parameters())
    assert not any(parameter.requires_grad for parameter in module.averaged.parameters())


def test_without_an_average_the_weights_themselves_are_scored(make) -> None:
    module = make("model=best", "model.weight_average=0", "model.flip_test=false").module.eval()
    images = images_like(module)
    feature = module.describe({"visible": images}).feature
    expected = feature / feature.norm(dim=1, keepdim=True)
    assert module.averaged is None
    torch.testing.assert_close(module.embed(images, "visible")["main"], expected)


def test_norms_of_each_modality_normalise_it_by_itself_and_keep_its_averages(make) -> None:
    module = make("model=best", "model.norms=per_modality", "model.weight_average=0").module
    visible = images_like(module)
    infrared = visible.flip(0) * 0.3
    alone = copy.deepcopy(module).train()
    together = module.train().describe({"visible": visible, "infrared": infrared})
    torch.testing.assert_close(together.feature[:4], alone.describe({"visible": visible}).feature)
    torch.testing.assert_close(together.feature[4:], alone.describe({"infrared": infrared}).feature)
    norm = module.network.encoder.body[1]
    assert not torch.equal(norm.running_mean, norm.infrared_mean)
    module.eval()
    assert not torch.equal(
        module.describe({"visible": visible}).feature, module.describe({"infrared": visible}).feature
    )


def test_a_neck_of_each_modality_takes_its_mean_away_and_leaves_the_encoder_joint(make) -> None:
    module = make("model=best", "model.norms=neck", "model.weight_average=0").module.train()
    visible = images_like(module)
    images = {"visible": visible, "infrared": visible.flip(0) * 0.3}
    joint = make("model=best", "model.weight_average=0").module.train()
    joint.load_state_dict(module.state_dict(), strict=False)
    own, together = module.describe(images), joint.describe(images)
    torch.testing.assert_close(own.vector, together.vector)
    for rows in (slice(0, 4), slice(4, 8)):
        torch.testing.assert_close(own.feature[rows].mean(0), torch.zeros_like(own.feature[0]), atol=1e-5, rtol=0)
        assert together.feature[rows].mean(0).abs().max() > 0.1
    assert not hasattr(module.network.encoder.body[1], "infrared_mean")
    module.eval()
    assert not torch.equal(
        module.describe({"visible": visible}).feature, module.describe({"infrared": visible}).feature
    )


def test_joint_norms_do_not_ask_for_the_modality(make) -> None:
    module = make("model=best").module.eval()
    images = images_like(module)
    assert torch.equal(module.embed(images, "visible")["main"], module.embed(images, "infrared")["main"])


def test_grey_takes_all_colour_away(make) -> None:
    module = make("model=best", "model.grey=true").module.eval()
    images = images_like(module)
    torch.testing.assert_close(
        module.embed(images, "visible")["main"], module.embed(to_grey(images), "visible")["main"]
    )
    coloured = make("model=best").module.eval()
    assert not torch.allclose(
        coloured.embed(images, "visible")["main"], coloured.embed(to_grey(images), "visible")["main"]
    )


@pytest.mark.parametrize(("name", "pooling"), [("GeM", generalised_mean), ("average", pool)])
def test_pooling_is_as_set(make, name, pooling) -> None:
    network = make("model=best", f"model.pooling={name}").module.eval().network
    images = images_like(make("model=best").module)
    maps = network.encoder.body(network.encoder.prepare(images))
    torch.testing.assert_close(network(images).vector, pooling(maps))


def test_the_cosine_falls_from_the_full_rate_to_nothing() -> None:
    schedule = EpochScheduleConfig(curve="cosine", warmup=2, steps=[])
    expected = [0.5, 1.0, 1.0, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 + math.cos(3 * math.pi / 4)) / 2]
    assert [schedule.share(epoch, 6) for epoch in range(6)] == pytest.approx(expected)
    assert schedule.share(6, 6) == pytest.approx(0.0)


def test_a_cosine_with_cuts_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.schedule.curve=cosine has no cuts: say model.schedule.steps=\[\]"):
        BestConfig(schedule=EpochScheduleConfig(curve="cosine", steps=[20])).check()


def test_a_map_with_negative_values_is_not_pooled_by_roots(make) -> None:
    pytest.importorskip("timm", reason="other encoders need the extra `timm`")
    small = ("model=best", "model.backbone.name=vit_tiny_patch16_224", "model.backbone.size=[64,32]")
    with pytest.raises(
        ConfigError,
        match=r"best pools by GeM, .* \(model\.pooling=average takes any encoder\), and takes a ResNet alone",
    ):
        make(*small)
    module = make(*small, "model.pooling=average").module.eval()
    assert torch.isfinite(module.embed(torch.rand(1, 3, 64, 32), "visible")["main"]).all()
