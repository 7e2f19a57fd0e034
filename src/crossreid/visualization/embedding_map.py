"""t-SNE of embeddings (AlignGAN, Fig. 6): shape is identity, colour is modality."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from crossreid.evaluation import Embeddings
from crossreid.visualization.style import INFRARED, VISIBLE

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
PER_MODALITY = 25  # the paper's figure has some 20 to 30 images of a person and modality


def embedding_map(embeddings: Embeddings, identities: int = 7, feature: str = "main", seed: int = 0) -> Figure:
    """The first identities that have both modalities, laid out in two dimensions.

    Args:
        embeddings: all images.
        identities: how many people, at most ten.
        feature: which feature.
        seed: of t-SNE.
    """
    people = _people_of_both_modalities(embeddings)[: min(identities, len(MARKERS))]
    subset = embeddings.select(_images_of(people, embeddings))
    points = _layout(subset.features[feature], seed)
    figure = Figure(figsize=(6, 5))
    axis = figure.subplots()
    for marker, pid in zip(MARKERS, people, strict=False):
        for infrared, colour, name in ((False, VISIBLE, "visible"), (True, INFRARED, "infrared")):
            here = points[(subset.pids == pid) & (subset.infrared == infrared)]
            label = name if pid == people[0] else None  # colours mean the same for every person
            axis.scatter(here[:, 0], here[:, 1], marker=marker, s=22, color=colour, alpha=0.75, label=label)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(title=f"{len(people)} test persons (shapes)", fontsize=8, title_fontsize=8)
    return figure


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


def _layout(features: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """(n, D) features -> (n, 2) points, near each other where the features are."""
    # t-SNE looks at three times as many neighbours as its perplexity, and there are only n - 1
    perplexity = min(30.0, max(2.0, (len(features) - 1) / 3))
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
    return np.asarray(tsne.fit_transform(features))
