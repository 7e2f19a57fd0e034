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
from crossreid.methods.cmssft.scoring import FEATURES, SHARED, Transfer
from crossreid.methods.embedding import check_images
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

    H and P are each a :class:`BlockOutput`: its ``vector``, before the batch norm, is what triplets compare; its
    ``feature``, behind it, is what all others take: SSTN, adversaries, and the test.

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
        self.shared_block = FeatureBlock(channels, num_identities, cfg.neck, cfg.feature_dim)  # Feat^S
        dim = self.shared_block.dim
        # The parts below are those that the rows of Table 3 switch: what a row leaves out does not exist.
        if cfg.specific:
            self.specific_blocks = nn.ModuleDict()  # Feat^R, Feat^I
            for modality in MODALITIES:
                self.specific_blocks[modality] = FeatureBlock(channels, num_identities, cfg.neck, cfg.feature_dim)
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
            self.decoders = nn.ModuleDict()  # De^R, De^I
            for modality in MODALITIES:
                self.decoders[modality] = CMSSFTDecoder(2 * channels, cfg.decoder.width, reduced=cfg.decoder.reduced)
        if cfg.modality:
            self.discriminator = ModalityDiscriminator(dim, cfg.discriminator_widths)  # Theta_D
        if cfg.projection:
            self.projections = Projections(dim)  # Theta^R, Theta^I
        self.feature_names = FEATURES if cfg.specific else (SHARED,)

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """The extractor's blocks, and the decoders."""
        generators: list[nn.Module] = []
        if hasattr(self, "decoders"):
            generators += self.decoders.values()
        return super().recomputable() | {"generators": generators}

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
        networks = []
        for name in names:
            if hasattr(self, name):
                networks.append(getattr(self, name))
        return networks

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
        images = self._augment(batch["identity"])
        # The network first. The adversaries answer to the features that it had before its step: no second forward.
        with self.turn("network") as losses:
            features = self._features(images)
            self._add_feature_losses(losses, features, images.pids)
            if self.config.reconstruction:
                self._add_reconstruction(losses, features)
            self._subtract_adversaries(losses, features)
        if "discriminators" in self.player_order:
            self._discriminators_turn(features)

    def _augment(self, batch: PairedBatch) -> PairedBatch:
        """Random crop and random erasing; the data module has mirrored the images."""
        cfg = self.config
        fill = erasing_fill()
        generator = torch_generator(self.seed, "augment/cmssft", self.iteration, self.global_rank)

        def augment(images: Tensor) -> Tensor:
            cropped = random_crop(images, generator, cfg.crop_padding)
            return random_erasing(cropped, generator, cfg.erasing, fill)

        return batch._replace(visible=augment(batch.visible), infrared=augment(batch.infrared))

    def _features(self, batch: PairedBatch) -> CMSSFTFeatures:
        """Eq. 1: H by one block for both modalities, P by a block of each."""
        # Kept as the network sees them, erased areas included: decoders are to rebuild that (Eq. 17).
        images: ByModality = {
            "visible": self.extractor.normalise(batch.visible),
            "infrared": self.extractor.normalise(batch.infrared),
        }
        maps = self.extractor(images["visible"], images["infrared"])
        # Pooling and feature blocks in float32, whatever the training precision.
        visible_vectors = pool(maps["visible"].shared.float())  # (N, C)
        infrared_vectors = pool(maps["infrared"].shared.float())
        # One call: the block's batch norm sees both modalities as one batch.
        shared = self.shared_block(torch.cat([visible_vectors, infrared_vectors]))
        return CMSSFTFeatures(images, maps, _by_modality(shared), self._specific(maps))

    def _specific(self, maps: dict[Modality, Maps]) -> dict[Modality, BlockOutput]:
        """P of each modality; empty without specific streams."""
        specific: dict[Modality, BlockOutput] = {}
        for modality in MODALITIES:
            specific_map = maps[modality].specific
            if specific_map is not None:
                vectors = pool(specific_map.float())  # (N, C, h, w) -> (N, C)
                specific[modality] = self.specific_blocks[modality](vectors)
        return specific

    def _add_feature_losses(self, losses: Losses, features: CMSSFTFeatures, pids: Tensor) -> None:
        """Eq. 18 and 19: L(H) + L(P) + L(T), each with the weights of Eq. 18.

        Half of a triplet loss of two terms and a quarter of one of four: each is a mean, as heavy as the classification.
        """
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
            transferred = self._transferred_features(features)
            _add_classification(losses, "transferred", transferred, pids)  # L(T)
            vectors = _vectors(transferred)
            across = across_modalities(vectors, pids, cfg.margin_across)
            within = within_modality(vectors, pids, cfg.margin_within)
            losses.add("transferred_triplet", across + within, 0.25)  # Eq. 13

    def _transferred_features(self, features: CMSSFTFeatures) -> dict[Modality, BlockOutput]:
        """T of each modality (Eq. 5 to 11), on the graph of the batch."""
        shared = features.shared
        specific = features.specific
        # Behind the batch norm, and not detached: SSTN trains the extractor through affinities and features.
        visible = (shared["visible"].feature, specific["visible"].feature)
        infrared = (shared["infrared"].feature, specific["infrared"].feature)
        return _by_modality(self.transfer({"visible": visible, "infrared": infrared}))

    def _add_reconstruction(self, losses: Losses, features: CMSSFTFeatures) -> None:
        """Eq. 16 and 17."""
        reconstructions: ByModality = {
            "visible": self._reconstruct(features.maps["visible"], "visible"),
            "infrared": self._reconstruct(features.maps["infrared"], "infrared"),
        }
        error = reconstruction_loss(reconstructions, features.images)
        losses.add("reconstruction", error, self.config.reconstruction)  # lambda_1

    def _subtract_adversaries(self, losses: Losses, features: CMSSFTFeatures) -> None:
        """Eq. 20, - lambda_2 L_ma - lambda_3 L_pa: the network maximises what the adversaries minimise.

        Within bounds: as printed, growing features raise L_pa without end.
        """
        cfg = self.config
        shared = _features_of(features.shared)
        # In the network's turn the adversaries' parameters ask for no gradient: they are fixed, as Eq. 21 says.
        if cfg.modality:
            visible_logits = self.discriminator(shared["visible"])
            infrared_logits = self.discriminator(shared["infrared"])
            if cfg.modality_generator == "minimax":  # as printed; the other choice has a lower bound
                losses.add("modality", modality_loss(visible_logits, infrared_logits), -cfg.modality)
            else:
                losses.add("modality", modality_doubt(visible_logits, infrared_logits), cfg.modality)
        if cfg.projection:
            bounds = cfg.projection_bounds
            # The error must grow by P turning away from H, and not by H becoming another feature.
            targets = _detach(shared) if bounds.detach_shared else shared
            # Clipped here alone: an image that is wrong enough is not pushed on, while Theta learns from all.
            error = self._projection_error(_features_of(features.specific), targets, clip=bounds.clip)
            losses.add("projection", error, -cfg.projection)

    def _discriminators_turn(self, features: CMSSFTFeatures) -> None:
        """Eq. 21, second line: D and Theta minimise their losses on detached features."""
        cfg = self.config
        # Detached: the network gets no gradient here, and its graph is gone after its own turn.
        shared = _detach(_features_of(features.shared))
        with self.turn("discriminators") as losses:
            if cfg.modality:
                visible_logits = self.discriminator(shared["visible"])
                infrared_logits = self.discriminator(shared["infrared"])
                losses.add("modality", modality_loss(visible_logits, infrared_logits), cfg.modality)  # Eq. 14
            if cfg.projection:
                specific = _detach(_features_of(features.specific))
                losses.add("projection", self._projection_error(specific, shared), cfg.projection)  # Eq. 15

    def _projection_error(self, specific: ByModality, shared: ByModality, *, clip: float = 0.0) -> Tensor:
        """Eq. 15 on unit vectors, or on features as they are."""
        with torch.autocast(specific["visible"].device.type, enabled=False):
            if self.config.projection_bounds.normalise:
                specific = _normalise(specific)
                shared = _normalise(shared)
            guesses: ByModality = {
                "visible": self.projections(specific["visible"].float(), "visible"),
                "infrared": self.projections(specific["infrared"].float(), "infrared"),
            }
            return projection_loss(guesses, shared, clip=clip)

    def _reconstruct(self, maps: Maps, modality: Modality) -> Tensor:
        """Eq. 16: maps (N, C, h, w) -> normalised images (N, 3, 16 h, 16 w)."""
        assert maps.specific is not None
        images: Tensor = self.decoders[modality](maps.shared, maps.specific)
        return images

    # ------------------------------------------------------------------ images and embeddings

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """``main``: H (B, D); with specific streams also ``specific``: P (B, D), and ``lengths``: (B, 2) of H and P.

        H and P are L2-normalised; their lengths are kept because SSTN propagates features at full length.
        """
        check_images(images, modality)
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
                for name, reconstructions in self._reconstructions(images, modality).items():
                    pictures[f"{modality} {name}"] = reconstructions
        return pictures

    def _reconstructions(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Images of one modality from parts of their maps, (N, 3, h, w) of the images' size and about [0, 1]."""
        maps = self.extractor.maps(self.extractor.normalise(images), modality)
        assert maps.specific is not None
        # A decoder takes both maps side by side: the one left out is filled with zeros.
        zeros = torch.zeros_like(maps.shared)
        sources = {
            "shared only": Maps(maps.shared, zeros),
            "specific only": Maps(zeros, maps.specific),
            "both": maps,
        }
        pictures: dict[str, Tensor] = {}
        for name, source in sources.items():
            reconstructions = self.extractor.to_images(self._reconstruct(source, modality))
            pictures[name] = F.interpolate(reconstructions, size=images.shape[-2:], mode="bilinear")
        return pictures


def _by_modality(output: BlockOutput) -> dict[Modality, BlockOutput]:
    """Halves of (2 N, ...): N visible, then N infrared images."""
    visible_vector, infrared_vector = output.vector.chunk(2)
    visible_feature, infrared_feature = output.feature.chunk(2)
    visible_logits, infrared_logits = output.logits.chunk(2)
    return {
        "visible": BlockOutput(visible_vector, visible_feature, visible_logits),
        "infrared": BlockOutput(infrared_vector, infrared_feature, infrared_logits),
    }


def _vectors(outputs: dict[Modality, BlockOutput]) -> ByModality:
    """What triplets compare: before the batch norm."""
    return {"visible": outputs["visible"].vector, "infrared": outputs["infrared"].vector}


def _features_of(outputs: dict[Modality, BlockOutput]) -> ByModality:
    """What everything else sees: after the batch norm."""
    return {"visible": outputs["visible"].feature, "infrared": outputs["infrared"].feature}


def _detach(features: ByModality) -> ByModality:
    return {"visible": features["visible"].detach(), "infrared": features["infrared"].detach()}


def _normalise(features: ByModality) -> ByModality:
    """Unit vectors, in float32."""
    visible = F.normalize(features["visible"].float(), dim=1)
    infrared = F.normalize(features["infrared"].float(), dim=1)
    return {"visible": visible, "infrared": infrared}


def _add_classification(losses: Losses, name: str, outputs: dict[Modality, BlockOutput], pids: Tensor) -> None:
    """Eq. 2 and 12: the mean over both modalities, whose batches are of one size."""
    for modality in MODALITIES:
        losses.add(f"{name}_id_{modality}", identity_loss(outputs[modality].logits, pids), 0.5)
