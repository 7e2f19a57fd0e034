"""The generators of JSIA-ReID's Table 4, and how their images are scored."""

import numpy as np
import pytest
import scipy.linalg
import torch

from crossreid.methods.jsia.generation import Pair
from crossreid.settings.commands import GeneratorSizes
from crossreid.studies.generation.baselines import ConditionalVAE, CycleGAN, StarGAN
from crossreid.studies.generation.consistency import FixedFeatures, distribution_distance, identity_distance
from crossreid.studies.generation.pairs import ImagePair, JSIAGenerator, make_images
from crossreid.training.loading import make_method
from methods_support import CLASSES, compose_model

SIZES = GeneratorSizes(channels=4, blocks=1, layers=2, latent=3)
MAKE = {
    "cyclegan": lambda: CycleGAN(SIZES),
    "stargan": lambda: StarGAN(SIZES),
    "vae": lambda: ConditionalVAE(SIZES, 16, 8),
}


def pair(rows: int = 4, seed: int = 0) -> ImagePair:
    generator = torch.Generator().manual_seed(seed)
    return ImagePair(*(torch.rand(rows, 3, 16, 8, generator=generator) for _ in range(2)))


@pytest.mark.parametrize("name", MAKE)
def test_a_step_trains_everything(name: str) -> None:
    torch.manual_seed(0)
    network = MAKE[name]()
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    losses = network.step(pair())
    assert all(np.isfinite(value) for value in losses.values())
    assert not [key for key, value in network.named_parameters() if torch.equal(value, before[key])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "key"), [("cyclegan", "cycle"), ("stargan", "reconstruction"), ("vae", "reconstruction")]
)
def test_training_lowers_the_way_back(name: str, key: str) -> None:
    torch.manual_seed(0)
    network, tone = MAKE[name](), torch.tensor([0.1, 0.4, 0.6, 0.9]).view(4, 1, 1, 1)
    real = ImagePair(tone.expand(4, 3, 16, 8), 1 - tone.expand(4, 3, 16, 8))
    values = [network.step(real)[key] for _ in range(150)]
    assert np.mean(values[-5:]) < 0.7 * np.mean(values[:5])


@pytest.mark.parametrize("name", MAKE)
def test_fakes_come_from_the_other_modality_row_by_row(name: str) -> None:
    torch.manual_seed(0)
    network, real = MAKE[name]().eval(), pair()
    fakes = network.fakes(real)
    assert {tuple(images.shape) for images in fakes} == {(4, 3, 16, 8)}
    assert all(0 <= images.min() <= images.max() <= 1 for images in fakes)
    changed = ImagePair(real.visible.clone(), real.infrared)
    changed.visible[2] = 0.5
    again = network.fakes(changed)
    assert torch.allclose(again.visible, fakes.visible, atol=1e-5)
    same = (again.infrared - fakes.infrared).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert same.tolist() == [True, True, False, True]


def test_stargan_and_the_vae_listen_to_the_label() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 16, 8)
    for name in ("stargan", "vae"):
        visible, infrared = MAKE[name]().eval().fakes(ImagePair(image, image))
        assert not torch.allclose(visible, infrared, atol=1e-4)


def test_only_the_vae_has_a_latent_space_and_its_ends_are_the_images() -> None:
    torch.manual_seed(0)
    real, ratio = pair(), torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert CycleGAN(SIZES).imagined(real, ratio, 1) is None
    assert StarGAN(SIZES).imagined(real, ratio, 1) is None
    network = MAKE["vae"]().eval()
    made = network.imagined(real, ratio, 1)
    assert torch.allclose(made.infrared[0], network.fakes(real).infrared[0], atol=1e-5)
    assert torch.allclose(made.infrared[1], network.fakes(real).infrared[0], atol=1e-5)  # the row before it
    assert not torch.allclose(made.visible, made.infrared, atol=1e-4)


def test_the_divergence_of_the_vae_is_that_of_torch() -> None:
    torch.manual_seed(0)
    network, real = MAKE["vae"](), pair()
    mean, log_variance = network.encode(torch.cat(real), torch.tensor([0] * 4 + [1] * 4))
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert network.step(real)["divergence"] == pytest.approx(expected.item(), rel=1e-4)


# ---------------------------------------------------------------- a few persons at a time


