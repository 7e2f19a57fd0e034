"""What the field's baselines have in common: one network, classification, perhaps a ranking loss, and epochs.

A baseline gives its network, :meth:`RecognitionModule.describe` and what it adds to classification in
:meth:`RecognitionModule.add_losses`; crops, erasing, channel exchange, warm-up and the retrieval feature are here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.data.transforms import exchange_channels, exchange_or_grey, random_crop, random_erasing, random_flip
from crossreid.losses import identity_loss
from crossreid.methods.base import CrossModalityModule, Schedule
from crossreid.methods.embedding import check_images
from crossreid.methods.players import Losses
from crossreid.nn.backbones import ERASED, IMAGENET_MEAN, IMAGENET_STD, erasing_fill
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.mirror import mirrored_sum
from crossreid.nn.optimization import epoch_schedule, make_feature_optimizer
from crossreid.randomness import torch_generator
from crossreid.settings.method import RecognitionConfig

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
        return torch.cat([self.pids["visible"], self.pids["infrared"]])

    @property
    def infrared(self) -> Tensor:
        """Bool, as :attr:`labels`: the image is infrared."""
        of_visible = torch.zeros_like(self.pids["visible"], dtype=torch.bool)
        of_infrared = torch.ones_like(self.pids["infrared"], dtype=torch.bool)
        return torch.cat([of_visible, of_infrared])

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows in the order of :attr:`labels` -> those of the visible and those of the infrared images."""
        counts = [len(self.pids["visible"]), len(self.pids["infrared"])]
        visible, infrared = torch.split(rows, counts)
        return visible, infrared


class RecognitionModule(CrossModalityModule[RecognitionT]):
    """Base of the baselines: ``network`` is theirs. All parameters are one player's, where a baseline names no other.

    Attributes:
        erased: what random erasing fills with, as it is in normalised images.
        padding: of the border that crops reach into, in [0, 1].
    """

    OPTIMIZERS: ClassVar[tuple[str, ...]] = ("network",)
    erased: ClassVar[tuple[float, float, float]] = ERASED
    padding: ClassVar[float] = 0.0
    network: nn.Module

    # ------------------------------------------------------------------ what a baseline gives

    @abstractmethod
    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """Images of both modalities, or of one -> vectors, features and logits, rows in the order given."""

    @abstractmethod
    def encoder(self) -> nn.Module:
        """The part of the network that trains at ``encoder_lr``."""

    def add_losses(self, losses: Losses, views: Views) -> None:
        """Classification of all images, and what :meth:`ranking` adds."""
        output = self.describe(views.images)
        losses.add("id", identity_loss(output.logits, views.labels, self.config.label_smoothing))
        ranking = self.ranking(output, views)
        if ranking is not None:
            losses.add("ranking", ranking)

    def ranking(self, output: BlockOutput, views: Views) -> Tensor | None:
        """A loss on distances; none by default."""
        return None

    def recoloured(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Training images (N, 3, H, W) of either modality with other colours, before they are cropped; as they are."""
        return images

    # ------------------------------------------------------------------ training

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """One rate for the encoder and one for the rest."""
        encoder = list(self.encoder().parameters())
        of_encoder = set(encoder)
        # In the order of the module: an optimizer's state is kept by the place of a parameter.
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        rest = [parameter for parameter in trained if parameter not in of_encoder]
        return {"network": make_feature_optimizer(self.config.optimizer, encoder, rest)}

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Warm-up and cuts, by epochs."""
        schedules = {}
        for name, optimizer in optimizers.items():
            scheduler = epoch_schedule(self.config.schedule, optimizer, self.config.known_epoch(), self.config.epochs)
            schedules[name] = Schedule(scheduler, ("joint",))
        return schedules

    def training_step(self, batch: TrainingBatch) -> None:
        """One step on all losses together."""
        views = self.augmented(batch["identity"])
        with self.turn("network") as losses:
            self.add_losses(losses, views)

    def augmented(self, batch: PairedBatch) -> Views:
        """Random crops and erasing, and the exchanged view; the data module has mirrored the images."""
        cfg = self.config
        generator = torch_generator(self.seed, f"augment/{cfg.name}", self.iteration, self.global_rank)
        visible = batch.visible
        visible_pids = batch.pids
        independent_views = cfg.exchanged_view and cfg.exchange.independent
        if independent_views:  # doubled before the crops, so that each view has a crop of its own
            visible = torch.cat([visible, random_flip(visible, generator, cfg.flip)])
        visible = random_crop(self.recoloured(visible, generator), generator, cfg.crop_padding, self.padding)
        infrared = random_crop(self.recoloured(batch.infrared, generator), generator, cfg.crop_padding, self.padding)
        if cfg.exchanged_view:
            visible_pids = torch.cat([visible_pids, visible_pids])
            if not independent_views:  # doubled after it: both views show the same part of the image
                visible = torch.cat([visible, visible])
        if cfg.erasing.probability:
            fill = erasing_fill(self.erased)
            visible = random_erasing(visible, generator, cfg.erasing, fill)
            infrared = random_erasing(infrared, generator, cfg.erasing, fill)
        if cfg.exchanged_view:  # after erasing, so that the patch has one channel too
            original, duplicate = visible.chunk(2)
            visible = torch.cat([original, self._in_exchange_range(exchange_channels, duplicate, generator)])
            if cfg.exchange.infrared:
                infrared = self._in_exchange_range(exchange_or_grey, infrared, generator)
        return Views({"visible": visible, "infrared": infrared}, {"visible": visible_pids, "infrared": batch.pids})

    def _in_exchange_range(
        self, exchange: Callable[[Tensor, torch.Generator], Tensor], images: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Exchange channels of images in [0, 1], as pixels or as normalised values; the latter may leave the range a bit."""
        if self.config.exchange.values == "pixels":
            return exchange(images, generator)
        mean = images.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
        deviation = images.new_tensor(IMAGENET_STD).view(1, 3, 1, 1)
        normalised = (images - mean) / deviation
        return exchange(normalised, generator) * deviation + mean

    # ------------------------------------------------------------------ retrieval

    def features(self, images: Tensor, modality: Modality) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> what retrieval compares (N, D), of any length."""
        return self.describe({modality: images}).feature

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """The retrieval feature of the image, plus that of its mirror image with ``flip_test``; L2-normalised."""
        check_images(images, modality)

        def unit_features(images: Tensor) -> Tensor:
            return F.normalize(self.features(images, modality).float(), dim=1)

        if self.config.flip_test:
            features = mirrored_sum(unit_features, images)
        else:
            features = unit_features(images)
        return {"main": F.normalize(features, dim=1)}
