"""AlignGAN: RGB-Infrared Cross-Modality Person Re-Identification via Joint Pixel and Feature Alignment.

Wang, Zhang, Cheng, Liu, Yang, Hou. ICCV 2019. Equations 1-10, Table 4's rows by switches, three phases as in the
official code: feature warm-up on infrared, pixel warm-up with plain discriminators, joint training with fresh ones.
What the paper leaves open and how it is read: this folder's README.

Example:
    ``python -m crossreid.train model=aligngan``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam, Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import hardest_triplet, identity_loss, least_squares, pixel_l1
from crossreid.methods.aligngan.config import AlignGANConfig
from crossreid.methods.aligngan.losses import acceptance, joint_rejection, rejection, shuffle_within_identity
from crossreid.methods.aligngan.networks import FeatureDiscriminator
from crossreid.methods.base import CrossModalityModule, Schedule, parameters_of
from crossreid.methods.players import Losses
from crossreid.nn.feature_generator import FeatureGenerator, Features
from crossreid.nn.gan import PatchDiscriminator, ResNetGenerator
from crossreid.nn.joint_discriminator import JointDiscriminator, Pair
from crossreid.nn.normalisation import frozen_running_statistics

__all__ = ["AlignGAN", "AlignGANConfig"]


class PixelOutputs(NamedTuple):
    """What a pixel turn leaves for the discriminators' turns, without gradients."""

    fake_visible: Tensor
    real: Pair
    fake: Pair


