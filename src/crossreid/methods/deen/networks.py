"""DEEN's networks: aggregation of features of two stages (MFA), and expansion of embeddings (DEE)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.methods.deen.config import DEENConfig
from crossreid.nn.backbones import pool
from crossreid.nn.feature_block import BlockOutput, FeatureBlock
from crossreid.nn.two_stream import TwoStreamResNet

DILATIONS = (1, 2, 3)
"""Of the three convolutions of a branch."""


class DilatedBranch(nn.Module):
    """Maps (N, C, h, w) -> others of the same shape, of any sign.

    ``conv1x1(ReLU((D_1(x) + D_2(x) + D_3(x)) / 3))``, D_r a 3 x 3 convolution of dilation r to C / 4 channels. No batch norm.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.dilated = nn.ModuleList()
        for dilation in DILATIONS:
            convolution = nn.Conv2d(channels, inner, 3, padding=dilation, dilation=dilation, bias=False)
            # Padding follows the dilation: all three give maps of one size, which can be averaged.
            nn.init.kaiming_normal_(convolution.weight, mode="fan_in")
            self.dilated.append(convolution)
        self.merge = nn.Conv2d(inner, channels, 1)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        views = [convolution(feature_map) for convolution in self.dilated]
        mean = torch.stack(views).mean(dim=0)
        merged: Tensor = self.merge(F.relu(mean))
        return merged


