"""Scoring embeddings: value objects, scorers, protocols, metrics and results. Knows no models."""

from crossreid.evaluation.chance import chance
from crossreid.evaluation.draws import GalleryPermutations, seeded_draw
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.foreign import load_foreign
from crossreid.evaluation.gather import EmbeddingGatherer
from crossreid.evaluation.metrics import ProbeScores, cmc, score_probes
from crossreid.evaluation.modality_pairs import (
    PAIRINGS,
    AllPairsProtocol,
    PairingScore,
    intra_class_cosine_similarity,
    modality_pairs,
)
from crossreid.evaluation.protocols import Removal, RetrievalProtocol, SameLocation, similarities
from crossreid.evaluation.ranked import RankedLists, ranked_list
from crossreid.evaluation.reranking import Convention, KReciprocal
from crossreid.evaluation.results import ProtocolLabels, RetrievalResult, write_results_json
from crossreid.evaluation.sampled import SampledGalleryProtocol
from crossreid.evaluation.scorers import Cosine, Euclidean, Scorer
from crossreid.evaluation.sysu import SysuMM01Protocol, ValidationProtocol, score_sysu
from crossreid.evaluation.tables import pairs_table, results_table

__all__ = [
    "PAIRINGS",
    "AllPairsProtocol",
    "Convention",
    "Cosine",
    "EmbeddingGatherer",
    "Embeddings",
    "Euclidean",
    "GalleryPermutations",
    "KReciprocal",
    "PairingScore",
    "ProbeScores",
    "ProtocolLabels",
    "RankedLists",
    "Removal",
    "RetrievalProtocol",
    "RetrievalResult",
    "SameLocation",
    "SampledGalleryProtocol",
    "Scorer",
    "SysuMM01Protocol",
    "ValidationProtocol",
    "chance",
    "cmc",
    "intra_class_cosine_similarity",
    "load_foreign",
    "modality_pairs",
    "pairs_table",
    "ranked_list",
    "results_table",
    "score_probes",
    "score_sysu",
    "seeded_draw",
    "similarities",
    "write_results_json",
]
