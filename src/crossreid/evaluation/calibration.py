"""A calibration: from which similarity on two images count as one person, and how probable that is, for one model.

It is learned from persons whose identities are known (:mod:`crossreid.studies.calibration`), and travels as JSON with the
model's digest: beside a run, and inside a gallery.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossreid.data.records import MODALITIES
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.match_probability import MatchProbability, Reliability
from crossreid.evaluation.open_set import OpenSetRate
from crossreid.evaluation.verification import Interval, RateCurve, Threshold
from crossreid.files import write_atomically
from crossreid.untrusted import read_json

FORMAT = "crossreid.calibration"
VERSION = 2
_BY_NUMBER = 1
"""The version whose thresholds of two cameras stand by how embeddings number cameras, which a column ``camera`` need not do."""
FILE = "calibration.json"
"""Its name in a run folder."""
_MOST_ENTRIES = 100_000
"""Thresholds of one file; ten rates of three pairs of modalities and some thousand pairs of cameras."""


def modality_pair(one: bool, other: bool) -> str:
    """The name of two modalities, each True for infrared, such as ``visible-infrared``."""
    first, second = sorted((bool(one), bool(other)))
    return f"{MODALITIES[int(first)]}-{MODALITIES[int(second)]}"


def camera_pair(one: object, other: object) -> str:
    """The name of two cameras by what the column ``camera`` calls them, such as ``2-6``; whole numbers without a point."""
    return "-".join(sorted((_camera(one), _camera(other)), key=lambda name: (len(name), name)))


def _camera(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).replace("\\", "\\\\").replace("-", "\\-")  # so that a and b-c are not a-b and c


@dataclass(frozen=True)
class ScoreHistogram:
    """How similarities of genuine and impostor pairs are distributed.

    Attributes:
        edges: K + 1 rising similarities.
        genuine: K shares of the genuine pairs, summing to 1.
        impostor: K shares of the impostor pairs, summing to 1.
    """

    edges: tuple[float, ...]
    genuine: tuple[float, ...]
    impostor: tuple[float, ...]


@dataclass(frozen=True)
class PairCalibration:
    """What is known of pairs of two modalities.

    Attributes:
        thresholds: by rising rate of false matches.
        probability: from similarity to probability.
        reliability: how well probabilities hold for persons that they were not learned from; None where too few are there.
        curve: ROC and DET; None in what a gallery keeps.
        histogram: of similarities; None in what a gallery keeps.
        cameras: thresholds of two cameras, such as ``2-6``, where enough pairs are there.
    """

    thresholds: tuple[Threshold, ...]
    probability: MatchProbability
    reliability: Reliability | None = None
    curve: RateCurve | None = None
    histogram: ScoreHistogram | None = None
    cameras: Mapping[str, tuple[Threshold, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenSetResult:
    """Open-set identification of one modality's probes in another's gallery.

    Attributes:
        queries: modality of the probes.
        gallery: modality of the gallery.
        probes: how many.
        gallery_images: that a probe is compared with, on average.
        gallery_persons: persons in the gallery.
        rates: by rising rate of false alarms.
    """

    queries: str
    gallery: str
    probes: int
    gallery_images: float
    gallery_persons: int
    rates: tuple[OpenSetRate, ...]


@dataclass(frozen=True)
class Calibration:
    """Thresholds and probabilities of one model.

    Attributes:
        model: the model's digest; None where nobody noted it.
        method: its registered name; None likewise.
        preprocessing: how images became its pixels.
        source: which persons it was learned from, as plain values.
        settings: how, as plain values.
        pairs: by modalities, such as ``visible-infrared``.
        open_set: open-set identification.
        left_out: what could not be had, a sentence each.
        version: of the format that it is written in.
    """

    model: str | None
    method: str | None
    preprocessing: Mapping[str, Any]
    source: Mapping[str, Any]
    settings: Mapping[str, Any]
    pairs: Mapping[str, PairCalibration]
    open_set: tuple[OpenSetResult, ...] = ()
    left_out: tuple[str, ...] = ()
    version: int = VERSION

    # ------------------------------------------------------------------ use

    def fits(self, model: object, preprocessing: Mapping[str, Any]) -> bool:
        """It is of this model, by its digest, and of images that came to its pixels likewise."""
        return self.model == model and dict(self.preprocessing) == dict(preprocessing)

    def rates(self, pair: str) -> tuple[float, ...]:
        """False-match rates of two modalities, rising; none where they are not calibrated."""
        if pair not in self.pairs:
            return ()
        return tuple(entry.rate for entry in self.pairs[pair].thresholds)

    def default_rate(self) -> float:
        """The smallest rate that all calibrated modalities have.

        Raises:
            DataError: they have none in common.
        """
        common: set[float] | None = None
        for pair in self.pairs:
            rates = set(self.rates(pair))
            if common is None:
                common = rates
            else:
                common = common & rates
        if not common:
            raise DataError("The calibration has no rate of false matches for all modalities: say one of theirs.")
        return min(common)

    def check_rate(self, rate: float) -> None:
        """Raise :class:`ConfigError` where no modalities are calibrated for a rate."""
        known: set[float] = set()
        for pair in self.pairs:
            known.update(self.rates(pair))
        for other in known:
            if math.isclose(rate, other, rel_tol=1e-9):
                return
        listed = ", ".join(f"{other:g}" for other in sorted(known)) or "none"
        raise ConfigError(f"The calibration has no false-match rate {rate:g}, only {listed}: calibrate for it.")

    def threshold(self, pair: str, rate: float, cameras: str | None = None) -> float | None:
        """The similarity from which on two images match at a rate; None where that is not calibrated.

        Args:
            pair: the modalities, see :func:`modality_pair`.
            rate: of false matches.
            cameras: two cameras, see :func:`camera_pair`, whose own threshold counts where there is one.

        Raises:
            DataError: there are thresholds of two cameras, and an older version wrote them by numbers of its own.
        """
        known = self.pairs.get(pair)
        if known is None:
            return None
        if cameras is not None and known.cameras and self._numbers_cameras():
            raise DataError(
                "The calibration's thresholds of two cameras are from a version that numbered cameras anew, so nobody knows "
                "which ones are meant: calibrate again, or leave per_camera out."
            )
        # Those of the two cameras come first, so that they count where there is one of the rate.
        entries: list[Threshold] = []
        if cameras is not None:
            entries += known.cameras.get(cameras, ())
        entries += known.thresholds
        for entry in entries:
            if math.isclose(entry.rate, rate, rel_tol=1e-9):
                return entry.threshold
        return None

    def _numbers_cameras(self) -> bool:
        """Cameras may have other numbers in it than in a column ``camera``; those of a public dataset are the same."""
        kind = self.source.get("kind")
        dataset = self.source.get("dataset")
        return self.version == _BY_NUMBER and (kind != "dataset" or dataset == "folder")

    def probability(self, pair: str, scores: Array) -> Array:
        """Probabilities (N,) that similarities (N,) are of one person; nan where the modalities are not calibrated."""
        known = self.pairs.get(pair)
        if known is None:
            return np.full(len(scores), np.nan)
        return known.probability(scores)

    # ------------------------------------------------------------------ on disk

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        pairs = {}
        for name, pair in self.pairs.items():
            pairs[name] = {**asdict(pair), "probability": pair.probability.plain()}
        return {
            "format": FORMAT,
            "version": self.version,
            "model": self.model,
            "method": self.method,
            "preprocessing": dict(self.preprocessing),
            "source": dict(self.source),
            "settings": dict(self.settings),
            "pairs": pairs,
            "open_set": [asdict(result) for result in self.open_set],
            "left_out": list(self.left_out),
        }

    def compact(self) -> Calibration:
        """What a search needs, without curves and histograms, for the metadata of a gallery."""
        pairs = {}
        for name, pair in self.pairs.items():
            pairs[name] = PairCalibration(pair.thresholds, pair.probability, cameras=pair.cameras)
        return replace(self, pairs=pairs, open_set=(), left_out=())

    @classmethod
    def from_plain(cls, content: Mapping[str, Any], place: object) -> Calibration:
        """Read what :meth:`plain` wrote; raises :class:`DataError` where it is damaged."""
        version = content.get("version")
        if content.get("format") != FORMAT or version not in (_BY_NUMBER, VERSION):
            raise DataError(f"'{place}' is no calibration of this version: make one with crossreid.calibrate.")
        try:
            pairs: dict[str, PairCalibration] = {}
            for name, part in _group(content["pairs"]).items():
                pairs[str(name)] = _pair(part)
            return cls(
                model=_text_or_none(content["model"]),
                method=_text_or_none(content["method"]),
                preprocessing=_group(content["preprocessing"]),
                source=_group(content["source"]),
                settings=_group(content["settings"]),
                pairs=pairs,
                open_set=tuple(map(_open_set, content["open_set"])),
                left_out=tuple(map(str, content["left_out"])),
                version=version,
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DataError(f"'{place}' is a damaged calibration: make it again.") from error

    def save(self, path: str | Path) -> Path:
        """Write a file, whole or not at all; returns its path."""
        text = json.dumps(self.plain(), indent=1).encode()
        write_atomically(Path(path), lambda stream: stream.write(text))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read a file; raises :class:`DataError` where it is missing or damaged."""
        if not Path(path).is_file():
            raise DataError(f"There is no calibration '{path}': make one with crossreid.calibrate.")
        return cls.from_plain(read_json(Path(path)), path)


