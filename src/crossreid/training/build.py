"""Settings -> dataset, data module, method, protocols, trainer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from crossreid.checks import device_count
from crossreid.config import DataConfig, ProtocolConfig, TrainerConfig, method_class
from crossreid.console import notice
from crossreid.data.cache import available_cores
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import SYSU_MM01_COUNTS, CameraCount, ReIDDataset, read_sysu_mm01
from crossreid.data.datasets.base import SplitCounts
from crossreid.data.synthetic import SyntheticPeople, write_sysu_layout
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import Cosine, Euclidean, GalleryPermutations, Scorer
from crossreid.methods.base import CrossModalityModule, MethodConfig
from crossreid.randomness import derive_seed
from crossreid.training.checkpoints import AtomicCheckpointIO

PERMUTATION_FILES = ("rand_perm_cam.mat", "exp/rand_perm_cam.mat", "data_split/rand_perm_cam.mat")


def make_reader(config: DataConfig, *, progress: bool) -> Callable[[], ReIDDataset]:
    """A function that reads the dataset; the synthetic one is generated first where it is not there."""
    root = Path(config.root)

    def read() -> ReIDDataset:
        counts: SplitCounts | None = None
        if config.name == "synthetic":
            if config.people is None:
                raise ConfigError("data=synthetic needs the generator's settings under data.people.")
            people = SyntheticPeople(**vars(config.people))
            write_sysu_layout(root, people, workers=available_cores(), progress=progress)
        if config.counts == "official":
            counts = SYSU_MM01_COUNTS
        elif config.counts == "manifest":
            counts = read_counts(root)
        return read_sysu_mm01(root, counts, name=config.name)

    return read


def read_counts(root: Path) -> SplitCounts:
    """What the generator says it wrote."""
    path = root / "manifest.json"
    if not path.is_file():
        raise DataError(
            f"'{path}' is missing, so the set cannot be verified: remove '{root}' and let it be made again."
        )
    manifest = json.loads(path.read_text(encoding="utf-8"))["counts"]
    return {
        split: {int(camid): CameraCount(c["ids"], c["images"]) for camid, c in cameras.items() if c["images"]}
        for split, cameras in manifest.items()
    }


def make_datamodule(data: DataConfig, method: MethodConfig, *, seed: int, progress: bool) -> ReIDDataModule:
    """The data module that serves a method's streams."""
    return ReIDDataModule(
        make_reader(data, progress=progress),
        Path(data.cache),
        method.streams,
        method.iterations_per_epoch,
        seed=seed,
        flip=method.flip,
        evaluation_batch=data.evaluation_batch,
        progress=progress,
    )


def make_method(
    model: dict[str, Any], method: MethodConfig, num_identities: int, seed: int
) -> CrossModalityModule[Any]:
    """The method with initial weights that depend on the seed alone."""
    torch.manual_seed(derive_seed(seed, "initial weights"))
    return method_class(model)(method, num_identities, seed)


def make_scorer(config: ProtocolConfig, module: CrossModalityModule[Any] | None = None) -> Scorer:
    """The similarity that a protocol asks for: a method's own, cosine, or Euclidean on features as they are."""
    if config.similarity == "euclidean":
        return Euclidean()
    return Cosine() if module is None else module.scorer()


def make_scorers(config: ProtocolConfig, module: CrossModalityModule[Any]) -> dict[str, Scorer]:
    """The method's own row (``""``), by :func:`make_scorer`, and its further ones."""
    return module.scorers() | {"": make_scorer(config, module)}


def find_permutations(config: ProtocolConfig, root: Path | None) -> tuple[str, GalleryPermutations | None]:
    """The gallery draw to use: the official one where its file is there, else the seeded one, saying so.

    Raises:
        DataError: the named permutation file is missing or damaged.
    """
    if config.draw == "seeded":
        return "seeded", None
    if config.permutations:
        return "official", GalleryPermutations.from_mat(Path(config.permutations))
    for name in PERMUTATION_FILES if root else ():
        assert root is not None
        if (root / name).is_file():
            return "official", GalleryPermutations.from_mat(root / name)
    notice(
        "Warning: rand_perm_cam.mat was not found, so galleries are drawn by seed (draw 'seeded', about half a point of "
        "Rank-1 from the official one): take it from wuancong/SYSU-MM01 and set protocol.permutations."
    )
    return "seeded", None


def make_trainer(
    config: TrainerConfig,
    method: MethodConfig,
    players: int,
    folder: Path,
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    """A trainer that runs a method's iterations; the DDP strategy follows from the number of players."""
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=make_strategy(config, players),
        precision=config.precision,  # type: ignore[arg-type]
        deterministic=config.deterministic,
        log_every_n_steps=1,  # silences a warning; the method logs by its own counter
        max_epochs=method.iterations // method.iterations_per_epoch,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the samplers share identities and rows among ranks themselves
        enable_checkpointing=False,  # IterationCheckpoint saves
        enable_progress_bar=any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
        enable_model_summary=False,
        logger=list(loggers),
        callbacks=list(callbacks),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
    )


def make_strategy(config: TrainerConfig, players: int) -> str | DDPStrategy:
    """``auto`` on one device; DDP on several, looking for unused parameters where players take turns."""
    if not is_distributed(config):
        return "auto"
    unused = players > 1 if config.strategy == "auto" else config.strategy.endswith("true")
    return DDPStrategy(find_unused_parameters=unused, process_group_backend=config.backend)


def is_distributed(config: TrainerConfig) -> bool:
    """Several processes are asked for."""
    return device_count(config) * config.num_nodes > 1
