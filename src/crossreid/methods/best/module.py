"""The toolbox's own method: parts that others found, each for what it does, in one network that trains in one phase.

- One ResNet for both modalities, batch-norm neck, label smoothing, random erasing (Luo et al., CVPR Workshops 2019).
- A second copy of each visible image with one channel in all three (Ye et al., ICCV 2021), so that colour is no clue.
- Generalised-mean pooling and the weighted regularised triplet (Ye et al., TPAMI 2021).
- A cosine schedule, an exponential moving average of the weights, the mirror image at test.

Which of its switches are on is to be chosen on persons whom nothing is tested on (``benchmarks/tuning.py``).

Example:
    ``python -m crossreid.train model=best``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from crossreid.data.batches import TrainingBatch
from crossreid.data.records import Modality
from crossreid.data.transforms import to_grey
from crossreid.losses import weighted_triplet
from crossreid.methods.best.config import BestConfig
from crossreid.methods.recognition import RecognitionModule, Views
from crossreid.nn.backbones import check_resnet, pool
from crossreid.nn.feature_block import BlockOutput
from crossreid.nn.moving_average import MovingAverage
from crossreid.nn.normalisation import add_infrared_averages, averages_of
from crossreid.nn.pooling import generalised_mean
from crossreid.nn.recognition import OneStreamNetwork

POOLINGS = {"GeM": generalised_mean, "average": pool}


class Best(RecognitionModule[BestConfig]):
    """One network, one player, and the network's moving average."""

    CONFIG = BestConfig
    network: OneStreamNetwork

    def __init__(self, config: BestConfig | Mapping[str, Any], num_identities: int, seed: int = 0) -> None:
        super().__init__(config, num_identities, seed)
        cfg = self.config
        if cfg.why_resnet():
            check_resnet(cfg.backbone, f"{cfg.name} {cfg.why_resnet()}")
        self.network = OneStreamNetwork(cfg.backbone, num_identities, "bnneck", POOLINGS[cfg.pooling])
        if cfg.norms == "neck":
            add_infrared_averages(self.network.block)
        elif cfg.norms == "per_modality":
            add_infrared_averages(self.network)
        self.averaged: MovingAverage[OneStreamNetwork] | None = None
        if cfg.weight_average:
            self.averaged = MovingAverage(self.network)

    def encoder(self) -> nn.Module:
        """All but neck and classifier."""
        return self.network.encoder

    def training_step(self, batch: TrainingBatch) -> None:
        """One step on all losses together; the average follows."""
        super().training_step(batch)
        if self.averaged is not None:  # after the step, whose weights it takes in
            self.averaged.follow(self.network, self.config.weight_average, self.iteration)

    def describe(self, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """Through the network that is trained."""
        return self._through(self.network, images)

    def features(self, images: Tensor, modality: Modality) -> Tensor:
        """Through the moving average, where there is one."""
        network = self.network if self.averaged is None else self.averaged.network
        return self._through(network, {modality: images}).feature

    def ranking(self, output: BlockOutput, views: Views) -> Tensor:
        """Weighted regularised triplets on the vectors before the neck, whatever the modality."""
        return weighted_triplet(output.vector, views.labels, "left_out")

    def _through(self, network: OneStreamNetwork, images: Mapping[Modality, Tensor]) -> BlockOutput:
        """All images as one batch, or what ``norms`` says of each modality by itself; rows in the order given."""
        shown = dict(images)
        if self.config.grey:
            shown = {modality: to_grey(own) for modality, own in images.items()}
        if self.config.norms == "joint":
            output: BlockOutput = network(torch.cat(list(shown.values())))
            return output
        if self.config.norms == "neck":
            # The encoder's batch norms see both modalities as one batch, the neck each by itself.
            prepared = network.encoder.prepare(torch.cat(list(shown.values())))
            vectors = network.pooled(prepared)
            sizes = [own.size(0) for own in shown.values()]
            of_modality = dict(zip(shown, torch.split(vectors, sizes), strict=True))
            return _by_modality(network.block, of_modality)
        return _by_modality(network, shown)


def _by_modality(part: nn.Module, inputs: Mapping[Modality, Tensor]) -> BlockOutput:
    """Each modality through a part by itself, with its own averages; rows in the order given."""
    outputs: list[BlockOutput] = []
    for modality, own in inputs.items():
        with averages_of(part, modality):
            outputs.append(part(own))
    vectors = torch.cat([output.vector for output in outputs])
    features = torch.cat([output.feature for output in outputs])
    logits = torch.cat([output.logits for output in outputs])
    return BlockOutput(vectors, features, logits)
