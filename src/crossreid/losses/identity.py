"""Identity classification."""

import torch.nn.functional as F
from torch import Tensor


def identity_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy over training identities, mean over the batch.

    Args:
        logits: (B, classes).
        labels: (B,) contiguous labels.
        smoothing: label smoothing in [0, 1).
    """
    return F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
