"""LbA: what each loss trains, schedules, switches of Table 3's rows, retrieval."""

import math

import pytest
import torch
import torch.nn.functional as F

from crossreid.errors import ConfigError
from crossreid.losses import euclidean_triplet
from crossreid.methods.lba.config import LbAConfig
from crossreid.methods.players import Losses
from crossreid.nn.pooling import generalised_mean
from crossreid.settings.fields import from_plain
from crossreid.settings.figures import CorrespondenceConfig
from methods_support import make_batch

PARTS = ("encoder.streams.visible", "encoder.streams.infrared", "encoder.middle", "encoder.last", "neck", "classifier")
CLASSIFIED = dict.fromkeys(("id", "ic_layer3", "ic_layer4"), PARTS)
COMPARED = {"triplet": PARTS[:4], "dt_layer3": PARTS[:3], "dt_layer4": PARTS[:4]}


def gradient_norms(harness, term: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Train on one term alone, and see how much gradient reaches each part of the network."""
    module = harness.module
    norms: dict[str, float] = {}

    def spy(*_: object) -> None:
        for part in PARTS:
            grads = [p.grad.norm() for p in module.network.get_submodule(part).parameters() if p.grad is not None]
            norms[part] = float(torch.stack(grads).sum()) if grads else 0.0

    module.player("network").optimizer.register_step_pre_hook(spy)
    monkeypatch.setattr(Losses, "total", lambda self: self.terms[term][0])
    harness.step("joint", make_batch(module))
    return norms


@pytest.mark.parametrize("term", CLASSIFIED | COMPARED)
def test_each_loss_reaches_what_it_should_train(make, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    norms = gradient_norms(make("model=lba", "model.margin=50"), term, monkeypatch)
    assert {part for part, norm in norms.items() if norm > 0} == set((CLASSIFIED | COMPARED)[term])


ROWS = {
    "baseline": set(),
    "ic": {"ic_layer3", "ic_layer4"},
    "dt_noA": {"dt_layer3", "dt_layer4"},
    "dt": {"dt_layer3", "dt_layer4"},
    "ic_dt_noA": {"ic_layer3", "ic_layer4", "dt_layer3", "dt_layer4"},
    "full_l4": {"ic_layer3", "dt_layer3"},
    "full_l5": {"ic_layer4", "dt_layer4"},
    "full": {"ic_layer3", "ic_layer4", "dt_layer3", "dt_layer4"},
}


@pytest.mark.parametrize("row", ROWS)
def test_rows_have_the_losses_of_table_3(make, row: str) -> None:
    harness = make(f"experiment=lba/{row}")
    harness.step("joint", make_batch(harness.module))
    assert set(harness.module.losses) == {f"network/{name}" for name in ROWS[row] | {"id", "triplet"}}
    assert (harness.module.config.coattention == "none") == row.endswith("noA")


def test_the_losses_are_those_of_equation_8_on_both_modalities(make) -> None:
    settings = ("experiment=lba/baseline", "model.margin=50")  # above what random weights keep apart
    harness = make(*settings)
    stream = make_batch(harness.module)["identity"]
    harness.step("joint", {"identity": stream})
    losses = harness.module.losses

    network = make(*settings).module.train().network  # as it was before the step
    with torch.no_grad():
        vectors = generalised_mean(network.maps(stream.visible, stream.infrared).layer4)  # phi(f)
    labels = stream.pids.repeat(2)
    cross_entropy = F.cross_entropy(network.classify(vectors), labels)
    assert losses["network/id"].item() == pytest.approx(cross_entropy.item(), rel=1e-5)

    hinges = []
    for anchor, label in zip(vectors, labels, strict=True):
        distances = (vectors - anchor).norm(dim=1)
        farthest_positive = distances[labels == label].max()
        nearest_negative = distances[labels != label].min()
        hinges.append(max(0.0, float(50 + farthest_positive - nearest_negative)))
    assert losses["network/triplet"].item() == pytest.approx(sum(hinges) / len(hinges), rel=1e-4)


def test_the_euclidean_triplet_is_exact_for_equal_rows() -> None:
    features = torch.tensor([[1000.0, 0.0], [1000.0, 0.0], [1000.0, 0.5]], requires_grad=True)
    labels = torch.tensor([0, 0, 1])
    assert euclidean_triplet(features, features[:2], labels, labels[:2], 0.3).isnan()
    loss = euclidean_triplet(features[:2], features, labels[:2], labels, 0.6)
    assert loss.item() == pytest.approx(0.1)
    loss.backward()
    assert torch.isfinite(features.grad).all()


def test_the_layer3_reconstruction_goes_through_layer4_and_the_neck_sees_three_batches(make) -> None:
    for row, last, neck in (("full", 2, 3), ("full_l5", 1, 2), ("dt", 1, 1), ("baseline", 1, 1)):
        harness = make(f"experiment=lba/{row}")
        harness.step("joint", make_batch(harness.module))
        network = harness.module.network
        assert int(network.encoder.last[0].bn1.num_batches_tracked) == last, row
        assert int(network.neck.num_batches_tracked) == neck, row


def test_partners_differ_by_iteration_layer_and_rank_and_not_otherwise(make, monkeypatch) -> None:
    from crossreid.methods.lba import module as lba_module

    seeds: list[int] = []
    draw = lba_module.draw_partners

    def spy(labels, infrared, generator):
        seeds.append(generator.initial_seed())
        return draw(labels, infrared, generator)

    monkeypatch.setattr(lba_module, "draw_partners", spy)
    harness = make("model=lba")
    module = harness.module
    batch = make_batch(module)
    for iteration, rank in ((0, 0), (1, 0), (0, 1), (0, 0)):
        module.iteration = iteration
        monkeypatch.setattr(type(module), "global_rank", rank)
        module.training_step(batch)
    assert len(set(seeds[:6])) == 6
    assert seeds[6:] == seeds[:2]


def test_rates_rise_over_the_warm_up_and_are_cut_twice() -> None:
    schedule = LbAConfig().schedule
    shares = [schedule.share(epoch, 81) for epoch in range(81)]
    assert shares[:10] == pytest.approx([0.1 * (e + 1) for e in range(10)])
    assert shares[10:20] == [1.0] * 10
    assert shares[20:50] == pytest.approx([0.1] * 30)
    assert shares[50:] == pytest.approx([0.01] * 31)


def test_rates_are_constant_inside_an_epoch(make) -> None:
    module = make("model=lba", "model.epochs=3", "model.schedule={warmup: 2, steps: [2]}").module
    module.log_every = 10**9
    module.iteration = 1  # iteration 0 is logged, which needs a running trainer
    rates = []
    for _ in range(6):
        module.training_step(make_batch(module))
        rates.append([group["lr"] for group in module.player("network").param_groups])
        module.on_train_batch_end(None, {}, 0)
    shares = [0.5, 0.5, 1.0, 1.0, 0.1, 0.1]
    assert [encoder for encoder, _ in rates] == pytest.approx([0.01 * share for share in shares])
    assert [heads for _, heads in rates] == pytest.approx([0.1 * share for share in shares])


def test_the_settings_are_those_of_the_paper() -> None:
    config = LbAConfig(iterations_per_epoch=696)
    config.check()
    assert config.phase_lengths() == {"joint": 80 * 696}
    assert config.coattention == "per_image"
    assert config.streams["identity"].size == (288, 144)


def test_the_official_preset_is_one_epoch_longer_and_averages_co_attention(make) -> None:
    config = make("model=lba", "preset=official", "model.epochs=81").module.config
    assert config.coattention == "batch_mean"
    assert config.phase_lengths() == {"joint": 81 * config.iterations_per_epoch}


def test_retrieval_uses_the_vector_before_the_neck(make) -> None:
    module = make("model=lba").module.eval()
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        main = module.embed(images, "infrared")["main"]
        layer4 = module.network.encoder({"infrared": images}).layer4
        module.network.neck.weight.zero_()
        module.network.classifier.weight.zero_()
        assert torch.equal(module.embed(images, "infrared")["main"], main)
    assert torch.allclose(main, F.normalize(layer4.pow(3).mean(dim=(2, 3)) ** (1 / 3), dim=1), atol=1e-5)


def test_one_step_in_bfloat16_has_finite_losses_near_those_of_float32(make) -> None:
    values = {}
    for precision in (torch.float32, torch.bfloat16):
        harness = make("model=lba")
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            harness.step("joint", make_batch(harness.module))
        values[precision] = {name: loss for name, loss in harness.module.losses.items()}
    for name, exact in values[torch.float32].items():
        half = values[torch.bfloat16][name]
        assert half.dtype == torch.float32, name
        assert half.item() == pytest.approx(exact.item(), rel=0.25, abs=0.05), name


IMPOSSIBLE = [
    ({"layers": []}, "needs at least one entry: choose from 3, 4"),
    ({"layers": [2]}, "choose from 3, 4"),
    ({"layers": [3, 3]}, "name each entry once"),
    ({"specific_stages": 3}, "choose from 0, 1, 2"),
    ({"coattention": "always"}, "coattention is 'always': choose from per_image, batch_mean, none"),
    ({"dt_reduction": "max"}, "dt_reduction is 'max': choose from mean, sum"),
    ({"beta": 0}, "model.beta is 0: choose above 0"),
    ({"w_dt": -1}, "0 or more"),
    ({"schedule": {"steps": [0]}}, "epochs after the warm-up"),
    ({"optimizer": {"kind": "rmsprop"}}, "choose from sgd, adam"),
    (
        {"streams": {"gan": {"identities": 2, "images": 2, "height": 8, "width": 8}}},
        "streams of lba are identity, not gan",
    ),
]


@pytest.mark.parametrize(("settings", "message"), IMPOSSIBLE)
def test_impossible_settings_are_refused_in_one_sentence(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_plain(LbAConfig, settings, "model").check()
    assert "\n" not in str(refusal.value)


def test_the_figure_shows_the_first_pair_of_each_person_and_the_best_matches(make) -> None:
    module = make("model=lba", "model.streams.identity={identities: 3, images: 2, height: 64, width: 32}").module.eval()
    batch = make_batch(module)["identity"]
    with torch.no_grad():
        data = module.figure_data(batch)
        visible = module.network.encoder({"visible": batch.visible[::2]}).layer4
        infrared = module.network.encoder({"infrared": batch.infrared[::2]}).layer4
    assert torch.equal(data["visible"], batch.visible[::2])
    assert torch.equal(data["infrared"], batch.infrared[::2])
    assert data["matches"].shape == (3, 8, 2)  # a map of 4 x 2 has no more
    with torch.no_grad():
        few = module.figure_data(batch, CorrespondenceConfig(count=3))
    assert torch.equal(few["matches"], data["matches"][:, :3])
    cosine = F.normalize(visible.flatten(2), dim=1).transpose(1, 2) @ F.normalize(infrared.flatten(2), dim=1)
    for person in range(3):
        for p, q in data["matches"][person].tolist():
            assert cosine[person, p, q] == cosine[person, p].max()
    for name in ("visible_mask", "infrared_mask", "visible_attention", "infrared_attention"):
        assert data[name].shape == (3, 1, 4, 2)
        assert data[name].min() >= 0
        assert data[name].max() <= 1


def cosines(visible: torch.Tensor, infrared: torch.Tensor) -> list[list[float]]:
    """Of each visible with each infrared position of one pair of maps (C, h, w), by loops."""
    rows = []
    for v in visible.flatten(1).T:
        rows.append([float(v @ i / v.norm() / i.norm()) for i in infrared.flatten(1).T])
    return rows


@pytest.mark.parametrize("layer", [3, 4])
@pytest.mark.parametrize("direction", ["visible_to_infrared", "infrared_to_visible"])
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("order", ["probability", "cosine"])
def test_chosen_matches_are_those_of_a_plain_search(make, layer: int, direction: str, mutual: bool, order: str) -> None:
    module = make("model=lba", "model.streams.identity={identities: 2, images: 1, height: 64, width: 32}").module.eval()
    batch = make_batch(module)["identity"]
    choice = CorrespondenceConfig(layer=layer, direction=direction, mutual=mutual, order=order, count=5)
    with torch.no_grad():
        data = module.figure_data(batch, choice)
        maps = module.network.encoder({"visible": batch.visible, "infrared": batch.infrared})
    features = (maps.layer3 if layer == 3 else maps.layer4).double()
    for person in range(2):
        table = cosines(features[person], features[person + 2])  # visible rows come first
        if direction == "infrared_to_visible":
            table = [list(column) for column in zip(*table, strict=True)]
        found = []
        for p, row in enumerate(table):
            q = max(range(len(row)), key=row.__getitem__)
            best_of_q = max(range(len(table)), key=lambda other, q=q: table[other][q])
            if mutual and best_of_q != p:
                continue
            probability = math.exp(50 * row[q]) / sum(math.exp(50 * value) for value in row)
            found.append((-(row[q] if order == "cosine" else probability), p, q))
        expected = []
        for _, p, q in sorted(found)[:5]:
            expected.append((p, q) if direction == "visible_to_infrared" else (q, p))
        drawn = [tuple(match) for match in data["matches"][person].tolist() if match[0] >= 0]
        assert drawn == expected
        assert 0 < len(drawn) <= 5
