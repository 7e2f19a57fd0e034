"""Losses of a modality discriminator D and of the features that it judges; logits are (N, 2), visible and infrared."""

import torch
import torch.nn.functional as F
from torch import Tensor


def modality_loss(visible: Tensor, infrared: Tensor) -> Tensor:
    """Cross-entropy of D: mean over the images of a modality, then over the two, so that both count alike.

    Args:
        visible: (N, 2) logits of visible images.
        infrared: (M, 2) logits of infrared images.
    """
    pairs = enumerate((visible, infrared))
    return torch.stack([-F.log_softmax(logits.float(), dim=1)[:, label].mean() for label, logits in pairs]).mean()


def modality_doubt(visible: Tensor, infrared: Tensor) -> Tensor:
    """Cross-entropy of D's logits against (0.5, 0.5): at least log 2, where D cannot tell; a bounded adversary of D.

    Args:
        visible: (N, 2) logits of visible images.
        infrared: (M, 2) logits of infrared images.
    """
    return torch.stack([-F.log_softmax(logits.float(), dim=1).mean() for logits in (visible, infrared)]).mean()