class Recorder:
    """Answers with how many rows it got, so that each image tells the batch that it was made in."""

    def __init__(self, latent: bool = True) -> None:
        self.latent = latent
        self.batches: list[int] = []

    def fakes(self, real: ImagePair) -> ImagePair:
        self.batches.append(len(real.visible))
        return ImagePair(real.infrared - real.infrared.mean(), real.visible - real.visible.mean())

    def imagined(self, real: ImagePair, ratio: torch.Tensor, shift: int) -> ImagePair | None:
        mixed = ratio.view(-1, 1, 1, 1) * real.visible
        return ImagePair(mixed, real.visible.roll(shift, 0)) if self.latent else None


@pytest.mark.parametrize(
    ("people", "batches"), [(4, [4, 4]), (5, [4, 6]), (1, [2]), (2, [4]), (3, [6]), (6, [4, 4, 4])]
)
def test_whole_persons_come_together_and_none_is_alone(people: int, batches: list[int]) -> None:
    recorder, real, ratio = Recorder(), pair(2 * people), torch.rand(2 * people)
    made = make_images(recorder, real, ratio, images=2, persons=2)
    assert recorder.batches == batches
    first = slice(0, batches[0])
    assert torch.equal(made.fakes.visible[first], real.infrared[first] - real.infrared[first].mean())
    assert torch.equal(made.imagined.visible, ratio.view(-1, 1, 1, 1) * real.visible)  # each row its own ratio
    assert torch.equal(made.imagined.infrared[first], real.visible[first].roll(2, 0))
    assert make_images(Recorder(latent=False), real, ratio, images=2, persons=2).imagined is None


def test_what_is_made_of_a_person_depends_on_his_batch_alone() -> None:
    """Batch norms go by the batch: the same fakes with four test persons and with two, and no way back is computed."""
    module = make_method(compose_model("model=jsia"), CLASSES, seed=0)
    real, ratio, seen = pair(8), torch.rand(8), []
    content, decode = module.picture_content, module.generation.decode
    module.picture_content = lambda images: (seen.append(len(images)), content(images))[1]
    many = make_images(JSIAGenerator(module), real, ratio, images=2, persons=2)
    assert max(seen) == 4
    few = make_images(JSIAGenerator(module), first(real, 4), ratio[:4], images=2, persons=2)
    alone = make_images(JSIAGenerator(module), real, ratio, images=2, persons=4)
    for kind in ("fakes", "imagined"):
        for got, again, other in zip(getattr(many, kind), getattr(few, kind), getattr(alone, kind), strict=True):
            assert torch.equal(got[:4], again)
            assert not torch.allclose(got[:4], other[:4], atol=1e-5)
    with torch.no_grad():
        whole = module.generation(
            lambda images: Pair(content(images.visible), content(images.infrared)), Pair(*first(real, 4))
        ).fakes
    assert torch.allclose(few.fakes.visible, whole.visible, atol=1e-6)
    assert torch.allclose(few.fakes.infrared, whole.infrared, atol=1e-6)
    calls = []
    module.generation.decode = lambda *args: (calls.append(args), decode(*args))[1]
    JSIAGenerator(module).fakes(first(real, 4))
    assert len(calls) == 1  # neither rebuilt images nor cycles


def first(real: ImagePair, rows: int) -> ImagePair:
    return ImagePair(real.visible[:rows], real.infrared[:rows])


# ---------------------------------------------------------------- scores


def test_identity_distance_by_hand() -> None:
    features = FixedFeatures(lambda images: images[:, :2, 0, 0], 2)
    one, two = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    one[:, 0], two[0, 1], two[1, 0] = 5.0, 3.0, 0.5  # at a right angle; the same direction
    assert identity_distance(features, one, two) == pytest.approx(np.sqrt(2) / 2)


def test_distribution_distance_is_frechets_and_averages_modalities() -> None:
    features = FixedFeatures(lambda images: images[:, :, 0, 0], 3)
    real, fake = pair(70, 1), pair(90, 2)
    fake = ImagePair(fake.visible * 0.5, fake.infrared + 0.3)

    def frechet(one: torch.Tensor, two: torch.Tensor) -> float:
        a, b = (images[:, :, 0, 0].double().numpy() for images in (one, two))
        first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
        root = scipy.linalg.sqrtm(first @ second).real
        return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root))

    expected = (frechet(real.visible, fake.visible) + frechet(real.infrared, fake.infrared)) / 2
    assert distribution_distance(features, real, fake) == pytest.approx(expected, rel=1e-4)
    assert distribution_distance(features, real, real) == pytest.approx(0.0, abs=1e-6)
