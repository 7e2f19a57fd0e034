"""What a protocol gives back: every number per trial, what was counted, and what chance would give."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.chance import RANKS
from crossreid.evaluation.metrics import ProbeScores
from crossreid.files import write_atomically

SPLITS = " splits"
"""How the label ``draw`` of a mean over splits ends."""

Summary = dict[str, Any]
"""``mean``, ``std`` (of a sample; None with one trial) and ``per_trial`` of one metric."""


@dataclass(frozen=True)
class ProtocolLabels:
    """What a table says about how its numbers were made.

    Attributes:
        mode: which cameras: ``all``, ``indoor``, ``val``, ``rgb2ir``, ``visible_to_thermal`` ...
        shots: gallery images a person and camera: ``1``, ``10``, ``all``.
        draw: how images were drawn: ``official``, ``seeded`` or ``none``; for RegDB the split, or of how many the mean is.
        exclusion: which gallery images do not count for a probe.
        ranks: what Rank-k counts: ``identities`` or ``images``.
        feature: the scorer's label.
        inference: ``plain``, or what else than the two images the scorer looked at: ``transductive``, ``re-ranked`` ...
    """

    mode: str
    shots: str
    draw: str
    exclusion: str
    ranks: str
    feature: str
    inference: str

    @property
    def repeats(self) -> str:
        """What the trials of a result with these labels are: ``trial``, or ``split`` for a mean over splits."""
        return "split" if self.draw.endswith(SPLITS) else "trial"


@dataclass(frozen=True, eq=False)
class IdentityScores:
    """Sums over the valid probes of each of I identities and over trials, for intervals over identities.

    Attributes:
        pids: (I,) ascending.
        valid: (I,) number of valid probes.
        rank1: (I,) how many of them have their person first.
        mean_ap: (I,) sum of their average precisions.
        mean_inp: (I,) sum of their inverse negative penalties.
    """

    pids: Array
    valid: Array
    rank1: Array
    mean_ap: Array
    mean_inp: Array

    @classmethod
    def gather(cls, pids: Array, scores: ProbeScores) -> IdentityScores:
        """Sums of Q probes with identities ``pids`` (Q,)."""
        identities, identity_of_probe = np.unique(pids, return_inverse=True)

        # Probes that are not valid count nowhere: their values are 0 here, as their AP and INP are already.
        def total(values: Array) -> Array:
            return np.bincount(identity_of_probe, weights=values * scores.valid, minlength=len(identities))

        return cls(
            pids=identities,
            valid=total(scores.valid),
            rank1=total(scores.first_rank == 1),
            mean_ap=total(scores.ap),
            mean_inp=total(scores.inp),
        )

    @classmethod
    def join(cls, parts: Sequence[IdentityScores]) -> IdentityScores:
        """The sums of several trials, which need not have the same identities."""
        pids = np.concatenate([part.pids for part in parts])
        identities, identity_of_entry = np.unique(pids, return_inverse=True)
        sums: dict[str, Array] = {}
        for name in ("valid", "rank1", "mean_ap", "mean_inp"):
            entries = np.concatenate([getattr(part, name) for part in parts])
            sums[name] = np.bincount(identity_of_entry, weights=entries, minlength=len(identities))
        return cls(identities, **sums)

    def having_probes(self) -> IdentityScores:
        """Without the identities that have no valid probe."""
        keep = self.valid > 0
        return IdentityScores(
            pids=self.pids[keep],
            valid=self.valid[keep],
            rank1=self.rank1[keep],
            mean_ap=self.mean_ap[keep],
            mean_inp=self.mean_inp[keep],
        )


@dataclass(frozen=True, eq=False)
class RetrievalResult:
    """Scores of one protocol over T trials; fractions in [0, 1].

    Attributes:
        protocol: key such as ``sysu_mm01/all/single``.
        labels: how the numbers were made.
        cmc: (T, I) cumulative matching characteristic, entry k - 1 is Rank-k.
        mean_ap: (T,) mAP.
        mean_inp: (T,) mINP.
        n_probes: number of probes, the same in each trial.
        n_valid: (T,) probes with a true match left; the others are skipped.
        n_gallery: (T,) gallery images drawn.
        chance: expected ``rank1 ... mINP`` of a random ranking.
        identities: what each identity contributes.
    """

    protocol: str
    labels: ProtocolLabels
    cmc: Array
    mean_ap: Array
    mean_inp: Array
    n_probes: int
    n_valid: Array
    n_gallery: Array
    chance: Mapping[str, float]
    identities: IdentityScores

    @property
    def trials(self) -> int:
        """Number of trials T."""
        return len(self.cmc)

    @property
    def n_skipped(self) -> Array:
        """(T,) probes without a true match, which count nowhere."""
        return self.n_probes - self.n_valid

    @property
    def near_chance(self) -> bool:
        """True where the mean Rank-1 is below twice that of a random ranking."""
        return bool(self.rank(1).mean() < 2 * self.chance["rank1"])

    def rank(self, k: int) -> Array:
        """(T,) Rank-k; the last value of the CMC where it is shorter than k."""
        return np.asarray(self.cmc[:, min(k, self.cmc.shape[1]) - 1])

    def metrics(self) -> dict[str, Summary]:
        """``rank1, rank5, rank10, rank20, mAP, mINP, valid``, each with ``mean``, ``std`` and ``per_trial``."""
        summaries = {f"rank{k}": _summary(self.rank(k)) for k in RANKS}
        summaries["mAP"] = _summary(self.mean_ap)
        summaries["mINP"] = _summary(self.mean_inp)
        summaries["valid"] = _summary(self.n_valid)
        return summaries

    def flat(self, prefix: str = "test") -> dict[str, float]:
        """Means under names that say everything: ``test/sysu_mm01/all/single/rank1``."""
        head = self.protocol
        if prefix:
            head = f"{prefix}/{self.protocol}"
        means: dict[str, float] = {}
        for name, summary in self.metrics().items():
            means[f"{head}/{name}"] = summary["mean"]
        return means

    def to_json(self) -> dict[str, Any]:
        """Everything as plain lists, numbers and strings; an unknown chance value is None, as JSON has no NaN."""
        chance: dict[str, float | None] = {}
        for name, value in self.chance.items():
            chance[name] = None if math.isnan(value) else value
        identities = {}
        for name, column in asdict(self.identities).items():
            identities[name] = column.tolist()
        return {
            "protocol": self.protocol,
            "labels": asdict(self.labels),
            "metrics": self.metrics(),
            "chance": chance,
            "counts": {
                "trials": self.trials,
                "probes": self.n_probes,
                "valid": self.n_valid.tolist(),
                "skipped": self.n_skipped.tolist(),
                "gallery": self.n_gallery.tolist(),
            },
            "cmc": self.cmc.tolist(),
            "identities": identities,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RetrievalResult:
        """The result that :meth:`to_json` described.

        Raises:
            DataError: something is missing from the description, or is no such thing.
        """
        try:
            metrics = content["metrics"]
            counts = content["counts"]
            chance: dict[str, float] = {}
            for name, value in content["chance"].items():
                chance[name] = math.nan if value is None else value
            identity_columns: dict[str, Array] = {}
            for name, column in content["identities"].items():
                identity_columns[name] = np.array(column)
            result = cls(
                protocol=content["protocol"],
                labels=ProtocolLabels(**content["labels"]),
                cmc=np.array(content["cmc"]),
                mean_ap=np.array(metrics["mAP"]["per_trial"]),
                mean_inp=np.array(metrics["mINP"]["per_trial"]),
                n_probes=counts["probes"],
                n_valid=np.array(counts["valid"]),
                n_gallery=np.array(counts["gallery"]),
                chance=chance,
                identities=IdentityScores(**identity_columns),
            )
            usable = _usable(result)
        except KeyError as error:
            raise DataError(
                f"These are no results of a protocol with all their details ({error} is missing): score again."
            ) from error
        except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise DataError("These are no results of a protocol with all their details: score again.") from error
        if not usable:
            raise DataError(
                "These are no results of a protocol: numbers are missing, or cannot be scores; score again."
            )
        return result


_MOST_IMAGES = 10**12
"""Of a probe set or gallery, and of the sums over trials."""


def _usable(result: RetrievalResult) -> bool:
    """It is labelled by text, of one number of trials, and its scores and counts can be such."""
    texts = [result.protocol, *asdict(result.labels).values()]
    if not all(isinstance(text, str) for text in texts):
        return False
    trials = result.trials
    if not trials or result.cmc.ndim != 2 or not result.cmc.size:
        return False
    for per_trial in (result.mean_ap, result.mean_inp, result.n_valid, result.n_gallery):
        if per_trial.shape != (trials,):
            return False
    fractions = np.concatenate([result.cmc.ravel(), result.mean_ap, result.mean_inp])
    counts = np.concatenate([[result.n_probes], result.n_valid, result.n_gallery])
    if not _between(fractions, 0, 1) or not _between(counts, 0, _MOST_IMAGES):
        return False
    return _usable_chance(result.chance) and _usable_identities(result)


def _usable_chance(chance: Mapping[str, Any]) -> bool:
    """Rank-1 and mAP are there, and every value is a fraction, or not known."""
    if not {"rank1", "mAP"} <= set(chance):
        return False
    for value in chance.values():
        if not _is_number(value):
            return False
        if not math.isnan(value) and not 0 <= value <= 1:
            return False
    return True


def _usable_identities(result: RetrievalResult) -> bool:
    """A column a metric, of one length, of numbers."""
    length = len(result.identities.pids)
    for name, values in asdict(result.identities).items():
        column = np.asarray(values)
        if column.shape != (length,):
            return False
        if length and column.dtype.kind not in "iuf":
            return False
        # identities may be any numbers; what was counted or summed cannot be below 0
        if name != "pids" and not _between(column, 0, _MOST_IMAGES):
            return False
    return True


def _between(values: Array, least: float, most: float) -> bool:
    """All are numbers of that range; false for nan and for what is no number."""
    if not values.size:
        return True
    return values.dtype.kind in "iuf" and bool(np.all((values >= least) & (values <= most)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def write_results_json(path: str | Path, results: Mapping[str, RetrievalResult], *, details: bool = False) -> None:
    """Write results by protocol key, whole or not at all: :meth:`RetrievalResult.metrics` of each.

    With ``details`` each entry is :meth:`RetrievalResult.to_json`: labels, counts, chance and CMC too.
    """
    content = {}
    for key, result in results.items():
        if details:
            content[key] = result.to_json()
        else:
            content[key] = result.metrics()
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(Path(path), lambda stream: stream.write(text.encode()))


def _summary(per_trial: Array) -> Summary:
    """Of the (T,) values of a metric."""
    return {"mean": float(per_trial.mean()), "std": sample_deviation(per_trial), "per_trial": per_trial.tolist()}


def sample_deviation(values: Array | Sequence[float]) -> float | None:
    """Sample standard deviation, the one that this package shows and writes everywhere; None of fewer than two values."""
    if len(values) < 2:  # ddof=1 would divide by 0
        return None
    return float(np.std(values, ddof=1))
