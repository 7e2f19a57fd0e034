"""DEEN: expansion, aggregation and losses against slow twins, what each loss trains, what retrieval compares."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deen_reference as slow
from crossreid.data.transforms import random_grey, to_grey
from crossreid.errors import ConfigError
from crossreid.methods.deen.config import DEENConfig
from crossreid.methods.deen.losses import (
    Centres,
    code_pair_mining,
    nearest_other,
    orthogonal_loss,
    person_centres,
    printed_pair_mining,
)
from crossreid.methods.deen.networks import (
    ChannelAggregation,
    DEENNetwork,
    DilatedBranch,
    DiverseEmbeddingExpansion,
    MultistageFeatureAggregation,
    SpatialAggregation,
)
from crossreid.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from crossreid.settings.networks import BackboneConfig
from methods_support import compose_model, gradient_norms, make_batch

REGDB = DEENConfig(last_stage=3, expansion_stage=2, aggregation_stages=[1, 2])
LABELS = [4, 1, 4, 7, 1, 7, 1, 4, 7]  # three persons, not sorted


def lively(module: nn.Module) -> nn.Module:
    """In float64, every parameter drawn anew: norms that start at 0 would hide what is before them."""
    generator = torch.Generator().manual_seed(0)
    module.double()
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2
    return module


def weights_of(module: nn.Module) -> slow.Weights:
    return {name: value.detach().numpy() for name, value in module.named_parameters()}


def random_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_close(found: torch.Tensor, expected: list[slow.Array]) -> None:
    np.testing.assert_allclose(found.detach().numpy(), np.stack(expected), rtol=1e-9, atol=1e-10)


# ---------------------------------------------------------------- networks


def test_a_branch_equals_its_slow_twin() -> None:
    branch = lively(DilatedBranch(8))
    maps = random_maps(2, 8, 5, 4)
    assert_close(branch(maps), [slow.branch(image.numpy(), weights_of(branch)) for image in maps])


def test_the_expansion_keeps_images_and_appends_each_branch_in_their_order() -> None:
    expansion = lively(DiverseEmbeddingExpansion(8, 2, 0.5)).eval()
    maps = random_maps(3, 8, 4, 2)
    own, first, second = expansion(maps).chunk(3)
    assert torch.equal(own, maps)
    assert torch.equal(first, expansion.branches[0](maps))
    assert torch.equal(second, expansion.branches[1](maps))


def test_dropout_is_of_the_original_maps_too() -> None:
    expansion = DiverseEmbeddingExpansion(8, 2, 0.25).train()
    torch.manual_seed(0)
    own = expansion(torch.ones(40, 8, 8, 4)).chunk(3)[0]
    assert float((own == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert own.unique().tolist() == pytest.approx([0.0, 1 / 0.75])


@pytest.mark.parametrize("affinity", ["mean", "softmax"])
@pytest.mark.parametrize("stride", [1, 2])
def test_aggregation_of_channels_equals_its_slow_twin(stride: int, affinity: str) -> None:
    part = lively(ChannelAggregation(6, 4, stride, affinity))
    low = random_maps(2, 4, 3 * stride, 2 * stride)
    high = random_maps(2, 6, 3, 2, seed=1)
    expected = slow.channel_part(list(high.numpy()), list(low.numpy()), weights_of(part), stride, affinity)
    assert_close(part(high, low), expected)


@pytest.mark.parametrize("affinity", ["mean", "softmax"])
@pytest.mark.parametrize("tokens", ["halves", "positions"])
@pytest.mark.parametrize("stride", [1, 2])
def test_aggregation_of_positions_equals_its_slow_twin(stride: int, tokens: str, affinity: str) -> None:
    part = lively(SpatialAggregation(6, 4, tokens, affinity))
    low = random_maps(2, 4, 3 * stride, 2 * stride)
    high = random_maps(2, 6, 3, 2, seed=1)
    halves = tokens == "halves"
    expected = slow.spatial_part(list(high.numpy()), list(low.numpy()), weights_of(part), halves, affinity)
    assert_close(part(high, low), expected)


def test_aggregation_is_by_channels_and_then_by_positions_and_starts_as_the_identity() -> None:
    high, low = random_maps(2, 6, 3, 2, seed=1), random_maps(2, 4, 6, 4)
    part = MultistageFeatureAggregation(DEENConfig(), 6, 4, 2).double()
    assert torch.equal(part(high, low), high)
    lively(part)
    channels = slow.channel_part(list(high.numpy()), list(low.numpy()), weights_of(part.channel), 2, "mean")
    expected = slow.spatial_part(channels, list(low.numpy()), weights_of(part.spatial), True, "mean")
    assert_close(part(high, low), expected)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_affinities_do_not_overflow_in_half_precision(precision: torch.dtype) -> None:
    """Products of queries and keys, summed over 1,024 positions, are beyond the largest number of float16."""
    part = MultistageFeatureAggregation(DEENConfig(), 6, 4, 1)
    for norm in (part.channel.norm, part.spatial.norm):
        nn.init.ones_(norm.weight)
    high, low = torch.full((2, 6, 64, 16), 60.0), torch.full((2, 4, 64, 16), 60.0)
    with torch.autocast("cpu", dtype=precision):
        assert torch.isfinite(part(high, low)).all()


PUBLIC_SIZES = {"sysu": (DEENConfig(), 41_228_832, 2048), "regdb": (REGDB, 12_883_232, 1024)}


@pytest.mark.parametrize("name", PUBLIC_SIZES)
def test_it_has_the_public_networks_parameters_but_for_the_frozen_shift_of_the_neck(name: str) -> None:
    config, public, shift = PUBLIC_SIZES[name]
    with torch.device("meta"):
        network = DEENNetwork(config, 206)
    count = sum(value.numel() for key, value in network.named_parameters() if "classifier" not in key)
    assert count == public - shift


def test_parts_have_the_shapes_of_public_checkpoints() -> None:
    with torch.device("meta"):
        network = DEENNetwork(DEENConfig(), 395)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for branch in range(2):
        for place in range(3):
            key = f"encoder.expansion.branches.{branch}.dilated.{place}"
            assert shapes[f"{key}.weight"] == (256, 1024, 3, 3)
            assert f"{key}.bias" not in shapes
        assert shapes[f"encoder.expansion.branches.{branch}.merge.weight"] == (1024, 256, 1, 1)
        assert shapes[f"encoder.expansion.branches.{branch}.merge.bias"] == (1024,)
    for stage, high, low in ((1, 256, 64), (2, 512, 256), (3, 1024, 512)):
        for part, inner in (("channel", low), ("spatial", low // 2)):
            key = f"encoder.aggregations.{stage}.{part}"
            expected = {"theta": (inner, high), "phi": (inner, low), "g": (inner, low), "out": (high, inner)}
            for name, (outputs, inputs) in expected.items():
                assert shapes[f"{key}.{name}.weight"] == (outputs, inputs, 1, 1)
                assert shapes[f"{key}.{name}.bias"] == (outputs,)
            assert shapes[f"{key}.norm.running_var"] == (high,)
    assert shapes["block.neck.weight"] == (2048,)
    assert shapes["block.classifier.weight"] == (395, 2048)
    kinds = {key.split(".")[1] for key in shapes if key.startswith("encoder.")}
    assert kinds == {"resnet", "aggregations", "expansion"}


def test_the_shorter_network_has_no_last_stage_and_takes_weights_without_it(make) -> None:
    settings = ("model.last_stage=3", "model.expansion_stage=2", "model.aggregation_stages=[1,2]")
    module = make("model=deen", *settings).module.eval()
    encoder = module.network.encoder
    assert list(encoder.resnet.last.parameters()) == []
    assert "layer4" not in encoder.resnet.pretrained_parts
    assert sorted(encoder.aggregations) == ["1", "2"]
    stage_2_width = 16  # of the thin network
    assert encoder.expansion.branches[0].merge.out_channels == stage_2_width
    features = module.features(torch.rand(2, 3, 64, 32), "infrared")
    assert features.shape == (2, 3 * 2 * 2 * stage_2_width)


@pytest.mark.parametrize("stage", [0, 1, 2, 3, 4])
def test_the_expansion_may_stand_behind_any_stage(make, stage: int) -> None:
    module = make("experiment=deen/dee_cpm_ort", f"model.expansion_stage={stage}").module.eval()
    encoder = module.network.encoder
    counts = []
    for part in (*encoder.resnet.middle, encoder.resnet.last):
        part.register_forward_hook(lambda _, inputs, __: counts.append(len(inputs[0])))
    module.features(torch.rand(2, 3, 64, 32), "visible")
    assert counts == [2] * stage + [6] * (4 - stage)


def test_the_network_is_its_parts_one_behind_the_other(make) -> None:
    module = make("model=deen").module.eval()
    encoder = module.network.encoder
    for aggregation in encoder.aggregations.values():
        nn.init.ones_(aggregation.channel.norm.weight)
        nn.init.ones_(aggregation.spatial.norm.weight)
    visible, infrared = torch.rand(2, 3, 64, 32), torch.rand(1, 3, 64, 32)
    resnet = encoder.resnet
    stem = torch.cat(
        [resnet.streams["visible"](resnet.prepare(visible)), resnet.streams["infrared"](resnet.prepare(infrared))]
    )
    first = encoder.aggregations["1"](resnet.middle[0](stem), stem)
    second = encoder.aggregations["2"](resnet.middle[1](first), first)
    third = encoder.aggregations["3"](resnet.middle[2](second), second)
    expanded = torch.cat([third, *(branch(third) for branch in encoder.expansion.branches)])
    vectors = resnet.last(expanded).mean(dim=(2, 3))
    output = module.describe({"visible": visible, "infrared": infrared})
    assert torch.allclose(output.vector, vectors, atol=1e-6)
    assert torch.allclose(output.logits, module.network.block.classifier(module.network.block.neck(vectors)), atol=1e-6)


# ---------------------------------------------------------------- losses


def vectors_of(*seeds: int) -> list[torch.Tensor]:
    return [random_maps(len(LABELS), 3, seed=seed) for seed in seeds]


MINING = {"printed": printed_pair_mining, "code": code_pair_mining}


@pytest.mark.parametrize("form", MINING)
@pytest.mark.parametrize("margin", [0.0, 0.2, 3.0])
def test_pair_mining_equals_its_slow_twin(form: str, margin: float) -> None:
    own_visible, own_infrared, new_visible, new_infrared = vectors_of(1, 2, 3, 4)
    labels = torch.tensor(LABELS)
    own = Centres(person_centres(own_visible, labels, labels), person_centres(own_infrared, labels, labels))
    new = Centres(person_centres(new_visible, labels, labels), person_centres(new_infrared, labels, labels))
    found = float(MINING[form](own, new, labels, margin))
    numpy_own = (own_visible.numpy(), own_infrared.numpy())
    expected = slow.pair_mining(numpy_own, (new_visible.numpy(), new_infrared.numpy()), LABELS, margin, form)
    assert expected > 0
    assert found == pytest.approx(expected, rel=1e-10)


def test_the_codes_pair_mining_has_no_gradient_through_the_distance_inside_a_modality() -> None:
    """Two persons far from each other: of three hinges the first alone is above 0, and pulls only."""
    persons = torch.tensor([0, 1])
    apart = torch.tensor([[0.0, 0.0], [1000.0, 0.0]], dtype=torch.float64)
    own_visible = (apart + torch.tensor([0.0, 3.0])).requires_grad_()
    own_infrared = apart.clone().requires_grad_()
    new = (apart + torch.tensor([0.0, 4.0])).requires_grad_()
    loss = code_pair_mining(Centres(own_visible, own_infrared), Centres(new, new), persons, 0.2)
    loss.backward()
    # for v' the hinge is 0.2 + 4 - 1, for n' 0.2 + 1 - 4 < 0: half of the first
    assert loss.item() == pytest.approx(3.2 / 2)
    assert own_visible.grad.abs().max() == 0
    assert new.grad.tolist() == [[0.0, 0.25], [0.0, 0.25]]
    assert own_infrared.grad.tolist() == [[0.0, -0.25], [0.0, -0.25]]


def test_the_printed_pair_mining_pushes_from_the_own_modality() -> None:
    persons = torch.tensor([0, 1])
    near = torch.tensor([[0.0, 0.0], [0.1, 0.0]], dtype=torch.float64)
    own_visible = (near + torch.tensor([0.0, 3.0])).requires_grad_()
    new = (near + torch.tensor([0.0, 4.0])).requires_grad_()
    loss = printed_pair_mining(Centres(own_visible, near), Centres(new, near), persons, 0.2)
    loss.backward()
    # visible: 0.2 + 4 - 1 - 0.1; infrared: 0.2 + 3 - 0 - 0.1
    assert loss.item() == pytest.approx(3.1 + 3.1)
    assert own_visible.grad.abs().max() > 0


def test_centres_are_means_for_any_order_and_number_of_images() -> None:
    vectors = random_maps(4, 3)
    centres = person_centres(vectors, torch.tensor([5, 2, 5, 5]), torch.tensor([2, 5, 5]))
    mean_of_5 = (vectors[0] + vectors[2] + vectors[3]) / 3
    assert torch.allclose(centres, torch.stack([vectors[1], mean_of_5, mean_of_5]))


def test_the_nearest_other_centre_is_another_persons() -> None:
    centres = torch.tensor([[0.0], [0.0], [3.0], [10.0]], dtype=torch.float64)
    assert nearest_other(centres, torch.tensor([0, 0, 1, 2])).tolist() == [3.0, 3.0, 3.0, 7.0]
    assert nearest_other(centres, torch.zeros(4, dtype=torch.long)).isnan().all()


def test_the_orthogonal_loss_equals_its_slow_twin() -> None:
    one, other, third = vectors_of(1, 2, 3)
    expected = slow.orthogonal(one.numpy(), other.numpy())
    assert float(orthogonal_loss([one, other])) == pytest.approx(expected, rel=1e-12)
    pairs = expected + slow.orthogonal(one.numpy(), third.numpy()) + slow.orthogonal(other.numpy(), third.numpy())
    assert float(orthogonal_loss([one, other, third])) == pytest.approx(pairs * 3 / 4, rel=1e-12)


# ---------------------------------------------------------------- a training step


@pytest.mark.parametrize("term", ["id", "triplet", "cpm", "orthogonal"])
@pytest.mark.parametrize("preset", ["paper", "official"])
def test_each_loss_trains_what_it_should(make, term: str, preset: str) -> None:
    harness = make("model=deen", f"preset={preset}", "model.margin=50", "model.cpm_margin=50")
    for aggregation in harness.module.network.encoder.aggregations.values():
        nn.init.ones_(aggregation.channel.norm.weight)  # gradients pass through from the first step on
        nn.init.ones_(aggregation.spatial.norm.weight)
    encoder = [
        "resnet.streams.visible",
        "resnet.streams.infrared",
        "resnet.middle",
        "resnet.last",
        "expansion",
        "aggregations",
    ]
    names = [f"network.encoder.{name}" for name in encoder]
    names += ["network.block.neck", "network.block.classifier"]
    norms = gradient_norms(harness, term, "network", " ".join(names), "joint")
    heads = {"network.block.neck", "network.block.classifier"}
    reached = {name for name, norm in norms.items() if norm > 0}
    assert reached == (set(names) if term == "id" else set(names) - heads)


def test_losses_of_a_step_are_those_of_all_embeddings(make) -> None:
    harness = make(
        "model=deen", "model.erasing.probability=0", "model.grey=0", "model.crop_padding=0", "model.dropout=0"
    )
    module = harness.module
    batch = make_batch(module)
    stream = batch["identity"]
    outputs = []
    module.network.register_forward_hook(lambda _, __, output: outputs.append(output))
    harness.step("joint", batch)
    (output,) = outputs
    pids = stream.pids.tolist()
    count = 2 * len(pids)
    assert len(output.vector) == 3 * count
    losses = {name.rpartition("/")[2]: float(value) for name, value in module.losses.items()}
    assert losses["id"] == pytest.approx(F.cross_entropy(output.logits, torch.tensor(pids * 6)).item(), rel=1e-5)
    vectors = output.vector.detach().double().numpy()
    embeddings = [vectors[i * count : (i + 1) * count] for i in range(3)]
    split = [(rows[: len(pids)], rows[len(pids) :]) for rows in embeddings]
    mining = sum(slow.pair_mining(split[0], split[i], pids, 0.2, "printed") for i in (1, 2))
    assert losses["cpm"] == pytest.approx(mining, rel=1e-4)
    assert losses["orthogonal"] == pytest.approx(slow.orthogonal(embeddings[1], embeddings[2]), rel=1e-4, abs=1e-6)
    triplet = 0.0
    for a in range(3 * count):
        distances = [slow.distance(vectors[a], vectors[b]) for b in range(3 * count)]
        same = [(pids * 6)[b] == (pids * 6)[a] for b in range(3 * count)]
        positive = max(d for d, is_same in zip(distances, same, strict=True) if is_same)
        negative = min(d for d, is_same in zip(distances, same, strict=True) if not is_same)
        triplet += max(0.3 + positive - negative, 0.0) / (3 * count)
    assert losses["triplet"] == pytest.approx(triplet, rel=1e-4)


ROWS = {
    "base": (set(), 1, []),
    "dee": (set(), 3, []),
    "dee_cpm": ({"cpm"}, 3, []),
    "dee_ort": ({"orthogonal"}, 3, []),
    "dee_cpm_ort": ({"cpm", "orthogonal"}, 3, []),
    "mfa": (set(), 1, ["1", "2", "3"]),
    "full": ({"cpm", "orthogonal"}, 3, ["1", "2", "3"]),
}
"""Losses besides identity and triplet, embeddings of an image, and stages that are aggregated."""


@pytest.mark.parametrize("row", ROWS)
def test_rows_leave_out_what_they_say(make, row: str) -> None:
    losses, embeddings, aggregations = ROWS[row]
    harness = make(f"experiment=deen/{row}")
    module = harness.module
    harness.step("joint", make_batch(module))
    terms = {name.rpartition("/")[2] for name in module.losses}
    assert terms - {"id", "triplet"} == losses
    assert module.config.embeddings == embeddings
    assert (module.network.encoder.expansion is not None) == (embeddings > 1)
    assert sorted(module.network.encoder.aggregations) == aggregations


def test_an_exchanged_view_counts_in_a_persons_visible_centre(make) -> None:
    harness = make("model=deen", "model.exchanged_view=true")
    harness.step("joint", make_batch(harness.module))
    assert torch.isfinite(harness.module.losses["network/cpm"])


def test_all_but_neck_and_classifier_trains_at_a_tenth_of_the_rate(make) -> None:
    module = make("model=deen").module
    slow_group, fast_group = module.player("network").optimizer.param_groups
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    fast = {names[id(parameter)] for parameter in fast_group["params"]}
    assert fast == {"network.block.neck.weight", "network.block.classifier.weight"}
    assert len(slow_group["params"]) + len(fast) == len(names)
    assert slow_group["initial_lr"] == pytest.approx(fast_group["initial_lr"] / 10)


def test_training_images_become_grey_and_are_erased_with_the_codes_colour(make) -> None:
    settings = ("model.erasing={probability: 1.0, area: [0.2, 0.3]}", "model.crop_padding=0", "model.grey=1")
    module = make("model=deen", *settings).module
    views = module.augmented(make_batch(module)["identity"])
    fill = torch.tensor(IMAGENET_MEAN) + torch.tensor(IMAGENET_STD) * torch.tensor(IMAGENET_MEAN)
    for images in views.images.values():
        erased = ((images - fill.view(1, 3, 1, 1)).abs() < 1e-6).all(dim=1)  # (N, H, W)
        assert (erased.float().mean(dim=(1, 2)) > 0.1).all()
        spread = images.amax(dim=1) - images.amin(dim=1)
        assert spread[~erased].max() < 1e-6


def test_greying_changes_the_share_of_images_that_is_asked_for() -> None:
    images = torch.rand(400, 3, 2, 2)
    changed = random_grey(images, torch.Generator().manual_seed(0), 0.5)
    is_grey = (changed == to_grey(images)).all(dim=(1, 2, 3))
    is_same = (changed == images).all(dim=(1, 2, 3))
    assert (is_grey | is_same).all()
    assert float(is_grey.float().mean()) == pytest.approx(0.5, abs=0.07)


# ---------------------------------------------------------------- retrieval


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_similarity_is_the_weighted_sum_of_six_cosines(make, share: float) -> None:
    module = make("model=deen", f"model.pool_share={share}").module.eval()
    module.network.block.neck.running_mean.normal_(generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        output = module.describe({"visible": images})
        first, second = module.features(images, "visible")
    expected = 0.0
    for place in range(3):
        rows = (2 * place, 2 * place + 1)
        for vectors, weight in ((output.vector, share), (output.feature, 1 - share)):
            one, other = (vectors[row].double().tolist() for row in rows)
            product = sum(a * b for a, b in zip(one, other, strict=True))
            lengths = sum(a * a for a in one) ** 0.5 * sum(b * b for b in other) ** 0.5
            expected += weight * product / lengths
    assert float(first @ second) == pytest.approx(expected, abs=1e-5)
    assert float(first.norm()) == pytest.approx(3**0.5, rel=1e-5)


def test_the_embedding_adds_the_mirror_image_to_unit_vectors(make) -> None:
    module = make("model=deen").module.eval()
    images = torch.rand(2, 3, 64, 32)
    found = module.embed(images, "infrared")["main"]
    added = module.features(images, "infrared") + module.features(images.flip(-1), "infrared")
    assert torch.allclose(found, added / added.norm(dim=1, keepdim=True), atol=1e-6)
    assert torch.allclose(found, module.embed(images.flip(-1), "infrared")["main"], atol=1e-6)


# ---------------------------------------------------------------- settings


def test_the_official_preset_is_the_codes_setting() -> None:
    full = compose_model("model=deen", "preset=official", "scale=paper")
    assert (full.epochs, full.schedule.warmup, full.schedule.steps) == (151, 10, [20, 80])
    shares = [round(full.schedule.share(epoch, full.epochs), 6) for epoch in (0, 9, 10, 19, 20, 79, 80, 150)]
    assert shares == [0.1, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    assert (full.cpm, full.w_cpm, full.w_orthogonal) == ("code", 0.8, 0.01)
    assert full.streams["identity"].plain() == {
        "identities": 6,
        "images": 4,
        "height": 384,
        "width": 144,
        "sampling": "independent",
    }
    assert (full.optimizer.encoder_lr, full.optimizer.head_lr) == (0.01, 0.1)


@pytest.mark.parametrize(("images", "iterations"), [(22_258, 928), (2_060, 86), (16_946, 707)])
def test_an_epoch_has_the_codes_number_of_batches(images: int, iterations: int) -> None:
    stream = DEENConfig().streams["identity"]
    assert -(-images // (stream.identities * stream.images)) == iterations


def test_rows_stay_without_a_loss_whose_weight_the_scale_sets() -> None:
    full = compose_model("experiment=deen/full", "scale=small")
    assert (full.w_orthogonal, full.w_cpm, full.has_orthogonal, full.has_pair_mining) == (0.01, 0.8, True, True)
    mining_only = compose_model("experiment=deen/dee_cpm", "scale=small")
    assert (mining_only.has_orthogonal, mining_only.has_pair_mining) == (False, True)


def test_a_loss_without_weight_needs_no_new_embeddings() -> None:
    base = compose_model("model=deen", "model.branches=0", "model.w_cpm=0", "model.w_orthogonal=0")
    assert not base.has_orthogonal
    assert not base.has_pair_mining


def test_other_datasets_have_the_codes_settings_for_them() -> None:
    llcm = compose_model("model=deen", "scale=paper", "data=llcm", "data.root=/data")
    assert (llcm.erasing.area, llcm.last_stage) == ([0.02, 0.4], 4)
    regdb = compose_model("model=deen", "scale=paper", "data=regdb", "data.root=/data")
    assert regdb.erasing.area == [0.02, 0.4]
    assert (regdb.last_stage, regdb.expansion_stage, regdb.aggregation_stages) == (3, 2, [1, 2])
    base = compose_model("experiment=deen/base", "scale=paper", "data=regdb", "data.root=/data")
    assert (base.last_stage, base.aggregation_stages) == (3, [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["branches=0"],
            r"names cpm, which is of the embeddings that are new, and model.branches is 0: set model.losses=\[\]",
        ),
        (
            ["branches=1"],
            r"names orthogonal, which is of two embeddings that are new, and model.branches is 1: leave it out",
        ),
        (["losses=[cpm,centre]"], r"model.losses"),
        (["last_stage=3", "aggregation_stages=[4]"], "names stage 4, and model.last_stage is 3"),
        (["last_stage=3", "expansion_stage=4"], "model.expansion_stage is 4, and model.last_stage is 3"),
        (["backbone.size=[60,36]"], r"one of stage 1 has 15 x 9 positions: change model.backbone.size"),
        (["aggregation_stages=[2,1]"], "ascending order"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose_model("model=deen", *[f"model.{setting}" for setting in settings])


def test_positions_take_maps_of_an_odd_size(make) -> None:
    module = make("model=deen", "model.backbone.size=[60,36]", "model.mfa_tokens=positions").module.eval()
    assert module.embed(torch.rand(2, 3, 64, 32), "visible")["main"].isfinite().all()


@pytest.mark.parametrize("size", [(384, 144), (60, 36), (97, 51)])
@pytest.mark.parametrize("last_stride", [1, 2])
def test_map_sizes_of_the_settings_are_those_of_the_network(size: tuple[int, int], last_stride: int) -> None:
    backbone = BackboneConfig("resnet18", "random", list(size), last_stride)
    config = DEENConfig(backbone=backbone, mfa_tokens="positions")
    with torch.device("meta"):
        network = DEENNetwork(config, 5).eval()
        maps = network.encoder.resnet.stems({"visible": torch.rand(1, 3, *size)})
        shapes = [tuple(maps.shape[2:])]
        for stage in (*network.encoder.resnet.middle, network.encoder.resnet.last):
            maps = stage(maps)
            shapes.append(tuple(maps.shape[2:]))
    assert shapes == config.map_shapes()