class AlignGAN(CrossModalityModule[AlignGANConfig]):
    """Pixel generators Gp and Gp', feature generator Gf, discriminators; four players."""

    CONFIG = AlignGANConfig
    OPTIMIZERS = ("pixel", "visible_discriminator", "joint_discriminator", "feature")

    def __init__(self, config: AlignGANConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.feature = FeatureGenerator(config.backbone, config.heads, num_identities)
        if config.pixel_alignment:
            self._add_pixel_networks()
        self._add_feature_discriminators()

    def _add_pixel_networks(self) -> None:
        gen, disc = self.config.generator, self.config.discriminators
        self.to_infrared = ResNetGenerator(gen.channels, gen.blocks, gen.running_stats)  # Gp
        self.to_visible = ResNetGenerator(gen.channels, gen.blocks, gen.running_stats)  # Gp'
        self.judge_visible = PatchDiscriminator(disc.channels, disc.patch_layers)  # D_rgb
        self.warmup_visible = PatchDiscriminator(disc.channels, disc.patch_layers)
        self.warmup_infrared = PatchDiscriminator(disc.channels, disc.patch_layers)

    def _add_feature_discriminators(self) -> None:
        disc, channels = self.config.discriminators, self.feature.encoder.channels
        if self.config.discriminator == "joint":
            self.judge_joint = JointDiscriminator(
                channels, disc.channels, disc.image_layers, disc.joint_layers, disc.feature_channels
            )
            return
        gan = self.config.streams["gan"]
        size = (gan.height >> disc.image_layers, gan.width >> disc.image_layers)
        width = disc.channels << disc.image_layers
        self.judge_feature = FeatureDiscriminator(channels, size, width, disc.joint_layers, disc.feature_channels)
        if self.config.discriminator == "separate":
            self.judge_infrared = PatchDiscriminator(disc.channels, disc.patch_layers)

    # ------------------------------------------------------------------ players

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for generators and discriminators, SGD for the feature generator (sec. 4.2)."""
        adam = self.config.gan_optimizer

        def make(*networks: str) -> Adam:
            present = [getattr(self, name) for name in networks if hasattr(self, name)]
            return Adam(parameters_of(*present), lr=adam.lr, betas=(adam.betas[0], adam.betas[1]))

        optimizers: dict[str, Optimizer] = {}
        if self.config.pixel_alignment:
            optimizers["pixel"] = make("to_infrared", "to_visible")
            optimizers["visible_discriminator"] = make("judge_visible", "warmup_visible")
        optimizers["joint_discriminator"] = make("judge_joint", "judge_infrared", "judge_feature", "warmup_infrared")
        optimizers["feature"] = self.feature.make_optimizer(self.config.feature_optimizer)
        return optimizers

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """All rates decay inside the joint phase (sec. 4.2)."""
        return {name: Schedule(self.config.decay.scheduler(opt), ("joint",)) for name, opt in optimizers.items()}

    def begin_phase(self, phase: str) -> None:
        """The joint phase has discriminators of its own, fresh unless D_rgb is to be carried over."""
        if phase == "joint" and self.config.pixel_alignment and not self.config.reinitialise_discriminators:
            self.judge_visible.load_state_dict(self.warmup_visible.state_dict())

    # ------------------------------------------------------------------ training

    def training_step(self, batch: TrainingBatch) -> None:
        """One iteration of the phase that is on (sec. 3.4: alternate Eq. 6, 4 and 7)."""
        if self.phase == "feature":
            self._feature_warmup(batch["identity"])
        elif self.phase == "pixel":
            made = self._pixel_turn(batch["gan"])
            self._warmup_discriminator_turns(batch["gan"], made)
        else:
            self._feature_turn(batch["identity"])
            made = None
            if self.config.pixel_alignment:
                made = self._pixel_turn(batch["gan"])
                self._visible_discriminator_turn(batch["gan"], made)
            self._joint_discriminator_turn(batch["gan"], made)

    def _feature_warmup(self, batch: PairedBatch) -> None:
        """Classification and triplet on real infrared alone."""
        with self.turn("feature") as losses:
            real = self.feature(batch.infrared)
            losses.add("id_real", identity_loss(real.logits, batch.pids))
            triplet = hardest_triplet(real.embedding, real.embedding, batch.pids, batch.pids, self.config.margin)
            losses.add("triplet_real", triplet)

    def _feature_turn(self, batch: PairedBatch) -> None:
        """Eq. 6: classification and triplets of fake and real infrared, and fake maps that the discriminator accepts."""
        weights, pids = self.config.feature, batch.pids
        with self.turn("feature") as losses:
            images = self._translated(batch.visible)
            fake, real = self.feature(images), self.feature(batch.infrared)
            losses.add("id_fake", identity_loss(fake.logits, pids), weights.id)  # Eq. 5
            losses.add("id_real", identity_loss(real.logits, pids), weights.id)
            self._add_triplets(losses, fake, real, pids, weights.triplet)
            if weights.gan:  # PixAlign: 0
                losses.add("gan", self._feature_acceptance(images, batch.infrared, fake.map), weights.gan)  # Eq. 10

    def _feature_acceptance(self, fake_images: Tensor, real_images: Tensor, fake_maps: Tensor) -> Tensor:
        if self.config.discriminator != "joint":
            return least_squares(self.judge_feature(fake_maps), 1.0)
        pairs = {"real_fake": Pair(real_images, fake_maps), "fake_fake": Pair(fake_images, fake_maps)}
        return acceptance(self.judge_joint, [pairs[name] for name in self.config.feature_gan_pairs])

    def _pixel_turn(self, batch: PairedBatch) -> PixelOutputs:
        """Eq. 4: Gp and Gp' fool the discriminators, invert each other, and keep the identity."""
        weights, pids = self.config.pixel, batch.pids
        with (
            self.turn("pixel") as losses,
            frozen_running_statistics(self.feature, not self.config.update_norms_in_pixel_step),
        ):
            fake_images, fake_visible = self.to_infrared(batch.visible), self.to_visible(batch.infrared)
            with torch.no_grad():  # nothing that leads to the generators
                real = self.feature(batch.infrared)
            fake = self.feature(fake_images)
            made = PixelOutputs(fake_visible, Pair(batch.infrared, real.map), Pair(fake_images, fake.map))
            self._add_pixel_gan(losses, made, weights.gan)
            cycle = pixel_l1(self.to_visible(fake_images), batch.visible)
            cycle = cycle + pixel_l1(self.to_infrared(fake_visible), batch.infrared)
            losses.add("cycle", cycle, weights.cycle)  # Eq. 1
            if weights.identity_mapping:
                same = pixel_l1(self.to_visible(batch.visible), batch.visible)
                same = same + pixel_l1(self.to_infrared(batch.infrared), batch.infrared)
                losses.add("identity_mapping", same, weights.identity_mapping)
            losses.add("id_fake", identity_loss(fake.logits, pids), weights.id)  # Eq. 2
            self._add_triplets(losses, fake, real, pids, weights.triplet)
        return PixelOutputs(fake_visible.detach(), made.real.detach(), made.fake.detach())

    def _add_pixel_gan(self, losses: Losses, made: PixelOutputs, weight: float) -> None:
        """Eq. 9 for Gp, and CycleGAN's loss for Gp'."""
        if self.phase == "pixel":
            losses.add("gan_visible", least_squares(self.warmup_visible(made.fake_visible), 1.0), weight)
            losses.add("gan_infrared", least_squares(self.warmup_infrared(made.fake.images), 1.0), weight)
            return
        losses.add("gan_visible", least_squares(self.judge_visible(made.fake_visible), 1.0), weight)
        if self.config.discriminator == "separate":
            losses.add("gan_infrared", least_squares(self.judge_infrared(made.fake.images), 1.0), weight)
            return
        pairs = {"fake_real": Pair(made.fake.images, made.real.maps.detach()), "fake_fake": made.fake}
        accepted = acceptance(self.judge_joint, [pairs[name] for name in self.config.pixel_gan_pairs])
        losses.add("gan_infrared", accepted, weight)

    def _add_triplets(self, losses: Losses, fake: Features, real: Features, pids: Tensor, weight: float) -> None:
        """Eq. 3 in both directions, between fake and real infrared."""
        margin = self.config.margin
        losses.add("triplet_fake", hardest_triplet(fake.embedding, real.embedding, pids, pids, margin), weight)
        losses.add("triplet_real", hardest_triplet(real.embedding, fake.embedding, pids, pids, margin), weight)

    def _warmup_discriminator_turns(self, batch: PairedBatch, made: PixelOutputs) -> None:
        with self.turn("visible_discriminator") as losses:
            real, fake = self.warmup_visible(batch.visible), self.warmup_visible(made.fake_visible)
            losses.add("visible", rejection(real, fake))
        with self.turn("joint_discriminator") as losses:
            real, fake = self.warmup_infrared(batch.infrared), self.warmup_infrared(made.fake.images)
            losses.add("infrared", rejection(real, fake))

    def _visible_discriminator_turn(self, batch: PairedBatch, made: PixelOutputs) -> None:
        with self.turn("visible_discriminator") as losses:
            real, fake = self.judge_visible(batch.visible), self.judge_visible(made.fake_visible)
            losses.add("visible", rejection(real, fake))

    def _joint_discriminator_turn(self, batch: PairedBatch, made: PixelOutputs | None) -> None:
        """Eq. 7 and 8; AlignGAN- and FeatAlign judge images and feature maps apart."""
        each = self.config.streams["gan"].images
        with self.turn("joint_discriminator") as losses:
            made = made or self._encode_pairs(batch)
            if self.config.discriminator == "joint":
                real = made.real
                if self.config.real_pairs == "same_identity":
                    real = Pair(real.images, shuffle_within_identity(real.maps, each))
                losses.add("joint", joint_rejection(self.judge_joint, real, made.fake, each))
                return
            maps = self.judge_feature(made.real.maps), self.judge_feature(made.fake.maps)
            losses.add("feature", rejection(*maps))
            if self.config.discriminator == "separate":
                images = self.judge_infrared(made.real.images), self.judge_infrared(made.fake.images)
                losses.add("infrared", rejection(*images))

    # ------------------------------------------------------------------ images and embeddings

    @torch.no_grad()
    def _translated(self, visible: Tensor) -> Tensor:
        """Fake infrared for the feature generator, or the visible images themselves without pixel alignment."""
        return self.to_infrared(visible) if self.config.pixel_alignment else visible

    @torch.no_grad()
    def _encode_pairs(self, batch: PairedBatch) -> PixelOutputs:
        """FeatAlign: what a pixel turn would leave, with visible images in the place of fake infrared."""
        with frozen_running_statistics(self.feature, not self.config.update_norms_in_pixel_step):
            real, fake = self.feature(batch.infrared), self.feature(batch.visible)
        return PixelOutputs(batch.visible, Pair(batch.infrared, real.map), Pair(batch.visible, fake.map))

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """V (B, C): visible images are translated first (sec. 3.4); with ``flip_test`` V of the mirrored (fake) infrared
        image is added; L2-normalised."""
        infrared = self._translated(images) if modality == "visible" else images
        vectors = self.feature.vectors(infrared)
        if self.config.flip_test:
            vectors = vectors + self.feature.vectors(infrared.flip(-1))
        return {"main": F.normalize(vectors.float(), dim=1)}

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Fig. 5: real visible, fake infrared, real infrared; without pixel alignment the real ones only."""
        fake = {"fake infrared": self._translated(visible)} if self.config.pixel_alignment else {}
        return {"real visible": visible, **fake, "real infrared": infrared}
