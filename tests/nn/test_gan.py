"""Generators and discriminators: sizes, ranges, statistics, published parameter counts."""

import pytest
import torch

from crossreid.methods.aligngan.networks import FeatureDiscriminator, JointDiscriminator
from crossreid.nn.gan import PatchDiscriminator, ResNetGenerator
from crossreid.nn.normalisation import frozen_running_statistics

SIZES = [(128, 128), (256, 128), (384, 192)]


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_published_parameter_counts() -> None:
    assert parameters(ResNetGenerator()) == 6_053_504
    assert parameters(PatchDiscriminator()) == 11_155_392
    assert parameters(JointDiscriminator(2048)) == 11_810_816


@pytest.mark.parametrize("size", SIZES)
def test_any_size_works_and_images_stay_in_0_1(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    fake = ResNetGenerator(4, 1)(images)
    assert fake.shape == images.shape
    assert 0 <= fake.min() <= fake.max() <= 1
    grid = (size[0] // 32, size[1] // 32)
    assert PatchDiscriminator(4)(images).shape == (2, 1, *grid)
    maps = torch.rand(2, 16, size[0] // 16, size[1] // 16)
    assert JointDiscriminator(16, 4)(images, maps).shape == (2, 1, *grid)
    assert FeatureDiscriminator(16, (size[0] // 8, size[1] // 8), 8)(maps).shape == (2, 1, *grid)


def test_without_running_statistics_train_and_eval_give_the_same_image() -> None:
    images = torch.rand(2, 3, 16, 16)
    for running_stats in (False, True):
        generator = ResNetGenerator(4, 1, running_stats)
        trained = generator.train()(images)
        evaluated = generator.eval()(images)
        assert torch.equal(trained, evaluated) != running_stats


def test_one_image_at_a_time_is_the_same_as_a_batch() -> None:
    generator, images = ResNetGenerator(4, 1).eval(), torch.rand(3, 3, 16, 16)
    alone = torch.cat([generator(image[None]) for image in images])
    assert torch.allclose(alone, generator(images), atol=1e-6)


def test_norms_normalise_by_the_batch_but_keep_their_averages() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.rand(4, 3, 8, 8)
    with frozen_running_statistics(net):
        frozen = net(images)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(frozen, net(images))  # batch statistics both times
    assert not torch.equal(net[1].running_mean, before["1.running_mean"])
