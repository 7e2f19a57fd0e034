"""Scorers: what turns a set of probes and a gallery into similarities.

A scorer is any callable that takes probes and gallery (two :class:`Embeddings`, Q and G images) and returns a (Q, G)
matrix that is larger where two images are more alike. Five optional attributes are read:

* ``label``: its name in tables, by default the class's name;
* ``inference``: what else than the two images a similarity depends on: ``plain`` (nothing), ``single query`` (the gallery),
  ``transductive`` (the other probes too), ``re-ranked`` (likewise); a scorer that does not say is ``undeclared``, never
  ``plain``;
* ``transductive``: True if a probe's scores depend on the other probes; it then always gets all probes at once;
* ``whole``: True if it wants all probes at once for another reason; it then bounds its memory itself;
* ``distance``: a function from similarities to distances of at least 0, needed to be re-ranked.

Values are computed in float64 and rounded to a grid far finer than any float32 feature can tell apart. Equal features
thus get equal scores whatever order a matrix product sums in, and ties are broken by the order of the gallery alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings

Scorer = Callable[[Embeddings, Embeddings], Array]

PLAIN = "plain"
"""Inference by the two images alone."""

_GRID_BITS = 36  # grid of 2^-36 = 1.5e-11 of the scale; rounding noise is about 1e-15, float32 resolves 6e-8
_CHUNK = 512


@dataclass(frozen=True)
class Cosine:
    """Cosine similarity of one feature, in [-1, 1]; normalises by itself, so any features will do.

    An all-zero feature has similarity 0 to everything.
    """

    feature: str = "main"
    name: str = ""
    inference: ClassVar[str] = PLAIN

    @property
    def label(self) -> str:
        """Name in tables: ``name``, or else the feature's."""
        return f"{self.name or self.feature}, cosine"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """Similarities (Q, G) float64."""
        return self.compare(self.points(query, gallery), self.points(gallery, gallery))

    def points(self, images: Embeddings, beside: Embeddings) -> Array:
        """Images as points (N, D) float64: unit rows, whatever they are to be compared with."""
        return normalised(feature_of(images, self.feature))

    def compare(self, probes: Array, others: Array) -> Array:
        """Similarities (Q, G) of points."""
        return to_grid(probes @ others.T, 0)

    def distance(self, similarity: Array) -> Array:
        """1 - similarity, in [0, 2]: half the squared distance of unit features."""
        return np.maximum(1.0 - similarity, 0.0)


@dataclass(frozen=True)
class Euclidean:
    """Negative Euclidean distance of one feature, taken as it is.

    Squared distances come from ``|q|^2 + |g|^2 - 2 q.g`` in float64 with the origin moved to the first gallery image
    (exact, and distances do not change), so that a large common offset of the features costs no precision.
    """

    feature: str = "main"
    inference: ClassVar[str] = PLAIN

    @property
    def label(self) -> str:
        """Name in tables."""
        return f"{self.feature}, Euclidean"

    def __call__(self, query: Embeddings, gallery: Embeddings) -> Array:
        """Negative distances (Q, G) float64, at most 0."""
        return self.compare(self.points(query, gallery), self.points(gallery, gallery))

    def points(self, images: Embeddings, beside: Embeddings) -> Array:
        """Images as points (N, D) float64, with the origin at the first image of ``beside``."""
        exact = feature_of(images, self.feature).astype(np.float64)
        if not len(beside):
            return exact
        origin = feature_of(beside, self.feature)[0]
        return np.asarray(exact - origin)

    def compare(self, probes: Array, others: Array) -> Array:
        """Similarities (Q, G) of points that have one origin."""
        squared_q = (probes**2).sum(axis=1)  # |q|^2, (Q,)
        squared_g = (others**2).sum(axis=1)  # |g|^2, (G,)
        scores = probes @ others.T  # q.g, overwritten some rows at a time: one (Q, G) matrix, no more
        # By rows, so that scale and squared distances are never (Q, G) matrices too.
        for start in range(0, len(scores), _CHUNK):
            rows = slice(start, start + _CHUNK)
            scale = squared_q[rows, None] + squared_g
            _, exponent = np.frexp(scale)  # rounding errors grow with the two lengths, so the grid does too
            squared_distance = to_grid(scale - 2 * scores[rows], exponent)
            scores[rows] = -np.sqrt(np.maximum(squared_distance, 0.0))
        return scores

    def distance(self, similarity: Array) -> Array:
        """The squared distance."""
        return np.asarray(similarity**2)


def scorer_label(scorer: Scorer) -> str:
    """The scorer's name in tables: its ``label``, or else its own or its class's name."""
    fallback = getattr(scorer, "__name__", type(scorer).__name__)
    return str(getattr(scorer, "label", fallback))


def scorer_inference(scorer: Scorer) -> str:
    """What a scorer's similarities depend on; ``transductive`` wins over a scorer's claim to be plain."""
    inference = str(getattr(scorer, "inference", "undeclared"))
    if inference == PLAIN and getattr(scorer, "transductive", False):
        return "transductive"
    return inference


def wants_all_probes(scorer: Scorer) -> bool:
    """True if a scorer is to get all probes at once: it is ``transductive``, or wants the ``whole``."""
    return bool(getattr(scorer, "transductive", False) or getattr(scorer, "whole", False))


def similarities(scorer: Scorer, probes: Embeddings, gallery: Embeddings) -> Array:
    """The scorer's (Q, G) similarities, checked for shape and NaN."""
    scores = np.asarray(scorer(probes, gallery))
    if scores.shape != (len(probes), len(gallery)):
        raise DataError(
            f"The scorer '{scorer_label(scorer)}' gave a matrix {scores.shape} "
            f"for {len(probes)} probes and {len(gallery)} gallery images."
        )
    if np.isnan(scores).any():
        raise DataError(f"The scorer '{scorer_label(scorer)}' gave NaN similarities.")
    return scores


def feature_of(embeddings: Embeddings, name: str) -> Array:
    """The (N, D) feature of that name; :class:`DataError` that lists the names where there is none."""
    if name not in embeddings.features:
        raise DataError(f"These embeddings have no feature {name!r}, only {', '.join(sorted(embeddings.features))}.")
    return embeddings.features[name]


def normalised(feature: Array) -> Array:
    """Rows (N, D) divided by their L2 norm, in float64; rows of zeros stay zeros."""
    rows = feature.astype(np.float64)
    # first to a largest entry of 1, so that squares neither overflow nor vanish
    largest = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)  # (N, 1)
    rows /= np.where(largest > 0, largest, 1.0)
    norm = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    rows /= np.maximum(norm, 1.0)  # at least 1 now, but for rows of zeros
    return rows


def to_grid(values: Array, exponents: Array | int) -> Array:
    """Round to multiples of 2^(exponent - 36), in place; powers of two, so whole numbers stay whole."""
    # ldexp moves the binary point and nothing else: the one rounding is rint's
    shift = np.asarray(_GRID_BITS - exponents)
    np.ldexp(values, shift, out=values)  # values * 2^shift
    np.rint(values, out=values)
    return np.asarray(np.ldexp(values, -shift, out=values))
