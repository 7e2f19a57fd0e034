"""Trains what Table 4 needs besides a trained JSIA-ReID, and scores images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossreid.console import track
from crossreid.data.batches import PairedBatch
from crossreid.data.datamodule import ReIDDataModule
from crossreid.errors import ConfigError
from crossreid.losses import hardest_triplet, identity_loss
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.jsia.config import JSIAConfig
from crossreid.methods.jsia.module import JSIA
from crossreid.nn.feature_generator import FeatureGenerator
from crossreid.nn.pretrained import load_pretrained
from crossreid.randomness import derive_seed, torch_generator
from crossreid.settings.commands import GENERATORS, GeneratorSizes, ImageQualityConfig
from crossreid.settings.networks import HeadConfig
from crossreid.settings.optimization import FeatureOptimizerConfig
from crossreid.studies.generation.baselines import ConditionalVAE, CycleGAN, StarGAN, TrainedGenerator
from crossreid.studies.generation.consistency import (
    Consistency,
    FixedFeatures,
    distribution_distance,
    identity_distance,
)
from crossreid.studies.generation.pairs import GeneratedImages, ImagePair, JSIAGenerator, PairGenerator, make_images
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.environment import choose_device
from crossreid.training.loading import checkpoint_at, dataset_settings, method_from, run_of

INCEPTION = 2048  # width of the Inception layer that FID is usually taken from


@dataclass(frozen=True)
class Judge:
    """The fixed re-ID network that images are measured with.

    Attributes:
        features: of images.
        origin: which network it is, in words that follow "a re-ID network".
    """

    features: FixedFeatures
    origin: str


@dataclass
class Study:
    """A trained JSIA, its data, and where to compute.

    Attributes:
        config: the command's settings.
        module: the trained JSIA.
        data: its dataset.
        weights: what its backbone was started from: ``imagenet``, ``random`` or a path.
        device: to compute on.
    """

    config: ImageQualityConfig
    module: JSIA
    data: ReIDDataModule
    weights: str
    device: torch.device

    @classmethod
    def open(cls, config: ImageQualityConfig) -> Study:
        """Read the checkpoint and its dataset.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
            ConfigError: it holds another method.
        """
        device = choose_device(config.device)
        path = checkpoint_at(config.checkpoint)
        checkpoint = read_checkpoint(path)
        trained = run_of(checkpoint, path)
        module = method_from(checkpoint, path)
        if not isinstance(module, JSIA):
            raise ConfigError(f"'{config.checkpoint}' holds {trained.label}, not a JSIA run: name one of model=jsia.")
        dataset = dataset_settings(config.data, trained.data, path.parent)
        validating = trained.selection.name == "validation"
        data = ReIDDataModule.for_method(
            dataset, module.config, seed=config.seed, validating=validating, progress=config.progress
        )
        return cls(config, module.to(device), data, module.config.backbone.weights, device)

    @property
    def settings(self) -> JSIAConfig:
        """The method's own settings."""
        return self.module.config

    def generators(self) -> dict[str, PairGenerator]:
        """JSIA-ReID and, trained here, those that it is compared with."""
        size = self.settings.streams["gan"].size
        generators: dict[str, PairGenerator] = {}
        for name in self.config.baselines:
            # Each has a seed of its own: its weights do not depend on which others are trained.
            torch.manual_seed(derive_seed(self.config.seed, f"image quality/{name}"))
            generator = _make_baseline(name, self.config.generator, size).to(self.device)

            # By a default, which is fixed here: the loop gives the name ``generator`` to the next one.
            def step(batch: PairedBatch, trained: TrainedGenerator = generator) -> None:
                trained.step(ImagePair(batch.visible, batch.infrared))

            self._train(step, "gan", self.config.iterations, GENERATORS[name])
            generators[GENERATORS[name]] = generator.eval()
        return {**generators, "JSIA-ReID": JSIAGenerator(self.module)}

    def judge(self) -> Judge:
        """The fixed network: V of a checkpoint's ``main`` feature, or of a network trained here on real images.

        Raises:
            CheckpointError: the checkpoint asked for is missing or damaged.
            ConfigError: it is the one whose images are judged, or initial weights cannot be had.
        """
        if self.config.judge.checkpoint:
            return self._judge_of_run(checkpoint_at(self.config.judge.checkpoint))
        return self._train_judge()

    def _judge_of_run(self, path: Path) -> Judge:
        """V of another run's method, whichever it is."""
        module = method_from(read_checkpoint(path), path).to(self.device)
        if _same_weights(module, self.module):
            raise ConfigError(
                f"judge.checkpoint='{path}' holds the very network whose images are judged: name another run, or leave it out "
                "to train a judge here."
            )

        @torch.no_grad()
        def embed(images: Tensor) -> Tensor:
            return module.embed(images, "infrared")["main"]

        # FID wants to know the width of the feature, which any image shows.
        width = embed(torch.rand(1, 3, 64, 32, device=self.device)).shape[1]
        origin = f"of {path} (method {module.config.name}; images of both modalities go through its infrared path)"
        return Judge(FixedFeatures(embed, width), origin)

    def _train_judge(self) -> Judge:
        """Trained here on real images of both modalities: classification, and triplets across."""
        config = self.config.judge
        heads = HeadConfig(dropout=0.0, centre=True)
        backbone = replace(self.settings.backbone, weights=config.weights or self.weights)
        torch.manual_seed(derive_seed(self.config.seed, "image quality/judge"))
        try:
            network = FeatureGenerator(backbone, heads, self.data.num_identities)
            load_pretrained(network)
        except ConfigError as error:  # the backbone speaks of training's settings
            raise ConfigError(str(error).replace("model.backbone.weights", "judge.weights")) from error
        network = network.to(self.device)
        optimizer = network.make_optimizer(FeatureOptimizerConfig("adam", config.lr, config.lr))

        def step(batch: PairedBatch) -> None:
            pids = batch.pids
            visible = network(batch.visible)
            infrared = network(batch.infrared)
            loss = identity_loss(visible.logits, pids) + identity_loss(infrared.logits, pids)
            # Across modalities in both directions, as fakes are compared with real images of the other one.
            loss = loss + hardest_triplet(visible.embedding, infrared.embedding, pids, pids)
            loss = loss + hardest_triplet(infrared.embedding, visible.embedding, pids, pids)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()

        self._train(step, "identity", config.iterations, "re-ID network")
        network.eval()
        origin = f"trained here for {config.iterations} iterations on real images, from {backbone.weights} weights"
        return Judge(FixedFeatures(network.vectors, network.encoder.channels), origin)

    def real_images(self) -> ImagePair:
        """Pairs of real images of all test persons, each row one person, at the size that generators work in."""
        size = self.settings.streams["gan"].size
        batch = self.data.sample_pairs("test", len(self.data.dataset.records), self.config.images, size)
        return ImagePair(batch.visible.to(self.device), batch.infrared.to(self.device))

    @property
    def persons(self) -> int:
        """Test persons in a batch that generators get: as many as make the batch of the stream ``gan``, at least two."""
        stream = self.settings.streams["gan"]
        return max(2, stream.identities * stream.images // self.config.images)

    def make(self, generator: PairGenerator, real: ImagePair) -> GeneratedImages:
        """The images that are scored and drawn."""
        # Drawn anew from the seed each time: all generators mix with the same ratios.
        generator_of_ratios = torch_generator(self.config.seed, "image quality/ratios")
        ratio = torch.rand(len(real.visible), generator=generator_of_ratios)
        return make_images(generator, real, ratio.to(self.device), images=self.config.images, persons=self.persons)

    def score(self, images: GeneratedImages, judge: Judge, real: ImagePair) -> Consistency:
        """One row of the table."""
        network = judge.features
        features: FixedFeatures | int = INCEPTION
        if self.config.fid == "judge":
            features = network
        to_visible = identity_distance(network, real.infrared, images.fakes.visible)
        to_infrared = identity_distance(network, real.visible, images.fakes.infrared)
        row = Consistency(
            identity_real=(to_visible + to_infrared) / 2,
            distribution_real=distribution_distance(features, real, images.fakes),
        )
        if images.imagined is None:
            return row
        return replace(
            row,
            identity_latent=identity_distance(network, images.imagined.visible, images.imagined.infrared),
            distribution_latent=distribution_distance(features, real, images.imagined),
        )

    def _train(self, step: Callable[[PairedBatch], None], stream: str, iterations: int, label: str) -> None:
        for batch in track(self._batches(stream, iterations), label, total=iterations, enabled=self.config.progress):
            step(batch)

    def _batches(self, stream: str, iterations: int) -> Iterator[PairedBatch]:
        """Augmented training batches of one stream, on the device."""
        loader = self.data.train_dataloader()
        done = 0
        while True:  # an epoch after the other
            for raw in loader:
                if done == iterations:
                    return
                # What Lightning does in a training: to the device, and there the augmentations.
                fields = [_to(field, self.device) for field in raw[stream]]
                batch: Any = self.data.on_after_batch_transfer({stream: PairedBatch(*fields)}, 0)
                yield batch[stream]
                done += 1


def _to(value: Any, device: torch.device) -> Any:
    """A tensor on the device; anything else as it is."""
    if isinstance(value, Tensor):
        return value.to(device)
    return value


def _same_weights(one: CrossModalityModule[Any], two: CrossModalityModule[Any]) -> bool:
    """Both hold the same numbers: ``last.ckpt`` and its copy at the end of the last phase are one network."""
    state_one = one.state_dict()
    state_two = two.state_dict()
    if state_one.keys() != state_two.keys():
        return False
    return all(torch.equal(state_one[name], state_two[name]) for name in state_one)


def _make_baseline(name: str, sizes: GeneratorSizes, size: tuple[int, int]) -> TrainedGenerator:
    height, width = size
    for side in size:
        # ResNetGenerator halves its images twice, and instance norm needs a last map of more than one pixel.
        if side % 4 or side >> sizes.layers < 2:
            raise ConfigError(
                f"Images of {height}x{width} are too small or odd for generator.layers={sizes.layers}: lower it."
            )
    if name == "vae":
        for side in size:
            if side % 2**sizes.layers:
                raise ConfigError(
                    f"The VAE halves images of {height}x{width} {sizes.layers} times: lower generator.layers."
                )
        return ConditionalVAE(sizes, height, width)
    if name == "cyclegan":
        return CycleGAN(sizes)
    return StarGAN(sizes)
