"""DDAG: attention between parts and between images, the weight of the graph, what each loss trains."""

import pytest
import torch
import torch.nn.functional as F

from crossreid.errors import ConfigError
from crossreid.methods.ddag.config import DDAGConfig
from crossreid.methods.ddag.networks import GraphAttention, GraphClassifier, PartAttention, same_identity
from crossreid.settings.fields import from_plain
from methods_support import gradient_norms, make_batch


def test_part_attention_equals_its_slow_twin() -> None:
    torch.manual_seed(0)
    attention = PartAttention(8, 3, None).eval()
    attention.norm.running_var.fill_(0.25 - attention.norm.eps)
    feature_map = torch.rand(2, 8, 6, 4)
    parts = torch.stack([feature_map[:, :, 2 * i : 2 * i + 2].mean(dim=(2, 3)) for i in range(3)], dim=1)
    assert torch.allclose(attention.stripes(feature_map), parts, atol=1e-6)
    torch.nn.init.normal_(attention.weights)
    expected = torch.zeros(2, 8)
    for n in range(2):
        for i in range(3):
            u = attention.query.weight @ parts[n, i]
            scores = torch.stack([torch.exp(u @ (attention.key.weight @ parts[n, j]) / 2) for j in range(3)])
            for j in range(3):
                expected[n] += attention.weights[i] * scores[j] / scores.sum() * (attention.value.weight @ parts[n, j])
    assert torch.allclose(attention(feature_map), expected / 0.5, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 4), (4, 2), (1, 1)])
def test_part_attention_sums_to_one_for_maps_of_any_size(size: tuple[int, int]) -> None:
    attention = PartAttention(8, 3, 4)
    feature_map = torch.rand(2, 8, *size)
    weights = attention.attention(attention.stripes(feature_map))
    assert weights.shape == (2, 3, 3)
    assert torch.allclose(weights.sum(2), torch.ones(2, 3), atol=1e-6)
    assert attention(feature_map).shape == (2, 8)


def test_neighbours_have_the_same_identity_whatever_their_modality() -> None:
    adjacency = same_identity(torch.tensor([0, 1, 0, 1, 2]))
    assert adjacency.tolist() == [
        [True, False, True, False, False],
        [False, True, False, True, False],
        [True, False, True, False, False],
        [False, True, False, True, False],
        [False, False, False, False, True],
    ]


def test_graph_attention_equals_its_slow_twin() -> None:
    torch.manual_seed(1)
    layer = GraphAttention(6, 3, 4)
    nodes, labels = torch.randn(5, 6), torch.tensor([0, 1, 0, 1, 2])
    projected = layer.project(nodes).view(5, 4, 3)
    weights = layer.attention(projected, same_identity(labels))
    assert torch.allclose(weights.sum(2), torch.ones(4, 5), atol=1e-6)
    assert (weights[:, ~same_identity(labels)] == 0).all()
    expected = torch.zeros(5, 4, 3)
    for head in range(4):
        for i in range(5):
            neighbours = [j for j in range(5) if labels[j] == labels[i]]
            scores = [
                F.leaky_relu(layer.one[head] @ projected[i, head] + layer.other[head] @ projected[j, head], 0.2).exp()
                for j in neighbours
            ]
            for j, score in zip(neighbours, scores, strict=True):
                expected[i, head] += score / sum(scores) * projected[j, head]
    assert torch.allclose(layer(nodes, same_identity(labels)), expected.flatten(1), atol=1e-5)


def test_other_identities_do_not_reach_a_node() -> None:
    torch.manual_seed(2)
    graph = GraphClassifier(6, 3, 4, 5)
    nodes, labels = torch.randn(5, 6, requires_grad=True), torch.tensor([0, 1, 0, 1, 2])
    logits = graph(nodes, labels)
    assert logits.shape == (5, 5)
    assert logits.min() >= -1  # ELU
    logits[0].sum().backward()
    assert (nodes.grad.norm(dim=1) > 0).tolist() == [True, False, True, False, False]


def test_the_feature_is_that_of_the_whole_and_its_parts_and_no_graph_is_needed(make) -> None:
    module = make("model=ddag").module.eval()
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        feature_map = module.network.encoder({"infrared": images}).layer4
        pooled = feature_map.mean(dim=(2, 3))
        expected = module.network.block.neck(pooled) + module.network.parts(feature_map)
        main = module.embed(images, "infrared")["main"]
        assert torch.allclose(main, F.normalize(expected, dim=1), atol=1e-5)
        module.graph.first.project.weight.zero_()
        assert torch.equal(module.embed(images, "infrared")["main"], main)


