"""MPANet: its parts and losses against plain loops in float64, what each loss trains, and how mean classifiers follow."""

import copy

import numpy as np
import pytest
import torch

from crossreid.errors import ConfigError
from crossreid.methods.mpanet.config import MPANetConfig
from crossreid.methods.mpanet.losses import centre_cluster_loss, mutual_loss, separation_loss
from crossreid.methods.mpanet.networks import ModalityAlleviation, ModalityClassifiers, MPANetNetwork
from crossreid.nn.backbones import IMAGENET_MEAN, IMAGENET_STD
from crossreid.settings.networks import BackboneConfig
from methods_support import gradient_norms, make_batch

LABELS = [4, 1, 4, 7, 1, 7, 1, 4, 7, 4]  # three persons, not sorted, with 4, 3 and 3 images


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(row: np.ndarray) -> np.ndarray:
    raised = np.exp(row - row.max())
    return raised / raised.sum()


# ---------------------------------------------------------------- networks


def test_modality_alleviation_equals_its_slow_twin() -> None:
    module = ModalityAlleviation(32, 16).double()
    maps = drawn(2, 32, 4, 3)
    squeeze, excite = (layer.weight.detach().numpy() for layer in (module.squeeze, module.excite))
    assert squeeze.shape == (2, 32)
    found = module(maps).detach().numpy()
    for image, result in zip(maps.numpy(), found, strict=True):
        means = np.array([channel.mean() for channel in image])
        mask = 1 / (1 + np.exp(-(excite @ np.maximum(squeeze @ means, 0))))
        for channel, m, out in zip(image, mask, result, strict=True):
            normalised = (channel - channel.mean()) / np.sqrt(channel.var() + 1e-5)
            np.testing.assert_allclose(out, m * channel + (1 - m) * normalised, rtol=1e-10, atol=1e-12)


def test_vectors_are_those_of_the_patterns_and_then_of_the_whole_image() -> None:
    config = MPANetConfig(backbone=BackboneConfig(name="resnet18", weights="random", size=[64, 32]), parts=3)
    network = MPANetNetwork(config, 5).double().eval()
    network.block.float()  # which works in float32 whatever comes in
    images = torch.rand((2, 3, 64, 32), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    output, masks = network(images)
    maps = network.encoder(images).detach().numpy()
    weights = network.patterns.weight.detach().numpy()[:, :, 0, 0]
    assert (network.patterns.bias == 0).all()
    channels = maps.shape[1]
    for image in range(2):
        expected = []
        for pattern in range(3):
            total = np.zeros(channels)
            for y in range(maps.shape[2]):
                for x in range(maps.shape[3]):
                    pixel = maps[image, :, y, x]
                    share = 1 / (1 + np.exp(-weights[pattern] @ pixel))
                    np.testing.assert_allclose(masks[image, pattern, y, x].item(), share, rtol=1e-9)
                    total += share * pixel
            expected.append(total / (maps.shape[2] * maps.shape[3]))
        expected.append(maps[image].mean(axis=(1, 2)))
        np.testing.assert_allclose(output.vector[image].detach(), np.concatenate(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("stages", "parts", "width"), [([3, 4], 6, 7), ([], 0, 1), ([4], 2, 3)])
def test_alleviation_stands_where_it_is_set_and_the_feature_is_as_wide_as_the_parts(make, stages, parts, width) -> None:
    words = (f"model.alleviation_stages={stages}", f"model.parts={parts}", f"model.w_separation={0.5 * (parts > 1)}")
    module = make("model=mpanet", *words).module.eval()
    stream = module.config.streams["identity"]
    features = module.embed(torch.rand(2, 3, stream.height, stream.width), "visible")["main"]
    assert features.shape[1] == width * module.network.encoder.channels
    assert list(module.network.encoder.alleviations) == [f"layer{stage}" for stage in stages]


# ---------------------------------------------------------------- losses


def test_separation_is_the_mean_product_of_two_masks() -> None:
    masks = torch.rand((3, 4, 2, 5), generator=torch.Generator().manual_seed(0))
    products = []
    for image in masks.numpy().astype(np.float64):
        for one in range(4):
            for other in range(one + 1, 4):
                products.append((image[one] * image[other]).sum())
    assert len(products) == 3 * 6
    assert float(separation_loss(masks)) == pytest.approx(np.mean(products), rel=1e-6)


@pytest.mark.parametrize("margin", [0.7, 1.8, 8.0])
def test_centre_cluster_equals_its_slow_twin_whatever_the_number_of_images_of_a_person(margin: float) -> None:
    vectors = drawn(10, 6)
    labels = torch.tensor(LABELS)
    rows = vectors.numpy()
    centres = {person: rows[np.array(LABELS) == person].mean(axis=0) for person in {*LABELS}}
    to_own = [np.linalg.norm(row - centres[person]) for row, person in zip(rows, LABELS, strict=True)]
    of_persons = []
    for person, centre in centres.items():
        others = [other for key, other in centres.items() if key != person]
        of_persons.append(np.mean([max(0.0, margin - np.linalg.norm(centre - other)) for other in others]))
    expected = np.mean(to_own) + np.mean(of_persons)
    assert float(centre_cluster_loss(vectors, labels, margin)) == pytest.approx(expected, rel=1e-10)
    assert bool(np.mean(of_persons) > 0) is (margin > 1)
    variable = vectors.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: centre_cluster_loss(rows, labels, margin), variable)


def test_one_person_has_no_other_centre() -> None:
    assert torch.isnan(centre_cluster_loss(drawn(4, 3), torch.tensor([2, 2, 2, 2]), 0.7))


def test_mutual_learning_is_the_divergence_of_the_own_prediction_from_the_mean_one() -> None:
    own, mean = drawn(5, 7), drawn(5, 7, seed=1)
    divergences = []
    for one, other in zip(own.numpy(), mean.numpy(), strict=True):
        p, q = softmax(one), softmax(other)
        divergences.append(sum(p[k] * np.log(p[k] / q[k]) for k in range(7)))
    assert float(mutual_loss(own, mean)) == pytest.approx(np.mean(divergences), rel=1e-6)
    assert float(mutual_loss(own, own)) == pytest.approx(0.0, abs=1e-6)
    variable = own.clone().requires_grad_()
    mutual_loss(variable, mean).backward()
    assert (variable.grad.abs().sum(dim=1) > 0).all()


def test_means_follow_by_the_rate_and_nothing_else_trains_them() -> None:
    classifiers = ModalityClassifiers(4, 3)
    start = copy.deepcopy(classifiers.mean.state_dict())
    assert all(torch.equal(start[name], value) for name, value in classifiers.own.state_dict().items())
    with torch.no_grad():
        for parameter in classifiers.own.parameters():
            parameter.add_(1.0)
    classifiers.follow(0.2)
    for name, value in classifiers.mean.state_dict().items():
        torch.testing.assert_close(value, start[name] + 0.2)
    assert not any(parameter.requires_grad for parameter in classifiers.mean.parameters())


# ---------------------------------------------------------------- training


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.2), (99, 0.2), (100, 0.2 * 100 / 101), (199, 0.1)])
def test_the_rate_falls_from_epoch_100_on(make, monkeypatch, epoch: int, rate: float) -> None:
    harness = make("model=mpanet")
    module = harness.module
    rates = []
    monkeypatch.setattr(ModalityClassifiers, "follow", lambda _, value: rates.append(value))
    module.iteration = epoch * module.config.known_epoch()
    module.train().training_step(make_batch(module))
    assert rates == [pytest.approx(rate)]


