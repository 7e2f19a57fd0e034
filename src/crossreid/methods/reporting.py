"""What some methods show besides retrieval. A method that has one of these derives from it as well."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from crossreid.data.batches import PairedBatch
from crossreid.data.records import Modality
from crossreid.evaluation.modality_pairs import ReportedPair
from crossreid.evaluation.scorers import Scorer
from crossreid.settings.figures import CorrespondenceConfig


class ReportsFurtherFeatures(ABC):
    """Features that a report scores and retrieval does not use (TS-GAN's teacher, its Table III)."""

    @abstractmethod
    def report_features(self, images: Tensor, modality: Modality) -> dict[str, Tensor]:
        """Images (B, 3, H, W) in [0, 1] -> named features (B, D), as ``embed`` gives them; empty for none."""

    @abstractmethod
    def reported_pairs(self) -> dict[str, ReportedPair]:
        """Further columns of the report's modality pairings, by name; empty for none."""


class HasFurtherScorers(ABC):
    """Ways of comparing images besides the method's own row, each a row of its own (cm-SSFT's transfer)."""

    @abstractmethod
    def further_scorers(self, device: torch.device) -> dict[str, Scorer]:
        """Scorers by the row's name, computing on ``device``; empty for none."""

    @abstractmethod
    def scoring_parameters(self) -> list[nn.Parameter]:
        """Parameters that these scorers use on top of embeddings; empty for none."""


class HasFigureData(ABC):
    """Figures that only this method has (LbA's correspondences)."""

    @abstractmethod
    def figure_data(self, batch: PairedBatch, choice: CorrespondenceConfig | None = None) -> dict[str, Tensor]:
        """What they show of test persons, K images of each; :func:`crossreid.visualization.method_figures` draws it.

        Args:
            batch: the images.
            choice: of what is shown; None for the method's own.
        """


def reported_pairs_of(module: object) -> dict[str, ReportedPair]:
    """The further columns of a method's report; none for a method without."""
    if not isinstance(module, ReportsFurtherFeatures):
        return {}
    return module.reported_pairs()


def further_scorers_of(module: object, device: torch.device) -> dict[str, Scorer]:
    """The scorers of a method besides its own; none for a method without."""
    if not isinstance(module, HasFurtherScorers):
        return {}
    return module.further_scorers(device)
