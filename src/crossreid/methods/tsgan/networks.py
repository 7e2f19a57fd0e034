"""TS-GAN's re-ID network, which is both the student and the teacher.

Generators and image discriminators are CycleGAN's (:mod:`crossreid.nn.gan`), the joint discriminator is AlignGAN's with
another ending (:mod:`crossreid.nn.joint_discriminator`).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from crossreid.nn.backbones import PretrainedParts, ResNetEncoder, pool
from crossreid.nn.neck import BatchNormNeck
from crossreid.settings.networks import BackboneConfig


class ReIDOutputs(NamedTuple):
    """What the network makes of N images.

    Attributes:
        middle: (N, C / 2, H/16, W/16), the former encoder's map, for the teacher-student losses.
        map: (N, C, H/16, W/16), the latter encoder's map.
        vector: V, (N, C), its average, for the triplet loss and retrieval.
        logits: F, (N, classes).
    """

    middle: Tensor
    map: Tensor
    vector: Tensor
    logits: Tensor


class ReIDNetwork(PretrainedParts):
    """Images (N, 3, h, w) in [0, 1] of any modality, real or fake -> :class:`ReIDOutputs` (sec. III-B, Fig. 3).

    Args:
        backbone: the ResNet; its stem and first three stages are the former encoder, its last stage the latter one.
        classes: number of training identities.
        neck: ``bnneck``: a batch norm without shift between V and the classifier (Luo et al., CVPR Workshops 2019);
            ``none``: V goes straight into it.

    Attributes:
        channels: C, 512 for ResNet-18 and -34, 2048 for ResNet-50 and deeper.
    """

    def __init__(self, backbone: BackboneConfig, classes: int, neck: str) -> None:
        super().__init__()
        encoder = ResNetEncoder(backbone)
        self.channels = encoder.channels
        self.prepare = encoder.prepare
        self.former = encoder.body[:-1]  # FE: stem and stages 1 to 3
        self.latter = encoder.body[-1]  # LE: the last stage
        self.neck: nn.Module = nn.Identity()
        if neck == "bnneck":
            self.neck = BatchNormNeck(self.channels)
        # Small weights, as in BoT: at first every identity is about as likely.
        self.classifier = nn.Linear(self.channels, classes, bias=False)
        nn.init.normal_(self.classifier.weight, 0.0, 0.001)
        self.backbone = encoder.backbone
        self.pretrained_parts = encoder.pretrained_parts

    def forward(self, images: Tensor) -> ReIDOutputs:
        """Images (N, 3, h, w) in [0, 1] -> both maps, V and logits."""
        middle = self.middle(images)
        feature_map = self.latter(middle)
        vector = pool(feature_map)
        return ReIDOutputs(middle, feature_map, vector, self.classifier(self.neck(vector)))

    def middle(self, images: Tensor) -> Tensor:
        """Images (N, 3, h, w) in [0, 1] -> the former encoder's map (N, C / 2, H/16, W/16)."""
        middle: Tensor = self.former(self.prepare(images))
        return middle

    def vectors(self, images: Tensor) -> Tensor:
        """Images (N, 3, h, w) in [0, 1] -> V (N, C), before the neck: what retrieval uses."""
        return pool(self.latter(self.middle(images)))
