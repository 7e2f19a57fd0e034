"""Networks of cm-SSFT: two-stream extractor, transfer network (SSTN), decoders, discriminators.

Letters: B images of a batch, N images of one modality, C channels of the backbone, D width of features.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.data.records import MODALITIES, Modality
from crossreid.methods.cmssft.affinity import dense_affinities, propagate
from crossreid.nn.backbones import BODY, PretrainedParts, ResNetEncoder, gather_parts
from crossreid.nn.feature_block import BlockOutput, FeatureBlock
from crossreid.settings.networks import BackboneConfig

LOW_LAYERS = 6  # the stem's convolution, batch norm, ReLU and max-pool, then two residual stages


class Maps(NamedTuple):
    """Feature maps of images of one modality: shared (N, C, h, w), and specific likewise where there is such a stream."""

    shared: Tensor
    specific: Tensor | None


class TwoStreamExtractor(PretrainedParts):
    """Eq. 1 up to the pooling: a low part per modality, then a shared and, if asked for, a specific high part.

    The low part is the ResNet's stem and first two stages, the high part its last two; all copies of a part start from
    the same weights.

    Args:
        backbone: the ResNet; images are resized to its ``size``.
        specific: with the modality-specific high parts.

    Attributes:
        channels: C.
    """

    def __init__(self, backbone: BackboneConfig, *, specific: bool) -> None:
        super().__init__()
        encoder = ResNetEncoder(backbone)
        low = encoder.body[:LOW_LAYERS]
        high = encoder.body[LOW_LAYERS:]
        self.prepare = encoder.prepare
        self.channels = encoder.channels
        visible_low = deepcopy(low)
        infrared_low = deepcopy(low)
        self.low = nn.ModuleDict({"visible": visible_low, "infrared": infrared_low})  # Conv1^R, Conv1^I
        self.shared = high  # Conv2^S: the original; the others are copies with weights of their own
        high_copies = [high]
        if specific:
            visible_high = deepcopy(high)
            infrared_high = deepcopy(high)
            high_copies += [visible_high, infrared_high]
            self.specific = nn.ModuleDict({"visible": visible_high, "infrared": infrared_high})  # Conv2^R, Conv2^I
        # Every copy is filled from the same layers of one ImageNet file.
        named_layers = [zip(BODY[:LOW_LAYERS], copy, strict=True) for copy in (visible_low, infrared_low)]
        named_layers += [zip(BODY[LOW_LAYERS:], copy, strict=True) for copy in high_copies]
        self.backbone = backbone
        self.pretrained_parts = gather_parts(*named_layers)

    def normalise(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> what the network sees, and the decoders rebuild: resized, ImageNet statistics."""
        prepared: Tensor = self.prepare(images)
        return prepared

    def to_images(self, normalised: Tensor) -> Tensor:
        """The way back: (B, 3, h, w) with ImageNet statistics -> about [0, 1]."""
        return normalised * self.prepare.std + self.prepare.mean

    def forward(self, visible: Tensor, infrared: Tensor) -> dict[Modality, Maps]:
        """Normalised images of both modalities -> their maps; the shared part sees both in one batch."""
        visible_low = self.low["visible"](visible)
        infrared_low = self.low["infrared"](infrared)
        shared = self.shared(torch.cat([visible_low, infrared_low]))
        visible_shared, infrared_shared = shared.split([len(visible), len(infrared)])
        return {
            "visible": Maps(visible_shared, self._specific(visible_low, "visible")),
            "infrared": Maps(infrared_shared, self._specific(infrared_low, "infrared")),
        }

    def maps(self, images: Tensor, modality: Modality) -> Maps:
        """Normalised images (N, 3, h, w) of one modality -> their maps."""
        low = self.low[modality](images)
        return Maps(self.shared(low), self._specific(low, modality))

    def _specific(self, low: Tensor, modality: Modality) -> Tensor | None:
        """Conv2 of one modality on maps of the low part; None without specific streams (Table 3, row 1)."""
        if not hasattr(self, "specific"):
            return None
        feature_map: Tensor = self.specific[modality](low)
        return feature_map


