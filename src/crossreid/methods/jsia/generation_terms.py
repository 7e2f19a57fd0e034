"""Losses of the generation module, of its discriminators and of the variation module (Eq. 4-10), each for its owners."""

from __future__ import annotations

import torch
from torch import Tensor

from crossreid.losses import pixel_l1
from crossreid.methods.jsia import losses as jsia_losses
from crossreid.methods.jsia.config import GenerationWeights, VariationConfig
from crossreid.methods.jsia.generation import (
    GenerationModule,
    GenerationOutputs,
    MultiScaleDiscriminator,
    Pair,
    VariationModule,
)
from crossreid.methods.players import Losses

Discriminators = tuple[MultiScaleDiscriminator, MultiScaleDiscriminator]
"""Of visible images, of infrared images."""


def feature_terms(generation: GenerationModule, outputs: GenerationOutputs, weights: GenerationWeights) -> Losses:
    """Contents and styles come back from the fakes (authors' code); terms of weight 0 are left out."""
    losses = Losses()
    if weights.content:  # a fake has the content of the other modality's real image
        visible = jsia_losses.feature_l1(outputs.fake_contents.infrared, outputs.contents.visible)
        infrared = jsia_losses.feature_l1(outputs.fake_contents.visible, outputs.contents.infrared)
        losses.add("content", visible + infrared, weights.content)
    if weights.style:  # and the style of its own modality's real image
        fake_styles = generation.styles(outputs.fakes)
        visible = jsia_losses.feature_l1(fake_styles.visible, outputs.styles.visible)
        infrared = jsia_losses.feature_l1(fake_styles.infrared, outputs.styles.infrared)
        losses.add("style", visible + infrared, weights.style)
    return losses


def image_terms(
    discriminators: Discriminators, images: Pair, outputs: GenerationOutputs, weights: GenerationWeights
) -> Losses:
    """Eq. 4, 5 and the generator's side of Eq. 7."""
    losses = Losses()
    losses.add("image", _pixel_l1_of_both(outputs.reconstructions, images), weights.image)  # Eq. 4
    losses.add("cycle", _pixel_l1_of_both(outputs.cycles, images), weights.cycle)  # Eq. 5
    mean_images = Pair(_mean_image(images.visible), _mean_image(images.infrared))
    losses.add("mean_image", _pixel_l1_of_both(mean_images, images), 0.0)  # what ignoring the input would get
    of_visible, of_infrared = discriminators
    # Eq. 8 prints the cycle's weight for the GAN too; here it has one of its own.
    losses.add("gan_visible", jsia_losses.acceptance(of_visible(outputs.fakes.visible)), weights.gan)  # Eq. 7
    losses.add("gan_infrared", jsia_losses.acceptance(of_infrared(outputs.fakes.infrared)), weights.gan)
    return losses


def rejection(discriminators: Discriminators, images: Pair, fakes: Pair) -> Losses:
    """The discriminators' side of Eq. 7; ``fakes`` are without gradients."""
    of_visible, of_infrared = discriminators
    losses = Losses()
    losses.add("visible", jsia_losses.rejection(of_visible(images.visible), of_visible(fakes.visible)))
    losses.add("infrared", jsia_losses.rejection(of_infrared(images.infrared), of_infrared(fakes.infrared)))
    return losses


def variation_terms(variation: VariationModule, contents: Pair, config: VariationConfig) -> Losses:
    """Eq. 10 on the maps of both modalities.

    Args:
        variation: V.
        contents: M^i, (B, C, h, w) each.
        config: its weights, and whether V learns the maps as they are, so that E_i does not learn to be easy for V.
    """
    if config.detach:
        contents = contents.detach()
    # V is one network for both modalities: contents are to be free of what tells them apart.
    maps = torch.cat(contents)  # M, (2 B, C, h, w)
    latent = variation.encode(maps)
    reconstruction = variation.decode(latent.sample())  # Eq. 9
    terms = jsia_losses.variation_terms(maps, reconstruction, latent, config.norms)
    losses = Losses()
    losses.add("reconstruction", terms.reconstruction, config.reconstruction)
    losses.add("mean", terms.mean, config.mean)
    losses.add("deviation", terms.deviation, config.deviation)
    return losses


def _pixel_l1_of_both(images: Pair, targets: Pair) -> Tensor:
    """Sum over both modalities of the L1 mean."""
    return pixel_l1(images.visible, targets.visible) + pixel_l1(images.infrared, targets.infrared)


def _mean_image(images: Tensor) -> Tensor:
    """The mean of a batch in the place of each image, (B, 3, H, W)."""
    return images.mean(0, keepdim=True).expand_as(images)
