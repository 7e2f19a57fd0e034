"""t-SNE of embeddings (AlignGAN, Fig. 6): shape is identity, colour is modality."""

from __future__ import annotations

import numpy as np
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
    infrared = np.asarray(embeddings.infrared)
    both = np.intersect1d(embeddings.pids[infrared], embeddings.pids[~infrared])[: min(identities, len(MARKERS))]
    picked = [
        np.flatnonzero((embeddings.pids == pid) & (infrared == flag))[:PER_MODALITY] for pid in both for flag in (0, 1)
    ]
    shown = embeddings.select(np.concatenate(picked))
    perplexity = min(30.0, max(2.0, (len(shown) - 1) / 3))
    flat = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(shown.features[feature])
    figure = Figure(figsize=(6, 5))
    axis = figure.subplots()
    for marker, pid in zip(MARKERS, both, strict=False):
        for flag, colour, name in ((False, VISIBLE, "visible"), (True, INFRARED, "infrared")):
            points = flat[(shown.pids == pid) & (shown.infrared == flag)]
            label = name if pid == both[0] else None
            axis.scatter(points[:, 0], points[:, 1], marker=marker, s=22, color=colour, alpha=0.75, label=label)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.legend(title=f"{len(both)} test persons (shapes)", fontsize=8, title_fontsize=8)
    return figure
