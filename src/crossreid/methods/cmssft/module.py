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
    Decoder,
    Maps,
    Projections,
    TransferNetwork,
    TwoStreamExtractor,
)
from crossreid.methods.cmssft.scoring import FEATURES, Transfer
from crossreid.methods.players import Losses
from crossreid.nn.backbones import erasing_fill, pool
from crossreid.nn.feature_block import Described, FeatureBlock
from crossreid.nn.modality_discriminator import ModalityDiscriminator
from crossreid.randomness import torch_generator

__all__ = ["CMSSFT", "CMSSFTConfig"]


@dataclass
class Seen:
    """What the network makes of a batch.

    Attributes:
        images: modality -> normalised images (N, 3, h, w).
        maps: modality -> feature maps.
        shared: H of each modality.
        specific: P of each modality; empty without specific streams.
    """

    images: ByModality
    maps: dict[Modality, Maps]
    shared: dict[Modality, Described]
    specific: dict[Modality, Described]


class CMSSFT(CrossModalityModule[CMSSFTConfig]):
    """Extractor, SSTN and decoders against modality discriminator and projections; two players."""

    CONFIG = CMSSFTConfig
    OPTIMIZERS = ("network", "discriminators")
    pictures_name = "reconstruction"

    def __init__(self, config: CMSSFTConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.extractor = TwoStreamExtractor(config.backbone, specific=config.specific)
        channels = self.extractor.channels

        def block() -> FeatureBlock:
            return FeatureBlock(channels, num_identities, config.neck, config.feature_dim)

        self.shared_block = block()  # Feat^S
        dim = self.shared_block.dim
        if config.specific:
            self.specific_blocks = torch.nn.ModuleDict({modality: block() for modality in MODALITIES})  # Feat^R, Feat^I
        if config.transfer:
            self.transfer = TransferNetwork(
                dim,
                config.transfer_dim,
                num_identities,
                segments=config.transfer,
                k=config.k,
                neck=config.neck,
                neck_dim=config.feature_dim,
            )
        if config.reconstruction:
            decoder = config.decoder
            self.decoders = torch.nn.ModuleDict(
                {m: Decoder(2 * channels, decoder.width, reduced=decoder.reduced) for m in MODALITIES}
            )
        if config.modality:
            self.discriminator = ModalityDiscriminator(dim, config.discriminator_widths)
        if config.projection:
            self.projections = Projections(dim)
        self.feature_names = FEATURES if config.specific else FEATURES[:1]

    # ------------------------------------------------------------------ players

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for both (sec. 4.1); rows without adversaries have one player."""
        adversaries = self._present("discriminator", "projections")
        network = self._present("extractor", "shared_block", "specific_blocks", "transfer", "decoders")
        optimizers: dict[str, Optimizer] = {"network": self.config.optimizer.make(parameters_of(*network))}
        if adversaries:
            optimizers["discriminators"] = self.config.optimizer.make(parameters_of(*adversaries))
        return optimizers

    def _present(self, *names: str) -> list[torch.nn.Module]:
        return [getattr(self, name) for name in names if hasattr(self, name)]

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """All rates fall in steps (sec. 4.1)."""
        return {name: Schedule(self.config.decay.scheduler(opt), ("joint",)) for name, opt in optimizers.items()}

    # ------------------------------------------------------------------ training

    def training_step(self, batch: TrainingBatch) -> None:
        """Eq. 21: the network's turn, then the adversaries' on what the network has seen."""
        stream = self._augmented(batch["identity"])
        with self.turn("network") as losses:
            seen = self._see(stream)
            self._add_feature_losses(losses, seen, stream.pids)
            if self.config.reconstruction:
                rebuilt = {m: self._rebuild(seen.maps[m], m) for m in MODALITIES}
                losses.add("reconstruction", reconstruction_loss(rebuilt, seen.images), self.config.reconstruction)
            self._subtract_adversaries(losses, seen)
        if "discriminators" in self.player_order:
            self._discriminators_turn(seen)

    def _augmented(self, batch: PairedBatch) -> PairedBatch:
        """Random crop and random erasing; the data module has mirrored the images."""
        cfg, fill = self.config, erasing_fill()
        generator = torch_generator(self.seed, "augment/cmssft", self.iteration, self.global_rank)

        def augment(images: Tensor) -> Tensor:
            return random_erasing(random_crop(images, generator, cfg.crop_padding), generator, cfg.erasing, fill)

        return batch._replace(visible=augment(batch.visible), infrared=augment(batch.infrared))

    def _see(self, batch: PairedBatch) -> Seen:
        """Eq. 1."""
        images: ByModality = {
            "visible": self.extractor.normalise(batch.visible),
            "infrared": self.extractor.normalise(batch.infrared),
        }
        maps = self.extractor(images["visible"], images["infrared"])
        both = self.shared_block(torch.cat([pool(maps[m].shared.float()) for m in MODALITIES]))
        return Seen(images, maps, _by_modality(both), self._specific(maps))

    def _specific(self, maps: dict[Modality, Maps]) -> dict[Modality, Described]:
        """P of each modality; empty without specific streams."""
        found = {m: part.specific for m, part in maps.items() if part.specific is not None}
        return {m: self.specific_blocks[m](pool(feature_map.float())) for m, feature_map in found.items()}

    def _add_feature_losses(self, losses: Losses, seen: Seen, pids: Tensor) -> None:
        """Eq. 18 and 19."""
        _add_classification(losses, "shared", seen.shared, pids)  # L(H)
        losses.add("shared_triplet", across_modalities(_vectors(seen.shared), pids, self.config.margin_across), 0.5)
        if not seen.specific:
            return
        _add_classification(losses, "specific", seen.specific, pids)  # L(P)
        losses.add("specific_triplet", within_modality(_vectors(seen.specific), pids, self.config.margin_within), 0.5)
        if self.config.transfer:
            features = {m: (seen.shared[m].feature, seen.specific[m].feature) for m in MODALITIES}
            transferred = _by_modality(self.transfer(features))
            _add_classification(losses, "transferred", transferred, pids)  # L(T)
            vectors = _vectors(transferred)
            across = across_modalities(vectors, pids, self.config.margin_across)
            within = within_modality(vectors, pids, self.config.margin_within)
            losses.add("transferred_triplet", across + within, 0.25)  # Eq. 13

    def _subtract_adversaries(self, losses: Losses, seen: Seen) -> None:
        """Eq. 20: the network maximises what the adversaries minimise, within bounds."""
        cfg = self.config
        if cfg.modality:
            logits = [self.discriminator(seen.shared[m].feature) for m in MODALITIES]
            if cfg.modality_generator == "minimax":
                losses.add("modality", modality_loss(*logits), -cfg.modality)
            else:
                losses.add("modality", modality_doubt(*logits), cfg.modality)
        if cfg.projection:
            bounds = cfg.projection_bounds
            shared = {m: seen.shared[m].feature for m in MODALITIES}
            if bounds.detach_shared:
                shared = {m: feature.detach() for m, feature in shared.items()}
            specific = {m: seen.specific[m].feature for m in MODALITIES}
            losses.add("projection", self._projection(specific, shared, clip=bounds.clip), -cfg.projection)

    def _discriminators_turn(self, seen: Seen) -> None:
        """Eq. 21, second line: D and Theta minimise their losses on detached features."""
        cfg = self.config
        shared = {m: seen.shared[m].feature.detach() for m in MODALITIES}
        with self.turn("discriminators") as losses:
            if cfg.modality:
                losses.add(
                    "modality", modality_loss(*(self.discriminator(shared[m]) for m in MODALITIES)), cfg.modality
                )
            if cfg.projection:
                specific = {m: seen.specific[m].feature.detach() for m in MODALITIES}
                losses.add("projection", self._projection(specific, shared), cfg.projection)

    def _projection(self, specific: ByModality, shared: ByModality, *, clip: float = 0.0) -> Tensor:
        """Eq. 15 on unit vectors, or on features as they are."""
        with torch.autocast(self.device.type, enabled=False):
            if self.config.projection_bounds.normalise:
                specific, shared = (
                    {m: F.normalize(part[m].float(), dim=1) for m in MODALITIES} for part in (specific, shared)
                )
            guesses = {m: self.projections(specific[m].float(), m) for m in MODALITIES}
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
        features = [self.shared_block.features(pool(maps.shared)).float()]
        if maps.specific is None:
            return {"main": F.normalize(features[0], dim=1)}
        block = self.specific_blocks[modality]
        assert isinstance(block, FeatureBlock)
        features.append(block.features(pool(maps.specific)).float())
        unit = [F.normalize(feature, dim=1) for feature in features]
        lengths = torch.stack([feature.norm(dim=1) for feature in features], dim=1)
        return dict(zip(FEATURES, [*unit, lengths], strict=True))

    def scorer(self) -> Scorer:
        """Cosine of H, without transfer (Table 3, rows 1 to 5)."""
        return Cosine(name="shared, untransferred")

    def scorers(self) -> dict[str, Scorer]:
        """Untransferred first; with SSTN also transferred, query by query (Eq. 22) and with all queries."""
        found = super().scorers()
        if self.config.transfer:
            device = self.trainer.strategy.root_device
            found["single_query"] = self.transfer_scorer(1, device)
            found["all_queries"] = self.transfer_scorer(None, device)
        return found

    def scoring_parameters(self) -> list[nn.Parameter]:
        """W and the neck of the transferred features."""
        return parameters_of(self.transfer.weights, self.transfer.block.neck) if self.config.transfer else []

    def transfer_scorer(self, group: int | None, device: torch.device) -> Transfer:
        """Transferred features in groups of ``group`` queries, None for all at once."""
        return Transfer(self.transfer, group=group, device=device, most_pairs=self.config.single_query_pairs)

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Fig. 3, for both modalities: images, and what the decoders make of shared maps, specific maps and both."""
        rows: dict[str, Tensor] = {}
        for modality, images in zip(MODALITIES, (visible, infrared), strict=True):
            rows[f"real {modality}"] = images
            if self.config.reconstruction:
                maps = self.extractor.maps(self.extractor.normalise(images), modality)
                assert maps.specific is not None
                nothing = torch.zeros_like(maps.shared)
                kept = {
                    "shared only": Maps(maps.shared, nothing),
                    "specific only": Maps(nothing, maps.specific),
                    "both": maps,
                }
                for name, part in kept.items():
                    rebuilt = self.extractor.to_images(self._rebuild(part, modality))
                    rows[f"{modality} {name}"] = F.interpolate(rebuilt, size=images.shape[-2:], mode="bilinear")
        return rows


def _by_modality(both: Described) -> dict[Modality, Described]:
    """Halves of a batch of visible, then as many infrared images."""
    halves = zip(*(part.chunk(2) for part in both), strict=True)
    return {modality: Described(*half) for modality, half in zip(MODALITIES, halves, strict=True)}


def _vectors(features: dict[Modality, Described]) -> ByModality:
    return {modality: part.vector for modality, part in features.items()}


def _add_classification(losses: Losses, name: str, features: dict[Modality, Described], pids: Tensor) -> None:
    """Eq. 2 and 12: the mean over both modalities, whose batches are of one size."""
    for modality in MODALITIES:
        losses.add(f"{name}_id_{modality}", identity_loss(features[modality].logits, pids), 0.5)