def _group(content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError("not a group")
    return content


def _text_or_none(content: object) -> str | None:
    if content is None or isinstance(content, str):
        return content
    raise TypeError("not a text")


def _pair(content: Mapping[str, Any]) -> PairCalibration:
    # A gallery's calibration has none of these three, see Calibration.compact.
    reliability = None
    if content.get("reliability") is not None:
        reliability = Reliability(**_tuples(content["reliability"]))
    curve = None
    if content.get("curve") is not None:
        curve = RateCurve(**_tuples(content["curve"]))
    histogram = None
    if content.get("histogram") is not None:
        histogram = ScoreHistogram(**_tuples(content["histogram"]))
    cameras = {}
    for name, entries in _group(content.get("cameras", {})).items():
        cameras[str(name)] = _thresholds(entries)
    if len(cameras) > _MOST_ENTRIES:
        raise ValueError("too many pairs of cameras")
    return PairCalibration(
        thresholds=_thresholds(content["thresholds"]),
        probability=MatchProbability.from_plain(_group(content["probability"])),
        reliability=reliability,
        curve=curve,
        histogram=histogram,
        cameras=cameras,
    )


def _thresholds(entries: Sequence[Mapping[str, Any]]) -> tuple[Threshold, ...]:
    read = []
    for entry in entries:
        values: dict[str, Any] = {}
        for name, value in _group(entry).items():
            if name.endswith("_interval"):
                low, high = value
                values[name] = Interval(_number(low), _number(high))
            elif name in ("genuine", "impostor"):
                values[name] = int(value)
            else:
                values[name] = _number(value)
        read.append(Threshold(**values))
    return tuple(read)


def _open_set(content: Mapping[str, Any]) -> OpenSetResult:
    rates = []
    for entry in content["rates"]:
        low, high = entry["identified_interval"]
        interval = Interval(_number(low), _number(high))
        rates.append(OpenSetRate(**{**entry, "identified_interval": interval}))
    return OpenSetResult(**{**content, "rates": tuple(rates)})


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of numbers as tuples, and numbers."""
    values: dict[str, Any] = {}
    for name, value in _group(content).items():
        if isinstance(value, list):
            values[name] = tuple(map(_number, value))
        else:
            values[name] = _number(value)
    return values


def _number(value: object) -> float:
    """A finite number; whole ones stay whole."""
    # Python counts True among the whole numbers
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a finite number")
    return value
