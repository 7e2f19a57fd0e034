"""Open-set identification: is the person of a probe in the gallery at all, and if so, who is it?

Every probe is searched twice (leave one person out): with its person in the gallery, and with all images of its person taken
out. DIR(t) is the share of probes whose person is there, comes first, and reaches the threshold t; FAR(t) the share of probes
whose person is not there and for which somebody else reaches it (Phillips, Grother and Micheals, Handbook of Face Recognition,
2011, ch. 21). Both depend on the size of the gallery, which is said with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossreid.errors import DataError
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import Embeddings
from crossreid.evaluation.scorers import normalised
from crossreid.evaluation.verification import Interval, above, interval_of

LEAST_ALARMS = 10
"""False alarms that must stand behind a rate."""
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class OpenSetSearch:
    """The best scores of each probe.

    Attributes:
        own: (Q,) the best image of the probe's person; minus infinity where there is none.
        strangers: (Q,) the best image of anybody else.
        person: (Q,) place of the probe's person among P, 0 to P - 1.
        persons: P.
        gallery_images: images that a probe is compared with, on average.
        gallery_persons: persons in the gallery.
    """

    own: Array
    strangers: Array
    person: Array
    persons: int
    gallery_images: float
    gallery_persons: int


@dataclass(frozen=True)
class OpenSetRate:
    """Detection and identification at one rate of false alarms.

    Attributes:
        rate: the false-alarm rate that was asked for.
        threshold: of similarity.
        false_alarm_rate: at the threshold; at most the rate.
        identified: DIR at the threshold.
        identified_interval: over persons of the probes, at this threshold and this gallery.
    """

    rate: float
    threshold: float
    false_alarm_rate: float
    identified: float
    identified_interval: Interval


def search_open_set(embeddings: Embeddings, queries: bool, others: bool, *, same_camera: bool = False) -> OpenSetSearch:
    """Search all images of one modality in all of another; probes without an image of their person are left out.

    Args:
        embeddings: N images.
        queries: the modality of the probes, True for infrared.
        others: that of the gallery.
        same_camera: a probe is compared with images of its own camera too.

    Raises:
        DataError: no probe has an image of its person and one of another person to be compared with.
    """
    known = embeddings.pids >= 0
    identities, person = np.unique(embeddings.pids[known], return_inverse=True)
    vectors = normalised(embeddings.features["main"][known]).astype(np.float32)
    camera = embeddings.camids[known]
    infrared = embeddings.infrared[known]
    probes = np.flatnonzero(infrared == queries)
    gallery = np.flatnonzero(infrared == others)
    own = []
    strangers = []
    counts = []
    for start in range(0, len(probes), _ROWS_AT_ONCE):
        rows = probes[start : start + _ROWS_AT_ONCE]
        similarity = vectors[rows] @ vectors[gallery].T
        # Places among all images: within a modality a probe stands in its own gallery.
        compared = rows[:, None] != gallery[None, :]
        if not same_camera:
            compared &= camera[rows][:, None] != camera[gallery][None, :]
        # Both searches at once: with the person in the gallery, and, by the best of the others, without.
        is_own = person[rows][:, None] == person[gallery][None, :]
        own.append(_best(similarity, compared & is_own))
        strangers.append(_best(similarity, compared & ~is_own))
        counts.append(compared.sum(axis=1))
    if own:
        bests = np.concatenate(own)
        others_bests = np.concatenate(strangers)
        complete = np.isfinite(bests) & np.isfinite(others_bests)
        if complete.any():
            return OpenSetSearch(
                own=bests[complete],
                strangers=others_bests[complete],
                person=person[probes][complete],
                persons=len(identities),
                gallery_images=float(np.concatenate(counts)[complete].mean()),
                gallery_persons=len(np.unique(person[gallery])),
            )
    raise DataError("No probe can be compared with images of its own and of other persons.")


def _best(similarity: Array, mask: Array) -> Array:
    """(Q,) the largest of each row (Q, G) where a mask is True; minus infinity where it is nowhere."""
    return np.asarray(np.where(mask, similarity, -np.inf).max(axis=1, initial=-np.inf))


def open_set_rate(search: OpenSetSearch, rate: float, draws: Array) -> OpenSetRate:
    """DIR where at most this share of probes raises a false alarm.

    Args:
        search: of Q probes.
        rate: share of the probes.
        draws: (B, P) how often each person is drawn.

    Raises:
        DataError: fewer than :data:`LEAST_ALARMS` false alarms stand behind the rate.
    """
    count = len(search.own)
    if rate * count < LEAST_ALARMS:
        raise DataError(
            f"A false-alarm rate of {rate:g} has fewer than {LEAST_ALARMS} of the {count} probes behind it: the smallest one "
            f"that can be had is {LEAST_ALARMS / count:.2g}."
        )
    allowed = int(np.floor(rate * count + 1e-9))
    falling = np.sort(search.strangers)[::-1]
    if allowed >= count:
        threshold = float(falling[-1])  # every probe may raise an alarm
    else:
        threshold = above(float(falling[allowed]))  # the first alarm too many must stay below it
    cut = np.float32(threshold)  # scores are float32: compared in their own type
    identified = (search.own > search.strangers) & (search.own >= cut)
    # Persons are drawn with all their probes: sums of each person, weighted by how often it is drawn.
    of_person = np.bincount(search.person, minlength=search.persons)
    identified_of_person = np.bincount(search.person[identified], minlength=search.persons)
    shares = (draws @ identified_of_person) / np.maximum(draws @ of_person, 1)
    return OpenSetRate(
        rate,
        threshold,
        float(np.mean(search.strangers >= cut)),
        float(np.mean(identified)),
        interval_of(shares),
    )
