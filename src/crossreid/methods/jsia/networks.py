"""JSIA-ReID's re-ID path (sec. 3.3): E_sl and E_i, E_il with the classifiers, and the modality discriminator.

What generates images stands in :mod:`crossreid.methods.jsia.generation`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.methods.jsia.config import JSIAEncoderConfig
from crossreid.nn.backbones import PretrainedParts, gather_parts, make_resnet, pool
from crossreid.nn.gan import ConvStack, init_gan_weights
from crossreid.nn.heads import NeckClassifier
from crossreid.settings.networks import BackboneConfig

LUMA = (0.2989, 0.5870, 0.1140)
"""Shares of red, green and blue in a grey image."""


class SetLevelEncoder(PretrainedParts):
    """E_sl and E_i: images (B, 3, h, w) in [0, 1] -> M (B, C, H/4, W/4), not negative: a ResNet's stem and first stage.

    Resizes to ``backbone.size`` and normalises by ImageNet statistics inside. With ``gray`` the normalised channels are
    then mixed to one and repeated, for both modalities (authors' code; neither paper mentions it).

    Attributes:
        channels: C, 64 for ResNet-18 and -34, 256 for deeper ones.
    """

    luma: Tensor

    def __init__(self, backbone: BackboneConfig, config: JSIAEncoderConfig) -> None:
        super().__init__()
        resnet = make_resnet(backbone)
        parts = resnet.parts
        self.prepare = resnet.prepare
        self.gray = config.gray
        stem = [parts["conv1"], parts["bn1"]]
        if config.stem_relu:  # the authors' code has none
            stem.append(parts["relu"])
        # "the first two layers" (sec. 4.2): stem and stage 1 have stride 4, which the decoder's two x2 steps undo
        self.body = nn.Sequential(*stem, parts["maxpool"], parts["layer1"])
        first_of_stage_2 = parts["layer2"].get_submodule("0.conv1")
        assert isinstance(first_of_stage_2, nn.Conv2d)
        self.channels = first_of_stage_2.in_channels
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.backbone = backbone
        self.pretrained_parts = gather_parts((name, parts[name]) for name in ("conv1", "bn1", "layer1"))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> M (B, C, H/4, W/4)."""
        pixels = self.prepare(images)
        if self.gray:
            # Of normalised channels, and not normalised again (authors' code).
            grey = (pixels * self.luma).sum(1, keepdim=True)  # (B, 1, H, W)
            pixels = grey.expand(-1, 3, -1, -1)  # the first convolution wants three channels
        maps: Tensor = self.body(pixels)
        return maps


class Recognition(NamedTuple):
    """What E_il and the classifiers make of B maps.

    Attributes:
        vector: V, (B, D).
        logits: (B, classes).
        local: n x (B, classes), one entry a stripe from top to bottom; empty without local regions.
    """

    vector: Tensor
    logits: Tensor
    local: list[Tensor]


class InstanceEncoder(PretrainedParts):
    """E_il with its classifiers: M (B, C, H/4, W/4) -> T (B, D, H/16, W/16) -> :class:`Recognition`.

    Args:
        backbone: the ResNet whose stages 2 to 4 it has.
        classes: number of training identities.
        parts: n, stripes with a classifier of their own (Eq. 12); 0 for none.
    """

    def __init__(self, backbone: BackboneConfig, classes: int, parts: int) -> None:
        super().__init__()
        resnet = make_resnet(backbone)
        stages = {name: resnet.parts[name] for name in ("layer2", "layer3", "layer4")}
        self.body = nn.Sequential(*stages.values())
        channels = resnet.channels
        self.classifier = NeckClassifier(channels, classes)
        self.local = nn.ModuleList(NeckClassifier(channels, classes) for _ in range(parts))
        self.backbone = backbone
        self.pretrained_parts = gather_parts(stages.items())

    def forward(self, maps: Tensor) -> Recognition:
        """M (B, C, h, w) -> V, its logits, the stripes' logits."""
        features = self.body(maps)
        vector = pool(features)
        local = self._local_logits(features)
        return Recognition(vector, self.classifier(vector), local)

    def _local_logits(self, features: Tensor) -> list[Tensor]:
        """T (B, D, h, w) -> logits (B, classes) of each stripe."""
        if not self.local:
            return []
        parts = len(self.local)
        pooled = F.adaptive_avg_pool2d(features, (parts, 1)).flatten(2)  # t^1 ... t^n of Eq. 12, (B, D, n)
        logits = []
        for classifier, stripe in zip(self.local, pooled.unbind(2), strict=True):
            logits.append(classifier(stripe))  # C^i(t^i) on (B, D)
        return logits

    def vectors(self, maps: Tensor) -> Tensor:
        """M (B, C, h, w) -> V (B, D), without the classifiers."""
        return pool(self.body(maps))


class MapModalityDiscriminator(nn.Module):
    """M (B, C, h, w) -> one logit an image (B, 1): visible or infrared? For the degraded set-level alignment.

    Args:
        channels: C.
        width: channels of the first strided convolution.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = ConvStack(channels, width, 2)
        self.out = nn.Linear(self.body.out_channels, 1)
        init_gan_weights(self)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 1)."""
        logits: Tensor = self.out(pool(self.body(maps)))
        return logits
