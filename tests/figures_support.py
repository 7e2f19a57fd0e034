"""Embeddings and results that figures are drawn from."""

import numpy as np

from crossreid.evaluation import Embeddings, IdentityScores, ProtocolLabels, RetrievalResult


def embeddings(people: int, images: int) -> Embeddings:
    """So many visible and infrared images of each person; the first one has no infrared ones."""
    count = 2 * people * images
    pids = np.repeat(np.arange(people), 2 * images)
    infrared = np.tile(np.repeat([False, True], images), people)
    infrared[pids == 0] = False
    return Embeddings(
        features={"main": np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)},
        pids=pids,
        camids=np.where(infrared, 3, 1),
        infrared=infrared,
        frames=np.arange(count),
        rows=np.arange(count)[::-1].copy(),
        paths=tuple(f"{place}.jpg" for place in range(count)),
    )


def result(rank1: tuple[float, ...], mean_ap: tuple[float, ...]) -> RetrievalResult:
    """A value a trial."""
    ones = np.ones(1)
    return RetrievalResult(
        protocol="sysu_mm01/all/single",
        labels=ProtocolLabels("all", "1", "official", "none", "identities", "main, cosine", "plain"),
        cmc=np.array(rank1)[:, None],
        mean_ap=np.array(mean_ap),
        mean_inp=np.array(mean_ap),
        n_probes=1,
        n_valid=np.ones(len(rank1)),
        n_gallery=np.ones(len(rank1)),
        chance={"rank1": 0.1},
        identities=IdentityScores(ones, ones, ones, ones, ones),
    )
