"""JSIA-ReID: Cross-Modality Paired-Images Generation and Augmentation for RGB-Infrared Person Re-Identification.

Wang, Yang, Zhang, Cheng, Hou, Tiwari, Pandey. Neural Networks 2020 (preset ``paper``), and its AAAI 2020 version's code
(preset ``official``). Equations 1-17, Table 3's rows by switches, two phases: generation, joint. All players move at once,
and a loss trains only its owners. What the papers leave open and how it is read: this folder's README.

Example:
    ``python -m crossreid.train model=jsia``
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from crossreid.data.batches import PairedBatch, TrainingBatch
from crossreid.data.records import Modality
from crossreid.losses import euclidean_triplet, identity_loss
from crossreid.methods.base import CrossModalityModule, Schedule, parameters_of
from crossreid.methods.embedding import check_images
from crossreid.methods.jsia import losses as jsia_losses
from crossreid.methods.jsia.alignment import add_alignment, add_unseen_divergence
from crossreid.methods.jsia.config import JSIAConfig
from crossreid.methods.jsia.generation import (
    GenerationModule,
    GenerationOutputs,
    MultiScaleDiscriminator,
    Pair,
    VariationModule,
)
from crossreid.methods.jsia.generation_terms import feature_terms, image_terms, rejection, variation_terms
from crossreid.methods.jsia.networks import InstanceEncoder, MapModalityDiscriminator, Recognition, SetLevelEncoder
from crossreid.methods.players import Losses, Move, Term
from crossreid.nn.normalisation import (
    add_infrared_averages,
    averages_of,
    batch_statistics,
    evaluating,
    frozen_parameters,
    frozen_running_statistics,
)
from crossreid.nn.optimization import decay_schedule, make_adam
from crossreid.nn.recomputation import encoder_blocks
from crossreid.settings.optimization import AdamConfig

REID = ("set_level", "instance")
"""The players on the path from an image to its vector (Eq. 17)."""

MIXING_RATIOS = (1.0, 0.75, 0.5, 0.25, 0.0)  # alpha of Eq. 14, from one person to another in the picture grid


class Mixing(NamedTuple):
    """Draws of Eq. 14.

    Attributes:
        shift: rows between an image and the one that it is mixed with.
        ratio: alpha, (B,) in [0, 1].
    """

    shift: int
    ratio: Tensor


class JSIA(CrossModalityModule[JSIAConfig]):
    """E_sl (and E_i), E_il with classifiers, generation module, variation module, discriminators; five players."""

    CONFIG = JSIAConfig
    OPTIMIZERS = ("set_level", "instance", "generator", "variation", "discriminator")

    def __init__(self, config: JSIAConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        self.set_level = SetLevelEncoder(cfg.backbone, cfg.encoder)
        channels = self.set_level.channels
        if cfg.set_level != "shared":  # rows 1, 3 and 7 of Table 3: disentangling trains E_i, and E_sl not
            self.own_content = SetLevelEncoder(cfg.backbone, cfg.encoder)
        # Without LR there are no stripes' classifiers, which nothing would train.
        parts = 0 if cfg.local_regions == "none" else cfg.parts
        self.instance = InstanceEncoder(cfg.backbone, num_identities, parts)
        self.generation = GenerationModule(channels, cfg.generator, cfg.cycle_style == "reencoded")
        if cfg.unseen_ids:
            self.variation = VariationModule(channels, cfg.variation)
        self.discriminator_visible = MultiScaleDiscriminator(cfg.discriminators)
        self.discriminator_infrared = MultiScaleDiscriminator(cfg.discriminators)
        self.norms_by_modality = cfg.test_norm == "per_modality"
        if self.norms_by_modality:
            add_infrared_averages(self.set_level)
            add_infrared_averages(self.instance)
            if cfg.set_level != "shared":
                add_infrared_averages(self.own_content)
        if cfg.set_level == "adversarial":
            self.discriminator_modality = MapModalityDiscriminator(channels, cfg.discriminators.channels)

    @property
    def content(self) -> SetLevelEncoder:
        """E_i: E_sl itself, or without set-level alignment a network of its own."""
        if self.config.set_level == "shared":
            return self.set_level
        return self.own_content

    def recomputable(self) -> dict[str, list[nn.Module]]:
        """E_sl and E_i whole and the blocks of E_il; style encoders, decoders, and V."""
        encoder: list[nn.Module] = [self.set_level.body, *encoder_blocks(self.instance)]
        if self.config.set_level != "shared":
            encoder.append(self.own_content.body)
        generators: list[nn.Module] = [*self.generation.children()]
        if self.config.unseen_ids:
            generators += [self.variation.encoder, self.variation.decoder]
        return {"encoder": encoder, "generators": generators}

    # ------------------------------------------------------------------ players

    def make_optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for everyone (sec. 4.2)."""
        reid = self.config.reid_optimizer
        gan = self.config.gan_optimizer
        optimizers: dict[str, Optimizer] = {
            # E_i of its own belongs to this player too: the generation losses reach it, the re-ID losses E_sl.
            "set_level": self._adam(reid, "set_level", "own_content"),
            "instance": self._adam(reid, "instance"),
            "generator": self._adam(gan, "generation"),
            "discriminator": self._adam(
                gan, "discriminator_visible", "discriminator_infrared", "discriminator_modality"
            ),
        }
        if self.config.unseen_ids:
            optimizers["variation"] = self._adam(gan, "variation")
        return optimizers

    def _adam(self, config: AdamConfig, *names: str) -> Adam:
        """Adam of those of the named networks that this row has."""
        networks = []
        for name in names:
            if hasattr(self, name):
                networks.append(getattr(self, name))
        return make_adam(config, parameters_of(*networks))

    def make_schedules(self, optimizers: Mapping[str, Optimizer]) -> Mapping[str, Schedule]:
        """All rates decay inside the joint phase (sec. 4.2)."""
        schedules = {}
        for name, optimizer in optimizers.items():
            schedules[name] = Schedule(decay_schedule(self.config.decay, optimizer), ("joint",))
        return schedules

    # ------------------------------------------------------------------ training

    def training_step(self, batch: TrainingBatch) -> None:
        """One iteration of the phase that is on: every gradient at the old weights, then all players step."""
        if self.phase == "generation":
            self._generation_step(batch["gan"])
        else:
            self._joint_step(batch["identity"], batch["gan"])

    def _generation_step(self, batch: PairedBatch) -> None:
        """Pre-training of the generation module: E_i stays as it is, gradients pass through it."""
        images = Pair(batch.visible, batch.infrared)
        # Only the parameters of E_i are frozen: fakes are encoded again (Eq. 6), and decoders learn through that.
        fixed_norms = evaluating(self.content, self.config.norms_in_generation == "eval")
        with frozen_parameters(self.content), fixed_norms:
            outputs = self.generation(self._contents, images)
        self.simultaneous(self._generation_moves(images, outputs, encoder=[]))

    def _joint_step(self, identity: PairedBatch, gan: PairedBatch) -> None:
        """Generation and alignment on images of the stream ``gan``, identities on those of ``identity``."""
        self.simultaneous(self._joint_moves(identity, gan))

    def _joint_moves(self, identity: PairedBatch, gan: PairedBatch) -> Iterator[Move]:
        """All moves of the joint phase; what a move needs is computed when it is its turn.

        The generation module's graph, the largest, is gone before the images of ``identity`` are looked at.
        """
        images = Pair(gan.visible, gan.infrared)
        with self._norms_of_gan_batches():
            outputs = self.generation(self._contents, images)
        mixing = self._draw_mixing(gan)  # before V's noise, which comes from the same generator
        yield from self._generation_moves(images, outputs, encoder=["set_level"])  # L_g and L_v of Eq. 16
        outputs = outputs.detach()  # IL, LR and UI train no generator (authors' code, of IL)
        with self._norms_of_gan_batches():
            alignment = self._alignment_terms(gan, outputs, mixing)
        # Last of the forwards: with averages of all of them, those of the re-ID images weigh most at test time.
        maps = self._by_modality(self.set_level, Pair(identity.visible, identity.infrared))
        recognition = self._identity_terms(maps, identity.pids)
        if self.iteration % self.log_every == 0:  # before the moves, after which the graph is gone
            self._log_gradient_ratios(recognition, alignment)
        if self.config.set_level == "adversarial":
            yield Move(self._modality_rejection(maps), ["discriminator"])
        yield Move(Losses(recognition.terms | alignment.terms), REID)  # the last four terms of Eq. 16

    # ------------------------------------------------------------------ generation and variation

    def _generation_moves(self, images: Pair, outputs: GenerationOutputs, encoder: Sequence[str]) -> Iterator[Move]:
        """Eq. 8 and 10; ``encoder`` are the owners of E_i where it is trained.

        The content and style terms never train E_i: it could lower them by shrinking its features.
        """
        variation_reaches_encoder = self.config.unseen_ids and not self.config.variation.detach
        weights = self.config.generation
        feature_losses = feature_terms(self.generation, outputs, weights)
        if feature_losses.terms:
            # E_i is left out as an owner, and not detached: decoders learn through E_i of the fakes.
            yield Move(feature_losses, ["generator"], keep_graph=True)
        discriminators = (self.discriminator_visible, self.discriminator_infrared)
        image_losses = image_terms(discriminators, images, outputs, weights)
        yield Move(image_losses, [*encoder, "generator"], keep_graph=variation_reaches_encoder)
        # The same fakes: nobody has moved yet, so the discriminators see what the generator's loss saw.
        yield Move(rejection(discriminators, images, outputs.fakes.detach()), ["discriminator"])
        if self.config.unseen_ids:
            owners = ["variation"]
            if variation_reaches_encoder:
                owners.extend(encoder)
            yield Move(variation_terms(self.variation, outputs.contents, self.config.variation), owners)

    # ------------------------------------------------------------------ identities and alignment

    def _identity_terms(self, maps: Pair, pids: Tensor) -> Losses:
        """Eq. 13 on real images, mean over both modalities; the stripes' classifiers learn from them too."""
        cfg = self.config
        losses = Losses()
        visible = self.instance(maps.visible)
        with averages_of(self.instance, "infrared"):
            infrared = self.instance(maps.infrared)
        id_visible = identity_loss(visible.logits, pids, cfg.smoothing)
        id_infrared = identity_loss(infrared.logits, pids, cfg.smoothing)
        losses.add("id", torch.stack([id_visible, id_infrared]).mean())
        # Eq. 13 prints the triplet for any two images; as in the authors' code, candidates are of the other modality.
        triplet_visible = euclidean_triplet(visible.vector, infrared.vector, pids, pids, cfg.margin)
        triplet_infrared = euclidean_triplet(infrared.vector, visible.vector, pids, pids, cfg.margin)
        losses.add("triplet", torch.stack([triplet_visible, triplet_infrared]).mean())
        if cfg.local_regions != "none":
            # Eq. 12 alone would be met by stripes' classifiers that always say the same.
            local_id = []
            for stripe_logits in [*visible.local, *infrared.local]:
                local_id.append(identity_loss(stripe_logits, pids, cfg.smoothing))
            losses.add("local_id", torch.stack(local_id).mean(), cfg.local_id)
        if cfg.set_level == "adversarial":  # Table 3, row 7: what E_sl wants of the modality discriminator
            logits_visible = self.discriminator_modality(maps.visible)
            logits_infrared = self.discriminator_modality(maps.infrared)
            confusion = jsia_losses.modality_confusion(logits_visible, logits_infrared)
            losses.add("modality", confusion, cfg.lambda_modality)
        return losses

    def _modality_rejection(self, maps: Pair) -> Losses:
        """Degraded SL: the modality discriminator's side."""
        logits_visible = self.discriminator_modality(maps.visible.detach())
        logits_infrared = self.discriminator_modality(maps.infrared.detach())
        losses = Losses()
        losses.add("modality", jsia_losses.modality_discrimination(logits_visible, logits_infrared))
        return losses

    def _alignment_terms(self, batch: PairedBatch, outputs: GenerationOutputs, mixing: Mixing | None) -> Losses:
        """Eq. 11, 12 and 15: IL and LR on paired images, UI on mixed ones; ``outputs`` are without gradients."""
        cfg = self.config
        losses = Losses()
        # Real images need gradients in degraded LR alone, fakes a forward in IL and LR alone.
        paired = cfg.instance_level or cfg.local_regions == "paired"
        unpaired = cfg.local_regions == "unpaired"
        if not (paired or unpaired or cfg.unseen_ids):
            return losses
        if paired and cfg.alignment_order == "alternating":
            real, fake = self._recognise_in_turn(Pair(batch.visible, batch.infrared), outputs.fakes, unpaired)
        else:
            if unpaired:  # degraded LR has real images follow each other
                real = self._recognise_both(Pair(batch.visible, batch.infrared))
            else:
                real = self._real_targets(batch, outputs)
            fake = real  # where no term looks at fakes, they need no forward
            if paired:
                fake = self._recognise_both(outputs.fakes)
        add_alignment(losses, cfg, real, fake)
        if mixing is not None:
            self._add_unseen(losses, batch, outputs, real, mixing)
        return losses

    @torch.no_grad()
    def _real_targets(self, batch: PairedBatch, outputs: GenerationOutputs) -> tuple[Recognition, Recognition]:
        """What is recognised on real images that only set targets.

        Their maps are the contents that generation began with, where these are E_sl's; where its batch norms learn from the
        images of ``gan``, they see them a second time.
        """
        if self.config.set_level == "shared" and not self.config.update_norms_on_gan_batches:
            visible = self.instance(outputs.contents.visible)
            with averages_of(self.instance, "infrared"):
                infrared = self.instance(outputs.contents.infrared)
            return visible, infrared
        return self._recognise_both(Pair(batch.visible, batch.infrared))

    def _draw_mixing(self, batch: PairedBatch) -> Mixing | None:
        """Who is mixed with whom, and by how much; None without UI."""
        if not self.config.unseen_ids:
            return None
        # Rows stand identity by identity: a shift by whole identities, and not by all of them, meets another person.
        images_per_identity = self.config.streams["gan"].images
        identities = len(batch.pids) // images_per_identity
        (other,) = torch.randint(1, identities, (1,)).tolist()
        ratio = torch.rand(len(batch.pids), device=batch.pids.device)  # alpha, (B,)
        return Mixing(images_per_identity * other, ratio)

    def _add_unseen(
        self,
        losses: Losses,
        batch: PairedBatch,
        outputs: GenerationOutputs,
        real: tuple[Recognition, Recognition],
        mixing: Mixing,
    ) -> None:
        """Eq. 14 and 15: each image mixed with one of another identity."""
        shift, ratio = mixing
        mixed_images = self.mix(outputs.contents, outputs.styles, ratio, shift)
        mixed_visible, mixed_infrared = self._recognise_both(mixed_images)
        targets = []
        for recognition in real:
            probabilities = self._target_probabilities(recognition, batch.pids)  # p_1; p_2 is that of the other person
            # The shift and the ratios of `mix`: the target is of the two persons who are in the image.
            targets.append(jsia_losses.mix(probabilities, probabilities.roll(shift, 0), ratio))
        add_unseen_divergence(losses, self.config, [mixed_visible.logits, mixed_infrared.logits], targets)

    def _target_probabilities(self, real: Recognition, pids: Tensor) -> Tensor:
        """(B, classes): the labels of real images, or what is predicted for them."""
        if self.config.unseen.target == "one_hot":
            classes = torch.arange(self.num_identities, device=pids.device)
            return (pids[:, None] == classes).float()  # one_hot would look at the labels
        return real.logits.detach().float().softmax(1)

    def _recognise_both(self, images: Pair) -> tuple[Recognition, Recognition]:
        """The re-ID path on visible images, then on infrared ones: batch norms see each modality alone."""
        return self._recognise(images.visible, "visible"), self._recognise(images.infrared, "infrared")

    def _recognise_in_turn(
        self, real: Pair, fakes: Pair, real_learns: bool
    ) -> tuple[tuple[Recognition, Recognition], tuple[Recognition, Recognition]]:
        """Real visible, fake infrared, real infrared, fake visible -> real ones and fakes, visible first in each."""
        # The order of the authors' code: averages of batch norms keep more of what comes later.
        with torch.set_grad_enabled(real_learns):
            real_visible = self._recognise(real.visible, "visible")
        fake_infrared = self._recognise(fakes.infrared, "infrared")
        with torch.set_grad_enabled(real_learns):
            real_infrared = self._recognise(real.infrared, "infrared")
        fake_visible = self._recognise(fakes.visible, "visible")
        return (real_visible, real_infrared), (fake_visible, fake_infrared)

    def _recognise(self, images: Tensor, modality: Modality) -> Recognition:
        with averages_of(self.set_level, modality), averages_of(self.instance, modality):
            recognition: Recognition = self.instance(self.set_level(images))
        return recognition

    def _by_modality(self, encoder: SetLevelEncoder, images: Pair) -> Pair:
        """Maps of both modalities, each by batch-norm averages of its own where there are two sets."""
        visible = encoder(images.visible)
        with averages_of(encoder, "infrared"):
            infrared = encoder(images.infrared)
        return Pair(visible, infrared)

    def _contents(self, images: Pair) -> Pair:
        """E_i of images of both modalities, real or fake."""
        return self._by_modality(self.content, images)

    @contextmanager
    def _norms_of_gan_batches(self) -> Iterator[None]:
        """Keeps the stream ``gan`` out of the batch-norm averages that are used at test time, unless it is wanted there."""
        frozen = not self.config.update_norms_on_gan_batches
        with frozen_running_statistics(self.set_level, frozen), frozen_running_statistics(self.instance, frozen):
            yield

    def _log_gradient_ratios(self, recognition: Losses, alignment: Losses) -> None:
        """Log the norm of each alignment term's gradient on E_sl as a multiple of that of the identity losses (Eq. 13)."""
        identity_norm = self._gradient_norm([recognition.terms["id"], recognition.terms["triplet"]])
        for name, (value, weight) in alignment.terms.items():
            if value.requires_grad:  # terms that are only logged have none
                self.losses[f"gradient/{name}"] = self._gradient_norm([(value, weight)]) / identity_norm

    def _gradient_norm(self, terms: Sequence[Term]) -> Tensor:
        """Norm of the gradient of weighted terms at E_sl's parameters, a scalar."""
        total = torch.stack([weight * value for value, weight in terms]).sum()
        # The graph is needed again: players are trained on the same terms afterwards.
        gradients = torch.autograd.grad(total, list(self.set_level.parameters()), retain_graph=True)
        flat_gradient = torch.cat([gradient.float().flatten() for gradient in gradients])
        norm: Tensor = torch.linalg.vector_norm(flat_gradient)
        return norm

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

        def mix_rows(rows: Tensor) -> Tensor:
            return jsia_losses.mix(rows, rows.roll(shift, 0), ratio)

        # The mean u of the latents, and no draw around it: a ratio of 1 gives the image back.
        latent_visible = self.variation.encode(contents.visible).mean
        latent_infrared = self.variation.encode(contents.infrared).mean
        content_visible = self.variation.decode(mix_rows(latent_visible))  # D_v of Eq. 9
        content_infrared = self.variation.decode(mix_rows(latent_infrared))
        mixed_contents = Pair(content_visible, content_infrared)
        mixed_styles = Pair(mix_rows(styles.visible), mix_rows(styles.infrared))
        images: Pair = self.generation.decode(mixed_contents, mixed_styles)
        return images

    def embed(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Eq. 17: V (B, D) of either modality by the same path, L2-normalised; after the classifier's batch norm with
        ``test_feature=neck``."""
        check_images(images, modality)
        with averages_of(self.set_level, modality), averages_of(self.instance, modality):
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

    def picture_contents(self, images: Pair) -> Pair:
        """As :meth:`picture_content`, of both modalities."""
        return Pair(self.picture_content(images.visible), self.picture_content(images.infrared))

    @torch.no_grad()
    def translate(self, visible: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        """Fig. 6 and 7: real and fake images, and below them each person changing into another one by V.

        A fake has the content of the real image above it and the style of the other modality's image in its column. The
        person mixed in stands half the batch away.
        """
        gan_size = self.config.streams["gan"].size
        images = Pair(_resize(visible, gan_size), _resize(infrared, gan_size))
        outputs: GenerationOutputs = self.generation(self.picture_contents, images)
        rows = {
            "real visible": visible,
            "real infrared": infrared,
            "fake infrared": outputs.fakes.infrared,
            "fake visible": outputs.fakes.visible,
        }
        if self.config.unseen_ids:
            shift = len(visible) // 2
            for alpha in MIXING_RATIOS:
                ratio = visible.new_full((len(visible),), alpha)
                mixed = self.mix(outputs.contents, outputs.styles, ratio, shift)
                rows[f"mix, {alpha:.0%} own"] = mixed.visible
            rows["real, mixed in"] = visible.roll(shift, 0)
        pictures: dict[str, Tensor] = {}
        for name, images_of_row in rows.items():
            pictures[name] = _resize(images_of_row, visible.shape[-2:])
        return pictures


def _resize(images: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bilinear, without aliases; images of that size as they are."""
    if images.shape[-2:] == tuple(size):
        return images
    return F.interpolate(images, size=tuple(size), mode="bilinear", align_corners=False, antialias=True)
