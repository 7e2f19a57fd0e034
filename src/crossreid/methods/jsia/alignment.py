"""IL, LR and UI (Eq. 11, 12, 15) on predictions, each beside what it is for other persons.

Predictions say nothing at first, so these divergences start near 0 and rise while identities are learned. The terms
NAME_others, logged and not trained, give them a scale: the same images compared with another person's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crossreid.methods.jsia import losses as jsia_losses
from crossreid.methods.jsia.config import JSIAConfig
from crossreid.methods.jsia.networks import Recognition
from crossreid.methods.players import Losses

BothModalities = tuple[Recognition, Recognition]


def add_alignment(losses: Losses, config: JSIAConfig, real: BothModalities, fake: BothModalities) -> None:
    """IL and LR, where they are on (Eq. 11, 12).

    Args:
        losses: gets ``il``, ``lr``, ``il_others``, ``lr_others``.
        config: switches, weights, direction, images of a person that stand together.
        real: predictions of real visible and infrared images, rows by identity; they set the targets.
        fake: predictions of their pairs, fake visible and fake infrared images, that follow them; degraded LR has the real
            ones follow each other.
    """
    real_visible, real_infrared = real
    fake_visible, fake_infrared = fake
    if config.instance_level:  # Eq. 11: one region, the whole image
        real_logits = [[real_visible.logits], [real_infrared.logits]]
        fake_logits = [[fake_visible.logits], [fake_infrared.logits]]
        _add_beside_others(losses, config, "il", real_logits, fake_logits, config.lambda_il)
    if config.local_regions == "paired":  # Eq. 12: n regions, the stripes
        real_logits = [real_visible.local, real_infrared.local]
        fake_logits = [fake_visible.local, fake_infrared.local]
        _add_beside_others(losses, config, "lr", real_logits, fake_logits, config.lambda_lr)
    elif config.local_regions == "unpaired":  # degraded LR: row b's real images of both modalities in place of pairs
        real_logits = [real_visible.local, real_infrared.local]
        _add_beside_others(losses, config, "lr", real_logits, real_logits, config.lambda_lr)


def _add_beside_others(
    losses: Losses,
    config: JSIAConfig,
    name: str,
    real: Sequence[Sequence[Tensor]],
    pairs: Sequence[Sequence[Tensor]],
    weight: float,
) -> None:
    """A divergence, and what it is where each image is compared with one of another person."""
    losses.add(name, jsia_losses.alignment(real, pairs, kind=config.divergence), weight)
    others = []
    for logits_of_regions in pairs:  # of visible images, then of infrared ones
        others.append([_of_next_identity(logits.detach(), config) for logits in logits_of_regions])
    losses.add(f"{name}_others", jsia_losses.alignment(real, others, kind=config.divergence).detach(), 0.0)


def add_unseen_divergence(
    losses: Losses, config: JSIAConfig, logits: Sequence[Tensor], targets: Sequence[Tensor]
) -> None:
    """UI (Eq. 15), mean over both modalities.

    Args:
        losses: gets ``ui`` and ``ui_others``.
        config: weight, direction, images of a person that stand together.
        logits: (B, classes) of mixed visible and of mixed infrared images.
        targets: (B, classes) probabilities of both, without gradient.
    """
    direction = config.unseen.direction
    values = []
    others = []
    for predicted, target in zip(logits, targets, strict=True):
        values.append(jsia_losses.unseen_divergence(predicted, target, direction))
        other_target = _of_next_identity(target, config)
        others.append(jsia_losses.unseen_divergence(predicted.detach(), other_target, direction))
    losses.add("ui", torch.stack(values).mean(), config.lambda_ui)
    losses.add("ui_others", torch.stack(others).mean(), 0.0)


def _of_next_identity(rows: Tensor, config: JSIAConfig) -> Tensor:
    """Rows (B, ...) moved so that each stands where one of the next identity stood."""
    return rows.roll(config.streams["gan"].images, 0)
