"""From scored pairs to a calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from crossreid.data.records import MODALITIES
from crossreid.errors import DataError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.calibration import (
    Calibration,
    OpenSetResult,
    PairCalibration,
    ScoreHistogram,
    camera_pair,
    modality_pair,
)
from crossreid.evaluation.embeddings import Cell
from crossreid.evaluation.match_probability import Reliability, fit_probability, reliability_of
from crossreid.evaluation.open_set import open_set_rate, search_open_set
from crossreid.evaluation.verification import (
    LEAST_PAIRS,
    Pairs,
    draw_persons,
    pairs_of,
    rate_curve,
    require_pairs,
    thresholds,
)
from crossreid.extraction.transfer import TRANSFER
from crossreid.randomness import numpy_generator
from crossreid.settings.calibration import CalibrationSettings

RATES = (0.0001, 0.001, 0.01, 0.1)
"""Of false matches, where none are said: those that enough pairs stand behind."""
ALARM_RATES = (0.01, 0.05, 0.1)
"""Of false alarms in open-set search."""
_BARS = 60
_LEAST_PERSONS = 4


def calibrate_embeddings(
    embeddings: Embeddings, settings: CalibrationSettings, source: Mapping[str, Any]
) -> Calibration:
    """Calibrate on all pairs of embedded images of known persons, with open-set search.

    Args:
        embeddings: N images of one model; those of unknown persons are left out.
        settings: what is to be had.
        source: which persons they are, as plain values.

    Raises:
        DataError: persons or pairs are too few, or the model compares images through a transfer.
    """
    if embeddings.about.get(TRANSFER) is True:
        raise DataError(
            f"{embeddings.about.get('method')} compares images through a transfer that sees the whole gallery, so its "
            "similarities in one gallery say nothing of those in another: it cannot be calibrated."
        )
    known = embeddings.select(embeddings.pids >= 0)  # negative where nobody knows the person
    chosen, sentence = _at_most(known, settings)
    groups = {}
    for one, other in ((False, False), (False, True), (True, True)):
        name = modality_pair(one, other)
        if _wanted(name, settings):
            groups[name] = pairs_of(chosen, one, other, same_camera=settings.same_camera)
    persons = len(np.unique(chosen.pids))
    counts = {"persons": persons, "images": len(chosen)}
    cameras = _cameras(chosen)
    calibration = calibrate_pairs(groups, settings, {**source, **counts}, embeddings.about, cameras)
    results, sentences = _open_set(chosen, settings, calibration)
    left_out = (*sentence, *calibration.left_out, *sentences)
    return replace(calibration, open_set=results, left_out=left_out)


def calibrate_pairs(
    groups: Mapping[str, Pairs],
    settings: CalibrationSettings,
    source: Mapping[str, Any],
    about: Mapping[str, Any],
    cameras: Mapping[int, Cell] | None = None,
) -> Calibration:
    """Calibrate on scored pairs, by modalities.

    Args:
        groups: pairs of two modalities, such as ``visible-infrared``; those without pairs of either kind are left out, and
            those that ``between`` does not name.
        settings: what is to be had.
        source: which persons they are, as plain values.
        about: what the embeddings say of their model.
        cameras: number of a camera in the pairs -> what the column ``camera`` calls it; others have no thresholds of their own.

    Raises:
        DataError: persons or pairs are too few, or a rate that was asked for has too few pairs behind it.
    """
    calibrated: dict[str, PairCalibration] = {}
    left_out: list[str] = []
    for name, pairs in groups.items():
        if _wanted(name, settings):
            calibration = _calibrate_if_possible(name, pairs, settings, cameras or {}, left_out)
            if calibration is not None:
                calibrated[name] = calibration
    if not calibrated:
        counted = [f"{name} {len(pairs.impostor)} and {len(pairs.genuine)}" for name, pairs in groups.items()]
        raise DataError(
            f"Nothing can be calibrated: {LEAST_PAIRS} pairs of two persons in different cameras are needed, and pairs of one "
            f"person ({', '.join(counted) or 'none'} are there); add persons, images or cameras, or count pairs of one camera "
            "by same_camera=true."
        )
    preprocessing = about.get("preprocessing")
    return Calibration(
        model=_text_or_none(about.get("model")),
        method=_text_or_none(about.get("method")),
        preprocessing=preprocessing if isinstance(preprocessing, dict) else {},
        source=dict(source),
        # Of a command's settings only those of the calibration itself, whose class they extend.
        settings={entry.name: getattr(settings, entry.name) for entry in fields(CalibrationSettings)},
        pairs=calibrated,
        left_out=tuple(left_out),
    )


def _text_or_none(value: object) -> str | None:
    """A text as it is; None in the place of anything else, as embeddings may come from anybody's file."""
    if isinstance(value, str):
        return value
    return None


