"""Embeddings in two dimensions (AlignGAN, Fig. 6): shape is identity, colour is modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from crossreid.escaping import for_figure
from crossreid.evaluation import Embeddings
from crossreid.visualization.style import INFRARED, VISIBLE

Points = npt.NDArray[np.float32]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
PER_MODALITY = 25  # the paper's figure has some 20 to 30 images of a person and modality


def embedding_map(
    sets: Mapping[str, Embeddings],
    identities: int = 7,
    *,
    layout: str = "tsne",
    feature: str = "main",
    seed: int = 0,
) -> Figure:
    """The first identities of each set that have both modalities, a chart a set.

    Args:
        sets: title -> images, such as those of training persons and of test persons.
        identities: how many people, at most ten.
        layout: ``tsne`` (near each other where features are, distances mean little) or ``pca`` (the two directions in which
            the shown images differ most; the axes say what share of it).
        feature: which feature.
        seed: of t-SNE.
    """
    figure = Figure(figsize=(5.6 * len(sets), 5), layout="constrained")
    axes = figure.subplots(1, len(sets), squeeze=False)[0]
    for axis, (title, embeddings) in zip(axes, sets.items(), strict=True):
        people = _people_of_both_modalities(embeddings)[: min(identities, len(MARKERS))]
        subset = embeddings.select(_images_of(people, embeddings))
        points = _LAYOUTS[layout](axis, subset.features[feature], seed)
        _draw(axis, points, subset, people)
        axis.set_title(for_figure(title), fontsize=10)
    return figure


def _draw(axis: Axes, points: Points, subset: Embeddings, people: npt.NDArray[np.int64]) -> None:
    for marker, pid in zip(MARKERS, people, strict=False):
        for infrared, colour, name in ((False, VISIBLE, "visible"), (True, INFRARED, "infrared")):
            here = points[(subset.pids == pid) & (subset.infrared == infrared)]
            # Colours mean the same for every person, so the legend has them once.
            label = None
            if pid == people[0]:
                label = name
            axis.scatter(here[:, 0], here[:, 1], marker=marker, s=22, color=colour, alpha=0.75, label=label)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(title=f"{len(people)} persons (shapes)", fontsize=8, title_fontsize=8)


def _people_of_both_modalities(embeddings: Embeddings) -> npt.NDArray[np.int64]:
    """Identities, ascending."""
    infrared = np.asarray(embeddings.infrared)
    return np.intersect1d(embeddings.pids[infrared], embeddings.pids[~infrared])


def _images_of(people: npt.NDArray[np.int64], embeddings: Embeddings) -> npt.NDArray[np.int64]:
    """Places of the first images of each person and modality."""
    places = []
    for pid in people:
        for infrared in (False, True):
            images = np.flatnonzero((embeddings.pids == pid) & (embeddings.infrared == infrared))
            places.append(images[:PER_MODALITY])
    return np.concatenate(places)


def _tsne(axis: Axes, features: Points, seed: int) -> Points:
    """(n, D) features -> (n, 2) points, near each other where the features are."""
    # t-SNE looks at three times as many neighbours as its perplexity, and there are only n - 1.
    perplexity = min(30.0, max(2.0, (len(features) - 1) / 3))
    axis.set_xlabel("t-SNE: neighbours are alike, distances mean little", fontsize=8)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
    return np.asarray(tsne.fit_transform(features))


def _pca(axis: Axes, features: Points, seed: int) -> Points:
    """(n, D) features -> (n, 2) points: the principal components."""
    pca = PCA(2, svd_solver="full")  # exact, so that nothing is drawn and ``seed`` has no use
    points = np.asarray(pca.fit_transform(features))
    first, second = 100 * pca.explained_variance_ratio_
    axis.set_xlabel(f"first component, {first:.0f} % of the variance", fontsize=8)
    axis.set_ylabel(f"second component, {second:.0f} %", fontsize=8)
    return points


_LAYOUTS: dict[str, Callable[[Axes, Points, int], Points]] = {"tsne": _tsne, "pca": _pca}
