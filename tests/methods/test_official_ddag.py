"""DDAG at preset=official, against the public code's formulas written out slowly."""

import pytest
import torch
import torch.nn.functional as F

from crossreid.errors import ConfigError
from crossreid.methods.ddag.config import DDAGConfig
from crossreid.methods.ddag.networks import DDAGNetwork, FullPartAttention, GraphAttention, GraphClassifier
from methods_support import compose_model, gradient_norms, make_batch
from official_reference import ddag_parts, elu, graph_head

OFFICIAL = ("model=ddag", "preset=official")
SETTINGS = ["model.backbone={name: resnet50, weights: random}", "model.graph_dim=512"]


def test_part_attention_is_that_of_the_public_code() -> None:
    torch.manual_seed(0)
    attention = FullPartAttention(6, 3)
    torch.nn.init.normal_(attention.weights)
    feature_map = torch.rand(2, 6, 6, 2)
    whole = torch.randn(2, 6)
    layers = {}
    for name in ("query", "key", "value"):
        layer = attention.get_submodule(name)
        layers[name] = (layer.weight.tolist(), layer.bias.tolist())
    parts = feature_map.view(2, 6, 3, 2, 2).mean(dim=(3, 4)).transpose(1, 2)  # two rows a part
    with torch.no_grad():
        feature = whole + attention(feature_map)
    for n in range(2):
        expected = ddag_parts(parts[n].tolist(), layers, attention.weights.tolist(), whole[n].tolist())
        assert feature[n].tolist() == pytest.approx(expected, abs=1e-5)


def test_the_graph_is_that_of_the_public_code() -> None:
    torch.manual_seed(0)
    graph = GraphClassifier(6, 3, 4, 5, dropout=0.2, start="gat").eval()
    nodes, labels = torch.randn(5, 6), [0, 1, 0, 1, 2]
    first, second = graph.first, graph.second
    rows: list[list[float]] = [[] for _ in labels]
    for head, weight in enumerate(first.project.weight.split(3)):
        arguments = (weight.tolist(), first.one[head].tolist(), first.other[head].tolist())
        for row, made in zip(rows, graph_head(nodes.tolist(), labels, *arguments), strict=True):
            row += [elu(value) for value in made]
    arguments = (second.project.weight.tolist(), second.one[0].tolist(), second.other[0].tolist())
    expected = [[elu(value) for value in row] for row in graph_head(rows, labels, *arguments)]
    with torch.no_grad():
        logits = graph(nodes, torch.tensor(labels))
    for row, wanted in zip(logits.tolist(), expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-5)


def test_the_graph_drops_a_fifth_of_nodes_hidden_values_and_weights() -> None:
    torch.manual_seed(0)
    graph = GraphClassifier(6, 3, 4, 5, dropout=0.2).train()
    rates = {name: module.p for name, module in graph.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {"dropout": 0.2, "first.dropout": 0.2, "second.dropout": 0.2}
    nodes, labels = torch.randn(5, 6), torch.tensor([0, 1, 0, 1, 2])
    assert not torch.equal(graph(nodes, labels), graph(nodes, labels))
    seen = []
    for module in graph.modules():
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(lambda module, given, made: seen.append((tuple(given[0].shape), made)))
    graph(nodes, labels)
    assert [shape for shape, _ in seen] == [(5, 6), (4, 5, 5), (5, 12), (1, 5, 5)]


def test_the_graph_starts_within_the_bounds_of_the_public_code() -> None:
    torch.manual_seed(0)
    layer = GraphAttention(64, 16, 4, start="gat")
    for values, fans in ((layer.project.weight, 64 + 16), (layer.one, 2 * 16 + 1), (layer.other, 2 * 16 + 1)):
        bound = 1.414 * (6 / fans) ** 0.5
        assert 0.9 * bound < values.abs().max() <= bound


def test_the_network_has_the_parameters_that_the_public_code_prints() -> None:
    """40.3 M: trunk, four layers of the parts with a batch norm behind the fourth, gate and two necks; no classifier.

    Ours leaves out the fourth layer and its batch norm, which the code never uses, and shifts of necks that stay 0.
    """
    with torch.device("meta"):
        network = DDAGNetwork(compose_model(*OFFICIAL, *SETTINGS), 395)
        graph = GraphClassifier(2048, 512, 4, 395)
    counted = sum(p.numel() for name, p in network.named_parameters() if "classifier" not in name)
    unused = (2048 * 2048 + 2048) + 2 * 2048
    frozen = 2 * 2048
    assert counted + unused + frozen == 40_315_267
    assert sum(p.numel() for p in graph.parameters()) == 5_008_150


def test_one_classifier_sees_the_feature_of_the_whole_and_that_with_parts(make) -> None:
    module = make(*OFFICIAL).module.eval()
    network = module.network
    names = [name for name, _ in network.named_parameters() if "classifier" in name]
    assert names == ["block.classifier.weight"]
    torch.nn.init.uniform_(network.norm.running_mean)
    images = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        feature_map = network.encoder({"visible": images}).layer4
        whole = network.block.neck(feature_map.mean(dim=(2, 3)))
        together = whole + network.parts(feature_map)
        scale = network.norm.weight / (network.norm.running_var + network.norm.eps).sqrt()
        feature = (together - network.norm.running_mean) * scale
        output = network({"visible": images})
        assert torch.allclose(output.feature, feature, atol=1e-5)
        assert torch.allclose(output.logits, feature @ network.block.classifier.weight.T, atol=1e-5)
        assert torch.allclose(module.embed(images, "visible")["main"], F.normalize(feature, dim=1), atol=1e-5)


def test_the_graphs_nodes_are_the_vectors_before_the_neck(make) -> None:
    """So its loss reaches the encoder, and neither neck nor parts; the first epoch, where it weighs 0, is passed by."""
    parts = "network.encoder network.block.neck network.parts network.norm network.block.classifier graph"
    norms = gradient_norms(make(*OFFICIAL), "graph", "network", parts, "joint")
    assert {name for name, norm in norms.items() if norm > 0} == {"network.encoder", "graph"}


def test_the_graph_weighs_nothing_in_the_first_epoch_and_then_by_the_previous_one(make) -> None:
    harness = make(*OFFICIAL, "model.iterations_per_epoch=2")
    module = harness.module
    weights = []
    for place, loss in enumerate([9.0, 7.0, 3.0, 1.0, 0.5]):
        module.iteration = place
        module._note(torch.tensor(loss))
        weights.append(float(module.graph_weight()))
    assert weights == pytest.approx([0, 0, 1 / 9, 1 / 9, 1 / 3])


def test_a_first_step_leaves_the_graph_as_it_was_but_for_weight_decay(make) -> None:
    harness = make(*OFFICIAL, "model.optimizer.weight_decay=0")
    before = harness.snapshot()
    harness.step("joint", make_batch(harness.module))
    changed = harness.changed(before)
    assert not [name for name in changed if name.startswith("graph")]
    assert any(name.startswith("network.parts") for name in changed)


def test_the_official_preset_says_what_the_facts_say() -> None:
    config = compose_model(*OFFICIAL)
    assert (config.heads, config.graph_dropout, config.graph_input) == (4, 0.2, "vector")
    full = compose_model("model=ddag", "preset=official", "scale=paper")
    assert (full.graph_dim, full.epochs, full.schedule.steps, full.schedule.warmup) == (512, 81, [20, 50], 10)
    assert (full.margin, full.erasing.probability) == (0.3, 0.0)


def test_a_width_of_parts_is_refused_where_it_would_not_be_read() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        DDAGConfig(part_attention="full", part_width=8).check()
