"""TS-GAN: RGB-IR Cross-modality Person ReID based on Teacher-Student GAN Model.

Zhang, Jiang, Huang, Li, Xu. arXiv 2007.07452, 2020. Equations 1-16 and Algorithm 1, Table II's rows and Table III by
switches. Phases: a teacher is trained on infrared images alone and then frozen; if asked for, generators warm up against
ordinary discriminators; then generators, student and discriminators are trained in turns. Retrieval uses the student
alone. What the paper leaves open and how it is read: this folder's README.

Example:
    ``python -m crossreid.train model=tsgan``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.data.transforms import random_crop
from crossreid.evaluation.modality_pairs import ReportedPair
from crossreid.losses import euclidean_triplet, identity_loss, pixel_l1
from crossreid.methods.base import CrossModalityModule, Schedule
from crossreid.methods.players import Losses
from crossreid.methods.tsgan.config import ReIDWeights, TeacherWeights, TSGANConfig
from crossreid.methods.tsgan.losses import GAN_LOSSES, joint_acceptance, joint_rejection, teaching_distance
from crossreid.methods.tsgan.networks import ReIDNetwork, Seen
from crossreid.nn.gan import PatchDiscriminator, ResNetGenerator
from crossreid.nn.joint_discriminator import JointDiscriminator, Pair
from crossreid.randomness import torch_generator

__all__ = ["TSGAN", "TSGANConfig"]


_VISIBLE, _INFRARED, _FAKE = range(3)
SHOWN = {"cross_domain": (_VISIBLE, _FAKE), "real_ir": (_INFRARED, _INFRARED), "fake_ir": (_FAKE, _FAKE)}
"""Teacher-student loss -> which images the student and which the teacher is shown, out of visible, infrared, fake."""


class Fakes(NamedTuple):
    """What a generator turn leaves for the others, without gradients."""

    infrared: Tensor
    visible: Tensor


class Pairs(NamedTuple):
    """(image, map) pairs of real and fake infrared images, row by row of one identity."""

    real: Pair
    fake: Pair


class TSGAN(CrossModalityModule[TSGANConfig]):
    """Teacher, student, generators G_I and G_R, discriminators D_I and D_R; four players."""

    CONFIG = TSGANConfig
    OPTIMIZERS = ("teacher", "generator", "student", "discriminator")

    def __init__(self, config: TSGANConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.gan_loss = GAN_LOSSES[config.gan_loss]
        if config.has_teacher:  # first, so that a seed gives the same teacher with and without all that follows
            self.teacher = ReIDNetwork(config.backbone, num_identities, config.neck)
        if config.has_student:
            self.student = ReIDNetwork(config.backbone, num_identities, config.neck)
        if config.generates:
            self._add_generation()
        if config.has_teacher and config.has_student:
            self.feature_names = ("main", "teacher")

    def _add_generation(self) -> None:
        gen, disc = self.config.generator, self.config.discriminators

        def generator() -> ResNetGenerator:
            return ResNetGenerator(gen.channels, gen.blocks, kernel=3, padding="reflect")

        def patches() -> PatchDiscriminator:
            return PatchDiscriminator(disc.channels, disc.patch_layers, overlapping=True)

        self.to_infrared, self.to_visible = generator(), generator()  # G_I, G_R
        self.judge_visible = patches()  # D_R
        joint = self.config.discriminator == "joint"
        if not joint or self.config.phases["gan"]:
            self.judge_infrared = patches()  # D_I, ordinary
        if joint:
            channels = self.student.channels // (1 if self.config.map_for_d == "layer4" else 2)
            self.judge_joint = JointDiscriminator(  # D_I
                channels, disc.channels, disc.image_layers, 0, disc.feature_channels
            )

    # ------------------------------------------------------------------ players and phases

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for all (sec. IV-B; the paper has no numbers for the GAN)."""
        cfg = self.config
        optimizers: dict[str, Optimizer] = {}
        if cfg.has_teacher:
            optimizers["teacher"] = cfg.optimizer.make(self.teacher)
        if cfg.has_student:
            optimizers["student"] = cfg.optimizer.make(self.student)
        if cfg.generates:
            judges = [getattr(self, f"judge_{name}", None) for name in ("visible", "infrared", "joint")]
            optimizers["generator"] = cfg.gan_optimizer.make(self.to_infrared, self.to_visible)
            optimizers["discriminator"] = cfg.gan_optimizer.make(*(judge for judge in judges if judge is not None))
        return optimizers

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """Warm-up and cuts for student and teacher (sec. IV-B), a linear end for the GAN."""
        cfg = self.config
        schedules = {}
        for name, optimizer in optimizers.items():
            if name == "teacher":
                schedules[name] = Schedule(cfg.teacher_schedule.scheduler(optimizer), ("teacher",))
            elif name == "student":
                schedules[name] = Schedule(cfg.schedule.scheduler(optimizer), ("joint",))
            else:
                falling = cfg.gan_optimizer.scheduler(optimizer, cfg.phases["joint"])
                schedules[name] = Schedule(falling, ("joint",))
        return schedules

    def train(self, mode: bool = True) -> Self:
        """As always, but the teacher stays frozen and in eval mode once its own phase is over."""
        super().train(mode)
        if self.config.has_teacher:
            learning = self.phase == "teacher"
            self.teacher.train(mode and learning)
            self.teacher.requires_grad_(learning)
        return self

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
        fakes = self._generator_turn(stream) if self.config.generates else None
        pairs = self._student_turn(stream, fakes) if self.phase == "joint" else None
        if fakes is not None:
            self._discriminator_turn(stream, fakes, pairs)

    def _augmented(self, batch: PairedBatch) -> PairedBatch:
        """Random crops; the data module has mirrored the images."""
        generator = torch_generator(self.seed, "augment/tsgan", self.iteration, self.global_rank)
        padding = self.config.crop_padding
        return batch._replace(
            visible=random_crop(batch.visible, generator, padding),
            infrared=random_crop(batch.infrared, generator, padding),
        )

    def _teacher_turn(self, batch: PairedBatch) -> None:
        """Classification and triplets on infrared images alone (sec. III-C), or on visible ones (Table III)."""
        with self.turn("teacher") as losses:
            images = batch.visible if self.config.single_modality == "visible" else batch.infrared
            self._add_identification(losses, self.teacher(images), batch.pids, self.config.teacher)

    def _generator_turn(self, batch: PairedBatch) -> Fakes:
        """Steps 1 and 2: Eq. 7 for both directions."""
        with self.turn("generator") as losses:
            fake_infrared, fake_visible = self.to_infrared(batch.visible), self.to_visible(batch.infrared)
            if self._judges_pairs:
                judged = self.judge_joint(fake_infrared, self._settled_maps(fake_infrared))
            else:
                judged = self.judge_infrared(fake_infrared)
            losses.add("gan_infrared", self.gan_loss(judged, 1.0))  # Eq. 1
            losses.add("gan_visible", self.gan_loss(self.judge_visible(fake_visible), 1.0))
            cycle = pixel_l1(self.to_visible(fake_infrared), batch.visible)
            cycle = cycle + pixel_l1(self.to_infrared(fake_visible), batch.infrared)
            losses.add("cycle", cycle, self.config.cycle)  # Eq. 6
        return Fakes(fake_infrared.detach(), fake_visible.detach())

    def _student_turn(self, batch: PairedBatch, fakes: Fakes | None) -> Pairs | None:
        """Steps 3 and 4: Eq. 8 and 16; returns the pairs that D_I is to judge, if it judges pairs."""
        images = [batch.visible, batch.infrared] + ([] if fakes is None else [fakes.infrared])
        pairs, pull = None, None
        with self.turn("student") as losses:
            seen = self.student(torch.cat(images))
            self._add_identification(losses, seen, batch.pids.repeat(len(images)), self.config.reid)
            parts = [Seen(*part) for part in zip(*(tensor.chunk(len(images)) for tensor in seen), strict=True)]
            if self._judges_pairs:
                _, infrared, fake = (Pair(*pair) for pair in zip(images, map(self._judged, parts), strict=True))
                pairs = Pairs(infrared, fake)
                losses.add("gan", joint_acceptance(self.gan_loss, self.judge_joint, *pairs), self.config.reid.gan)
            if self.config.teaching.losses:
                pull = self._add_teaching(losses, images, seen.middle)
                seen.middle.retain_grad()  # not before: the gradient taken for `pull` would be kept too
        if pull is not None:
            assert seen.middle.grad is not None
            self.losses["student/ts_gradient"] = pull.norm()
            self.losses["student/reid_gradient"] = (seen.middle.grad - pull).norm()
        return pairs

    def _add_identification(
        self, losses: Losses, seen: Seen, pids: Tensor, weights: ReIDWeights | TeacherWeights
    ) -> None:
        """Eq. 9 to 11: classification with label smoothing, batch-hard triplets over all images."""
        cfg = self.config
        losses.add("id", identity_loss(seen.logits, pids, cfg.label_smoothing), weights.id)
        losses.add("triplet", euclidean_triplet(seen.vector, seen.vector, pids, pids, cfg.margin), weights.triplet)

    def _add_teaching(self, losses: Losses, images: list[Tensor], middle: Tensor) -> Tensor:
        """Eq. 13 to 16.

        Adds L_TS / L_ReID too, unweighted: what it is depends on the reduction, which the paper does not print.

        Returns:
            The gradient of L_TS at the student's maps, as ``middle``.
        """
        teaching = self.config.teaching
        own = torch.stack([weight * value.detach() for value, weight in losses.terms.values()]).sum()
        seen, taught, terms = middle.chunk(len(images)), {}, []
        for name in teaching.losses:
            student, teacher = SHOWN[name]
            if teacher not in taught:
                taught[teacher] = self._taught(images[teacher])
            distance = teaching_distance(seen[student], taught[teacher], teaching.reduction)
            losses.add(name, distance, teaching.weight(name))
            terms.append(teaching.weight(name) * distance)
        total = torch.stack(terms).sum()
        losses.add("ts_ratio", total.detach() / own, 0.0)
        return torch.autograd.grad(total, middle, retain_graph=True)[0]

    def _discriminator_turn(self, batch: PairedBatch, fakes: Fakes, pairs: Pairs | None) -> None:
        """Steps 5 to 7: Eq. 2 on the pairs of the student's turn, or on images alone; D_R always on images alone."""
        with self.turn("discriminator") as losses:
            losses.add("visible", self._rejection(self.judge_visible, batch.visible, fakes.visible))
            if pairs is None:
                losses.add("infrared", self._rejection(self.judge_infrared, batch.infrared, fakes.infrared))
            else:
                losses.add("joint", joint_rejection(self.gan_loss, self.judge_joint, *pairs))

    def _rejection(self, judge: PatchDiscriminator, real: Tensor, fake: Tensor) -> Tensor:
        return self.gan_loss(judge(real), 1.0) + self.gan_loss(judge(fake), 0.0)

    # ------------------------------------------------------------------ maps

    @property
    def _judges_pairs(self) -> bool:
        """D_I is the joint one, which the warm-up of the generators does without."""
        return self.config.generates and self.config.discriminator == "joint" and self.phase == "joint"

    def _judged(self, seen: Seen) -> Tensor:
        """The map that the joint D_I is shown."""
        return seen.map if self.config.map_for_d == "layer4" else seen.middle

    @torch.no_grad()
    def _settled_maps(self, images: Tensor) -> Tensor:
        """Maps for a generator turn, in eval mode: the batch-norm averages are the student turn's to update."""
        training = self.student.training
        self.student.eval()
        maps = self._judged(self.student(images))
        self.student.train(training)
        return maps

    @torch.no_grad()
    def _taught(self, images: Tensor) -> Tensor:
        """The teacher's maps (N, C / 2, h, w)."""
        return self.teacher.middle(images)

    # ------------------------------------------------------------------ images and embeddings

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """V (N, C) of the student alone, whatever the modality, L2-normalised; of the one network in Table III."""
        network = self.student if self.config.has_student else self.teacher
        return {"main": F.normalize(network.vectors(images).float(), dim=1)}

    def report_features(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """``teacher``: the teacher's V (N, C), L2-normalised, beside a student's."""
        if "teacher" not in self.feature_names:
            return {}
        return {"teacher": F.normalize(self.teacher.vectors(images).float(), dim=1)}

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