class DiverseEmbeddingExpansion(nn.Module):
    """DEE: maps of N images -> maps of (1 + B) N, those that came in and what each of B branches makes of them.

    Args:
        channels: of the maps.
        branches: B, 1 or more.
        dropout: probability, of all maps alike, those that came in too.
    """

    def __init__(self, channels: int, branches: int, dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(DilatedBranch(channels) for _ in range(branches))
        self.dropout = nn.Dropout(dropout)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(N, C, h, w) -> ((1 + B) N, C, h, w): N rows that came in, then N of each branch, in the same order."""
        expanded = [feature_map]
        for branch in self.branches:
            expanded.append(branch(feature_map))
        # Along the batch, so that the stages behind treat embeddings as further images.
        kept: Tensor = self.dropout(torch.cat(expanded))
        return kept


class ChannelAggregation(nn.Module):
    """The part of MFA that relates channels: a high map plus a low one whose channels are mixed by their affinities.

    ``Z = H + BN(W(A G))``, with Q = theta(H), K = phi(L), G = g(L) and the affinity A of Q K^T, channels by channels. The batch
    norm starts at 0, so that the part starts as the identity.

    Args:
        high: channels of the high map H.
        low: channels l of the low map L.
        stride: of a residual stage that leads from L to H.
        affinity: ``mean``: A = Q K^T / l; ``softmax``: over the channels that are summed.
    """

    def __init__(self, high: int, low: int, stride: int, affinity: str) -> None:
        super().__init__()
        self.affinity = affinity
        self.theta = nn.Conv2d(high, low, 1)
        self.phi = nn.Conv2d(low, low, 1, stride=stride)
        self.g = nn.Conv2d(low, low, 1)
        self.out = nn.Conv2d(low, high, 1, stride=stride)
        self.norm = _norm_from_zero(high)

    def forward(self, high_map: Tensor, low_map: Tensor) -> Tensor:
        """H (N, h, y, x) and L (N, l, s y, s x) -> Z (N, h, y, x); what is added in float32 whatever the precision."""
        queries = self.theta(high_map).flatten(2)  # (N, l, y x)
        keys = self.phi(low_map).flatten(2)  # (N, l, y x): strided, or positions of the two maps would not meet
        values = self.g(low_map).flatten(2)  # (N, l, s y s x)
        with torch.autocast(high_map.device.type, enabled=False):
            products = at_least_float32(queries) @ at_least_float32(keys).transpose(1, 2)  # (N, l, l)
            mixed = self._weights(products) @ at_least_float32(values)
            mixed_map = mixed.view(low_map.shape[0], -1, *low_map.shape[2:])
            # products are sums over positions, which half precision does not hold before they are normalised
            addition: Tensor = self.norm(self.out(mixed_map))
        return high_map + addition.to(high_map.dtype)

    def _weights(self, products: Tensor) -> Tensor:
        """A: what each of l channels takes of each of the l that are summed, (N, l, l)."""
        if self.affinity == "softmax":
            return products.softmax(2)
        return products / products.shape[2]


class SpatialAggregation(nn.Module):
    """The part of MFA that relates positions: a high map plus values of a low one, gathered by their affinities.

    ``Out = Z + BN(W(A G))``, with Q = theta(Z), K = phi(L), G = g(L), all l / 2 wide. A token is a position, or, with
    ``halves``, two of them: the vector of a place of the map's upper half and that of the same place of its lower half, one
    behind the other channel by channel, as the authors' code reads its arrays. The batch norm starts at 0.

    Args:
        high: channels of the high map Z.
        low: channels l of the low map L.
        tokens: ``halves`` or ``positions``.
        affinity: ``mean``: products over the number of tokens of L; ``softmax``: over these tokens.
    """

    def __init__(self, high: int, low: int, tokens: str, affinity: str) -> None:
        super().__init__()
        self.halves = tokens == "halves"
        self.affinity = affinity
        inner = low // 2
        self.theta = nn.Conv2d(high, inner, 1)
        self.phi = nn.Conv2d(low, inner, 1)
        self.g = nn.Conv2d(low, inner, 1)
        self.out = nn.Conv2d(inner, high, 1)
        self.norm = _norm_from_zero(high)

    def forward(self, high_map: Tensor, low_map: Tensor) -> Tensor:
        """Z (N, h, y, x) and L (N, l, s y, s x) -> (N, h, y, x); what is added in float32 whatever the precision."""
        queries = self._tokens(self.theta(high_map))  # (N, width, T)
        keys = self._tokens(self.phi(low_map))  # (N, width, T_L)
        values = self._tokens(self.g(low_map))
        with torch.autocast(high_map.device.type, enabled=False):
            gathered = self._gathered(at_least_float32(queries), at_least_float32(keys), at_least_float32(values))
            gathered_map = gathered.reshape(high_map.shape[0], -1, *high_map.shape[2:])
            addition: Tensor = self.norm(self.out(gathered_map))
        return high_map + addition.to(high_map.dtype)

    def _tokens(self, maps: Tensor) -> Tensor:
        """(N, c, y, x) -> tokens (N, c, y x), or (N, 2 c, y x / 2): rows 2k and 2k + 1 are the two halves of channel k."""
        positions = maps.flatten(2)
        if not self.halves:
            return positions
        count, channels, places = positions.shape
        return positions.reshape(count, 2 * channels, places // 2)

    def _gathered(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Queries (N, c, T), keys and values (N, c, T_L) -> for each query the weighted sum of values (N, c, T)."""
        if self.affinity == "softmax":
            weights = (queries.transpose(1, 2) @ keys).softmax(2)  # (N, T, T_L)
            return values @ weights.transpose(1, 2)
        # G (Q^T K)^T = (G K^T) Q: c x c numbers instead of T x T_L, and the same sum
        value_by_key = values @ keys.transpose(1, 2)  # (N, c, c)
        return value_by_key @ queries / keys.shape[2]


class MultistageFeatureAggregation(nn.Module):
    """MFA: a stage's output, aggregated with its input by channels and then by positions; it starts as the identity.

    Args:
        config: how affinities are taken.
        high: channels of the output.
        low: channels of the input.
        stride: of the stage.
    """

    def __init__(self, config: DEENConfig, high: int, low: int, stride: int) -> None:
        super().__init__()
        self.channel = ChannelAggregation(high, low, stride, config.mfa_affinity)
        self.spatial = SpatialAggregation(high, low, config.mfa_tokens, config.mfa_affinity)

    def forward(self, high_map: Tensor, low_map: Tensor) -> Tensor:
        """Output H (N, h, y, x) and input L (N, l, s y, s x) of a stage -> (N, h, y, x)."""
        # Channels first: the positions' queries are made of Z, which the channels' part gives.
        output: Tensor = self.spatial(self.channel(high_map, low_map), low_map)
        return output


class DEENEncoder(nn.Module):
    """Images of both modalities in [0, 1] -> maps of the last stage, one of each image and embedding.

    A ResNet with a stem for each modality; behind some of its stages stands MFA, behind one of them DEE.

    Args:
        config: the ResNet, and where what stands.

    Attributes:
        channels: of the maps.
    """

    def __init__(self, config: DEENConfig) -> None:
        super().__init__()
        self.resnet = TwoStreamResNet(config.backbone)
        widths = _widths(self.resnet)
        if config.last_stage == 3:  # the authors' network for RegDB
            self.resnet.leave_out_last_stage()
        self.stages = config.last_stage
        self.channels = widths[config.last_stage]
        self.aggregations = nn.ModuleDict()
        for stage in config.aggregation_stages:
            high, low = widths[stage], widths[stage - 1]
            stride = config.stage_strides[stage - 1]
            self.aggregations[str(stage)] = MultistageFeatureAggregation(config, high, low, stride)
        self.expansion: DiverseEmbeddingExpansion | None = None
        self.expansion_stage = config.expansion_stage
        if config.branches:
            width = widths[config.expansion_stage]
            self.expansion = DiverseEmbeddingExpansion(width, config.branches, config.dropout)

    def forward(self, images: Mapping[str, Tensor]) -> Tensor:
        """``visible`` and ``infrared`` images (N, 3, h, w), or one of them -> (E N, C, y, x).

        Rows of the images themselves first, in the order given, then those of each branch of the expansion.
        """
        maps = self._expanded(self.resnet.stems(images), 0)
        residual_stages = [*self.resnet.middle, self.resnet.last]
        for stage in range(1, self.stages + 1):
            low_map = maps
            maps = residual_stages[stage - 1](low_map)
            # MFA before DEE: where both stand behind one stage, the branches see the aggregated map.
            if str(stage) in self.aggregations:
                maps = self.aggregations[str(stage)](maps, low_map)
            maps = self._expanded(maps, stage)
        return maps

    def _expanded(self, maps: Tensor, stage: int) -> Tensor:
        """Behind the stage where DEE stands, what it makes of the maps."""
        if self.expansion is None or stage != self.expansion_stage:
            return maps
        expanded: Tensor = self.expansion(maps)
        return expanded


class DEENNetwork(nn.Module):
    """Images of both modalities -> vectors, features and logits of all embeddings.

    Args:
        config: of the encoder.
        classes: number of training identities.
    """

    def __init__(self, config: DEENConfig, classes: int) -> None:
        super().__init__()
        self.encoder = DEENEncoder(config)
        channels = self.encoder.channels
        self.block = FeatureBlock(channels, classes, "bnneck", channels)

    def forward(self, images: Mapping[str, Tensor]) -> BlockOutput:
        """``visible`` and ``infrared`` images (N, 3, h, w), or one of them; (E N) rows as of :class:`DEENEncoder`."""
        output: BlockOutput = self.block(pool(self.encoder(images)))
        return output


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision becomes float32; other values stay as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _norm_from_zero(channels: int) -> nn.BatchNorm2d:
    """A batch norm whose output is 0 until it is trained."""
    norm = nn.BatchNorm2d(channels)
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)
    return norm


def _widths(resnet: TwoStreamResNet) -> list[int]:
    """Channels of the maps behind the stems and behind each of the four residual stages."""
    norm = resnet.streams["visible"].get_submodule("1")
    assert isinstance(norm, nn.BatchNorm2d)
    widths = [norm.num_features]
    for stage in range(1, 5):
        widths.append(resnet.channels // 2 ** (4 - stage))  # a stage is twice as wide as the one before
    return widths
