"""cm-SSFT: Cross-modality Person re-identification with Shared-Specific Feature Transfer.

Lu, Wu, Liu, Zhang, Li, Chu, Yu. CVPR 2020. Equations 1-22, the rows of Table 3 and 4 by switches, all queries and single
queries at test (Table 5). The network minimises Eq. 20 with the adversaries fixed, then the adversaries minimise their own
losses on its detached features. What the paper leaves open and how it is read: this folder's README.

Example:
    ``python -m crossreid.train model=cmssft``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import MODALITIES, Modality
from crossreid.data.transforms import random_crop, random_erasing
from crossreid.evaluation.scorers import Cosine, Scorer
from crossreid.losses import identity_loss, modality_doubt, modality_loss
from crossreid.methods.base import CrossModalityModule, Schedule, parameters_of
from crossreid.methods.cmssft.config import CMSSFTConfig
from crossreid.methods.cmssft.losses import (
    ByModality,
    across_modalities,
    projection_loss,
    reconstruction_loss,
    within_modality,
)
from crossreid.methods.cmssft.networks import (
    CMSSFTDecoder,
    Maps,
    Projections,
    TransferNetwork,
    TwoStreamExtractor,
)
from crossreid.methods.cmssft.scoring import FEATURES, Transfer
from crossreid.methods.players import Losses
from crossreid.methods.reporting import HasFurtherScorers
from crossreid.nn.backbones import erasing_fill, pool
from crossreid.nn.feature_block import BlockOutput, FeatureBlock
from crossreid.nn.modality_discriminator import ModalityDiscriminator
from crossreid.nn.optimization import make_adam, step_schedule
from crossreid.randomness import torch_generator


@dataclass
class CMSSFTFeatures:
    """What the network makes of a batch.

    Attributes:
        images: modality -> normalised images (N, 3, h, w).
        maps: modality -> feature maps.
        shared: H of each modality.
        specific: P of each modality; empty without specific streams.
    """

    images: ByModality
    maps: dict[Modality, Maps]
    shared: dict[Modality, BlockOutput]
    specific: dict[Modality, BlockOutput]


class CMSSFT(CrossModalityModule[CMSSFTConfig], HasFurtherScorers):
    """Extractor, SSTN and decoders against modality discriminator and projections; two players."""

    CONFIG = CMSSFTConfig
    OPTIMIZERS = ("network", "discriminators")
    pictures_name = "reconstruction"

    def __init__(self, config: CMSSFTConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        self.extractor = TwoStreamExtractor(cfg.backbone, specific=cfg.specific)
        channels = self.extractor.channels

        def block() -> FeatureBlock:
            return FeatureBlock(channels, num_identities, cfg.neck, cfg.feature_dim)

        self.shared_block = block()  # Feat^S
        dim = self.shared_block.dim
        if cfg.specific:
            self.specific_blocks = nn.ModuleDict({modality: block() for modality in MODALITIES})  # Feat^R, Feat^I
        if cfg.transfer:
            self.transfer = TransferNetwork(
                dim,
                cfg.transfer_dim,
                num_identities,
                segments=cfg.transfer,
                k=cfg.k,
                neck=cfg.neck,
                neck_dim=cfg.feature_dim,
            )
        if cfg.reconstruction:
            self.decoders = nn.ModuleDict()
            for modality in MODALITIES:
                self.decoders[modality] = CMSSFTDecoder(2 * channels, cfg.decoder.width, reduced=cfg.decoder.reduced)
        if cfg.modality:
            self.discriminator = ModalityDiscriminator(dim, cfg.discriminator_widths)
        if cfg.projection:
            self.projections = Projections(dim)
        self.feature_names = FEATURES if cfg.specific else FEATURES[:1]

    # ------------------------------------------------------------------ players

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for both (sec. 4.1); rows without adversaries have one player."""
        network = self._present("extractor", "shared_block", "specific_blocks", "transfer", "decoders")
        adversaries = self._present("discriminator", "projections")
        optimizers: dict[str, Optimizer] = {"network": make_adam(self.config.optimizer, parameters_of(*network))}
        if adversaries:
            optimizers["discriminators"] = make_adam(self.config.optimizer, parameters_of(*adversaries))
        return optimizers

    def _present(self, *names: str) -> list[nn.Module]:
        """The networks of these names that this row has."""
        return [getattr(self, name) for name in names if hasattr(self, name)]

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """All rates fall in steps (sec. 4.1)."""
        schedules = {}
        for name, optimizer in optimizers.items():
            scheduler = step_schedule(self.config.decay, optimizer, self.config.known_epoch())
            schedules[name] = Schedule(scheduler, ("joint",))
        return schedules

    # ------------------------------------------------------------------ training

    def training_step(self, batch: TrainingBatch) -> None:
        """Eq. 21: the network's turn, then the adversaries' on the network's features."""
        stream = self._augmented(batch["identity"])
        with self.turn("network") as losses:
            features = self._features(stream)
            self._add_feature_losses(losses, features, stream.pids)
            if self.config.reconstruction:
                rebuilt = {modality: self._rebuild(features.maps[modality], modality) for modality in MODALITIES}
                losses.add("reconstruction", reconstruction_loss(rebuilt, features.images), self.config.reconstruction)
            self._subtract_adversaries(losses, features)
        if "discriminators" in self.player_order:
            self._discriminators_turn(features)

    def _augmented(self, batch: PairedBatch) -> PairedBatch:
        """Random crop and random erasing; the data module has mirrored the images."""
        cfg = self.config
        fill = erasing_fill()
        generator = torch_generator(self.seed, "augment/cmssft", self.iteration, self.global_rank)

        def augment(images: Tensor) -> Tensor:
            cropped = random_crop(images, generator, cfg.crop_padding)
            return random_erasing(cropped, generator, cfg.erasing, fill)

        return batch._replace(visible=augment(batch.visible), infrared=augment(batch.infrared))

    def _features(self, batch: PairedBatch) -> CMSSFTFeatures:
        """Eq. 1."""
        images: ByModality = {
            "visible": self.extractor.normalise(batch.visible),
            "infrared": self.extractor.normalise(batch.infrared),
        }
        maps = self.extractor(images["visible"], images["infrared"])
        vectors = torch.cat([pool(maps[modality].shared.float()) for modality in MODALITIES])
        shared = _by_modality(self.shared_block(vectors))
        return CMSSFTFeatures(images, maps, shared, self._specific(maps))

    def _specific(self, maps: dict[Modality, Maps]) -> dict[Modality, BlockOutput]:
        """P of each modality; empty without specific streams."""
        specific: dict[Modality, BlockOutput] = {}
        for modality, part in maps.items():
            if part.specific is not None:
                specific[modality] = self.specific_blocks[modality](pool(part.specific.float()))
        return specific

    def _add_feature_losses(self, losses: Losses, features: CMSSFTFeatures, pids: Tensor) -> None:
        """Eq. 18 and 19."""
        cfg = self.config
        _add_classification(losses, "shared", features.shared, pids)  # L(H)
        shared_triplet = across_modalities(_vectors(features.shared), pids, cfg.margin_across)
        losses.add("shared_triplet", shared_triplet, 0.5)
        if not features.specific:
            return
        _add_classification(losses, "specific", features.specific, pids)  # L(P)
        specific_triplet = within_modality(_vectors(features.specific), pids, cfg.margin_within)
        losses.add("specific_triplet", specific_triplet, 0.5)
        if cfg.transfer:
            pairs = {
                modality: (features.shared[modality].feature, features.specific[modality].feature)
                for modality in MODALITIES
            }
            transferred = _by_modality(self.transfer(pairs))
            _add_classification(losses, "transferred", transferred, pids)  # L(T)
            vectors = _vectors(transferred)
            across = across_modalities(vectors, pids, cfg.margin_across)
            within = within_modality(vectors, pids, cfg.margin_within)
            losses.add("transferred_triplet", across + within, 0.25)  # Eq. 13

    def _subtract_adversaries(self, losses: Losses, features: CMSSFTFeatures) -> None:
        """Eq. 20: the network maximises what the adversaries minimise, within bounds."""
        cfg = self.config
        shared = _features_of(features.shared)
        if cfg.modality:
            logits = [self.discriminator(shared[modality]) for modality in MODALITIES]
            if cfg.modality_generator == "minimax":
                losses.add("modality", modality_loss(*logits), -cfg.modality)
            else:
                losses.add("modality", modality_doubt(*logits), cfg.modality)
        if cfg.projection:
            bounds = cfg.projection_bounds
            targets = _detached(shared) if bounds.detach_shared else shared
            error = self._projection(_features_of(features.specific), targets, clip=bounds.clip)
            losses.add("projection", error, -cfg.projection)

    def _discriminators_turn(self, features: CMSSFTFeatures) -> None:
        """Eq. 21, second line: D and Theta minimise their losses on detached features."""
        cfg = self.config
        shared = _detached(_features_of(features.shared))
        with self.turn("discriminators") as losses:
            if cfg.modality:
                logits = [self.discriminator(shared[modality]) for modality in MODALITIES]
                losses.add("modality", modality_loss(*logits), cfg.modality)
            if cfg.projection:
                specific = _detached(_features_of(features.specific))
                losses.add("projection", self._projection(specific, shared), cfg.projection)

    def _projection(self, specific: ByModality, shared: ByModality, *, clip: float = 0.0) -> Tensor:
        """Eq. 15 on unit vectors, or on features as they are."""
        with torch.autocast(self.device.type, enabled=False):
            if self.config.projection_bounds.normalise:
                specific = _units(specific)
                shared = _units(shared)
            guesses = {modality: self.projections(specific[modality].float(), modality) for modality in MODALITIES}
            return projection_loss(guesses, shared, clip=clip)

    def _rebuild(self, maps: Maps, modality: Modality) -> Tensor:
        """Eq. 16: normalised images (N, 3, h, w)."""
        assert maps.specific is not None
        rebuilt: Tensor = self.decoders[modality](maps.shared, maps.specific)
        return rebuilt

    # ------------------------------------------------------------------ images and embeddings

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """``main``: H (B, D); with specific streams also ``specific``: P (B, D), and ``lengths``: (B, 2) of H and P.

        H and P are L2-normalised; their lengths are kept because SSTN propagates features at full length.
        """
        maps = self.extractor.maps(self.extractor.normalise(images), modality)
        shared = self.shared_block.features(pool(maps.shared)).float()
        if maps.specific is None:
            return {"main": F.normalize(shared, dim=1)}
        block = self.specific_blocks[modality]
        assert isinstance(block, FeatureBlock)
        specific = block.features(pool(maps.specific)).float()
        return {
            "main": F.normalize(shared, dim=1),
            "specific": F.normalize(specific, dim=1),
            "lengths": torch.stack([shared.norm(dim=1), specific.norm(dim=1)], dim=1),
        }

    def scorer(self) -> Scorer:
        """Cosine of H, without transfer (Table 3, rows 1 to 5)."""
        return Cosine(name="shared, untransferred")

    def further_scorers(self, device: torch.device) -> dict[str, Scorer]:
        """With SSTN transferred features, query by query (Eq. 22) and with all queries; none without."""
        if not self.config.transfer:
            return {}
        return {
            "single_query": self.transfer_scorer(1, device),
            "all_queries": self.transfer_scorer(None, device),
        }

    def scoring_parameters(self) -> list[nn.Parameter]:
        """W and the neck of the transferred features."""
        if not self.config.transfer:
            return []
        return parameters_of(self.transfer.weights, self.transfer.block.neck)

    def transfer_scorer(self, group: int | None, device: torch.device) -> Transfer:
        """Transferred features in groups of ``group`` queries, None for all at once."""
        return Transfer(self.transfer, group=group, device=device, most_pairs=self.config.single_query_pairs)

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Fig. 3, for both modalities: images, and what the decoders make of shared maps, specific maps and both."""
        pictures: dict[str, Tensor] = {}
        by_modality: ByModality = {"visible": visible, "infrared": infrared}
        for modality, images in by_modality.items():
            pictures[f"real {modality}"] = images
            if self.config.reconstruction:
                for name, rebuilt in self._reconstructions(images, modality).items():
                    pictures[f"{modality} {name}"] = rebuilt
        return pictures

    def _reconstructions(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Images of one modality rebuilt from parts of their maps, of the images' size and about [0, 1]."""
        maps = self.extractor.maps(self.extractor.normalise(images), modality)
        assert maps.specific is not None
        nothing = torch.zeros_like(maps.shared)
        sources = {
            "shared only": Maps(maps.shared, nothing),
            "specific only": Maps(nothing, maps.specific),
            "both": maps,
        }
        pictures: dict[str, Tensor] = {}
        for name, source in sources.items():
            rebuilt = self.extractor.to_images(self._rebuild(source, modality))
            pictures[name] = F.interpolate(rebuilt, size=images.shape[-2:], mode="bilinear")
        return pictures


