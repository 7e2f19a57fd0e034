"""TS-GAN: RGB-IR Cross-modality Person ReID based on Teacher-Student GAN Model.

Zhang, Jiang, Huang, Li, Xu. arXiv 2007.07452, 2020. Equations 1-16 and Algorithm 1, Table II's rows and Table III by
switches. Phases: a teacher is trained on infrared images alone and then frozen; if asked for, generators warm up against
ordinary discriminators; then generators, student and discriminators are trained in turns. Retrieval uses the student
alone. What the paper leaves open and how it is read: this folder's README.

Example:
    ``python -m crossreid.train model=tsgan``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.data.transforms import random_crop
from crossreid.evaluation.modality_pairs import ReportedPair
from crossreid.losses import euclidean_triplet, identity_loss, pixel_l1
from crossreid.methods.base import CrossModalityModule, Schedule, parameters_of
from crossreid.methods.embedding import check_images
from crossreid.methods.players import Losses
from crossreid.methods.reporting import ReportsFurtherFeatures
from crossreid.methods.tsgan.config import ReIDWeights, TeacherWeights, TSGANConfig
from crossreid.methods.tsgan.losses import GAN_LOSSES, joint_acceptance, joint_rejection, teaching_distance
from crossreid.methods.tsgan.networks import ReIDNetwork, ReIDOutputs
from crossreid.nn.gan import PatchDiscriminator, ResNetGenerator
from crossreid.nn.joint_discriminator import ImageMapPair, JointDiscriminator
from crossreid.nn.normalisation import evaluating
from crossreid.nn.optimization import make_adam
from crossreid.randomness import torch_generator

SHOWN = {"cross_domain": ("visible", "fake"), "real_ir": ("infrared", "infrared"), "fake_ir": ("fake", "fake")}
"""Teacher-student loss -> which images the student and which the teacher is shown."""


class Fakes(NamedTuple):
    """What a generator turn leaves for the others: images (B, 3, H, W) in [0, 1], without gradients."""

    infrared: Tensor
    visible: Tensor


class JudgedPairs(NamedTuple):
    """(image, map) pairs of real and fake infrared images, row by row of one identity."""

    real: ImageMapPair
    fake: ImageMapPair


class TSGAN(CrossModalityModule[TSGANConfig], ReportsFurtherFeatures):
    """Teacher, student, generators G_I and G_R, discriminators D_I and D_R; four players."""

    CONFIG = TSGANConfig
    OPTIMIZERS = ("teacher", "generator", "student", "discriminator")

    def __init__(self, config: TSGANConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        self.gan_loss = GAN_LOSSES[cfg.gan_loss]
        if cfg.has_teacher:  # first, so that a seed gives the same teacher with and without all that follows
            self.teacher = ReIDNetwork(cfg.backbone, num_identities, cfg.neck)
        if cfg.has_student:
            self.student = ReIDNetwork(cfg.backbone, num_identities, cfg.neck)
        if cfg.generates:
            self._add_generation()
        if cfg.has_teacher and cfg.has_student:  # a report scores the teacher as well (Table III)
            self.feature_names = ("main", "teacher")

    def _add_generation(self) -> None:
        cfg = self.config
        disc = cfg.discriminators
        self.to_infrared = self._make_generator(grey=cfg.generator.grey)  # G_I
        self.to_visible = self._make_generator(grey=False)  # G_R
        # The paper shows no losses of G_R and D_R; here they play CycleGAN's part.
        self.discriminator_visible = self._make_patch_discriminator()  # D_R
        if cfg.discriminator == "ordinary" or cfg.epochs["gan"]:
            self.discriminator_infrared = self._make_patch_discriminator()  # D_I, ordinary
        if cfg.discriminator == "joint":
            channels = self.student.channels
            if cfg.map_for_d == "layer3":  # the former encoder's map has half as many
                channels //= 2
            # Four strided layers lead the image branch to a sixteenth of the image, where the maps are: none after joining.
            self.discriminator_joint = JointDiscriminator(  # D_I
                channels, disc.channels, disc.image_layers, 0, disc.feature_channels
            )

    def _make_generator(self, *, grey: bool) -> ResNetGenerator:
        config = self.config.generator
        # CycleGAN's, with instance norms that keep no averages: images are the same in train and eval mode.
        return ResNetGenerator(
            config.channels, config.blocks, kernel=3, padding="reflect", upsampling=config.upsampling, grey=grey
        )

    def _make_patch_discriminator(self) -> PatchDiscriminator:
        config = self.config.discriminators
        return PatchDiscriminator(config.channels, config.patch_layers, overlapping=True)

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """The blocks of student and teacher, and both generators."""
        generators: list[nn.Module] = []
        if self.config.generates:
            generators += [self.to_infrared, self.to_visible]
        return super().recomputable() | {"generators": generators}

    # ------------------------------------------------------------------ players and phases

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for all (sec. IV-B; the paper has no numbers for the GAN)."""
        cfg = self.config
        optimizers: dict[str, Optimizer] = {}
        if cfg.has_teacher:
            optimizers["teacher"] = make_adam(cfg.optimizer, self.teacher.parameters())
        if cfg.has_student:
            optimizers["student"] = make_adam(cfg.optimizer, self.student.parameters())
        if cfg.generates:
            names = ("discriminator_visible", "discriminator_infrared", "discriminator_joint")
            discriminators = [getattr(self, name) for name in names if hasattr(self, name)]
            # Algorithm 1 names no optimizer for G_R and D_R: they go with G_I and D_I.
            generators = parameters_of(self.to_infrared, self.to_visible)
            optimizers["generator"] = make_adam(cfg.gan_optimizer, generators)
            optimizers["discriminator"] = make_adam(cfg.gan_optimizer, parameters_of(*discriminators))
        return optimizers

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Warm-up and cuts for student and teacher (sec. IV-B), a linear end for the GAN."""
        cfg = self.config
        shares = {"teacher": cfg.teacher_schedule.share, "student": cfg.schedule.share}
        schedules = {}
        for name, optimizer in optimizers.items():
            # Rates of the GAN stay whole in its warm-up: their schedule counts iterations of the joint phase.
            phase = "teacher" if name == "teacher" else "joint"
            share = shares.get(name, cfg.gan_optimizer.share)
            schedules[name] = self._schedule(share, optimizer, phase)
        return schedules

    def _schedule(self, share: Callable[[int, int], float], optimizer: Optimizer, phase: str) -> Schedule:
        """``share`` of the full rate, by the iteration and the length of the phase."""
        length = self.config.phase_lengths()[phase]
        return Schedule(LambdaLR(optimizer, lambda iteration: share(iteration, length)), (phase,))

    def train(self, mode: bool = True) -> Self:
        """As always, but the teacher stays frozen and in eval mode once its own phase is over."""
        super().train(mode)
        # Here and not only where the phase ends: a trainer may put whole modules back into train mode.
        if self.config.has_teacher:
            learns = self._teacher_learns
            self.teacher.train(mode and learns)
            self.teacher.requires_grad_(learns)
        return self

    @property
    def _teacher_learns(self) -> bool:
        """Its phase, the first one, is not over; at iteration 0 even where the lengths of phases are not known yet."""
        return self.iteration == 0 or self.phase == "teacher"

    def begin_phase(self, phase: str) -> None:
        """The teacher is frozen where its phase ends."""
        self.train(self.training)

    def on_train_start(self) -> None:
        """And where a run goes on behind it."""
        self.train(self.training)

    # ------------------------------------------------------------------ training

    def training_step(self, batch: TrainingBatch) -> None:
        """One iteration of the phase that is on; in the joint phase Algorithm 1."""
        stream = self._augmented(batch["identity"])
        if self.phase == "teacher":
            self._teacher_turn(stream)
            return
        # Generators first, since the student learns from their fakes; D_I last, since it judges the student's maps.
        fakes = self._generator_turn(stream) if self.config.generates else None
        pairs = self._student_turn(stream, fakes) if self.phase == "joint" else None
        if fakes is not None:
            self._discriminator_turn(stream, fakes, pairs)

    def _augmented(self, batch: PairedBatch) -> PairedBatch:
        """Random crops; the data module has mirrored the images."""
        generator = torch_generator(self.seed, "augment/tsgan", self.iteration, self.global_rank)
        padding = self.config.crop_padding
        visible = random_crop(batch.visible, generator, padding)
        infrared = random_crop(batch.infrared, generator, padding)
        return batch._replace(visible=visible, infrared=infrared)

    def _teacher_turn(self, batch: PairedBatch) -> None:
        """Classification and triplets on infrared images alone (sec. III-C), or on visible ones (Table III)."""
        with self.turn("teacher") as losses:
            images = batch.visible if self.config.single_modality == "visible" else batch.infrared
            self._add_identification(losses, self.teacher(images), batch.pids, self.config.teacher)

    def _generator_turn(self, batch: PairedBatch) -> Fakes:
        """Steps 1 and 2: Eq. 7 for both directions."""
        with self.turn("generator") as losses:
            fake_infrared = self.to_infrared(batch.visible)
            fake_visible = self.to_visible(batch.infrared)
            if self._judges_pairs:
                # The maps are constants here: G_I learns through the images alone.
                logits_infrared = self.discriminator_joint(fake_infrared, self._settled_maps(fake_infrared))
            else:
                logits_infrared = self.discriminator_infrared(fake_infrared)
            losses.add("gan_infrared", self.gan_loss(logits_infrared, 1.0))  # Eq. 1
            logits_visible = self.discriminator_visible(fake_visible)
            losses.add("gan_visible", self.gan_loss(logits_visible, 1.0))
            cycle_visible = pixel_l1(self.to_visible(fake_infrared), batch.visible)
            cycle_infrared = pixel_l1(self.to_infrared(fake_visible), batch.infrared)
            losses.add("cycle", cycle_visible + cycle_infrared, self.config.cycle)  # Eq. 6
        return Fakes(fake_infrared.detach(), fake_visible.detach())

    def _student_turn(self, batch: PairedBatch, fakes: Fakes | None) -> JudgedPairs | None:
        """Steps 3 and 4: Eq. 8 and 16; returns the pairs that D_I is to judge, if it judges pairs."""
        images = {"visible": batch.visible, "infrared": batch.infrared}
        if fakes is not None:
            images["fake"] = fakes.infrared
        pairs = None
        teaching_gradient = None
        with self.turn("student") as losses:
            # One forward for all: batch norms see visible, infrared and fake images as one batch of 3 B.
            outputs = self.student(torch.cat(list(images.values())))
            # Row b of each kind is the same person, and a fake has the label of its visible image.
            self._add_identification(losses, outputs, batch.pids.repeat(len(images)), self.config.reid)
            if self._judges_pairs:
                # M of Eq. 5 has no visible images
                _, infrared_maps, fake_maps = self._judged(outputs).chunk(3)
                pairs = JudgedPairs(
                    ImageMapPair(images["infrared"], infrared_maps), ImageMapPair(images["fake"], fake_maps)
                )
                gan = joint_acceptance(self.gan_loss, self.discriminator_joint, pairs.real, pairs.fake)
                losses.add("gan", gan, self.config.reid.gan)  # Eq. 12
            if self.config.teaching.losses:
                teaching_gradient = self._add_teaching(losses, images, outputs.middle)
                outputs.middle.retain_grad()  # not before: the gradient taken for `teaching_gradient` would be kept too
        # L_ReID's share is what L_TS leaves of the whole gradient: no further backward pass is needed.
        if teaching_gradient is not None:
            assert outputs.middle.grad is not None
            self.losses["student/ts_gradient"] = teaching_gradient.norm()
            self.losses["student/reid_gradient"] = (outputs.middle.grad - teaching_gradient).norm()
        return pairs

    def _add_identification(
        self, losses: Losses, outputs: ReIDOutputs, pids: Tensor, weights: ReIDWeights | TeacherWeights
    ) -> None:
        """Eq. 9 to 11: classification with label smoothing, batch-hard triplets over all images."""
        cfg = self.config
        losses.add("id", identity_loss(outputs.logits, pids, cfg.label_smoothing), weights.id)
        # On V before the neck; anchors and candidates are the same images, of all kinds.
        triplet = euclidean_triplet(outputs.vector, outputs.vector, pids, pids, cfg.margin)
        losses.add("triplet", triplet, weights.triplet)

    def _add_teaching(self, losses: Losses, images: Mapping[str, Tensor], middle: Tensor) -> Tensor:
        """Eq. 13 to 16.

        Adds L_TS / L_ReID too, unweighted: what it is depends on the reduction, which the paper does not print.

        Args:
            losses: of the student, with L_ReID in it.
            images: visible, infrared and perhaps fake ones, (B, 3, H, W) each.
            middle: the student's maps of all of them, in this order.

        Returns:
            The gradient of L_TS at the student's maps, as ``middle``.
        """
        teaching = self.config.teaching
        # L_ReID of Eq. 8, before the terms of Eq. 16 join it.
        reid_terms = [weight * value.detach() for value, weight in losses.terms.values()]
        reid_total = torch.stack(reid_terms).sum()
        student_maps = dict(zip(images, middle.chunk(len(images)), strict=True))
        teacher_maps: dict[str, Tensor] = {}
        terms = []
        for name in teaching.losses:
            to_student, to_teacher = SHOWN[name]
            if to_teacher not in teacher_maps:  # Eq. 14 and 15 look at the same map of the fakes
                teacher_maps[to_teacher] = self._teacher_maps(images[to_teacher])
            # Position by position: a fake shows the same scene as its visible image (Eq. 15).
            distance = teaching_distance(student_maps[to_student], teacher_maps[to_teacher], teaching.reduction)
            losses.add(name, distance, teaching.weight(name))
            terms.append(teaching.weight(name) * distance)
        total = torch.stack(terms).sum()
        losses.add("ts_ratio", total.detach() / reid_total, 0.0)
        # The graph is needed again: the turn's own backward pass leads through it.
        return torch.autograd.grad(total, middle, retain_graph=True)[0]

    def _discriminator_turn(self, batch: PairedBatch, fakes: Fakes, pairs: JudgedPairs | None) -> None:
        """Steps 5 to 7: Eq. 2 on the pairs of the student's turn, or on images alone; D_R always on images alone."""
        with self.turn("discriminator") as losses:
            # Images and maps are those of the turns before, made ahead of the steps of generators and student.
            losses.add("visible", self._rejection(self.discriminator_visible, batch.visible, fakes.visible))
            if pairs is None:
                infrared = self._rejection(self.discriminator_infrared, batch.infrared, fakes.infrared)
                losses.add("infrared", infrared)
            else:
                joint = joint_rejection(self.gan_loss, self.discriminator_joint, pairs.real, pairs.fake)
                losses.add("joint", joint)

    def _rejection(self, discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> Tensor:
        """Eq. 2 on images alone."""
        return self.gan_loss(discriminator(real), 1.0) + self.gan_loss(discriminator(fake), 0.0)

    # ------------------------------------------------------------------ maps

    @property
    def _judges_pairs(self) -> bool:
        """D_I is the joint one, which the warm-up of the generators does without."""
        return self.config.generates and self.config.discriminator == "joint" and self.phase == "joint"

    def _judged(self, outputs: ReIDOutputs) -> Tensor:
        """The map that the joint D_I is shown."""
        return outputs.map if self.config.map_for_d == "layer4" else outputs.middle

    @torch.no_grad()
    def _settled_maps(self, images: Tensor) -> Tensor:
        """Maps for a generator turn, in eval mode: the batch-norm averages are the student turn's to update."""
        with evaluating(self.student):
            return self._judged(self.student(images))

    @torch.no_grad()
    def _teacher_maps(self, images: Tensor) -> Tensor:
        """The teacher's maps (N, C / 2, h, w)."""
        return self.teacher.middle(images)

    # ------------------------------------------------------------------ images and embeddings

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """V (N, C) of the student alone, whatever the modality, L2-normalised; of the one network in Table III.

        After the neck with ``test_feature=neck``.
        """
        check_images(images, modality)
        network = self.student if self.config.has_student else self.teacher
        return {"main": self._retrieval_feature(network, images)}

    def _retrieval_feature(self, network: ReIDNetwork, images: Tensor) -> Tensor:
        vectors = network.vectors(images)
        if self.config.test_feature == "neck":
            vectors = network.neck(vectors)
        return F.normalize(vectors.float(), dim=1)

    def features_to_gather(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Those of a report besides those of retrieval."""
        return self.embed(images, modality) | self.report_features(images, modality)

    def report_features(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """``teacher``: the teacher's V (N, C), L2-normalised, beside a student's."""
        if "teacher" not in self.feature_names:
            return {}
        return {"teacher": self._retrieval_feature(self.teacher, images)}

    def reported_pairs(self) -> dict[str, ReportedPair]:
        """Table III: the teacher within its modality; whether images of the probe's camera count is not printed."""
        if not self.config.has_teacher:
            return {}
        pairing = "rgb2rgb" if self.config.single_modality == "visible" else "ir2ir"
        if not self.config.has_student:  # `main` is the teacher's, and its pairing is among the four of every report
            return {f"{pairing}_any_camera": ReportedPair(pairing, any_camera=True)}
        return {
            f"teacher_{pairing}": ReportedPair(pairing, "teacher"),
            f"teacher_{pairing}_any_camera": ReportedPair(pairing, "teacher", any_camera=True),
        }

    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Fig. 5: real visible, fake infrared, real infrared, fake visible; without generators the real ones only."""
        if not self.config.generates:
            return super().translate(visible, infrared)
        return {
            "real visible": visible,
            "fake infrared": self.to_infrared(visible),
            "real infrared": infrared,
            "fake visible": self.to_visible(infrared),
        }
