"""JSIA-ReID's re-ID path (sec. 3.3): E_sl and E_i, E_il with the classifiers, and the modality discriminator.

What generates images stands in :mod:`crossreid.methods.jsia.generation`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.methods.jsia.config import EncoderConfig
from crossreid.nn.backbones import BackboneConfig, ImageInput, make_resnet, pool
from crossreid.nn.gan import ConvStack, init_gan_weights
from crossreid.nn.heads import NeckClassifier

LUMA = (0.2989, 0.5870, 0.1140)


class SetLevelEncoder(nn.Module):
    """E_sl and E_i: images (B, 3, h, w) in [0, 1] -> M (B, C, H/4, W/4), not negative: a ResNet's stem and first stage.

    Resizes to ``backbone.size`` and normalises by ImageNet statistics inside. With ``gray`` the normalised channels are
    then mixed to one and repeated, for both modalities (authors' code; neither paper mentions it).

    Attributes:
        channels: C, 64 for ResNet-18 and -34, 256 for deeper ones.
    """

    luma: Tensor

    def __init__(self, backbone: BackboneConfig, config: EncoderConfig) -> None:
        super().__init__()
        net = make_resnet(backbone)
        self.prepare = ImageInput((backbone.size[0], backbone.size[1]))
        self.gray = config.gray
        relu = [net.relu] if config.stem_relu else []
        self.body = nn.Sequential(net.conv1, net.bn1, *relu, net.maxpool, net.layer1)
        self.channels = int(net.layer2[0].conv1.in_channels)
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, h, w) in [0, 1] -> M (B, C, H/4, W/4)."""
        seen = self.prepare(images)
        if self.gray:
            seen = (seen * self.luma).sum(1, keepdim=True).expand(-1, 3, -1, -1)
        maps: Tensor = self.body(seen)
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


class InstanceEncoder(nn.Module):
    """E_il with its classifiers: M (B, C, H/4, W/4) -> T (B, D, H/16, W/16) -> :class:`Recognition`.

    Args:
        backbone: the ResNet whose stages 2 to 4 it has.
        classes: number of training identities.
        parts: n, stripes with a classifier of their own (Eq. 12); 0 for none.
    """

    def __init__(self, backbone: BackboneConfig, classes: int, parts: int) -> None:
        super().__init__()
        net = make_resnet(backbone)
        self.body = nn.Sequential(net.layer2, net.layer3, net.layer4)
        channels = int(net.fc.in_features)
        self.classifier = NeckClassifier(channels, classes)
        self.local = nn.ModuleList(NeckClassifier(channels, classes) for _ in range(parts))

    def forward(self, maps: Tensor) -> Recognition:
        """M (B, C, h, w) -> V, its logits, the stripes' logits."""
        features = self.body(maps)
        vector = pool(features)
        stripes = F.adaptive_avg_pool2d(features, (len(self.local), 1)).flatten(2).unbind(2) if self.local else ()
        local = [classify(stripe) for classify, stripe in zip(self.local, stripes, strict=True)]
        return Recognition(vector, self.classifier(vector), local)

    def vectors(self, maps: Tensor) -> Tensor:
        """M (B, C, h, w) -> V (B, D), without the classifiers."""
        return pool(self.body(maps))


class ModalityDiscriminator(nn.Module):
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
