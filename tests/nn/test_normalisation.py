"""Two sets of batch-norm averages, one for each modality, against running averages written out by hand."""

import torch
from torch import nn

from crossreid.nn.backbones import ResNetEncoder
from crossreid.nn.normalisation import AVERAGES, add_infrared_averages, averages_of, frozen_running_statistics
from crossreid.nn.pretrained import load_pretrained
from crossreid.settings.networks import BackboneConfig


def moved(mean: float, variance: float, values: torch.Tensor) -> tuple[float, float]:
    """One step of running averages at momentum 0.1, of one channel; the variance is that of a sample."""
    listed = values.flatten().tolist()
    batch_mean = sum(listed) / len(listed)
    batch_variance = sum((value - batch_mean) ** 2 for value in listed) / (len(listed) - 1)
    return 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance


def test_each_modality_moves_and_uses_its_own_averages() -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.BatchNorm1d(1)).train()
    add_infrared_averages(network)
    expected = {"visible": (0.0, 1.0), "infrared": (0.0, 1.0)}
    for _ in range(3):
        for modality, (shift, scale) in (("visible", (1.0, 2.0)), ("infrared", (-3.0, 0.5))):
            values = shift + scale * torch.randn(6, 1, generator=generator)
            with averages_of(network, modality):
                network(values)
            expected[modality] = moved(*expected[modality], values)
    network.eval()
    for modality, (mean, variance) in expected.items():
        with averages_of(network, modality), torch.no_grad():
            made = network(torch.tensor([[2.0]]))
        torch.testing.assert_close(made.item(), (2.0 - mean) / (variance + 1e-5) ** 0.5, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(network[0].running_mean.item(), expected["visible"][0], atol=1e-5, rtol=1e-5)


def test_frozen_averages_stay_in_both_sets() -> None:
    network = nn.Sequential(nn.BatchNorm1d(1)).train()
    add_infrared_averages(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with frozen_running_statistics(network), averages_of(network, "infrared"):
        network(torch.randn(4, 1) + 5)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_without_a_second_set_nothing_changes() -> None:
    network = nn.Sequential(nn.BatchNorm1d(1)).train()
    with averages_of(network, "infrared"):
        network(torch.randn(4, 1) + 5)
    assert network[0].running_mean.item() > 0.3
    assert set(network.state_dict()) == {f"0.{name}" for name in nn.BatchNorm1d(1).state_dict()}


def test_weights_with_one_set_fill_both(tmp_path) -> None:
    """Whether they come as a state dict of another run, or as pretrained weights."""
    source = ResNetEncoder(BackboneConfig("resnet18", "random", [32, 16]))
    nn.init.uniform_(source.body[1].running_mean)
    encoder = ResNetEncoder(BackboneConfig("resnet18", "random", [32, 16]))
    add_infrared_averages(encoder)
    encoder.load_state_dict(source.state_dict())
    assert torch.equal(encoder.body[1].infrared_mean, source.body[1].running_mean)
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    state = {}
    for name, part in zip(names, source.body, strict=True):
        state |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
    torch.save(state, tmp_path / "weights.pth")
    other = ResNetEncoder(BackboneConfig("resnet18", str(tmp_path / "weights.pth"), [32, 16]))
    add_infrared_averages(other)
    assert "120 of 120" in load_pretrained(other)[0]
    assert torch.equal(other.body[1].infrared_mean, source.body[1].running_mean)
    assert torch.equal(other.body[1].running_mean, source.body[1].running_mean)


def test_averages_are_put_back_in_whatever_order_contexts_end() -> None:
    """As those of two threads do."""
    network = nn.Sequential(nn.BatchNorm1d(1)).eval()
    add_infrared_averages(network)
    own = {name: network[0].get_buffer(name) for name in AVERAGES}
    first, second = averages_of(network, "infrared"), averages_of(network, "infrared")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert all(network[0].get_buffer(name) is buffer for name, buffer in own.items())
    with averages_of(network, "infrared"):
        with averages_of(network, "infrared"):
            pass
        assert network[0].running_mean is network[0].infrared_mean
    assert all(network[0].get_buffer(name) is buffer for name, buffer in own.items())
