"""Methods whose similarities depend on the whole gallery (cm-SSFT): what compares two images there."""

from __future__ import annotations

from typing import Any

from crossreid.evaluation import Scorer
from crossreid.evaluation.scorers import PLAIN, scorer_inference
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.reporting import further_scorers_of

TRANSFER = "transfer"
"""In what embeddings say of themselves: their model compares images through a transfer that sees the whole gallery."""
SINGLE_QUERY = "single query"


def gallery_scorer(module: CrossModalityModule[Any]) -> Scorer | None:
    """A method's way of comparing single queries with a whole gallery; None where cosine of two embeddings is all."""
    for scorer in further_scorers_of(module, module.device).values():
        if scorer_inference(scorer) == SINGLE_QUERY:
            return scorer
    return None


def transfers(module: CrossModalityModule[Any]) -> bool:
    """The method's published similarities depend on the gallery."""
    further = further_scorers_of(module, module.device).values()
    return any(scorer_inference(scorer) != PLAIN for scorer in further)