def _by_modality(both: BlockOutput) -> dict[Modality, BlockOutput]:
    """Halves of a batch of visible, then as many infrared images."""
    visible_vector, infrared_vector = both.vector.chunk(2)
    visible_feature, infrared_feature = both.feature.chunk(2)
    visible_logits, infrared_logits = both.logits.chunk(2)
    return {
        "visible": BlockOutput(visible_vector, visible_feature, visible_logits),
        "infrared": BlockOutput(infrared_vector, infrared_feature, infrared_logits),
    }


def _vectors(outputs: dict[Modality, BlockOutput]) -> ByModality:
    return {modality: part.vector for modality, part in outputs.items()}


def _features_of(outputs: dict[Modality, BlockOutput]) -> ByModality:
    return {modality: part.feature for modality, part in outputs.items()}


def _detached(features: ByModality) -> ByModality:
    return {modality: feature.detach() for modality, feature in features.items()}


def _units(features: ByModality) -> ByModality:
    """L2-normalised in float32."""
    return {modality: F.normalize(feature.float(), dim=1) for modality, feature in features.items()}


def _add_classification(losses: Losses, name: str, outputs: dict[Modality, BlockOutput], pids: Tensor) -> None:
    """Eq. 2 and 12: the mean over both modalities, whose batches are of one size."""
    for modality in MODALITIES:
        losses.add(f"{name}_id_{modality}", identity_loss(outputs[modality].logits, pids), 0.5)
