"""Generators and discriminators: sizes, ranges, statistics, published parameter counts."""

import pytest
import torch

from crossreid.methods.aligngan.networks import FeatureDiscriminator
from crossreid.nn.gan import PatchDiscriminator, ResNetGenerator
from crossreid.nn.joint_discriminator import JointDiscriminator
from crossreid.nn.normalisation import frozen_running_statistics

SIZES = [(128, 128), (256, 128), (384, 192)]


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_published_parameter_counts() -> None:
    assert parameters(ResNetGenerator()) == 6_053_504
    assert parameters(PatchDiscriminator()) == 11_155_392
    assert parameters(JointDiscriminator(2048)) == 11_810_816


def test_parameter_counts_of_cyclegan_and_tsgan() -> None:
    affine = 2 * (2 * (64 + 128) + 13 * 256)  # scale and shift of the instance norms, which CycleGAN's have not
    assert parameters(ResNetGenerator(blocks=6, kernel=3, padding="reflect")) == 7_833_984 + affine
    assert parameters(PatchDiscriminator(layers=4, overlapping=True)) == 2_764_736
    assert parameters(JointDiscriminator(2048, image_layers=4, joint_layers=0, reduced=128)) == 5_973_056


def test_overlapping_patches_are_of_70_pixels() -> None:
    images = torch.zeros(1, 3, 256, 128, requires_grad=True)
    judge = PatchDiscriminator(4, 4, overlapping=True)
    for layer in judge.body:
        if isinstance(layer, torch.nn.InstanceNorm2d):
            layer.forward = lambda x: x  # it would make every logit see the whole image
    logits = judge(images)
    assert logits.shape == (1, 1, 30, 14)
    logits[0, 0, 15, 7].backward()
    seen = images.grad.abs().sum(1)[0].nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [70, 70]


def test_the_joint_discriminator_meets_the_map_of_a_sixteenth() -> None:
    for height, width in ((256, 128), (288, 144)):
        maps = torch.rand(2, 16, height // 16, width // 16)
        judge = JointDiscriminator(16, 4, image_layers=4, joint_layers=0)
        assert judge(torch.rand(2, 3, height, width), maps).shape == (2, 1, height // 16, width // 16)


@pytest.mark.parametrize("size", SIZES)
def test_any_size_works_and_images_stay_in_0_1(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size)
    for generator in (ResNetGenerator(4, 1), ResNetGenerator(4, 1, kernel=3, padding="reflect")):
        fake = generator(images)
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


def test_a_grey_generator_gives_three_equal_channels_with_gradients_to_its_one() -> None:
    torch.manual_seed(0)
    generator = ResNetGenerator(4, 1, grey=True)
    images = generator(torch.rand(2, 3, 16, 8))
    assert images.shape == (2, 3, 16, 8)
    assert torch.equal(images, images[:, :1].expand_as(images))
    assert images.min() >= 0
    assert images.max() <= 1
    images.mean().backward()
    assert generator.body[-2].weight.shape[0] == 1
    assert generator.body[-2].weight.grad.abs().sum() > 0


def test_resizing_repeats_each_pixel_four_times_before_a_convolution() -> None:
    torch.manual_seed(0)
    generator = ResNetGenerator(4, 1, kernel=3, padding="reflect", upsampling="resize")
    doublings = [layer for layer in generator.body if isinstance(layer, torch.nn.Sequential)]
    assert len(doublings) == 2
    assert not any(isinstance(layer, torch.nn.ConvTranspose2d) for layer in generator.modules())
    small = torch.rand(1, 16, 3, 2)
    with torch.no_grad():
        made = doublings[0](small)
    large = torch.zeros(1, 16, 6, 4)
    for y in range(6):
        for x in range(4):
            large[:, :, y, x] = small[:, :, y // 2, x // 2]
    rows = [1, *range(6), 4]  # reflected by one pixel
    columns = [1, *range(4), 2]
    around = large[:, :, rows][:, :, :, columns]
    weight = doublings[0][1].weight
    expected = torch.zeros(1, 8, 6, 4)
    for y in range(6):
        for x in range(4):
            window = around[0, :, y : y + 3, x : x + 3]
            expected[0, :, y, x] = (weight * window).sum(dim=(1, 2, 3))
    assert torch.allclose(made, expected, atol=1e-5)
    assert generator(torch.rand(1, 3, 16, 8)).shape == (1, 3, 16, 8)


def test_a_flat_image_gets_no_checkerboard_by_resizing_and_one_by_transposed_convolutions() -> None:
    """Before training, far from the border: the second difference of neighbours alternates only with the latter."""
    torch.manual_seed(0)
    flat = torch.ones(1, 16, 8, 8)
    patterns = {}
    for upsampling in ("transposed", "resize"):
        generator = ResNetGenerator(4, 1, kernel=3, padding="reflect", upsampling=upsampling)
        kinds = torch.nn.Sequential if upsampling == "resize" else torch.nn.ConvTranspose2d
        layer = next(layer for layer in generator.body if isinstance(layer, kinds))
        with torch.no_grad():
            inside = layer(flat)[:, :, 4:12, 4:12]
        patterns[upsampling] = float(inside.std(dim=(2, 3)).max())
    assert patterns["resize"] < 1e-6
    assert patterns["transposed"] > 1e-3


def test_another_upsampling_is_refused() -> None:
    with pytest.raises(ValueError, match="transposed or resize, not bilinear"):
        ResNetGenerator(4, 1, upsampling="bilinear")
