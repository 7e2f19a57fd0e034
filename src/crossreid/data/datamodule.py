"""The one LightningDataModule: every method gets its named streams and its evaluation images from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crossreid.console import notice
from crossreid.data.batches import EvaluationBatch, PairedBatch, TrainingBatch
from crossreid.data.cache import DecodedImages, open_cache
from crossreid.data.datasets import ReIDDataset
from crossreid.data.datasets.sources import open_source
from crossreid.data.loader import AheadLoader, BatchT, SideStream
from crossreid.data.records import MODALITIES, Modality
from crossreid.data.sampler import IdentityIndex, IterationRows, PairedIdentitySampler, Rows
from crossreid.data.transforms import exchange_channels, random_flip, to_float
from crossreid.errors import DataError
from crossreid.randomness import numpy_generator, torch_generator
from crossreid.settings.batches import StreamConfig
from crossreid.settings.data import DataConfig, DecodingConfig
from crossreid.settings.method import MethodConfig

Images = npt.NDArray[np.uint8]


class _TrainingSet(Dataset[TrainingBatch]):
    """Turns the rows of one iteration into whole uint8 batches."""

    def __init__(self, caches: Mapping[str, Images]) -> None:
        self.caches = caches

    def __getitem__(self, index: IterationRows) -> TrainingBatch:
        batch: TrainingBatch = {}
        for name, rows in index.streams.items():
            visible = _take(self.caches[name], rows.visible)
            infrared = _take(self.caches[name], rows.infrared)
            batch[name] = PairedBatch(visible, infrared, torch.from_numpy(rows.labels), index.iteration)
        return batch


class _EvaluationSet(Dataset[EvaluationBatch]):
    """Rows (n,) in batches, in order."""

    def __init__(self, cache: Images, rows: Rows, batch_size: int) -> None:
        self.cache = cache
        self.batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> EvaluationBatch:
        rows = self.batches[index]
        return EvaluationBatch(_take(self.cache, rows), torch.from_numpy(rows))


def _take(cache: Images, rows: Rows) -> Tensor:
    """Rows of the cache as (B, 3, H, W) uint8."""
    return torch.from_numpy(cache[rows]).permute(0, 3, 1, 2)


class ReIDDataModule(pl.LightningDataModule):
    """Paired training streams and evaluation images of one dataset.

    Args:
        read: verifies the dataset on disk and lists its records; called once per process.
        cache_folder: where decoded images are kept.
        streams: name -> shape of each training stream; images for evaluation have the size of ``identity``.
        iterations_per_epoch: exact number of batches in an epoch; None for one pass over the training images of the
            modality that has more, in batches of the stream ``identity``.
        seed: the run's seed.
        flip: probability of mirroring a training image, in [0, 1].
        channel_exchange: probability of copying one channel of a visible training image to all three, in [0, 1].
        evaluation_batch: images in an evaluation batch.
        threads: that gather the next batches in the background; 0 for none.
        decoding: how files become pixels, and what is done about those that cannot.
        train_splits: splits to train on.
        validation_splits: splits to embed for model selection; none for no selection.
        test_splits: splits to embed for scoring.
        progress: show progress bars while reading and decoding.
    """

    def __init__(
        self,
        read: Callable[[], ReIDDataset],
        cache_folder: Path,
        streams: Mapping[str, StreamConfig],
        iterations_per_epoch: int | None = None,
        *,
        seed: int = 0,
        flip: float = 0.5,
        channel_exchange: float = 0.0,
        evaluation_batch: int = 64,
        threads: int = 1,
        decoding: DecodingConfig | None = None,
        train_splits: Sequence[str] = ("train", "val"),
        validation_splits: Sequence[str] = (),
        test_splits: Sequence[str] = ("test",),
        progress: bool = True,
    ) -> None:
        super().__init__()
        self._read = read
        self.cache_folder = cache_folder
        self.streams = dict(streams)
        self._iterations_per_epoch = iterations_per_epoch
        self.seed = seed
        self.flip = flip
        self.channel_exchange = channel_exchange
        self.evaluation_batch = evaluation_batch
        self.threads = threads
        self.decoding = decoding or DecodingConfig()
        self.train_splits = tuple(train_splits)
        self.validation_splits = tuple(validation_splits)
        self.test_splits = tuple(test_splits)
        self.progress = progress
        self._dataset: ReIDDataset | None = None
        self._reference: Rows | None = None
        self._index: IdentityIndex | None = None
        self._side_stream: SideStream | None = None

    @classmethod
    def for_method(
        cls, data: DataConfig, method: MethodConfig, *, seed: int = 0, validating: bool = False, progress: bool = True
    ) -> ReIDDataModule:
        """The data module that serves a method's streams from a dataset.

        Args:
            data: the dataset's settings.
            method: the method's settings.
            seed: the run's seed.
            validating: train on the training persons alone and keep the validation persons for selection; else train
                on both.
            progress: show progress bars.

        Example:
            >>> from crossreid.methods import LbAConfig
            >>> from crossreid.settings.data import SyntheticConfig
            >>> data = ReIDDataModule.for_method(SyntheticConfig(), LbAConfig())  # doctest: +SKIP
        """
        source = open_source(data)
        if validating:
            train_splits: tuple[str, ...] = ("train",)
            validation_splits: tuple[str, ...] = ("val",)
        else:
            train_splits = ("train", "val")
            validation_splits = ()
        return cls(
            partial(source.read, progress=progress),
            data.cache_folder,
            method.streams,
            method.iterations_per_epoch,
            seed=seed,
            flip=method.flip,
            channel_exchange=method.channel_exchange,
            evaluation_batch=data.evaluation_batch,
            threads=data.threads,
            decoding=data.decoding,
            train_splits=train_splits,
            validation_splits=validation_splits,
            progress=progress,
        )

    @property
    def iterations_per_epoch(self) -> int:
        """Exact number of batches in an epoch."""
        if self._iterations_per_epoch is None:
            stream = self.streams["identity"]
            batch = stream.identities * stream.images
            self._iterations_per_epoch = max(1, -(-self.training_images // batch))  # rounded up
        return self._iterations_per_epoch

    @property
    def training_images(self) -> int:
        """Images to train on, of the modality that has more."""
        counts = dict.fromkeys(MODALITIES, 0)
        for rows in self.index.rows:
            for modality in MODALITIES:
                counts[modality] += len(rows[modality])
        return max(counts.values())

    @property
    def dataset(self) -> ReIDDataset:
        """The verified dataset; read on first use. With ``unreadable=skip`` no split holds the images that cannot be read."""
        if self._dataset is None:
            dataset = self._read()
            training = [split for split in ("train", "val") if split in dataset.splits]
            if training:  # before images are left out: the rows of a cache are those of all images
                self._reference = dataset.rows(*training)
            if self.decoding.unreadable == "skip":
                dataset = dataset.without(self._unreadable(dataset))
            self._dataset = dataset
        return self._dataset

    def _unreadable(self, dataset: ReIDDataset) -> list[int]:
        """Rows of images that cannot be read; says how many there are."""
        unreadable = self._decoded(dataset, self.streams["identity"].size).unreadable
        if unreadable:
            first = next(iter(unreadable.values()))
            notice(
                f"Left out, {len(unreadable)} of {len(dataset.records)} images that cannot be read. The first: {first}"
            )
        return list(unreadable)

    def _decoded(self, dataset: ReIDDataset, size: tuple[int, int]) -> DecodedImages:
        """All images of a dataset in one size; percentiles of a dataset are those of its training images.

        Those that cannot be read are among them, whether or not they are left out yet: one cache serves both.
        """
        return open_cache(
            dataset.records,
            dataset.root,
            self.cache_folder,
            size,
            decoding=self.decoding,
            reference=self._reference,
            progress=self.progress,
        )

    @property
    def index(self) -> IdentityIndex:
        """Training identities and their rows."""
        if self._index is None:
            first, *others = self.train_splits
            splits = [first]
            splits += [split for split in others if split in self.dataset.splits]  # not all sets have `val`
            self._index = IdentityIndex(self.dataset.records, self.dataset.rows(*splits))
        return self._index

    @property
    def num_identities(self) -> int:
        """Number of training identities (classes)."""
        return len(self.index)

    def images(self, size: tuple[int, int]) -> Images:
        """All decoded images (N, H, W, 3), in the order of the records."""
        return self._decoded(self.dataset, size).pixels

    def sampler(self, rank: int = 0, world_size: int = 1) -> PairedIdentitySampler:
        """The training sampler of one rank.

        Raises:
            ConfigError: a stream asks for more identities than there are.
        """
        return PairedIdentitySampler(
            self.index, self.streams, self.iterations_per_epoch, seed=self.seed, rank=rank, world_size=world_size
        )

    def prepare_data(self) -> None:
        """Decode the images once (on one process) before training."""
        for size in {stream.size for stream in self.streams.values()}:
            self.images(size)

    def train_dataloader(self) -> DataLoader[TrainingBatch]:
        """One item an iteration: stream name -> :class:`PairedBatch`; continues where the module's counter stands."""
        sampler = self.sampler(*self._place())
        module = None if self.trainer is None else self.trainer.lightning_module
        sampler.resume(getattr(module, "iteration", 0))
        caches = {name: self.images(stream.size) for name, stream in self.streams.items()}
        return self._loader(_TrainingSet(caches), cast(Any, sampler))

    def test_dataloader(self) -> list[DataLoader[EvaluationBatch]]:
        """Two loaders, visible and infrared, in that order; ranks share the rows, padded to equal numbers."""
        return self._evaluation_loaders(self.test_splits)

    def val_dataloader(self) -> list[DataLoader[EvaluationBatch]]:
        """As :meth:`test_dataloader`, of the identities that models are selected on; no loader without selection."""
        if not self.validation_splits:
            return []
        return self._evaluation_loaders(self.validation_splits)

    def _evaluation_loaders(self, splits: Sequence[str]) -> list[DataLoader[EvaluationBatch]]:
        cache = self.images(self.streams["identity"].size)
        loaders = []
        for modality in MODALITIES:
            rows = self._share(modality, splits)
            loaders.append(self._loader(_EvaluationSet(cache, rows, self.evaluation_batch)))
        return loaders

    def _loader(self, batches: Dataset[BatchT], sampler: Any = None) -> DataLoader[BatchT]:
        """Gathers ahead; for a GPU, into memory that it copies from without waiting."""
        pin = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return AheadLoader(batches, sampler=sampler, threads=self.threads, pin=pin)

    def modality_rows(self, modality: Modality, *splits: str) -> Rows:
        """Rows of one modality in the named splits, ascending."""
        rows = self.dataset.rows(*splits)
        of_modality = [self.dataset.records[row].modality == modality for row in rows]
        return rows[of_modality]

    def _share(self, modality: Modality, splits: Sequence[str]) -> Rows:
        """This rank's rows for evaluation."""
        rank, world_size = self._place()
        rows = self.modality_rows(modality, *splits)
        if not len(rows):  # a set of one modality
            return rows
        # every so-many-th row; the first ones are there twice where they do not divide evenly
        each = -(-len(rows) // world_size)
        return rows[(np.arange(each) * world_size + rank) % len(rows)]

    def _place(self) -> tuple[int, int]:
        """This process's rank, and the number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def transfer_batch_to_device(
        self, batch: TrainingBatch | EvaluationBatch, device: torch.device, dataloader_idx: int
    ) -> TrainingBatch | EvaluationBatch:
        """To a GPU on a stream of its own."""
        if device.type != "cuda":
            moved: TrainingBatch | EvaluationBatch = super().transfer_batch_to_device(batch, device, dataloader_idx)
            return moved
        if self._side_stream is None or self._side_stream.device != device:
            self._side_stream = SideStream(device)
        copied: TrainingBatch | EvaluationBatch = self._side_stream.copy(batch)
        return copied

    def on_after_batch_transfer(
        self, batch: TrainingBatch | EvaluationBatch, dataloader_idx: int
    ) -> TrainingBatch | EvaluationBatch:
        """uint8 -> float in [0, 1], and the training augmentation, on the device."""
        if isinstance(batch, EvaluationBatch):
            return batch._replace(images=to_float(batch.images))
        return {name: self._augment(name, stream) for name, stream in batch.items()}

    def _augment(self, name: str, batch: PairedBatch) -> PairedBatch:
        rank, _ = self._place()
        generator = torch_generator(self.seed, f"augment/{name}", batch.iteration, rank)
        # one generator for all draws: their order is part of what a seed means
        visible = random_flip(to_float(batch.visible), generator, self.flip)
        infrared = random_flip(to_float(batch.infrared), generator, self.flip)
        if self.channel_exchange:
            visible = exchange_channels(visible, generator, self.channel_exchange)
        return batch._replace(visible=visible, infrared=infrared)

    def pair(self, visible: int, infrared: int, size: tuple[int, int]) -> PairedBatch:
        """Two images by their rows in the dataset as a batch of one pair, as float in [0, 1] without augmentation."""
        cache = self.images(size)
        return PairedBatch(
            to_float(_take(cache, np.array([visible]))),
            to_float(_take(cache, np.array([infrared]))),
            torch.tensor([self.dataset.records[visible].pid]),
            0,
        )

    def has_pairs(self, split: str) -> bool:
        """Some identity of a split has images of both modalities."""
        people = []
        for modality in MODALITIES:
            rows = self.modality_rows(modality, split)
            people.append({self.dataset.records[row].pid for row in rows})
        visible, infrared = people
        return not visible.isdisjoint(infrared)

    def sample_pairs(self, split: str, identities: int, images: int, size: tuple[int, int]) -> PairedBatch:
        """A fixed batch of a split for pictures: the first identities that have both modalities, images drawn by the
        seed, as float in [0, 1] without augmentation.

        Raises:
            DataError: no identity has both.
        """
        if not self.has_pairs(split):
            raise DataError(
                f"No identity of the split '{split}' has both visible and infrared images, so there are no pairs to show: take "
                "another split or dataset."
            )
        index = IdentityIndex(self.dataset.records, self.dataset.rows(split))
        cache = self.images(size)
        generator = numpy_generator(self.seed, "pictures")
        labels = np.arange(min(identities, len(index)))  # the first identities
        drawn = {}
        for modality in MODALITIES:
            rows = []
            for label in labels:
                own = index.rows[label][modality]
                rows.append(generator.choice(own, images, replace=len(own) < images))
            drawn[modality] = np.concatenate(rows)
        return PairedBatch(
            to_float(_take(cache, drawn["visible"])),
            to_float(_take(cache, drawn["infrared"])),
            torch.from_numpy(np.repeat(labels, images)),
            0,
        )
