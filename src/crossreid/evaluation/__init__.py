"""Scoring embeddings: value objects, scorers, protocols, metrics and results. Knows no models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossreid.evaluation.all_pairs import PAIRINGS, AllPairsProtocol, score_all_pairs
from crossreid.evaluation.chance import chance
from crossreid.evaluation.draws import GalleryPermutations, seeded_draw
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.foreign import load_foreign
from crossreid.evaluation.llcm import LLCM_DIRECTIONS, LLCM_ROLES, LLCMProtocol, score_llcm
from crossreid.evaluation.metrics import ProbeScores, cmc, score_probes
from crossreid.evaluation.modality_pairs import (
    PairingScore,
    ReportedPair,
    intra_class_cosine_similarity,
    modality_pairs,
    possible_pairs,
    reported_pairs,
)
from crossreid.evaluation.protocol import RetrievalProtocol, compare_once
from crossreid.evaluation.ranked import RankedLists, ranked_list
from crossreid.evaluation.regdb import REGDB_DIRECTIONS, RegDBProtocol, average_splits, score_regdb
from crossreid.evaluation.removal import NothingRemoved, Removal, SameImage, SameLocation, SamePersonSameCamera
from crossreid.evaluation.reranking import Convention, KReciprocal
from crossreid.evaluation.results import IdentityScores, ProtocolLabels, RetrievalResult, write_results_json
from crossreid.evaluation.sampled import SampledGalleryProtocol
from crossreid.evaluation.scorers import Cosine, Euclidean, Scorer, similarities
from crossreid.evaluation.sysu import SysuMM01Protocol, ValidationProtocol, score_sysu
from crossreid.evaluation.tables import pairs_table, results_table

if TYPE_CHECKING:
    from crossreid.evaluation.gather import EmbeddingGatherer

__all__ = [
    "LLCM_DIRECTIONS",
    "LLCM_ROLES",
    "PAIRINGS",
    "REGDB_DIRECTIONS",
    "AllPairsProtocol",
    "Convention",
    "Cosine",
    "EmbeddingGatherer",
    "Embeddings",
    "Euclidean",
    "GalleryPermutations",
    "IdentityScores",
    "KReciprocal",
    "LLCMProtocol",
    "NothingRemoved",
    "PairingScore",
    "ProbeScores",
    "ProtocolLabels",
    "RankedLists",
    "RegDBProtocol",
    "Removal",
    "ReportedPair",
    "RetrievalProtocol",
    "RetrievalResult",
    "SameImage",
    "SameLocation",
    "SamePersonSameCamera",
    "SampledGalleryProtocol",
    "Scorer",
    "SysuMM01Protocol",
    "ValidationProtocol",
    "average_splits",
    "chance",
    "cmc",
    "compare_once",
    "intra_class_cosine_similarity",
    "load_foreign",
    "modality_pairs",
    "pairs_table",
    "possible_pairs",
    "ranked_list",
    "reported_pairs",
    "results_table",
    "score_all_pairs",
    "score_llcm",
    "score_probes",
    "score_regdb",
    "score_sysu",
    "seeded_draw",
    "similarities",
    "write_results_json",
]


def __getattr__(name: str) -> Any:
    """``EmbeddingGatherer``, imported when it is asked for: it alone needs torch, which a search can do without."""
    if name == "EmbeddingGatherer":
        from crossreid.evaluation.gather import EmbeddingGatherer  # noqa: PLC0415

        return EmbeddingGatherer
    raise AttributeError(f"module 'crossreid.evaluation' has no attribute '{name}'")
