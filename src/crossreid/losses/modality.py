"""Losses of a modality discriminator D and of the features that it judges.

D's logits are (N, 2): column 0 for visible, column 1 for infrared.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def modality_loss(visible: Tensor, infrared: Tensor) -> Tensor:
    """Cross-entropy of D: mean over the images of a modality, then over the two, so that both count alike.

    Args:
        visible: (N, 2) logits of visible images.
        infrared: (M, 2) logits of infrared images.
    """
    log_p_visible = F.log_softmax(visible.float(), dim=1)  # (N, 2)
    log_p_infrared = F.log_softmax(infrared.float(), dim=1)  # (M, 2)
    loss_visible = -log_p_visible[:, 0].mean()
    loss_infrared = -log_p_infrared[:, 1].mean()
    # one mean over all N + M images would teach D which modality is the more frequent
    return torch.stack([loss_visible, loss_infrared]).mean()


def modality_doubt(visible: Tensor, infrared: Tensor) -> Tensor:
    """Cross-entropy of D's logits against (0.5, 0.5): at least log 2, where D cannot tell; a bounded adversary of D.

    Args:
        visible: (N, 2) logits of visible images.
        infrared: (M, 2) logits of infrared images.
    """
    # cross-entropy against (0.5, 0.5) is the mean over the two columns, so one mean does both columns and images
    doubt_visible = -F.log_softmax(visible.float(), dim=1).mean()
    doubt_infrared = -F.log_softmax(infrared.float(), dim=1).mean()
    return torch.stack([doubt_visible, doubt_infrared]).mean()
