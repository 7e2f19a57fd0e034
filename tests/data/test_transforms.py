"""Random crop and random erasing: sizes, colours, shares, and that draws are the generator's."""

import pytest
import torch

from crossreid.data.transforms import exchange_channels, random_crop, random_erasing, to_grey
from crossreid.errors import ConfigError
from crossreid.settings.batches import ErasingConfig

FILL = torch.tensor([0.1, 0.2, 0.3])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def erased(count: int, config: ErasingConfig, seed: int = 0) -> torch.Tensor:
    """(B, H, W) bool: where white images have become FILL."""
    images = random_erasing(torch.ones(count, 3, 40, 20), generator(seed), config, FILL)
    mask = images[:, 0] != 1
    assert torch.equal(images, torch.where(mask[:, None], FILL.view(1, 3, 1, 1), torch.ones(())))
    return mask


def test_a_crop_shifts_by_at_most_the_padding_and_leaves_black() -> None:
    images = torch.rand(50, 3, 8, 6) + 0.1
    cropped = random_crop(images, generator(), 2)
    assert cropped.shape == images.shape
    padded = torch.nn.functional.pad(images, [2] * 4)
    shifts = set()
    for one, wide in zip(cropped, padded, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(one, wide[:, y : y + 8, x : x + 6])]
        assert len(found) == 1
        shifts.add(found[0])
    assert {y for y, _ in shifts} == {x for _, x in shifts} == set(range(5))
    assert random_crop(images, generator(), 0) is images


def test_what_is_erased_is_a_rectangle_of_the_shares_and_ratios_asked_for() -> None:
    config = ErasingConfig(probability=1.0, area=[0.05, 0.2], ratio=[0.5, 2.0])
    masks = erased(200, config)
    for mask in masks:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        tall, wide = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert int(mask.sum()) == tall * wide  # one filled rectangle
        assert (tall - 0.5) * (wide - 0.5) <= 0.2 * 800 + 1e-3
        assert (tall + 0.5) * (wide + 0.5) >= 0.05 * 800 - 1e-3
        assert (tall - 0.5) / (wide + 0.5) <= 2
        assert (tall + 0.5) / (wide - 0.5) >= 0.5
    touched = masks.any(0)
    assert touched.float().mean() > 0.95  # everywhere, corners too


def test_about_the_asked_share_of_images_is_erased() -> None:
    share = erased(2000, ErasingConfig()).any(2).any(1).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.04)
    assert not erased(20, ErasingConfig(probability=0.0)).any()


def test_a_shape_that_never_fits_erases_nothing() -> None:
    assert not erased(20, ErasingConfig(probability=1.0, area=[1.0, 1.0], ratio=[9.0, 9.0])).any()


def test_draws_are_the_generator_s() -> None:
    assert torch.equal(erased(9, ErasingConfig(), 3), erased(9, ErasingConfig(), 3))
    assert not torch.equal(erased(9, ErasingConfig(), 3), erased(9, ErasingConfig(), 4))


@pytest.mark.parametrize(
    "config",
    [ErasingConfig(2.0), ErasingConfig(area=[0.5, 0.1]), ErasingConfig(area=[0.1]), ErasingConfig(ratio=[0, 1])],
)
def test_impossible_erasing_is_refused(config: ErasingConfig) -> None:
    with pytest.raises(ConfigError, match=r"model\.erasing"):
        config.check("model.erasing")


def test_channel_exchange_copies_one_channel_of_some_images():
    images = torch.rand(400, 3, 4, 2)
    made = exchange_channels(images, generator(), 0.5)
    changed = (made != images).flatten(1).any(1)
    assert 0.4 < changed.float().mean() < 0.6
    sources = []
    for before, after in zip(images[changed], made[changed], strict=True):
        same = [channel for channel in range(3) if torch.equal(after, before[channel].expand(3, -1, -1))]
        assert len(same) == 1
        sources += same
    assert min(sources.count(channel) for channel in range(3)) > len(sources) / 5


def test_channel_exchange_leaves_infrared_images_and_depends_on_the_generator_alone():
    infrared = torch.rand(5, 1, 4, 2).expand(-1, 3, -1, -1)
    assert torch.equal(exchange_channels(infrared, generator()), infrared)
    images = torch.rand(5, 3, 4, 2)
    assert torch.equal(exchange_channels(images, generator(1)), exchange_channels(images, generator(1)))
    assert not torch.equal(exchange_channels(images, generator(1)), exchange_channels(images, generator(2)))


def test_grey_is_the_luminance():
    pixel = torch.tensor([0.2, 0.5, 1.0]).view(1, 3, 1, 1)
    expected = 0.299 * 0.2 + 0.587 * 0.5 + 0.114
    torch.testing.assert_close(to_grey(pixel), torch.full((1, 3, 1, 1), expected))
    grey = torch.rand(2, 1, 3, 3).expand(-1, 3, -1, -1)
    torch.testing.assert_close(to_grey(grey), grey)
