"""The two-stream ResNet and its pooling."""

import pytest
import torch

from crossreid.nn.pooling import generalised_mean
from crossreid.nn.two_stream import TwoStreamResNet
from crossreid.settings.networks import BackboneConfig

SMALL = BackboneConfig("resnet18", "random", [64, 32])


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_a_second_stem_gives_the_published_size_and_a_second_layer1_does_not() -> None:
    full = BackboneConfig("resnet50", "random")
    assert count(TwoStreamResNet(full)) == 23_517_568  # printed: 23.52 M
    assert count(TwoStreamResNet(full, specific_stages=1)) == 23_517_568 + 215_808


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_what_is_specific_starts_equal_and_is_not_shared(stages: int) -> None:
    net = TwoStreamResNet(SMALL, stages).eval()
    images = torch.rand(2, 3, 64, 32)
    before = {m: net({m: images}) for m in ("visible", "infrared")}
    for one, two in zip(*before.values(), strict=True):
        assert torch.equal(one, two)
    with torch.no_grad():
        net.streams["infrared"][0].weight.mul_(2)
    assert torch.equal(net({"visible": images}).layer3, before["visible"].layer3)
    assert not torch.allclose(net({"infrared": images}).layer3, before["infrared"].layer3)
    last = net.streams["visible"][-1]
    shared = count(net) - 2 * count(net.streams["visible"])
    assert (count(last) > 0) == (stages > 0)
    assert shared == count(net.middle) + count(net.last)


@pytest.mark.true_width
def test_taps_have_one_size_and_follow_the_order_of_the_modalities() -> None:
    net = TwoStreamResNet(SMALL).eval()
    visible, infrared = torch.rand(2, 3, 30, 20), torch.rand(3, 3, 30, 20)  # resized inside
    maps = net({"visible": visible, "infrared": infrared})
    assert (maps.layer3.shape, maps.layer4.shape) == ((5, 256, 4, 2), (5, 512, 4, 2))
    assert min(maps.layer3.min(), maps.layer4.min()) >= 0
    assert torch.allclose(maps.layer4[2:], net({"infrared": infrared}).layer4, atol=1e-5)


def test_generalised_mean_lies_between_mean_and_maximum() -> None:
    feature_map = torch.rand(2, 5, 3, 4)
    pooled = generalised_mean(feature_map)
    slow = [
        [(sum(v**3 for v in channel.flatten().tolist()) / 12) ** (1 / 3) for channel in image] for image in feature_map
    ]
    assert torch.allclose(pooled, torch.tensor(slow), atol=1e-6)
    assert (pooled > feature_map.mean(dim=(2, 3))).all()
    assert (pooled < feature_map.amax(dim=(2, 3))).all()
    assert torch.allclose(generalised_mean(feature_map * 7), pooled * 7, atol=1e-5)


def test_generalised_mean_of_large_half_precision_and_of_nothing_is_finite() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        large = generalised_mean(torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16))  # its cube is not a half
    assert large.item() == pytest.approx(300.0)
    empty = torch.zeros(1, 1, 2, 2, requires_grad=True)
    generalised_mean(empty).sum().backward()
    assert torch.isfinite(empty.grad).all()