class TransferNetwork(nn.Module):
    """SSTN: Eq. 5-11, from shared and specific features to transferred ones T.

    ``Z W`` is never made from zero-padded ``Z``. W has a part for each segment of Eq. 5, ``W = [W_R; W_S; W_I]``, and the
    padding zeros leave ``Z^R W = P^R W_R + H^R W_S`` and ``Z^I W = H^I W_S + P^I W_I``.

    Args:
        channels: D of the features that come in.
        dim: width after ``W``.
        classes: number of training identities.
        segments: what is propagated: ``shared``, ``specific`` or both (Table 3, rows 9 to 11).
        k: neighbours kept in each row of each block (Eq. 8).
        neck: of Feat^t.
        neck_dim: width of Feat^t where the neck is an FC.
    """

    def __init__(
        self, channels: int, dim: int, classes: int, *, segments: Sequence[str], k: int, neck: str, neck_dim: int
    ) -> None:
        super().__init__()
        self.k = k
        parts: list[str] = []
        if "shared" in segments:
            parts.append("shared")  # W_S
        if "specific" in segments:
            parts.extend(MODALITIES)  # W_R, W_I
        self.weights = nn.ModuleDict()
        for part in parts:
            self.weights[part] = nn.Linear(channels, dim, bias=False)
        inputs = len(parts) * channels  # W is one matrix: Kaiming's deviation is that of all its segments together
        deviation = (2 / inputs) ** 0.5
        for layer in self.weights.values():
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, 0.0, deviation)
        self.block = FeatureBlock(dim, classes, neck, neck_dim)  # Feat^t

    def project(self, shared: Tensor, specific: Tensor, modality: Modality) -> Tensor:
        """``Z W`` of one modality: features (N, D) and (N, D) -> (N, dim)."""
        products = []
        if "shared" in self.weights:
            products.append(self.weights["shared"](shared))
        if modality in self.weights:
            products.append(self.weights[modality](specific))
        return torch.stack(products).sum(0)

    def forward(self, features: dict[Modality, tuple[Tensor, Tensor]]) -> BlockOutput:
        """(shared, specific) features of both modalities -> T of the visible, then of the infrared images.

        Affinities and propagation are in float32 whatever the training precision: half-precision values tie.
        """
        visible_shared, visible_specific = features["visible"]
        infrared_shared, infrared_specific = features["infrared"]
        with torch.autocast(visible_shared.device.type, enabled=False):
            visible = (visible_shared.float(), visible_specific.float())
            infrared = (infrared_shared.float(), infrared_specific.float())
            projected = torch.cat([self.project(*visible, "visible"), self.project(*infrared, "infrared")])  # Z W
            affinities = dense_affinities(visible, infrared, self.k)  # A, Eq. 8
            propagated = F.relu(propagate(affinities, projected))  # Eq. 10
            output: BlockOutput = self.block(propagated)  # Eq. 11
        return output


class CMSSFTDecoder(nn.Module):
    """De: maps (N, 2C, h, w), specific, then shared, -> normalised images (N, 3, 16h, 16w) (Eq. 16).

    Four sub-pixel convolutions (Shi et al., CVPR 2016) with ReLU, then a linear convolution to the three colours.

    Args:
        channels: 2C.
        width: channels after each sub-pixel convolution.
        reduced: bring the maps to ``width`` channels by a 1x1 convolution first.
    """

    def __init__(self, channels: int, width: int = 64, *, reduced: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if reduced:
            layers.append(nn.Conv2d(channels, width, 1))
            channels = width
        # Four steps of x2, from a sixteenth to the image; shuffling turns 4 x width channels into width at twice the size.
        for _ in range(4):
            layers += [nn.Conv2d(channels, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.ReLU()]
            channels = width
        # No activation at the end: what is rebuilt is normalised, and has values of both signs.
        self.body = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, shared: Tensor, specific: Tensor) -> Tensor:
        """Two maps (N, C, h, w) -> images (N, 3, 16h, 16w)."""
        images: Tensor = self.body(torch.cat([specific, shared], dim=1))
        return images


class Projections(nn.Module):
    """Theta^R and Theta^I: specific features (N, D) -> guesses of the shared ones (N, D) (Eq. 15).

    They start at zero: an error of exactly 1 on unit features, below which only what they learn brings it.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.matrices = nn.ModuleDict()
        for modality in MODALITIES:
            theta = nn.Linear(dim, dim, bias=False)
            nn.init.zeros_(theta.weight)
            self.matrices[modality] = theta

    def forward(self, specific: Tensor, modality: Modality) -> Tensor:
        """Specific features (N, D) of one modality -> (N, D)."""
        guess: Tensor = self.matrices[modality](specific)
        return guess
