"""From a similarity to the probability that two images show one person, and how well such probabilities hold.

Both curves are learned from scored pairs in which genuine ones weigh ``prior`` together and impostor ones ``1 - prior``, so
the number of pairs of either kind, which says nothing of a search, does not count.

* ``logistic``: P = 1 / (1 + exp(-(slope x score + intercept))), by maximum likelihood (Platt, 1999).
* ``isotonic``: the rising step function of least squared error (pool adjacent violators; Zadrozny and Elkan, KDD 2002),
  between steps linear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array

CURVES = ("logistic", "isotonic")
BINS = 10
_MOST_STEPS = 50
"""Of Newton's method."""
_MOST_KNOTS = 64
"""Of an isotonic curve; scores are first averaged in :data:`_CELLS` cells of equal weight."""
_CELLS = 2000
_LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class MatchProbability:
    """A rising curve from similarity to probability.

    Attributes:
        kind: ``logistic`` or ``isotonic``.
        prior: the probability before looking, of which the curve is made.
        slope: of ``logistic``, at least 0.
        intercept: of ``logistic``.
        scores: K rising similarities of ``isotonic``.
        values: K probabilities there, never falling.
    """

    kind: str
    prior: float
    slope: float = 0.0
    intercept: float = 0.0
    scores: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __call__(self, scores: Array) -> Array:
        """Probabilities of similarities, in the same shape, float64."""
        if self.kind == "logistic":
            logits = self.slope * np.asarray(scores, dtype=np.float64) + self.intercept
            return _logistic_function(logits)
        # beyond the first and last knot np.interp stays at their values
        return np.asarray(np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.values))

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        if self.kind == "logistic":
            return {"kind": self.kind, "prior": self.prior, "slope": self.slope, "intercept": self.intercept}
        return {"kind": self.kind, "prior": self.prior, "scores": list(self.scores), "values": list(self.values)}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> MatchProbability:
        """Read what :meth:`plain` wrote.

        Raises:
            DataError: it is damaged.
        """
        try:
            curve = cls(
                kind=str(content["kind"]),
                prior=float(content["prior"]),
                slope=float(content.get("slope", 0.0)),
                intercept=float(content.get("intercept", 0.0)),
                scores=tuple(map(float, content.get("scores", ()))),
                values=tuple(map(float, content.get("values", ()))),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError("The calibration's probabilities cannot be read: calibrate again.") from error
        numbers = np.array([curve.prior, curve.slope, curve.intercept, *curve.scores, *curve.values])
        rising = bool(np.all(np.diff(curve.scores) > 0) and np.all(np.diff(curve.values) >= 0))
        probabilities = np.array([curve.prior, *curve.values])
        within = bool(np.all((probabilities >= 0) & (probabilities <= 1)))
        filled = curve.kind == "logistic" or len(curve.scores) == len(curve.values) > 0
        if curve.kind not in CURVES or not (np.isfinite(numbers).all() and rising and within and filled):
            raise DataError("The calibration's probabilities cannot be read: calibrate again.")
        return curve


@dataclass(frozen=True)
class Reliability:
    """How often pairs are genuine among those of about one probability.

    Attributes:
        predicted: mean probability in each of :data:`BINS` cells of equal width that is not empty.
        observed: weighted share of genuine pairs there.
        weight: of the cells, summing to 1.
        expected_error: weighted mean distance of the two (ECE).
        brier: weighted mean squared error of the probabilities; 0.25 for one that always says 0.5.
        persons: whose pairs were looked at, and were not learned from.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    weight: tuple[float, ...]
    expected_error: float
    brier: float
    persons: int


def fit_probability(kind: str, genuine: Array, impostor: Array, prior: float) -> MatchProbability:
    """Learn a curve from scores (A,) of genuine and (B,) of impostor pairs.

    Args:
        kind: one of :data:`CURVES`.
        genuine: scores.
        impostor: scores.
        prior: weight of all genuine pairs together, above 0 and below 1.

    Raises:
        DataError: there are no pairs of either kind.
    """
    if not len(genuine) or not len(impostor):
        raise DataError("Probabilities need pairs of one person and pairs of two.")
    scores = np.concatenate([genuine, impostor]).astype(np.float64)
    labels = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    weights = pair_weights(labels, prior)
    if kind == "logistic":
        slope, intercept = _logistic(scores, labels, weights)
        return MatchProbability(kind, prior, slope=slope, intercept=intercept)
    knots, values = _isotonic(scores, labels, weights)
    return MatchProbability(kind, prior, scores=tuple(knots.tolist()), values=tuple(values.tolist()))


def pair_weights(labels: Array, prior: float) -> Array:
    """Weights (M,) that sum to 1, of which genuine pairs (label 1) have the share ``prior``."""
    genuine = labels.sum()
    impostor = len(labels) - genuine
    of_genuine = prior / max(genuine, 1)
    of_impostor = (1 - prior) / max(impostor, 1)
    return np.asarray(np.where(labels == 1, of_genuine, of_impostor))


def _logistic_function(logits: Array) -> Array:
    """1 / (1 + exp(-logit)), never quite 0 or 1: a similarity proves nothing."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT))))


def _logistic(scores: Array, labels: Array, weights: Array) -> tuple[float, float]:
    """Slope and intercept of least weighted log loss, by Newton's method with halved steps.

    Labels are pulled from 0 and 1 by Platt's one pair of either kind, so that scores that separate the kinds have a curve.
    """
    genuine = labels.sum()
    impostor = len(labels) - genuine
    targets = np.where(labels == 1, (genuine + 1) / (genuine + 2), 1 / (impostor + 2))
    # Similarities lie close together: centred and scaled, the two coefficients are of one size.
    centre = scores.mean()
    spread = max(scores.std(), 1e-12)
    inputs = np.stack([(scores - centre) / spread, np.ones(len(scores))])  # (2, M)
    coefficients = np.zeros(2)

    def loss(values: Array) -> float:
        logits = values @ inputs
        return float(weights @ (np.logaddexp(0, logits) - targets * logits))

    current = loss(coefficients)
    for _ in range(_MOST_STEPS):
        probability = _logistic_function(coefficients @ inputs)
        gradient = inputs @ (weights * (probability - targets))
        spread_of_labels = weights * probability * (1 - probability)
        curvature = (inputs * spread_of_labels) @ inputs.T + 1e-12 * np.eye(2)  # (2, 2), never singular
        step = np.linalg.solve(curvature, gradient)
        # Newton's step can go too far: halved until the loss falls
        while loss(coefficients - step) > current and np.abs(step).max() > 1e-12:
            step /= 2
        coefficients = coefficients - step
        current = loss(coefficients)
        if np.abs(step).max() < 1e-10:
            break
    # Back to similarities as they are; a probability that fell with similarity would be worse than none.
    slope = max(float(coefficients[0] / spread), 0.0)
    return slope, float(coefficients[1] - coefficients[0] * centre / spread)


def _isotonic(scores: Array, labels: Array, weights: Array) -> tuple[Array, Array]:
    """Knots (K,) and probabilities (K,), by pooling adjacent violators."""
    order = np.argsort(scores, kind="stable")
    scores = scores[order]
    labels = labels[order]
    weights = weights[order]
    # Cells of equal weight, each with its mean score and its share of genuine pairs.
    cumulative = np.cumsum(weights) / weights.sum()
    cell = np.minimum((cumulative * _CELLS).astype(np.int64), _CELLS - 1)
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    weight = np.add.reduceat(weights, starts)
    score = np.add.reduceat(weights * scores, starts) / weight
    value = np.add.reduceat(weights * labels, starts) / weight
    blocks: list[list[float]] = []  # weight, weighted score, weighted value, of which the mean value rises
    # A cell that does not rise above the block before it is pooled with it, and the two perhaps with the one before.
    for heavy, place, share in zip(weight.tolist(), score.tolist(), value.tolist(), strict=True):
        blocks.append([heavy, heavy * place, heavy * share])
        while len(blocks) > 1 and blocks[-2][2] / blocks[-2][0] >= blocks[-1][2] / blocks[-1][0]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    block_weight, weighted_score, weighted_value = np.array(blocks).T
    knots = weighted_score / block_weight
    values = np.clip(weighted_value / block_weight, 0, 1)
    if len(knots) > _MOST_KNOTS:
        kept = np.unique(np.linspace(0, len(knots) - 1, _MOST_KNOTS).round().astype(int))
        knots = knots[kept]
        values = values[kept]
    return knots, values


def reliability_of(
    curve: MatchProbability, genuine: Array, impostor: Array, persons: int, bins: int = BINS
) -> Reliability:
    """How well a curve holds for pairs (A,) and (B,) that it was not learned from, weighted to the curve's prior.

    Raises:
        DataError: there are no pairs of either kind.
    """
    if not len(genuine) or not len(impostor):
        raise DataError("Reliability needs pairs of one person and pairs of two.")
    labels = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    probability = curve(np.concatenate([genuine, impostor]))
    weights = pair_weights(labels, curve.prior)
    cell = np.minimum((probability * bins).astype(np.int64), bins - 1)
    weight = np.bincount(cell, weights, minlength=bins)
    filled = weight > 0
    weight = weight[filled]
    predicted = np.bincount(cell, weights * probability, minlength=bins)[filled] / weight
    observed = np.bincount(cell, weights * labels, minlength=bins)[filled] / weight
    return Reliability(
        tuple(predicted.tolist()),
        tuple(observed.tolist()),
        tuple(weight.tolist()),
        float(weight @ np.abs(predicted - observed)),
        float(weights @ (probability - labels) ** 2),
        persons,
    )
