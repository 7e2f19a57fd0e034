"""AlignGAN: RGB-Infrared Cross-Modality Person Re-Identification via Joint Pixel and Feature Alignment.

Wang, Zhang, Cheng, Liu, Yang, Hou. ICCV 2019. Equations 1-10, Table 4's rows by switches, three phases as in the
official code: feature warm-up on infrared, pixel warm-up with plain discriminators, joint training with fresh ones.
What the paper leaves open and how it is read: this folder's README.

Example:
    ``python -m crossreid.train model=aligngan``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import hardest_triplet, identity_loss, least_squares, pixel_l1
from crossreid.methods.aligngan.config import AlignGANConfig
from crossreid.methods.aligngan.losses import acceptance, joint_rejection, rejection, shuffle_within_identity
from crossreid.methods.aligngan.networks import FeatureDiscriminator
from crossreid.methods.base import CrossModalityModule, Schedule, parameters_of
from crossreid.methods.embedding import check_images
from crossreid.methods.players import Losses
from crossreid.nn.feature_generator import FeatureGenerator, Features
from crossreid.nn.gan import PatchDiscriminator, ResNetGenerator
from crossreid.nn.joint_discriminator import ImageMapPair, JointDiscriminator
from crossreid.nn.mirror import mirrored_sum
from crossreid.nn.normalisation import add_infrared_averages, averages_of, frozen_running_statistics
from crossreid.nn.optimization import decay_schedule, make_adam


class PixelOutputs(NamedTuple):
    """What a pixel turn leaves for the discriminators' turns.

    Attributes:
        fake_visible: Gp'(real infrared), (B, 3, H, W) in [0, 1].
        real: real infrared images and their feature maps.
        fake: fake infrared images, Gp(real visible), and their feature maps.
    """

    fake_visible: Tensor
    real: ImageMapPair
    fake: ImageMapPair

    def detach(self) -> PixelOutputs:
        """Without gradients."""
        return PixelOutputs(self.fake_visible.detach(), self.real.detach(), self.fake.detach())


class AlignGAN(CrossModalityModule[AlignGANConfig]):
    """Pixel generators Gp and Gp', feature generator Gf, discriminators; four players."""

    CONFIG = AlignGANConfig
    OPTIMIZERS = ("pixel", "visible_discriminator", "joint_discriminator", "feature")

    def __init__(self, config: AlignGANConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        self.feature = FeatureGenerator(self.config.backbone, self.config.heads, num_identities)
        self.norms_by_modality = self.config.test_norm == "per_modality"
        if self.norms_by_modality:  # fake infrared is made of visible images, and goes by their averages
            add_infrared_averages(self.feature)
        if self.config.pixel_alignment:
            self._add_pixel_networks()
        self._add_feature_discriminators()

    def _add_pixel_networks(self) -> None:
        disc = self.config.discriminators
        self.to_infrared = self._make_generator(grey=self.config.generator.grey)  # Gp
        self.to_visible = self._make_generator(grey=False)  # Gp'
        # D_rgb and Dj exist from the start, so that players and their optimizers are the same in all phases.
        self.discriminator_visible = PatchDiscriminator(disc.channels, disc.patch_layers)  # D_rgb
        # Discriminators of the pixel warm-up, which judge images alone: the joint phase has others.
        self.warmup_visible = PatchDiscriminator(disc.channels, disc.patch_layers)
        self.warmup_infrared = PatchDiscriminator(disc.channels, disc.patch_layers)

    def _make_generator(self, *, grey: bool) -> ResNetGenerator:
        config = self.config.generator
        return ResNetGenerator(
            config.channels, config.blocks, config.running_stats, upsampling=config.upsampling, grey=grey
        )

    def _add_feature_discriminators(self) -> None:
        disc = self.config.discriminators
        channels = self.feature.encoder.channels
        if self.config.discriminator == "joint":
            self.discriminator_joint = JointDiscriminator(  # Dj
                channels, disc.channels, disc.image_layers, disc.joint_layers, disc.feature_channels
            )
            return
        # Dj without its image branch. Each layer of the branch halves the image and doubles the width: maps are resized to
        # what the branch would give, and the first layer is as wide.
        gan = self.config.streams["gan"]
        factor = 2**disc.image_layers
        size = (gan.height // factor, gan.width // factor)
        width = disc.channels * factor
        self.discriminator_feature = FeatureDiscriminator(
            channels, size, width, disc.joint_layers, disc.feature_channels
        )
        if self.config.discriminator == "separate":
            self.discriminator_infrared = PatchDiscriminator(disc.channels, disc.patch_layers)

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """The encoder's blocks, and both pixel generators."""
        generators: list[nn.Module] = []
        if self.config.pixel_alignment:
            generators += [self.to_infrared, self.to_visible]
        return super().recomputable() | {"generators": generators}

    # ------------------------------------------------------------------ players

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for generators and discriminators, SGD for the feature generator (sec. 4.2)."""
        optimizers: dict[str, Optimizer] = {}
        if self.config.pixel_alignment:
            optimizers["pixel"] = self._adam("to_infrared", "to_visible")
            # Discriminators of both phases share an Adam: those that a phase does not use get no gradient and no step.
            optimizers["visible_discriminator"] = self._adam("discriminator_visible", "warmup_visible")
        optimizers["joint_discriminator"] = self._adam(
            "discriminator_joint", "discriminator_infrared", "discriminator_feature", "warmup_infrared"
        )
        optimizers["feature"] = self.feature.make_optimizer(self.config.feature_optimizer)
        return optimizers

    def _adam(self, *names: str) -> Adam:
        """Adam of those of the named networks that this row has."""
        networks = []
        for name in names:
            if hasattr(self, name):
                networks.append(getattr(self, name))
        return make_adam(self.config.gan_optimizer, parameters_of(*networks))

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """All rates decay inside the joint phase (sec. 4.2)."""
        schedules = {}
        for name, optimizer in optimizers.items():
            schedules[name] = Schedule(decay_schedule(self.config.decay, optimizer), ("joint",))
        return schedules

    def begin_phase(self, phase: str) -> None:
        """The joint phase has discriminators of its own, fresh unless D_rgb is to be carried over."""
        # No earlier phase trains `discriminator_visible`: without a copy it is fresh.
        if phase == "joint" and self.config.pixel_alignment and not self.config.reinitialise_discriminators:
            self.discriminator_visible.load_state_dict(self.warmup_visible.state_dict())

    # ------------------------------------------------------------------ training

    def training_step(self, batch: TrainingBatch) -> None:
        """One iteration of the phase that is on (sec. 3.4: alternate Eq. 6, 4 and 7).

        The pixel turn's images and maps serve the discriminators' turns too: each is computed once.
        """
        if self.phase == "feature":
            self._feature_warmup(batch["identity"])
        elif self.phase == "pixel":
            outputs = self._pixel_turn(batch["gan"])
            self._warmup_discriminator_turns(batch["gan"], outputs)
        elif self.config.pixel_alignment:  # the joint phase, in the order of the authors' code
            self._feature_turn(batch["identity"])
            outputs = self._pixel_turn(batch["gan"])  # maps of the Gf that has just moved
            # Discriminators are last: they judge what the pixel turn made before Gp and Gp' moved.
            self._visible_discriminator_turn(batch["gan"], outputs)
            self._joint_discriminator_turn(outputs)
        else:  # FeatAlign
            self._feature_turn(batch["identity"])
            self._joint_discriminator_turn(self._untranslated_outputs(batch["gan"]))

    def _feature_warmup(self, batch: PairedBatch) -> None:
        """Classification and triplet on real infrared alone."""
        with self.turn("feature") as losses:
            real = self._real_features(batch.infrared)
            losses.add("id_real", identity_loss(real.logits, batch.pids))
            # Anchors and candidates are the same images here: there is no fake set before Gp is trained.
            triplet = hardest_triplet(real.embedding, real.embedding, batch.pids, batch.pids, self.config.margin)
            losses.add("triplet_real", triplet)

    def _feature_turn(self, batch: PairedBatch) -> None:
        """Eq. 6: classification and triplets of fake and real infrared, and fake maps that the discriminator accepts."""
        weights = self.config.feature
        with self.turn("feature") as losses:
            fake_images = self._fake_infrared(batch.visible)  # constants here: Gp has its own turn
            # Two forwards: batch norms normalise fake and real images apart.
            fake = self.feature(fake_images)
            real = self._real_features(batch.infrared)
            # Row b of both modalities is one person, so the labels serve fakes and real images alike.
            losses.add("id_fake", identity_loss(fake.logits, batch.pids), weights.id)  # Eq. 5
            losses.add("id_real", identity_loss(real.logits, batch.pids), weights.id)
            self._add_triplets(losses, fake, real, batch.pids, weights.triplet)  # Eq. 5
            if weights.gan:  # 0 in PixAlign
                gan = self._feature_gan(fake_images, batch.infrared, fake.map)
                losses.add("gan", gan, weights.gan)

    def _feature_gan(self, fake_images: Tensor, real_images: Tensor, fake_maps: Tensor) -> Tensor:
        """Eq. 10: Gf makes the discriminator accept the maps of fake images."""
        if self.config.discriminator != "joint":  # AlignGAN- and FeatAlign judge maps alone
            return least_squares(self.discriminator_feature(fake_maps), 1.0)
        # Named (image, feature map), as in Eq. 10. Images are constants here: Gf is reached through the maps.
        pairs = {
            "real_fake": ImageMapPair(real_images, fake_maps),
            "fake_fake": ImageMapPair(fake_images, fake_maps),
        }
        return acceptance(self.discriminator_joint, [pairs[name] for name in self.config.feature_gan_pairs])

    def _pixel_turn(self, batch: PairedBatch) -> PixelOutputs:
        """Eq. 4: Gp and Gp' fool the discriminators, invert each other, and keep the identity."""
        weights = self.config.pixel
        # Gf is not stepped here, and its batch-norm averages stay those of feature turns, unless they are wanted otherwise.
        frozen_norms = frozen_running_statistics(self.feature, not self.config.update_norms_in_pixel_step)
        with self.turn("pixel") as losses, frozen_norms:
            fake_infrared = self.to_infrared(batch.visible)
            fake_visible = self.to_visible(batch.infrared)
            with torch.no_grad():  # nothing here leads to a generator
                real = self._real_features(batch.infrared)
            fake = self.feature(fake_infrared)  # gradients pass through Gf, which stays as it is
            # Each map stands with the image that it was made of; mixed pairs of one person are put together by row.
            real_pair = ImageMapPair(batch.infrared, real.map)
            fake_pair = ImageMapPair(fake_infrared, fake.map)
            outputs = PixelOutputs(fake_visible, real_pair, fake_pair)
            self._add_pixel_gan(losses, outputs, weights.gan)
            cycle_visible = pixel_l1(self.to_visible(fake_infrared), batch.visible)
            cycle_infrared = pixel_l1(self.to_infrared(fake_visible), batch.infrared)
            losses.add("cycle", cycle_visible + cycle_infrared, weights.cycle)  # Eq. 1
            if weights.identity_mapping:  # CycleGAN's, which the paper does not print
                same_visible = pixel_l1(self.to_visible(batch.visible), batch.visible)
                same_infrared = pixel_l1(self.to_infrared(batch.infrared), batch.infrared)
                losses.add("identity_mapping", same_visible + same_infrared, weights.identity_mapping)
            losses.add("id_fake", identity_loss(fake.logits, batch.pids), weights.id)  # Eq. 2
            self._add_triplets(losses, fake, real, batch.pids, weights.triplet)  # Eq. 2, whose half is in the weight
        return outputs.detach()

    def _add_pixel_gan(self, losses: Losses, outputs: PixelOutputs, weight: float) -> None:
        """Eq. 9 for Gp, and CycleGAN's loss for Gp'; in the pixel warm-up CycleGAN's for both."""
        if self.phase == "pixel":
            logits_visible = self.warmup_visible(outputs.fake_visible)
            losses.add("gan_visible", least_squares(logits_visible, 1.0), weight)
            logits_infrared = self.warmup_infrared(outputs.fake.images)
            losses.add("gan_infrared", least_squares(logits_infrared, 1.0), weight)
            return
        # D_rgb looks at images alone in every row: Gf never sees fake visible images, so they have no maps.
        logits_visible = self.discriminator_visible(outputs.fake_visible)
        losses.add("gan_visible", least_squares(logits_visible, 1.0), weight)
        if self.config.discriminator == "separate":  # AlignGAN-: images and maps are judged apart
            logits_infrared = self.discriminator_infrared(outputs.fake.images)
            losses.add("gan_infrared", least_squares(logits_infrared, 1.0), weight)
            return
        # Named (image, feature map), as in Eq. 9. The map of the fake is not detached: Gp learns through Gf too.
        pairs = {
            "fake_real": ImageMapPair(outputs.fake.images, outputs.real.maps.detach()),
            "fake_fake": outputs.fake,
        }
        accepted = acceptance(self.discriminator_joint, [pairs[name] for name in self.config.pixel_gan_pairs])
        losses.add("gan_infrared", accepted, weight)

    def _add_triplets(self, losses: Losses, fake: Features, real: Features, pids: Tensor, weight: float) -> None:
        """Eq. 3 in both directions: anchors of one kind, positives and negatives of the other (fake or real infrared)."""
        margin = self.config.margin
        losses.add("triplet_fake", hardest_triplet(fake.embedding, real.embedding, pids, pids, margin), weight)
        losses.add("triplet_real", hardest_triplet(real.embedding, fake.embedding, pids, pids, margin), weight)

    def _warmup_discriminator_turns(self, batch: PairedBatch, outputs: PixelOutputs) -> None:
        """CycleGAN's discriminators, one a modality, each on images alone."""
        with self.turn("visible_discriminator") as losses:
            real = self.warmup_visible(batch.visible)
            fake = self.warmup_visible(outputs.fake_visible)
            losses.add("visible", rejection(real, fake))
        with self.turn("joint_discriminator") as losses:
            real = self.warmup_infrared(batch.infrared)
            fake = self.warmup_infrared(outputs.fake.images)
            losses.add("infrared", rejection(real, fake))

    def _visible_discriminator_turn(self, batch: PairedBatch, outputs: PixelOutputs) -> None:
        """D_rgb, on images alone."""
        with self.turn("visible_discriminator") as losses:
            real = self.discriminator_visible(batch.visible)
            fake = self.discriminator_visible(outputs.fake_visible)
            losses.add("visible", rejection(real, fake))

    def _joint_discriminator_turn(self, outputs: PixelOutputs) -> None:
        """Eq. 7 and 8; AlignGAN- and FeatAlign judge images and feature maps apart."""
        with self.turn("joint_discriminator") as losses:
            if self.config.discriminator == "joint":
                losses.add("joint", self._joint_rejection(outputs))
                return
            # Fig. 2a and 2b: maps by a discriminator of their own
            real_maps = self.discriminator_feature(outputs.real.maps)
            fake_maps = self.discriminator_feature(outputs.fake.maps)
            losses.add("feature", rejection(real_maps, fake_maps))
            if self.config.discriminator == "separate":
                real_images = self.discriminator_infrared(outputs.real.images)
                fake_images = self.discriminator_infrared(outputs.fake.images)
                losses.add("infrared", rejection(real_images, fake_images))

    def _joint_rejection(self, outputs: PixelOutputs) -> Tensor:
        """Eq. 8: what Dj takes for real is an image with its own map, or with that of another image of the person."""
        images_per_identity = self.config.streams["gan"].images
        real = outputs.real
        if self.config.real_pairs == "same_identity":
            # If real pairs were always of one photo, Dj could reject mixed pairs for showing two.
            real = ImageMapPair(real.images, shuffle_within_identity(real.maps, images_per_identity))
        return joint_rejection(self.discriminator_joint, real, outputs.fake, images_per_identity)

    # ------------------------------------------------------------------ images and embeddings

    def _real_features(self, infrared: Tensor) -> Features:
        """Of real infrared images, by batch-norm averages of their own where there are two sets."""
        with averages_of(self.feature, "infrared"):
            features: Features = self.feature(infrared)
        return features

    @torch.no_grad()
    def _fake_infrared(self, visible: Tensor) -> Tensor:
        """Fake infrared for the feature generator, or the visible images themselves without pixel alignment."""
        if not self.config.pixel_alignment:
            return visible
        fake: Tensor = self.to_infrared(visible)
        return fake

    @torch.no_grad()
    def _untranslated_outputs(self, batch: PairedBatch) -> PixelOutputs:
        """FeatAlign: what a pixel turn would leave, with visible images in the place of fake infrared."""
        with frozen_running_statistics(self.feature, not self.config.update_norms_in_pixel_step):
            infrared = self._real_features(batch.infrared)
            visible = self.feature(batch.visible)
        real_pair = ImageMapPair(batch.infrared, infrared.map)
        fake_pair = ImageMapPair(batch.visible, visible.map)
        return PixelOutputs(batch.visible, real_pair, fake_pair)

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """V (B, C): visible images are translated first (sec. 3.4); with ``flip_test`` V of the mirrored (fake) infrared
        image is added; L2-normalised."""
        check_images(images, modality)
        infrared = images
        if modality == "visible":
            infrared = self._fake_infrared(images)
        with averages_of(self.feature, modality):
            if self.config.flip_test:  # the fake is mirrored, not the visible image: one translation is enough
                vectors = mirrored_sum(self.feature.vectors, infrared)
            else:
                vectors = self.feature.vectors(infrared)
        return {"main": F.normalize(vectors.float(), dim=1)}

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Fig. 5: real visible, fake infrared, real infrared; without pixel alignment the real ones only."""
        if not self.config.pixel_alignment:
            return super().translate(visible, infrared)
        return {"real visible": visible, "fake infrared": self._fake_infrared(visible), "real infrared": infrared}
