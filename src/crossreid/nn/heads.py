"""Heads on a pooled feature vector V (B, C)."""

from __future__ import annotations

from torch import Tensor, nn

from crossreid.nn.neck import BatchNormNeck


class BottleneckClassifier(nn.Sequential):
    """V (B, C) -> identity logits (B, classes), through a hidden layer of 256 (AlignGAN, sec. 4.2).

    Args:
        channels: C.
        classes: number of training identities.
        hidden: width of the hidden layer.
        dropout: probability in [0, 1].
        order: ``paper``: FC, BN, dropout, ReLU, FC; ``official``: dropout, FC, BN, LeakyReLU(0.1), FC.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        hidden: int = 256,
        dropout: float = 0.5,
        order: str = "official",
    ) -> None:
        first = nn.Linear(channels, hidden)
        norm = nn.BatchNorm1d(hidden)
        last = nn.Linear(hidden, classes)
        if order == "paper":
            super().__init__(first, norm, nn.Dropout(dropout), nn.ReLU(), last)
        else:
            super().__init__(nn.Dropout(dropout), first, norm, nn.LeakyReLU(0.1), last)
        # As AlignGAN's official code begins, whatever the order of the layers.
        nn.init.kaiming_normal_(first.weight, mode="fan_out")
        nn.init.zeros_(first.bias)
        nn.init.normal_(norm.weight, 1.0, 0.02)
        nn.init.normal_(last.weight, 0.0, 0.001)
        nn.init.zeros_(last.bias)


class Embedder(nn.Sequential):
    """V (B, C) -> embedding (B, D) for the triplet loss: one FC (AlignGAN, sec. 4.2).

    Args:
        channels: C.
        dim: D.
        centre: batch-normalise V first. Not in the paper: from random weights all V point the same way, and a triplet loss
            on cosine similarity then stays at its margin; pre-trained weights need no such help.
    """

    def __init__(self, channels: int, dim: int = 256, *, centre: bool = False) -> None:
        layers: list[nn.Module] = []
        if centre:
            layers.append(nn.BatchNorm1d(channels, affine=False))
        layers.append(nn.Linear(channels, dim))
        super().__init__(*layers)


class NeckClassifier(nn.Module):
    """V (B, C) -> identity logits (B, classes): batch norm without a bias, then FC without one (JSIA-ReID, sec. 4.2).

    Args:
        channels: C.
        classes: number of training identities.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = BatchNormNeck(channels)
        self.fc = nn.Linear(channels, classes, bias=False)
        nn.init.normal_(self.fc.weight, 0.0, 0.001)  # authors' code

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, C) -> logits (B, classes)."""
        logits: Tensor = self.fc(self.norm(vectors))
        return logits