TRAINED = {
    "id": ("network.encoder", "network.block.neck", "network.block.classifier"),
    "triplet": ("network.encoder",),
    "parts": ("network.encoder", "network.block.neck", "network.parts", "network.classifier"),
    "graph": ("network.encoder", "network.block.neck", "network.parts", "graph.first", "graph.second"),
}


@pytest.mark.parametrize("term", TRAINED)
def test_each_loss_reaches_what_it_should_train(make, term: str) -> None:
    parts = {part for names in TRAINED.values() for part in names}
    harness = make("model=ddag", "model.margin=50")
    norms = gradient_norms(harness, term, "network", " ".join(sorted(parts)), "joint")
    assert {name for name, norm in norms.items() if norm > 0} == set(TRAINED[term])


def test_every_parameter_of_parts_and_graph_has_a_gradient(make) -> None:
    harness = make("model=ddag", "model.streams.identity={identities: 4, images: 4, height: 64, width: 32}")
    names = [name for name, _ in harness.module.named_parameters() if name.startswith(("graph", "network.parts"))]
    norms: dict[str, float] = {}
    parameters = dict(harness.module.named_parameters())

    def spy(*_: object) -> None:
        norms.update({name: float(parameters[name].grad.norm()) for name in names})

    harness.module.player("network").optimizer.register_step_pre_hook(spy)
    harness.step("joint", make_batch(harness.module))
    assert len(norms) == 11
    assert min(norms.values()) > 0, norms


def run(module, losses: list[float], start: int = 0) -> list[float]:
    """Weights of the graph when the other losses have these values, one an iteration."""
    weights = []
    for place, loss in enumerate(losses, start):
        module.iteration = place
        module._note(torch.tensor(loss))
        weights.append(module.graph_weight().item())
    return weights


def test_the_graph_counts_more_as_the_other_losses_of_the_previous_epoch_fall(make) -> None:
    module = make("model=ddag", "model.iterations_per_epoch=2").module
    weights = run(module, [9.0, 7.0, 3.0, 1.0, 0.5, 0.5])
    # first epoch: the mean so far; then that of the epoch before: 8, then 2
    assert weights == pytest.approx([1 / 10, 1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 3])


@pytest.mark.parametrize("done", range(1, 6))
def test_the_weight_goes_on_from_a_checkpoint_as_if_nothing_had_happened(make, done: int) -> None:
    settings = ("model=ddag", "model.iterations_per_epoch=2")
    values = [9.0, 7.0, 3.0, 1.0, 0.5, 0.25]
    whole = run(make(*settings).module, values)
    first, second = make(*settings).module, make(*settings, seed=1).module
    run(first, values[:done])
    state = first.state_dict()
    assert "part_losses" in state
    second.load_state_dict(state)
    assert run(second, values[done:], done) == whole[done:]


def test_a_step_notes_the_sum_of_its_losses_and_weighs_the_graph_by_it(make) -> None:
    harness = make("model=ddag")
    module = harness.module
    seen = {}
    record = module.record_losses
    module.record_losses = lambda player, losses: (seen.update(losses.terms), record(player, losses))
    harness.step("joint", make_batch(module))
    total = sum(float(seen[name][0].detach()) for name in ("id", "triplet", "parts"))
    assert module.part_losses.tolist() == [[0, 0], [pytest.approx(total), 1]]
    assert seen["graph"][1] == pytest.approx(1 / (1 + total))
    assert [seen[name][1] for name in ("id", "triplet", "parts")] == [1, 1, 1]


def test_without_the_graph_there_is_none_and_an_exchanged_view_is_fine(make) -> None:
    harness = make("model=ddag", "model.graph=false", "model.exchanged_view=true")
    harness.step("joint", make_batch(harness.module))
    assert set(harness.module.losses) == {"network/id", "network/triplet", "network/parts"}
    assert not any("graph" in name for name, _ in harness.module.named_parameters())
    harness = make("model=ddag", "model.exchanged_view=true")
    harness.step("joint", make_batch(harness.module))
    assert "network/graph" in harness.module.losses


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("parts", 1, "model.parts is 1: choose 2 or more"),
        ("part_width", 0, "1 or more"),
        ("heads", 0, "1 or more"),
        ("graph_dim", 0, "1 or more"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(setting: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_plain(DDAGConfig, {setting: value}, "model").check()
    assert "\n" not in str(refusal.value)