def _calibrate_if_possible(
    name: str, pairs: Pairs, settings: CalibrationSettings, cameras: Mapping[int, Cell], left_out: list[str]
) -> PairCalibration | None:
    """The calibration of two modalities; None, with the reason in ``left_out``, where there are too few pairs for one."""
    if not len(pairs.genuine) or not len(pairs.impostor):
        if len(pairs):  # of modalities that nobody has there is nothing to say
            left_out.append(f"{name}: no pairs of one person, or none of two.")
        return None
    _require_persons(pairs)
    rates = _rates(pairs, settings, name)
    if not rates:
        left_out.append(f"{name}: {len(pairs.impostor)} pairs of two persons, fewer than {LEAST_PAIRS}.")
        return None
    return _calibrate(name, pairs, rates, settings, cameras, left_out)


def _wanted(name: str, settings: CalibrationSettings) -> bool:
    """Two modalities are to be compared."""
    return settings.between is None or name in settings.between


def _cameras(embeddings: Embeddings) -> dict[int, Cell]:
    """What the column ``camera`` calls each numbered camera; without the column, a dataset's own numbers.

    Images of one's own (column ``person``) that say no camera have a number that was made up, which stands for none.
    """
    camids = embeddings.camids.tolist()
    cells = embeddings.columns.get("camera")
    if cells is None:
        if "person" in embeddings.columns:
            return {}
        return {camid: camid for camid in camids}
    called: dict[int, set[Cell]] = {}
    for camid, cell in zip(camids, cells, strict=True):
        called.setdefault(camid, set()).add(cell)
    # A number that goes by several names, or by none, gets no thresholds of its own.
    names: dict[int, Cell] = {}
    for camid, names_of_camera in called.items():
        if len(names_of_camera) == 1 and None not in names_of_camera:
            names[camid] = names_of_camera.pop()
    return names


def _by_cameras(pairs: Pairs, cameras: Mapping[int, Cell]) -> Iterator[tuple[str, Pairs]]:
    """The pairs of each two cameras that have a name, by it; two numbers may have one name."""
    if not len(pairs.cameras):
        return
    known = np.isin(pairs.cameras, list(cameras))  # (M, 2)
    chosen = pairs.select(np.asarray(known.all(axis=1)))
    # Numbers of cameras give way to places of their names; sorted in each pair, since (one, other) is (other, one).
    names = list(dict.fromkeys(cameras.values()))
    camids, camid_of_image = np.unique(chosen.cameras, return_inverse=True)
    places_of_camids = [names.index(cameras[camid]) for camid in camids.tolist()]
    places = np.array(places_of_camids, dtype=np.int64)[camid_of_image.reshape(-1, 2)]  # (M, 2)
    named = replace(chosen, cameras=np.sort(places, axis=1))
    for (one, other), of_cameras in named.by_cameras():
        yield camera_pair(names[one], names[other]), of_cameras


def _at_most(embeddings: Embeddings, settings: CalibrationSettings) -> tuple[Embeddings, list[str]]:
    """So many images drawn at random where there are more, and a sentence that says so."""
    if len(embeddings) <= settings.most_images:
        return embeddings, []
    generator = numpy_generator(settings.seed, "images to calibrate on")
    drawn = generator.choice(len(embeddings), settings.most_images, replace=False)
    rows = np.sort(drawn)  # in their own order
    sentence = f"{settings.most_images} of {len(embeddings)} images were drawn at random (most_images)."
    return embeddings.select(rows), [sentence]


def _require_persons(pairs: Pairs) -> None:
    if pairs.persons < _LEAST_PERSONS:
        raise DataError(
            f"There are {pairs.persons} persons to calibrate on, and intervals over persons need {_LEAST_PERSONS}: add some."
        )


def _rates(pairs: Pairs, settings: CalibrationSettings, name: str) -> list[float]:
    """Rates that were asked for, which must be possible; else those of :data:`RATES` that are."""
    if settings.rates is None:
        return [rate for rate in RATES if rate >= pairs.least_rate()]
    for rate in settings.rates:
        require_pairs(pairs, rate, name)
    return sorted(settings.rates)


