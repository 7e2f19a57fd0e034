"""MPANet's network: modality alleviation between stages, features of patterns, and classifiers of each modality."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.data.records import MODALITIES
from crossreid.methods.mpanet.config import MPANetConfig
from crossreid.nn.backbones import BODY, ResNetEncoder, pool
from crossreid.nn.feature_block import BlockOutput, FeatureBlock


class ModalityAlleviation(nn.Module):
    """Maps (N, C, h, w) -> ``m x + (1 - m) IN(x)``: channels that tell persons apart stay, others lose their statistics.

    ``m = sigmoid(W_2 ReLU(W_1 GAP(x)))`` without biases; IN normalises each channel of each image, without scale and shift.

    Args:
        channels: C.
        reduction: W_1 leads to C / reduction.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, inner, bias=False)
        self.excite = nn.Linear(inner, channels, bias=False)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        hidden = F.relu(self.squeeze(pool(feature_map)))
        mask = torch.sigmoid(self.excite(hidden))[:, :, None, None]  # (N, C, 1, 1)
        normalised = F.instance_norm(feature_map)
        return mask * feature_map + (1 - mask) * normalised


class MPANetEncoder(nn.Module):
    """Images of any modality in [0, 1] (N, 3, h, w) -> the last map (N, C, H/16, W/16).

    Args:
        config: the ResNet, and where modality alleviation stands.

    Attributes:
        channels: C.
    """

    def __init__(self, config: MPANetConfig) -> None:
        super().__init__()
        self.resnet = ResNetEncoder(config.backbone)
        self.channels = self.resnet.channels
        self.alleviations = nn.ModuleDict()
        for stage in config.alleviation_stages:
            width = self.channels // 2 ** (4 - stage)  # a stage is twice as wide as the one before
            self.alleviations[f"layer{stage}"] = ModalityAlleviation(width, config.reduction)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, h, w) in [0, 1] -> (N, C, H/16, W/16)."""
        maps: Tensor = self.resnet.prepare(images)
        for name, part in zip(BODY, self.resnet.body, strict=True):
            maps = part(maps)
            if name in self.alleviations:
                maps = self.alleviations[name](maps)
        return maps


class PatternOutput(NamedTuple):
    """What the network makes of N images.

    Attributes:
        output: vectors (N, (P + 1) C), of P patterns and then of the whole image; features behind the neck; logits.
        masks: (N, P, h, w) in [0, 1]; P may be 0.
    """

    output: BlockOutput
    masks: Tensor


class MPANetNetwork(nn.Module):
    """Images of any modality -> :class:`PatternOutput`.

    Args:
        config: of the encoder, and the number P of patterns.
        classes: number of training identities.
    """

    def __init__(self, config: MPANetConfig, classes: int) -> None:
        super().__init__()
        self.encoder = MPANetEncoder(config)
        channels = self.encoder.channels
        self.patterns: nn.Conv2d | None = None
        if config.parts:
            self.patterns = nn.Conv2d(channels, config.parts, 1)
            nn.init.zeros_(self.patterns.get_parameter("bias"))
        width = (config.parts + 1) * channels
        self.block = FeatureBlock(width, classes, "bnneck", width)

    def forward(self, images: Tensor) -> PatternOutput:
        """(N, 3, h, w) in [0, 1] -> vectors, features, logits, masks."""
        maps = self.encoder(images)
        masks = self._masks(maps)
        # Means of m x over all places, not over those of the mask: a small pattern has a short vector.
        places = maps.shape[2] * maps.shape[3]
        of_patterns = masks.flatten(2) @ maps.flatten(2).transpose(1, 2) / places  # (N, P, C)
        vectors = torch.cat([of_patterns.flatten(1), pool(maps)], dim=1)
        return PatternOutput(self.block(vectors), masks)

    def _masks(self, maps: Tensor) -> Tensor:
        """Where each pattern is, (N, P, h, w)."""
        if self.patterns is None:
            return maps[:, :0]
        return torch.sigmoid(self.patterns(maps))


class ModalityClassifiers(nn.Module):
    """A classifier of each modality's features, and the mean over training of each.

    Args:
        width: of the features.
        classes: number of training identities.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.own = nn.ModuleDict({modality: _classifier(width, classes) for modality in MODALITIES})
        self.mean = deepcopy(self.own)  # starts as the classifiers do; no optimizer moves it
        self.mean.requires_grad_(False)

    @torch.no_grad()
    def follow(self, rate: float) -> None:
        """``W_mean <- (1 - rate) W_mean + rate W``."""
        for modality, classifier in self.own.items():
            self.mean[modality].get_parameter("weight").lerp_(classifier.get_parameter("weight"), rate)


def _classifier(width: int, classes: int) -> nn.Linear:
    """Without bias, as the one that both modalities share."""
    classifier = nn.Linear(width, classes, bias=False)
    nn.init.normal_(classifier.weight, 0.0, 0.001)
    return classifier
