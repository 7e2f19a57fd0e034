"""Trains what Table 4 needs besides a trained JSIA-ReID, and scores images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossreid.config import TrainConfig, method_config, typed
from crossreid.console import track
from crossreid.data.batches import PairedBatch
from crossreid.data.datamodule import ReIDDataModule
from crossreid.errors import ConfigError
from crossreid.generation.baselines import ConditionalVAE, CycleGAN, GeneratorSizes, StarGAN, TrainedGenerator
from crossreid.generation.consistency import Consistency, FixedFeatures, distribution_distance, identity_distance
from crossreid.generation.pairs import ImagePair, JSIAGenerator, PairGenerator
from crossreid.generation.settings import BASELINES, ImageQualityConfig
from crossreid.losses import hardest_triplet, identity_loss
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.jsia import JSIA, JSIAConfig
from crossreid.nn.feature_generator import FeatureGenerator, FeatureOptimizerConfig, HeadConfig
from crossreid.randomness import derive_seed, torch_generator
from crossreid.training.build import make_datamodule, make_method
from crossreid.training.checkpoints import load_weights, read_checkpoint
from crossreid.training.restoring import dataset_settings

INCEPTION = 2048  # width of the Inception layer that FID is usually taken from


@dataclass
class Study:
    """A trained JSIA, its data, and where to compute."""

    config: ImageQualityConfig
    module: JSIA
    data: ReIDDataModule
    device: torch.device

    @classmethod
    def open(cls, config: ImageQualityConfig) -> Study:
        """Read the checkpoint and its dataset.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
            ConfigError: it holds another method.
        """
        module, trained = load_method(Path(config.checkpoint))
        if not isinstance(module, JSIA):
            raise ConfigError(f"'{config.checkpoint}' holds {trained.name}, not a JSIA run: name one of model=jsia.")
        dataset = dataset_settings(config.data, trained.data)
        data = make_datamodule(dataset, module.config, trained.selection, seed=config.seed, progress=config.progress)
        found = "cuda" if torch.cuda.is_available() else "cpu"
        device = torch.device(found if config.device == "auto" else config.device)
        return cls(config, module.to(device), data, device)

    @property
    def settings(self) -> JSIAConfig:
        """The method's own settings."""
        return self.module.config

    def generators(self) -> dict[str, PairGenerator]:
        """JSIA-ReID and, trained here, those that it is compared with."""
        size = self.settings.streams["gan"].size
        made: dict[str, PairGenerator] = {}
        for name in self.config.baselines:
            torch.manual_seed(derive_seed(self.config.seed, f"image quality/{name}"))
            generator = _make_baseline(name, self.config.generator, size).to(self.device)

            def step(batch: PairedBatch, trained: TrainedGenerator = generator) -> None:
                trained.step(ImagePair(batch.visible, batch.infrared))

            self._train(step, "gan", self.config.iterations, BASELINES[name])
            made[BASELINES[name]] = generator.eval()
        return {**made, "JSIA-ReID": JSIAGenerator(self.module)}

    def judge(self) -> FixedFeatures:
        """The fixed network: V of a checkpoint's ``main`` feature, or of a network trained here on real images."""
        asked = self.config.judge
        if asked.checkpoint:
            module = load_method(Path(asked.checkpoint))[0].to(self.device).eval()

            def embed(images: Tensor) -> Tensor:
                return module.embed(images, "infrared")["main"]

            return FixedFeatures(embed, embed(torch.rand(1, 3, 64, 32, device=self.device)).shape[1])
        torch.manual_seed(derive_seed(self.config.seed, "image quality/judge"))
        heads = HeadConfig(dropout=0.0, centre=True)
        network = FeatureGenerator(self.settings.backbone, heads, self.data.num_identities).to(self.device)
        optimizer = network.make_optimizer(FeatureOptimizerConfig("adam", asked.lr, asked.lr))

        def step(batch: PairedBatch) -> None:
            visible, infrared, pids = network(batch.visible), network(batch.infrared), batch.pids
            loss = identity_loss(visible.logits, pids) + identity_loss(infrared.logits, pids)
            loss = loss + hardest_triplet(visible.embedding, infrared.embedding, pids, pids)
            loss = loss + hardest_triplet(infrared.embedding, visible.embedding, pids, pids)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()

        self._train(step, "identity", asked.iterations, "re-ID network")
        network.eval()
        return FixedFeatures(network.vectors, network.encoder.channels)

    def real_images(self) -> ImagePair:
        """Pairs of real images of all test persons, each row one person, at the size that generators work in."""
        size = self.settings.streams["gan"].size
        batch = self.data.sample_pairs("test", len(self.data.dataset.records), self.config.images, size)
        return ImagePair(batch.visible.to(self.device), batch.infrared.to(self.device))

    def score(self, generator: PairGenerator, judge: FixedFeatures, real: ImagePair) -> Consistency:
        """One row of the table."""
        features = judge if self.config.fid == "judge" else INCEPTION
        fakes = generator.fakes(real)
        to_visible = identity_distance(judge, real.infrared, fakes.visible)
        to_infrared = identity_distance(judge, real.visible, fakes.infrared)
        row = Consistency((to_visible + to_infrared) / 2, None, distribution_distance(features, real, fakes), None)
        ratio = torch.rand(len(real.visible), generator=torch_generator(self.config.seed, "image quality/ratios"))
        imagined = generator.imagined(real, ratio.to(self.device), self.config.images)  # the person before
        if imagined is None:
            return row
        return Consistency(
            row.identity_real,
            identity_distance(judge, imagined.visible, imagined.infrared),
            row.distribution_real,
            distribution_distance(features, real, imagined),
        )

    def _train(self, step: Callable[[PairedBatch], None], stream: str, iterations: int, label: str) -> None:
        for batch in track(self._batches(stream, iterations), label, total=iterations, enabled=self.config.progress):
            step(batch)

    def _batches(self, stream: str, iterations: int) -> Iterator[PairedBatch]:
        """Augmented training batches of one stream, on the device."""
        loader = self.data.train_dataloader()
        done = 0
        while True:
            for raw in loader:
                if done == iterations:
                    return
                part = {stream: PairedBatch(*(_to(field, self.device) for field in raw[stream]))}
                served: Any = self.data.on_after_batch_transfer(part, 0)
                yield served[stream]
                done += 1


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def load_method(path: Path) -> tuple[CrossModalityModule[Any], TrainConfig]:
    """A trained method and the settings of its run."""
    saved = read_checkpoint(path)
    trained = typed(TrainConfig, saved["crossreid"]["config"])
    trained.model["backbone"]["weights"] = "random"  # the checkpoint brings all weights
    method = method_config(trained.model)
    module = make_method(trained.model, method, saved["crossreid"]["num_identities"], trained.seed)
    load_weights(module, saved["state_dict"], path)
    return module, trained


def _make_baseline(name: str, sizes: GeneratorSizes, size: tuple[int, int]) -> TrainedGenerator:
    if any(side % 4 or side >> sizes.layers < 2 for side in size):
        raise ConfigError(
            f"Images of {size[0]}x{size[1]} are too small or odd for generator.layers={sizes.layers}: lower it."
        )
    if name == "vae":
        if any(side % (1 << sizes.layers) for side in size):
            raise ConfigError(
                f"The VAE halves images of {size[0]}x{size[1]} {sizes.layers} times: lower generator.layers."
            )
        return ConditionalVAE(sizes, *size)
    return CycleGAN(sizes) if name == "cyclegan" else StarGAN(sizes)
