"""JSIA-ReID: Cross-Modality Paired-Images Generation and Augmentation for RGB-Infrared Person Re-Identification.

Wang, Yang, Zhang, Cheng, Hou, Tiwari, Pandey. Neural Networks 2020 (preset ``paper``), and its AAAI 2020 version's code
(preset ``official``). Equations 1-17, Table 3's rows by switches, two phases: generation, joint. All players move at once,
and a loss trains only its owners. What the papers leave open and how it is read: this folder's README.

Example:
    ``python -m crossreid.train model=jsia``
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Adam, Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet, identity_loss, pixel_l1
from crossreid.methods.base import CrossModalityModule, Schedule, parameters_of
from crossreid.methods.jsia import losses as jsia_losses
from crossreid.methods.jsia.alignment import add_alignment, add_unseen_divergence
from crossreid.methods.jsia.config import AdamConfig, JSIAConfig
from crossreid.methods.jsia.generation import (
    Generated,
    GenerationModule,
    MultiScaleDiscriminator,
    Pair,
    VariationModule,
)
from crossreid.methods.jsia.networks import InstanceEncoder, ModalityDiscriminator, Recognition, SetLevelEncoder
from crossreid.methods.players import Losses
from crossreid.nn.normalisation import batch_statistics, evaluating, frozen_parameters, frozen_running_statistics

__all__ = ["JSIA", "JSIAConfig"]

Move = tuple[Losses, Sequence[str]]
REID = ("set_level", "instance")
MIXES = (1.0, 0.75, 0.5, 0.25, 0.0)  # ratios of the picture grid's interpolations


class JSIA(CrossModalityModule[JSIAConfig]):
    """E_sl (and E_i), E_il with classifiers, generation module, variation module, discriminators; five players."""

    CONFIG = JSIAConfig
    OPTIMIZERS = ("set_level", "instance", "generator", "variation", "discriminator")

    def __init__(self, config: JSIAConfig, num_identities: int, seed: int) -> None:
        super().__init__(config, num_identities, seed)
        self.set_level = SetLevelEncoder(config.backbone, config.encoder)
        channels = self.set_level.channels
        if config.set_level != "shared":
            self.own_content = SetLevelEncoder(config.backbone, config.encoder)
        parts = 0 if config.local_regions == "none" else config.parts
        self.instance = InstanceEncoder(config.backbone, num_identities, parts)
        self.generation = GenerationModule(channels, config.generator, config.cycle_style == "reencoded")
        if config.unseen_ids:
            self.variation = VariationModule(channels, config.variation)
        self.judge_visible = MultiScaleDiscriminator(config.discriminators)
        self.judge_infrared = MultiScaleDiscriminator(config.discriminators)
        if config.set_level == "adversarial":
            self.judge_modality = ModalityDiscriminator(channels, config.discriminators.channels)

    @property
    def content(self) -> SetLevelEncoder:
        """E_i: E_sl itself, or without set-level alignment a network of its own."""
        return self.set_level if self.config.set_level == "shared" else self.own_content

    # ------------------------------------------------------------------ players

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for everyone (sec. 4.2)."""

        def make(config: AdamConfig, *networks: str) -> Adam:
            present = [getattr(self, name) for name in networks if hasattr(self, name)]
            betas = (config.betas[0], config.betas[1])
            return Adam(parameters_of(*present), lr=config.lr, betas=betas, weight_decay=config.weight_decay)

        reid, gan = self.config.reid_optimizer, self.config.gan_optimizer
        optimizers: dict[str, Optimizer] = {
            "set_level": make(reid, "set_level", "own_content"),
            "instance": make(reid, "instance"),
            "generator": make(gan, "generation"),
            "discriminator": make(gan, "judge_visible", "judge_infrared", "judge_modality"),
        }
        if self.config.unseen_ids:
            optimizers["variation"] = make(gan, "variation")
        return optimizers

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """All rates decay inside the joint phase (sec. 4.2)."""
        return {name: Schedule(self.config.decay.scheduler(opt), ("joint",)) for name, opt in optimizers.items()}

    # ------------------------------------------------------------------ training

    def training_step(self, batch: TrainingBatch) -> None:
        """One iteration of the phase that is on: every gradient at the old weights, then all players step."""
        images = Pair(batch["gan"].visible, batch["gan"].infrared)
        if self.phase == "generation":
            fixed = evaluating(self.content, self.config.norms_in_generation == "eval")
            with frozen_parameters(self.content), fixed:  # E_i stays as it is, gradients pass through it
                made = self.generation(self.content, images)
            self.simultaneous(self._generation_moves(images, made, encoder=[]))
            return
        with self._norms_of_gan_batches():
            made = self.generation(self.content, images)
            align = self._alignment_terms(batch["gan"], made)
        identity = batch["identity"]
        maps = Pair(self.set_level(identity.visible), self.set_level(identity.infrared))
        learn = self._identity_terms(maps, identity.pids)
        if self.iteration % self.log_every == 0:
            self._log_gradient_ratios(learn, align)
        moves = self._generation_moves(images, made, encoder=["set_level"])
        if self.config.set_level == "adversarial":
            moves.append((self._modality_rejection(maps), ["discriminator"]))
        self.simultaneous([*moves, (Losses(learn.terms | align.terms), REID)])

    def _generation_moves(self, images: Pair, made: Generated, encoder: Sequence[str]) -> list[Move]:
        """Eq. 8 and 10; ``encoder`` are the owners of E_i where it is trained.

        The content and style terms never train E_i: it could lower them by shrinking its features.
        """
        moves: list[Move] = [
            (self._feature_terms(made), ["generator"]),
            (self._image_terms(images, made), [*encoder, "generator"]),
            (self._rejection(images, made), ["discriminator"]),
        ]
        if self.config.unseen_ids:
            owners = ["variation", *([] if self.config.variation.detach else encoder)]
            moves.append((self._variation_terms(made), owners))
        return [(losses, owners) for losses, owners in moves if losses.terms]

    def _feature_terms(self, made: Generated) -> Losses:
        """Contents and styles come back from the fakes (authors' code)."""
        weights, losses = self.config.generation, Losses()
        if weights.content:
            content = jsia_losses.feature_l1(made.fake_contents.infrared, made.contents.visible)
            content = content + jsia_losses.feature_l1(made.fake_contents.visible, made.contents.infrared)
            losses.add("content", content, weights.content)
        if weights.style:
            again = self.generation.styles(made.fakes)
            style = [jsia_losses.feature_l1(*pair) for pair in zip(again, made.styles, strict=True)]
            losses.add("style", torch.stack(style).sum(), weights.style)
        return losses

    def _image_terms(self, images: Pair, made: Generated) -> Losses:
        """Eq. 4, 5 and the generator's side of Eq. 7."""
        weights, losses = self.config.generation, Losses()
        rebuilt = [pixel_l1(*pair) for pair in zip(made.rebuilt, images, strict=True)]
        cycles = [pixel_l1(*pair) for pair in zip(made.cycles, images, strict=True)]
        losses.add("image", torch.stack(rebuilt).sum(), weights.image)
        losses.add("cycle", torch.stack(cycles).sum(), weights.cycle)
        guesses = [pixel_l1(image.mean(0, keepdim=True).expand_as(image), image) for image in images]
        losses.add("mean_image", torch.stack(guesses).sum(), 0.0)  # what a network that ignores its input would get
        losses.add("gan_visible", jsia_losses.acceptance(self.judge_visible(made.fakes.visible)), weights.gan)
        losses.add("gan_infrared", jsia_losses.acceptance(self.judge_infrared(made.fakes.infrared)), weights.gan)
        return losses

    def _rejection(self, images: Pair, made: Generated) -> Losses:
        """The discriminators' side of Eq. 7."""
        losses, fakes = Losses(), made.fakes.detach()
        visible = jsia_losses.rejection(self.judge_visible(images.visible), self.judge_visible(fakes.visible))
        infrared = jsia_losses.rejection(self.judge_infrared(images.infrared), self.judge_infrared(fakes.infrared))
        losses.add("visible", visible)
        losses.add("infrared", infrared)
        return losses

    def _variation_terms(self, made: Generated) -> Losses:
        """Eq. 10 on the maps of both modalities."""
        config, losses = self.config.variation, Losses()
        maps = torch.cat(made.contents.detach() if config.detach else made.contents)
        latent = self.variation.encode(maps)
        terms = jsia_losses.variation_terms(maps, self.variation.decode(latent.sample()), latent, config.norms)
        losses.add("reconstruction", terms.reconstruction, config.reconstruction)
        losses.add("mean", terms.mean, config.mean)
        losses.add("deviation", terms.deviation, config.deviation)
        return losses

    def _identity_terms(self, maps: Pair, pids: Tensor) -> Losses:
        """Eq. 13 on real images, mean over both modalities; the stripes' classifiers learn from them too."""
        cfg, losses = self.config, Losses()
        visible, infrared = real = [self.instance(part) for part in maps]
        losses.add("id", _mean(identity_loss(r.logits, pids, cfg.smoothing) for r in real))
        sides = ((visible.vector, infrared.vector), (infrared.vector, visible.vector))
        losses.add("triplet", _mean(euclidean_triplet(a, b, pids, pids, cfg.margin) for a, b in sides))
        if cfg.local_regions != "none":
            local = _mean(identity_loss(logits, pids, cfg.smoothing) for r in real for logits in r.local)
            losses.add("local_id", local, cfg.local_id)
        if cfg.set_level == "adversarial":
            confusion = jsia_losses.modality_confusion(*(self.judge_modality(part) for part in maps))
            losses.add("modality", confusion, cfg.lambda_modality)
        return losses

    def _modality_rejection(self, maps: Pair) -> Losses:
        """Degraded SL: the modality discriminator's side."""
        losses = Losses()
        logits = [self.judge_modality(part) for part in maps.detach()]
        losses.add("modality", jsia_losses.modality_discrimination(*logits))
        return losses

    def _alignment_terms(self, batch: PairedBatch, made: Generated) -> Losses:
        """Eq. 11, 12 and 15: IL and LR on paired images, UI on mixed ones; all generated images are detached."""
        cfg, losses = self.config, Losses()
        paired = cfg.instance_level or cfg.local_regions == "paired"
        unpaired = cfg.local_regions == "unpaired"
        if not (paired or unpaired or cfg.unseen_ids):
            return losses
        with torch.set_grad_enabled(unpaired):  # otherwise real images only set targets
            real = self._recognised(batch)
        add_alignment(losses, cfg, real, self._recognised(made.fakes.detach()) if paired else real)
        if cfg.unseen_ids:
            each = cfg.streams["gan"].images
            shift = each * int(torch.randint(1, len(batch.pids) // each, ()))
            ratio = torch.rand(len(batch.pids), device=batch.pids.device)
            mixed = self._recognised(self.mix(made.contents, made.styles, ratio, shift))
            if cfg.unseen.target == "one_hot":
                known = [F.one_hot(batch.pids, self.num_identities).float()] * 2
            else:
                known = [side.logits.detach().float().softmax(1) for side in real]
            targets = [jsia_losses.mix(side, side.roll(shift, 0), ratio) for side in known]
            add_unseen_divergence(losses, cfg, [side.logits for side in mixed], targets)
        return losses

    def _recognised(self, images: PairedBatch | Pair) -> tuple[Recognition, Recognition]:
        """What the re-ID path makes of both modalities' images."""
        return self._recognise(images.visible), self._recognise(images.infrared)

    def _recognise(self, images: Tensor) -> Recognition:
        found: Recognition = self.instance(self.set_level(images))
        return found

    @contextmanager
    def _norms_of_gan_batches(self) -> Iterator[None]:
        """Keeps the stream ``gan`` out of the batch-norm averages that are used at test time, unless it is wanted there."""
        frozen = not self.config.update_norms_on_gan_batches
        with frozen_running_statistics(self.set_level, frozen), frozen_running_statistics(self.instance, frozen):
            yield

    def _log_gradient_ratios(self, learn: Losses, align: Losses) -> None:
        """Log how hard each alignment term pulls at E_sl, as a multiple of the identity losses' pull (Eq. 13)."""
        shared = list(self.set_level.parameters())

        def pull(terms: Iterable[tuple[Tensor, float]]) -> Tensor:
            total = torch.stack([weight * value for value, weight in terms]).sum()
            gradients = torch.autograd.grad(total, shared, retain_graph=True)
            norm: Tensor = torch.linalg.vector_norm(torch.cat([gradient.float().flatten() for gradient in gradients]))
            return norm

        identity = pull([learn.terms["id"], learn.terms["triplet"]])
        for name, term in align.terms.items():
            if term[0].requires_grad:
                self.losses[f"gradient/{name}"] = pull([term]) / identity

    # ------------------------------------------------------------------ images and embeddings

    @torch.no_grad()
    def mix(self, contents: Pair, styles: Pair, ratio: Tensor, shift: int) -> Pair:
        """Eq. 14: images between each image and the one ``shift`` rows before it, contents mixed in V's latent space.

        Args:
            contents: M^i (B, C, h, w).
            styles: M^s (B, S).
            ratio: (B,) in [0, 1]; 1 gives the image itself (as V rebuilds it), 0 the other one.
            shift: rows.

        Returns:
            Images (B, 3, H, W) in [0, 1], without gradients.
        """
        latents = [self.variation.encode(maps).mean for maps in contents]
        maps = Pair(*(self.variation.decode(jsia_losses.mix(z, z.roll(shift, 0), ratio)) for z in latents))
        mixed_styles = Pair(*(jsia_losses.mix(s, s.roll(shift, 0), ratio) for s in styles))
        images: Pair = self.generation.decode(maps, mixed_styles)
        return images

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Eq. 17: V (B, D) of either modality by the same path, L2-normalised; after the classifier's batch norm with
        ``test_feature=neck``."""
        vectors = self.instance.vectors(self.set_level(images))
        if self.config.test_feature == "neck":
            vectors = self.instance.classifier.norm(vectors)
        return {"main": F.normalize(vectors.float(), dim=1)}

    def picture_content(self, images: Tensor) -> Tensor:
        """E_i of images (N, 3, h, w) of one modality, as the generation module was trained on it: batch norms go by the batch.

        The averages belong to re-ID images of both modalities, and decoders make blurred images of maps normalised by them.
        """
        with batch_statistics(self.content):
            content: Tensor = self.content(images)
        return content

    @torch.no_grad()
    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Fig. 6 and 7: real and fake images, and below them each person changing into another one by V.

        A fake has the content of the real image above it and the style of the other modality's image in its column. The
        other person of a column stands half the batch away.
        """
        size, gan = visible.shape[-2:], self.config.streams["gan"].size
        images = Pair(_resized(visible, gan), _resized(infrared, gan))
        made: Generated = self.generation(self.picture_content, images)
        rows = {
            "real visible": visible,
            "real infrared": infrared,
            "fake infrared": made.fakes.infrared,
            "fake visible": made.fakes.visible,
        }
        if self.config.unseen_ids:
            shift = len(visible) // 2
            for share in MIXES:
                ratio = visible.new_full((len(visible),), share)
                rows[f"{share:.0%} of it"] = self.mix(made.contents, made.styles, ratio, shift).visible
            rows["the other"] = visible.roll(shift, 0)
        return {name: _resized(row, size) for name, row in rows.items()}


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def _resized(images: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    if images.shape[-2:] == tuple(size):
        return images
    return F.interpolate(images, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
