"""Methods whose similarities depend on the whole gallery (cm-SSFT): what compares two images there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossreid.evaluation.scorers import PLAIN, Scorer, scorer_inference

if TYPE_CHECKING:
    from crossreid.methods.base import CrossModalityModule

TRANSFER = "transfer"
"""In what embeddings say of themselves: their model compares images through a transfer that sees the whole gallery."""
SINGLE_QUERY = "single query"


def gallery_scorer(module: CrossModalityModule[Any]) -> Scorer | None:
    """A method's way of comparing single queries with a whole gallery; None where cosine of two embeddings is all."""
    from crossreid.methods.reporting import further_scorers_of  # noqa: PLC0415 - torch

    for scorer in further_scorers_of(module, module.device).values():
        if scorer_inference(scorer) == SINGLE_QUERY:
            return scorer
    return None


def transfers(module: CrossModalityModule[Any]) -> bool:
    """The method's published similarities depend on the gallery."""
    from crossreid.methods.reporting import further_scorers_of  # noqa: PLC0415 - torch

    further = further_scorers_of(module, module.device).values()
    return any(scorer_inference(scorer) != PLAIN for scorer in further)
