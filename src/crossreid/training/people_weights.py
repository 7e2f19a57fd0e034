"""Initial weights from embedded people, ``model.backbone.weights=people``: a stand-in for ImageNet's.

A network of the run's kind learns to tell embedded people apart by day, people of a seed that no run trains or tests on. It is
trained once for each kind and kept below ``data.cache``; convolutions fit images of any size and so, as ImageNet's weights do,
one file serves all methods. What it knows is people's clothes and bodies, not the thousand things of ImageNet, and infrared
images it has never met.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor
from torch.optim import Adam

from crossreid.console import notice, track
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets.sources import open_source
from crossreid.data.transforms import random_crop, random_flip, to_float
from crossreid.errors import ConfigError
from crossreid.files import write_atomically
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.nn.backbones import Encoder
from crossreid.nn.pretrained import own_weights
from crossreid.nn.recognition import OneStreamNetwork
from crossreid.nn.timm_networks import of_torchvision
from crossreid.randomness import derive_seed, torch_generator
from crossreid.settings.batches import StreamConfig
from crossreid.settings.data import DataConfig, SyntheticConfig, SyntheticPeople
from crossreid.settings.networks import BackboneConfig

MARGIN = 0.3
"""Of the batch-hard triplets beside classification, in Euclidean distance."""


@dataclass(frozen=True)
class Recipe:
    """How the weights are made; another recipe makes another file.

    Attributes:
        persons: to be told apart.
        frames: images a person and camera, of four cameras by day.
        height: of the images that a ResNet is made with, in pixels; encoders of timm are made with the run's own.
        width: likewise.
        last_stride: of that ResNet.
        seed: of the people; no dataset may have it.
        iterations: of training.
        identities: persons in a batch.
        images: of each in a batch.
        lr: Adam's rate, a tenth of it in the last fifth.
    """

    persons: int = 301
    frames: int = 5
    height: int = 96
    width: int = 48
    last_stride: int = 2
    seed: int = 4_000_000_007
    iterations: int = 1000
    identities: int = 16
    images: int = 2
    lr: float = 7e-4


def check_other_people(data: DataConfig, recipe: Recipe) -> None:
    """Raise :class:`ConfigError` where a run's people are those that the weights are made from."""
    if isinstance(data, SyntheticConfig) and data.people.seed == recipe.seed:
        raise ConfigError(
            f"data.people.seed={recipe.seed} draws the people that model.backbone.weights=people is made from: take another."
        )


def people_weights(
    backbone: BackboneConfig,
    data: DataConfig,
    device: torch.device,
    *,
    recipe: Recipe | None = None,
    progress: bool = True,
    check: Callable[[], object] | None = None,
) -> Path:
    """The file of a backbone's weights; made where it is not there, once for all processes.

    Args:
        backbone: its name says which network; of encoders that are not torchvision's, size and last stride too.
        data: the run's dataset; people and weights are kept below its folder of decoded images.
        device: where to train.
        recipe: how they are made; None for the usual one.
        progress: show what takes so long.
        check: called at every iteration; may raise to stop, and then nothing is kept but the people.

    Raises:
        ConfigError: there is no such network, or the run's people are those of the recipe.
        DataError: the people cannot be drawn, such as on a full disk.
    """
    recipe = recipe or Recipe()
    check_other_people(data, recipe)
    folder = data.cache_folder / "people_weights"
    if of_torchvision(backbone.name):  # its weights fit all sizes and strides
        backbone = replace(backbone, size=[recipe.height, recipe.width], last_stride=recipe.last_stride)
    height, width = backbone.size
    made_by = json.dumps([asdict(recipe), SyntheticPeople.VERSION])
    digest = hashlib.sha256(made_by.encode()).hexdigest()[:8]
    path = folder / f"{backbone.name}-{height}x{width}-stride{backbone.last_stride}-{digest}.pth"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():  # another process may have made it while this one waited
            notice(
                f"Initial weights of {backbone.name} are made from {recipe.persons} embedded people, once: drawing them, then "
                f"{recipe.iterations} iterations."
            )
            people = _people(backbone, folder, recipe, progress)
            state = _train(backbone, people, device, recipe, check)
            write_atomically(path, partial(torch.save, state))
    return path


def _train(
    backbone: BackboneConfig,
    data: ReIDDataModule,
    device: torch.device,
    recipe: Recipe,
    check: Callable[[], object] | None,
) -> dict[str, Tensor]:
    """The encoder's weights by the names that they have in torchvision or timm."""
    height, width = backbone.size
    images = data.images((height, width))
    sampler = data.sampler()
    with torch.random.fork_rng():  # the run's own initial weights do not depend on this
        torch.manual_seed(derive_seed(recipe.seed, "people weights"))
        network = OneStreamNetwork(replace(backbone, weights="random"), data.num_identities, "bnneck")
    network.to(device).train()
    optimizer = Adam(network.parameters(), lr=recipe.lr, weight_decay=5e-4)
    padding = max(1, height // 24)
    steps = track(range(recipe.iterations), "initial weights", total=recipe.iterations, enabled=data.progress)
    for iteration in steps:
        if check is not None:
            check()
        if iteration == recipe.iterations * 4 // 5:  # the last fifth
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr / 10
        rows = sampler.draw(iteration).streams["identity"]
        generator = torch_generator(recipe.seed, "people weights", iteration)
        pixels = torch.from_numpy(images[rows.visible]).permute(0, 3, 1, 2)  # (P*K, 3, H, W)
        visible = to_float(pixels.to(device))
        visible = random_crop(random_flip(visible, generator), generator, padding)
        labels = torch.from_numpy(rows.labels).to(device)
        output = network(visible)
        loss = identity_loss(output.logits, labels)
        loss = loss + euclidean_triplet(output.vector, output.vector, labels, labels, MARGIN)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _by_own_names(network.encoder)


def _people(backbone: BackboneConfig, folder: Path, recipe: Recipe, progress: bool) -> ReIDDataModule:
    people = SyntheticPeople(train_ids=recipe.persons, val_ids=0, test_ids=1, frames=recipe.frames, seed=recipe.seed)
    root = folder / f"people-{recipe.persons}x{recipe.frames}"
    source = open_source(SyntheticConfig(root=str(root), people=people))
    height, width = backbone.size
    stream = StreamConfig(recipe.identities, recipe.images, height, width)
    return ReIDDataModule(
        partial(source.read, progress=progress),
        folder / "decoded",
        {"identity": stream},
        recipe.iterations,
        seed=recipe.seed,
        train_splits=("train",),
        progress=progress,
    )


def _by_own_names(encoder: Encoder) -> dict[str, Tensor]:
    """The encoder's weights by the names that they have in torchvision or timm."""
    return {key: value.cpu() for key, value in own_weights(encoder.pretrained_parts).items()}