def _calibrate(
    name: str,
    pairs: Pairs,
    rates: list[float],
    settings: CalibrationSettings,
    cameras: Mapping[int, Cell],
    left_out: list[str],
) -> PairCalibration:
    """Thresholds, probabilities and curves of two modalities; what cannot be had goes to ``left_out``."""
    # One set of resamples for all thresholds, so that their intervals differ by the pairs alone.
    draws = draw_persons(pairs.persons, settings.bootstrap, settings.seed)
    by_cameras = {}
    lacking = 0
    for both, of_cameras in _by_cameras(pairs, cameras):
        possible = [rate for rate in rates if rate >= of_cameras.least_rate()]
        if possible and len(of_cameras.genuine):
            by_cameras[both] = tuple(thresholds(of_cameras, possible, draws))
        else:
            lacking += 1
    if lacking:
        left_out.append(
            f"{name}: {lacking} pairs of cameras have no threshold of their own, with fewer than {LEAST_PAIRS} pairs of two "
            "persons, or too few of them at each rate, or none of one."
        )
    reliability = _held_out(pairs, settings)
    if reliability is None:
        left_out.append(
            f"{name}: probabilities are not checked, since half of the persons have no pairs of both kinds."
        )
    return PairCalibration(
        thresholds=tuple(thresholds(pairs, rates, draws)),
        probability=fit_probability(settings.probability, pairs.genuine, pairs.impostor, settings.prior),
        reliability=reliability,
        curve=rate_curve(pairs.genuine, pairs.impostor),
        histogram=_histogram(pairs),
        cameras=by_cameras,
    )


def _held_out(pairs: Pairs, settings: CalibrationSettings) -> Reliability | None:
    """Probabilities learned from half of the persons, checked on the other half; None where that cannot be done."""
    order = numpy_generator(settings.seed, "persons that probabilities are checked on").permutation(pairs.persons)
    checked_on = np.zeros(pairs.persons, dtype=bool)
    checked_on[order[: pairs.persons // 2]] = True
    # Pairs of a person of either half are left out: no person is on both sides.
    learned = pairs.among(~checked_on)
    checked = pairs.among(checked_on)
    for part in (learned, checked):
        if not len(part.genuine) or not len(part.impostor):
            return None
    curve = fit_probability(settings.probability, learned.genuine, learned.impostor, settings.prior)
    return reliability_of(curve, checked.genuine, checked.impostor, int(checked_on.sum()))


def _histogram(pairs: Pairs) -> ScoreHistogram:
    low = float(pairs.scores.min())
    high = max(float(pairs.scores.max()), low + 1e-6)  # bars have a width where all scores are one number
    edges = np.linspace(low, high, _BARS + 1)

    def shares(scores: Array) -> tuple[float, ...]:
        counts, _ = np.histogram(scores, edges)
        of_all = counts / max(counts.sum(), 1)
        return tuple(of_all.tolist())

    return ScoreHistogram(tuple(edges.tolist()), shares(pairs.genuine), shares(pairs.impostor))


def _open_set(
    embeddings: Embeddings, settings: CalibrationSettings, calibration: Calibration
) -> tuple[tuple[OpenSetResult, ...], list[str]]:
    """Open-set search in both directions of every two modalities that are calibrated, and what could not be had."""
    results = []
    left_out: list[str] = []
    persons = len(np.unique(embeddings.pids))
    draws = draw_persons(persons, settings.bootstrap, settings.seed)
    # True is infrared; infrared probes come first, and in visible images first.
    for queries, gallery in ((True, False), (True, True), (False, False), (False, True)):
        if modality_pair(queries, gallery) not in calibration.pairs:
            continue
        query_modality = MODALITIES[int(queries)]
        gallery_modality = MODALITIES[int(gallery)]
        direction = f"{query_modality} probes in {gallery_modality} images"
        try:
            search = search_open_set(embeddings, queries, gallery, same_camera=settings.same_camera)
        except DataError as error:
            left_out.append(f"{direction}: {error}")
            continue
        rates = []
        for rate in ALARM_RATES:
            try:
                rates.append(open_set_rate(search, rate, draws))
            except DataError as error:
                left_out.append(f"{direction}: {error}")
        if rates:
            result = OpenSetResult(
                query_modality,
                gallery_modality,
                len(search.own),
                search.gallery_images,
                search.gallery_persons,
                tuple(rates),
            )
            results.append(result)
    return tuple(results), left_out
