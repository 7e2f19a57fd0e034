"""What the field's baselines have in common: one network, classification, perhaps a ranking loss, and epochs.

A baseline gives its network, :meth:`RecognitionModule.describe` and what it adds to classification in
:meth:`RecognitionModule.add_losses`; crops, erasing, channel exchange, warm-up and the retrieval feature are here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import MODALITIES, Modality
from crossreid.data.transforms import ErasingConfig, exchange_channels, random_crop, random_erasing
from crossreid.errors import ConfigError
from crossreid.losses import identity_loss
from crossreid.methods.base import CrossModalityModule, MethodConfig, Schedule
from crossreid.methods.players import Losses
from crossreid.nn.backbones import BackboneConfig, erasing_fill
from crossreid.nn.feature_block import Described
from crossreid.nn.feature_generator import FeatureOptimizerConfig
from crossreid.nn.schedules import EpochScheduleConfig
from crossreid.randomness import torch_generator


@dataclass
class RecognitionConfig(MethodConfig):
    """Settings of a baseline.

    Attributes:
        epochs: length of training; ``phases`` holds one phase, ``joint``, of epochs x iterations_per_epoch.
        backbone: the ResNet.
        optimizer: one rate for the encoder, one (``head_lr``) for all else.
        schedule: of the learning rates, by epoch.
        crop_padding: pixels of black around an image before a random crop, 0 for none.
        erasing: random erasing of training images.
        exchanged_view: train on a second copy of each visible image, with one channel copied to all three (CAJ's joint
            learning).
        label_smoothing: of the classification loss, in [0, 1).
        flip_test: embed the image and its mirror image, and add.
    """

    epochs: int = 81
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    optimizer: FeatureOptimizerConfig = field(default_factory=FeatureOptimizerConfig)
    schedule: EpochScheduleConfig = field(default_factory=EpochScheduleConfig)
    crop_padding: int = 10
    erasing: ErasingConfig = field(default_factory=lambda: ErasingConfig(probability=0.0))
    exchanged_view: bool = False
    label_smoothing: float = 0.0
    flip_test: bool = False

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        for part in (self.backbone, self.optimizer, self.schedule, self.erasing):
            part.check()
        if dict(self.phases) != {"joint": self.epochs * self.iterations_per_epoch} or set(self.streams) != {"identity"}:
            raise ConfigError(
                f"{self.name} has one stream, identity, and one phase, joint, of model.epochs x "
                "model.iterations_per_epoch iterations: set these two, not model.phases."
            )
        if self.crop_padding < 0 or not 0 <= self.label_smoothing < 1:
            raise ConfigError("model.crop_padding is 0 or more, and model.label_smoothing is in [0, 1).")


@dataclass
class RankingConfig(RecognitionConfig):
    """Settings of a baseline with a ranking loss.

    Attributes:
        margin: of that loss.
    """

    margin: float = 0.3

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.margin < 0:
            raise ConfigError(f"model.margin is 0 or more, not {self.margin}.")


@dataclass
class ClassificationConfig(RecognitionConfig):
    """Settings of a baseline that learns by classification alone.

    Attributes:
        neck: ``none`` for a classifier on the pooled vector, or ``bnneck`` for a batch norm between them, whose output is
            then what retrieval compares.
    """

    neck: str = "none"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        if self.neck not in ("none", "bnneck"):
            raise ConfigError(f"model.neck is '{self.neck}': choose none or bnneck.")


RecognitionT = TypeVar("RecognitionT", bound=RecognitionConfig)


class Views(NamedTuple):
    """Augmented training images.

    Attributes:
        images: modality -> (N, 3, H, W) in [0, 1]; visible images come first, and there may be more of them.
        pids: modality -> (N,) labels.
    """

    images: dict[Modality, Tensor]
    pids: dict[Modality, Tensor]

    @property
    def labels(self) -> Tensor:
        """Labels of all images, visible ones first."""
        return torch.cat([self.pids[modality] for modality in MODALITIES])

    @property
    def infrared(self) -> Tensor:
        """Bool, as :attr:`labels`: the image is infrared."""
        return torch.cat([torch.full_like(self.pids[m], m == "infrared", dtype=torch.bool) for m in MODALITIES])

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows in the order of :attr:`labels` -> those of the visible and those of the infrared images."""
        visible, infrared = torch.split(rows, [len(self.pids[modality]) for modality in MODALITIES])
        return visible, infrared


class RecognitionModule(CrossModalityModule[RecognitionT]):
    """Base of the baselines: ``network`` is theirs. All parameters are one player's, where a baseline names no other."""

    OPTIMIZERS: ClassVar[tuple[str, ...]] = ("network",)
    network: nn.Module

    # ------------------------------------------------------------------ what a baseline gives

    @abstractmethod
    def describe(self, images: Mapping[Modality, Tensor]) -> Described:
        """Images of both modalities, or of one -> vectors, features and logits, rows in the order given."""

    @abstractmethod
    def encoder(self) -> nn.Module:
        """The part of the network that trains at ``encoder_lr``."""

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Classification of all images, and what :meth:`ranking` adds."""
        described = self.describe(views.images)
        losses.add("id", identity_loss(described.logits, views.labels, self.config.label_smoothing))
        ranking = self.ranking(described, views)
        if ranking is not None:
            losses.add("ranking", ranking)

    def ranking(self, described: Described, views: Views) -> Tensor | None:
        """A loss on distances; none by default."""
        return None

    # ------------------------------------------------------------------ training

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """One rate for the encoder and one for the rest."""
        encoder = list(self.encoder().parameters())
        inside = {id(parameter) for parameter in encoder}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        return {"network": self.config.optimizer.make(encoder, rest)}

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Warm-up and cuts, by epochs."""
        cfg = self.config
        found = {name: cfg.schedule.scheduler(opt, cfg.iterations_per_epoch) for name, opt in optimizers.items()}
        return {name: Schedule(scheduler, ("joint",)) for name, scheduler in found.items()}

    def training_step(self, batch: TrainingBatch) -> None:
        """One step on all losses together."""
        views = self.augmented(batch["identity"])
        with self.turn("network") as losses:
            self.add_losses(losses, views)

    def augmented(self, batch: PairedBatch) -> Views:
        """Random crops and erasing, and the exchanged view; the data module has mirrored the images."""
        cfg, fill = self.config, erasing_fill()
        generator = torch_generator(self.seed, f"augment/{cfg.name}", self.iteration, self.global_rank)
        visible, infrared = (random_crop(part, generator, cfg.crop_padding) for part in (batch.visible, batch.infrared))
        views = [visible, visible] if cfg.exchanged_view else [visible]
        seen, pids = torch.cat(views), batch.pids.repeat(len(views))
        if cfg.erasing.probability:
            seen, infrared = (random_erasing(part, generator, cfg.erasing, fill) for part in (seen, infrared))
        if cfg.exchanged_view:  # of the erased image, patch and all
            first, second = seen.chunk(2)
            seen = torch.cat([first, exchange_channels(second, generator)])
        return Views({"visible": seen, "infrared": infrared}, {"visible": pids, "infrared": batch.pids})

    # ------------------------------------------------------------------ retrieval

    def features(self, images: Tensor, modality: Modality) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> what retrieval compares (N, D), of any length."""
        return self.describe({modality: images}).feature

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """The retrieval feature of the image, plus that of its mirror image with ``flip_test``; L2-normalised."""
        features = F.normalize(self.features(images, modality).float(), dim=1)
        if self.config.flip_test:
            features = features + F.normalize(self.features(images.flip(-1), modality).float(), dim=1)
        return {"main": F.normalize(features, dim=1)}
