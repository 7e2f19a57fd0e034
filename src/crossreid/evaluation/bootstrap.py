"""How far a mean over probes would move with other people in the test set: percentile bootstrap over identities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.embeddings import Array
from crossreid.evaluation.results import IdentityScores

IDENTITY_METRICS: Final = {"rank1": "rank1", "mAP": "mean_ap", "mINP": "mean_inp"}
"""Metric -> the column of :class:`IdentityScores` that sums it."""

_CELLS = 1 << 22  # drawn identities at a time


def bootstrap_statistics(scores: Sequence[IdentityScores], metric: str, draws: Array) -> Array:
    """The metric of each resample: sum over its identities / their valid probes, averaged over the runs.

    Args:
        scores: of S runs of one method on one test set, with the same I identities.
        metric: a key of :data:`IDENTITY_METRICS`.
        draws: (B, D) places of identities in 0 ... I - 1, drawn with replacement; the same people for every run.

    Returns:
        (B,) values in [0, 1].
    """
    column = IDENTITY_METRICS[metric]
    means = []
    for run in scores:
        total = getattr(run, column)[draws].sum(axis=1)  # (B,)
        probes = run.valid[draws].sum(axis=1)  # people have different numbers of probes: each resample its own
        means.append(total / probes)
    return np.asarray(np.mean(means, axis=0))


def identity_interval(
    scores: Sequence[IdentityScores], metric: str, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of a metric over the identities of the test set, in [0, 1].

    All probes of a person are drawn together, since they are not independent. Identities without a valid probe count
    nowhere and are not drawn. Chance of training (the seeds) is averaged over, not resampled.

    Args:
        scores: of the runs that a mean is over; the same identities in each.
        metric: a key of :data:`IDENTITY_METRICS`.
        resamples: number of resamples B.
        seed: of the draws; equal seeds and identities give equal draws.
        level: share of resamples inside.

    Raises:
        DataError: the runs have not the same identities with valid probes, or none.
    """
    if not scores:
        raise DataError("An interval needs the identities of at least one run.")
    runs = [run.having_probes() for run in scores]
    identities = runs[0].pids
    for run in runs:
        if not np.array_equal(run.pids, identities):
            raise DataError("The runs were scored on different identities, so there is no interval over them.")
    if not len(identities):
        raise DataError("No identity has a valid probe, so there is no interval over them.")
    generator = np.random.default_rng(seed)
    size = len(identities)  # a resample has as many people as the test set
    chunk = max(1, _CELLS // size)
    values = []
    # a generator goes on where it stopped: resamples do not depend on the chunk
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        draws = generator.integers(size, size=(count, size))
        values.append(bootstrap_statistics(runs, metric, draws))
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(np.concatenate(values), tails)
    return float(low), float(high)
