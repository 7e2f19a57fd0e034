"""Encoders: sizes, strides, heads, and forwards without side effects."""

import pytest
import torch
import torchvision

from crossreid.errors import ConfigError
from crossreid.nn import backbones
from crossreid.nn.backbones import ResNetEncoder, make_resnet, pool
from crossreid.nn.heads import BottleneckClassifier, Embedder, NeckClassifier
from crossreid.nn.mirror import mirrored_sum
from crossreid.nn.neck import BatchNormNeck
from crossreid.nn.normalisation import batch_statistics, evaluating, frozen_parameters
from crossreid.settings.networks import BackboneConfig

pytestmark = pytest.mark.true_width


def test_last_stride_is_removed_and_the_map_is_pooled() -> None:
    encoder = ResNetEncoder(BackboneConfig("resnet18", "random", [64, 32])).eval()
    feature_map = encoder(torch.rand(2, 3, 20, 10))  # resized inside
    assert feature_map.shape == (2, 512, 4, 2)
    assert feature_map.min() >= 0
    assert torch.allclose(pool(feature_map), feature_map.flatten(2).mean(2))
    assert ResNetEncoder(BackboneConfig("resnet18", "random", [64, 32], last_stride=2))(torch.rand(2, 3, 64, 32)).shape[
        2:
    ] == (2, 1)


def test_resnet50_has_the_published_number_of_parameters() -> None:
    encoder = ResNetEncoder(BackboneConfig("resnet50", "random"))
    assert sum(p.numel() for p in encoder.parameters()) == 23_508_032
    classifier, embedder = BottleneckClassifier(2048, 395), Embedder(2048)
    assert sum(p.numel() for p in classifier.parameters()) == 626_571
    assert sum(p.numel() for p in embedder.parameters()) == 524_544


def test_imagenet_normalisation_happens_inside() -> None:
    encoder = ResNetEncoder(BackboneConfig("resnet18", "random", [32, 32]))
    seen = []
    encoder.body[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    encoder(torch.full((1, 3, 32, 32), 0.5))
    expected = [(0.5 - m) / s for m, s in zip(backbones.IMAGENET_MEAN, backbones.IMAGENET_STD, strict=True)]
    assert seen[0].mean(dim=(0, 2, 3)).tolist() == pytest.approx(expected, abs=1e-5)


def test_classifier_orders() -> None:
    paper = [type(layer).__name__ for layer in BottleneckClassifier(8, 3, order="paper")]
    official = [type(layer).__name__ for layer in BottleneckClassifier(8, 3, order="official")]
    assert paper == ["Linear", "BatchNorm1d", "Dropout", "ReLU", "Linear"]
    assert official == ["Dropout", "Linear", "BatchNorm1d", "LeakyReLU", "Linear"]


def test_a_constructor_loads_nothing_and_draws_what_torchvision_draws() -> None:
    torch.manual_seed(0)
    expected = torchvision.models.resnet18(weights=None)
    for weights in ("random", "imagenet", "/nowhere.pth"):
        torch.manual_seed(0)
        resnet = make_resnet(BackboneConfig("resnet18", weights))
        for name, part in resnet.parts.items():
            drawn = part.state_dict()
            for key, value in expected.get_submodule(name).state_dict().items():
                assert torch.equal(value, drawn[key])


def test_a_network_that_nobody_has_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"There is no backbone 'resnet19000' among torchvision's .*resnet18|: set .* one of .*resnet18",
    ):
        ResNetEncoder(BackboneConfig("resnet19000", "random"))


def test_the_neck_has_no_bias_and_works_on_one_row() -> None:
    classifier = NeckClassifier(8, 5)
    assert {name for name, _ in classifier.named_parameters()} == {"norm.weight", "fc.weight"}
    assert "norm.bias" not in classifier.state_dict()
    assert classifier.eval()(torch.rand(1, 8)).shape == (1, 5)
    vectors = torch.rand(6, 8)
    assert torch.allclose(classifier.train().norm(vectors).mean(0), torch.zeros(8), atol=1e-6)


def test_a_neck_is_a_batch_norm_without_a_shift() -> None:
    neck, norm = BatchNormNeck(4), torch.nn.BatchNorm1d(4)
    assert list(neck.state_dict()) == ["weight", "running_mean", "running_var", "num_batches_tracked"]
    vectors = 3 + torch.randn(8, 4)
    assert torch.equal(neck(vectors), norm(vectors))  # whose shift is 0
    assert torch.equal(neck.running_mean, norm.running_mean)


def test_the_mirrored_sum_is_that_of_both_images() -> None:
    images = torch.rand(3, 3, 4, 2)
    weights = torch.rand(24, 5)
    sums = mirrored_sum(lambda part: part.flatten(1) @ weights, images)
    assert sums.shape == (3, 5)
    torch.testing.assert_close(sums, (images + images.flip(-1)).flatten(1) @ weights)


def test_frozen_parameters_pass_gradients_on_and_ask_again_afterwards() -> None:
    network, x = torch.nn.Linear(3, 2), torch.rand(4, 3, requires_grad=True)
    network.bias.requires_grad_(False)
    with frozen_parameters(network):
        out = network(x)
    out.sum().backward()
    assert x.grad.norm() > 0
    assert network.weight.grad is None
    assert (network.weight.requires_grad, network.bias.requires_grad) == (True, False)


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_gives_the_mode_back(training: bool) -> None:
    norm = torch.nn.BatchNorm1d(3).train(training)
    with evaluating(norm):
        norm(torch.rand(4, 3))
    assert norm.training == training
    assert int(norm.num_batches_tracked) == 0
    with evaluating(norm, enabled=False):
        assert norm.training == training


def test_batch_statistics_normalise_by_the_batch_and_leave_averages_and_modes() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5)).eval()
    images = 5 + 3 * torch.randn(6, 3, 4, 4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad(), batch_statistics(net):
        made = net(images)
    torch.testing.assert_close(made.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)  # and no dropout
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module.training for module in net.modules())