NETWORK = "network.encoder network.patterns network.block.classifier classifiers.own"
TRAINED = {
    "id": {"network.encoder", "network.patterns", "network.block.classifier"},
    "centre": {"network.encoder", "network.patterns"},
    "separation": {"network.encoder", "network.patterns"},
    "modality_id": {"network.encoder", "network.patterns", "classifiers.own"},
    "mutual": {"network.encoder", "network.patterns", "classifiers.own"},
}


@pytest.mark.parametrize("term", TRAINED)
def test_each_loss_trains_its_own_parts(make, term: str) -> None:
    harness = make("model=mpanet")
    with torch.no_grad():
        # at the start own and mean classifiers agree, and there is nothing to learn from the other one
        for parameter in harness.module.classifiers.own.parameters():
            parameter.mul_(3.0)
    norms = gradient_norms(harness, term, "network", NETWORK, "joint")
    assert {part for part, norm in norms.items() if norm > 0} == TRAINED[term]


def test_features_of_a_modality_meet_the_other_ones_mean_classifier(make) -> None:
    module = make("model=mpanet").module.train()
    with torch.no_grad():
        for modality, value in {"visible": 0.5, "infrared": -0.25}.items():
            module.classifiers.own[modality].weight.mul_(1 + value)
    views = module.augmented(make_batch(module)["identity"])
    features = module.describe(views.images).feature
    visible, infrared = views.split(features)
    own, mean = module.classifiers.own, module.classifiers.mean
    expected = mutual_loss(
        torch.cat([own["visible"](visible), own["infrared"](infrared)]),
        torch.cat([mean["infrared"](visible), mean["visible"](infrared)]),
    )

    class Kept(dict):
        def add(self, name, value, weight=1.0) -> None:
            self[name] = value, weight

    losses = Kept()
    module._add_modality_losses(losses, module.classifiers, features, views)
    torch.testing.assert_close(losses["mutual"][0], expected)
    assert {name: weight for name, (_, weight) in losses.items()} == {"modality_id": 1.0, "mutual": 2.5}


def test_crops_reach_into_grey(make) -> None:
    module = make("model=mpanet", "model.erasing.probability=0", "model.crop_padding=8").module
    batch = make_batch(module)["identity"]
    white = batch._replace(visible=torch.ones_like(batch.visible))
    values = module.augmented(white).images["visible"].unique()
    torch.testing.assert_close(values, torch.tensor([127 / 255, 1.0]))


def test_what_is_erased_is_zero_once_images_are_normalised(make) -> None:
    module = make("model=mpanet", "model.erasing={probability: 1.0, area: [0.2, 0.3]}", "model.crop_padding=0").module
    views = module.augmented(make_batch(module)["identity"])
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    for images in views.images.values():
        erased = (((images - mean) / deviation).abs() < 1e-5).all(dim=1)  # (N, H, W)
        assert (erased.float().mean(dim=(1, 2)) > 0.1).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"parts": 1}, r"w_separation is of two patterns"), ({"w_modality_identity": 0.0}, r"w_mutual needs classifiers")],
)
def test_losses_without_what_they_compare_are_refused(settings, words) -> None:
    with pytest.raises(ConfigError, match=words):
        MPANetConfig(**settings).check()
