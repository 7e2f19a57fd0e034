"""One-stream, two-stream, zero-padding, strong, AGW and HOG: what each is, and that its parts do what they are for."""

from typing import Any

import pytest
import torch

from crossreid.errors import ConfigError
from crossreid.methods.agw.config import AGWConfig
from crossreid.methods.hog.config import HOGConfig
from crossreid.methods.strong.config import StrongConfig
from crossreid.methods.twostream.config import TwoStreamConfig
from crossreid.nn.non_local import NonLocal
from crossreid.settings.fields import from_plain
from crossreid.settings.method import MethodConfig
from methods_support import gradient_norms, make_batch


def colour_and_grey(module):
    """Images of one person in colour, and the same images in grey."""
    stream = module.config.streams["identity"]
    images = torch.rand(2, 3, stream.height, stream.width)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return images, (images * weights).sum(1, keepdim=True).expand_as(images)


@pytest.mark.parametrize("name", ["onestream", "hog"])
def test_colour_and_modality_do_not_matter(make, name) -> None:
    module = make(f"model={name}").module.eval()
    images, grey = colour_and_grey(module)
    with torch.no_grad():
        one = module.embed(images, "visible")["main"]
        torch.testing.assert_close(one, module.embed(grey, "infrared")["main"], atol=1e-5, rtol=1e-5)


def test_one_stream_may_keep_colour(make) -> None:
    module = make("model=onestream", "model.grey=false").module.eval()
    images, grey = colour_and_grey(module)
    with torch.no_grad():
        assert not torch.allclose(
            module.embed(images, "visible")["main"], module.embed(grey, "visible")["main"], atol=1e-4
        )


def test_zero_padding_puts_each_modality_into_its_channel(make) -> None:
    module = make("model=zeropadding").module.eval()
    images, grey = colour_and_grey(module)
    padded = {modality: module.padded(images, modality) for modality in ("visible", "infrared")}
    for modality, channel in (("visible", 0), ("infrared", 1)):
        others = [c for c in range(3) if c != channel]
        assert float(padded[modality][:, others].abs().max()) == 0
        expected = module.network.encoder.prepare(grey)[:, channel]
        torch.testing.assert_close(padded[modality][:, channel], expected)
    with torch.no_grad():  # the two differ, and the third input channel plays no part
        before = module.embed(images, "visible")["main"]
        assert not torch.allclose(before, module.embed(images, "infrared")["main"], atol=1e-4)
        module.network.encoder.body[0].weight[:, 2] += 5
        assert torch.equal(before, module.embed(images, "visible")["main"])


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_two_stream_has_first_layers_of_its_own(make, stages) -> None:
    module = make("model=twostream", f"model.specific_stages={stages}").module
    streams = module.network.encoder.streams
    assert len(streams["visible"]) == 4 + stages
    assert not {p.data_ptr() for p in streams["visible"].parameters()} & {
        p.data_ptr() for p in streams["infrared"].parameters()
    }


@pytest.mark.parametrize("name", ["onestream", "twostream", "zeropadding"])
def test_classification_is_their_only_loss(make, name) -> None:
    harness = make(f"model={name}")
    harness.step("joint", make_batch(harness.module))
    assert set(harness.module.losses) == {"network/id"}


@pytest.mark.parametrize("name", ["strong", "agw"])
def test_both_losses_train_the_encoder_and_ranking_leaves_the_classifier_alone(make, name) -> None:
    for term in ("id", "ranking"):
        networks = "network.encoder network.block.classifier"
        norms = gradient_norms(make(f"model={name}"), term, "network", networks, "joint")
        assert norms["network.encoder"] > 0
        assert (norms["network.block.classifier"] > 0) is (term == "id")


@pytest.mark.true_width
def test_agw_has_non_local_blocks_where_it_says(make) -> None:
    module = make("model=agw", "model.non_local=[1,2]").module
    middle = module.network.encoder.middle
    assert [sum(isinstance(layer, NonLocal) for layer in stage) for stage in middle] == [0, 1, 2]
    assert middle[1][-1].theta.out_channels == 64  # half of 128
    assert make("model=agw", "preset=official").module.network.encoder.middle[1][-1].theta.out_channels == 1
    with pytest.raises(ConfigError, match="take fewer"):
        make("model=agw", "model.non_local=[2,3]")


def test_the_exchanged_view_doubles_the_visible_images(make) -> None:
    module = make("experiment=agw/caj", "model.erasing.probability=0", "model.crop_padding=0").module
    batch = make_batch(module)["identity"]
    views = module.augmented(batch)
    count = len(batch.pids)
    assert torch.equal(views.images["visible"][:count], batch.visible)
    second = views.images["visible"][count:]
    assert torch.equal(second, second[:, :1].expand_as(second))
    assert torch.equal(views.images["infrared"], batch.infrared)
    assert views.labels.tolist() == batch.pids.tolist() * 3
    assert views.infrared.tolist() == [False] * 2 * count + [True] * count


def test_the_exchanged_view_is_of_the_erased_image(make) -> None:
    settings = ("model.erasing={probability: 1.0, area: [0.2, 0.4]}", "model.crop_padding=0")
    module = make("experiment=agw/caj", *settings).module
    batch = make_batch(module)["identity"]
    visible = module.augmented(batch).images["visible"]
    first, second = visible.chunk(2)
    assert torch.equal(second, second[:, :1].expand_as(second))  # the patch is one channel too
    assert not torch.equal(first, batch.visible)
    changed = (second[:, None] != batch.visible[:, :, None]).all(dim=(1, 2))
    assert changed.any()


def test_mirror_image_at_test(make) -> None:
    module = make("model=strong", "model.flip_test=true").module.eval()
    stream = module.config.streams["identity"]
    images = torch.rand(2, 3, stream.height, stream.width)
    with torch.no_grad():
        one, two = module.embed(images, "visible")["main"], module.embed(images.flip(-1), "visible")["main"]
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("schema", "settings", "match"),
    [
        (StrongConfig, {"label_smoothing": 1}, "model.label_smoothing is 1: choose 0 or more and below 1"),
        (StrongConfig, {"channel_exchange": 2}, "model.channel_exchange is 2: choose 0 to 1"),
        (StrongConfig, {"margin": -1}, "model.margin is -1: choose 0 or more"),
        (StrongConfig, {"epochs": 0}, "model.epochs is 0: choose 1 or more"),
        (StrongConfig, {"streams": {}}, "model.streams of strong are identity, not none"),
        (AGWConfig, {"non_local": [1]}, "model.non_local is .*: give 2 entries"),
        (AGWConfig, {"non_local_width": 0}, "model.non_local_width is 0: choose 1 or more"),
        (TwoStreamConfig, {"specific_stages": 3}, "choose from 0, 1, 2"),
        (HOGConfig, {"streams": {"identity": {"height": 8}}}, "at least one block"),
        (HOGConfig, {"flip": 0.5}, "trains on nothing"),
        (HOGConfig, {"bins": 0}, "model.bins is 0: choose 1 or more"),
    ],
)
def test_wrong_settings_are_named(schema: type[MethodConfig], settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as refusal:
        from_plain(schema, settings, "model").check()
    assert "\n" not in str(refusal.value)


def test_hog_has_no_phases_and_nothing_to_train() -> None:
    config = HOGConfig()
    config.check()
    assert config.phase_lengths() == {}
    assert config.iterations == 0
