"""What the loaders hand to a method."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class PairedBatch(NamedTuple):
    """One stream of a training batch: P identities x K images of each modality, identity by identity.

    Attributes:
        visible: (P*K, 3, H, W) float in [0, 1], RGB (uint8 in [0, 255] before the transforms).
        infrared: (P*K, 3, H, W), as above, one channel repeated three times.
        pids: (P*K,) contiguous labels; row b of both image tensors shows ``pids[b]``.
        iteration: which iteration of the run the batch belongs to.
    """

    visible: Tensor
    infrared: Tensor
    pids: Tensor
    iteration: int


class EvaluationBatch(NamedTuple):
    """Images of one modality to embed.

    Attributes:
        images: (B, 3, H, W) float in [0, 1], RGB (uint8 before the transforms).
        rows: (B,) place of each image in the dataset's records; padded batches repeat rows.
    """

    images: Tensor
    rows: Tensor


TrainingBatch = dict[str, PairedBatch]
"""Stream name -> its part of the batch."""
