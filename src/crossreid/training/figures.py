"""The figures of a trained method, by name: what each shows, and how it is drawn.

A run draws :data:`AFTER_TRAINING`; ``python -m crossreid.visualize`` draws any. What several figures need is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from crossreid.console import notice
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets.base import ReIDDataset
from crossreid.data.records import MODALITIES
from crossreid.data.transforms import to_float
from crossreid.errors import ConfigError
from crossreid.escaping import for_file_name
from crossreid.evaluation import Embeddings, RankedLists, RetrievalProtocol, Scorer, ranked_list
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.camera_pairs import camera_pairs
from crossreid.evaluation.verification import pairs_of
from crossreid.methods.attention import shared_heat
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.embedding import EmbeddingModule, has_generated
from crossreid.methods.reporting import HasFigureData
from crossreid.nn.normalisation import evaluating
from crossreid.runs.history import losses_of
from crossreid.settings.figures import CorrespondenceConfig
from crossreid.training.loading import Restored
from crossreid.training.loggers import figure_data, pictures
from crossreid.training.scoring import as_embeddings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AFTER_TRAINING = ("pictures", "correspondences", "ranked_lists", "tsne", "similarities", "cameras", "learning")
"""What a run draws at its end, as far as its method and dataset have it."""
QUERIES = ("even", "worst", "best")
"""Which probes ranked lists are of."""
_BATCH = 64


@dataclass
class FigureSource:
    """What figures are drawn from.

    Attributes:
        module: the method, with its weights.
        data: the dataset.
        embedded: the test images; None where no figure that is drawn looks at them (:func:`need_embeddings`).
        protocol: whose probes and gallery are shown.
        scorer: what it ranks by.
        history: history.csv of the run; None where there is none.
        persons: in figures that show some persons, such as t-SNE.
        queries: which probes ranked lists are of, one of :data:`QUERIES`; evenly over all, or by their average precision.
        count: ranked lists, and images with activation maps.
        with_training: training persons beside test persons, where a figure can show both.
        correspondences: what figures of matches between two images show.
    """

    module: CrossModalityModule[Any]
    data: ReIDDataModule
    embedded: Embeddings | None
    protocol: RetrievalProtocol
    scorer: Scorer
    history: Path | None = None
    persons: int = 7
    queries: str = "even"
    count: int = 6
    with_training: bool = False
    correspondences: CorrespondenceConfig = field(default_factory=CorrespondenceConfig)

    @classmethod
    def of(cls, run: Restored, embeddings: Embeddings | None, checkpoint: Path, **options: Any) -> FigureSource:
        """Of a checkpoint, by the first setting of its protocol; the history of its run lies beside it."""
        history = checkpoint.with_name("history.csv")
        return cls(run.module, run.data, embeddings, run.protocols.test[0], run.scorers()[""], history, **options)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images that the method sees."""
        return self.data.streams["identity"].size

    @property
    def embeddings(self) -> Embeddings:
        """Of the test images."""
        assert self.embedded is not None, "a figure that looks at embeddings is marked as one that does not"
        return self.embedded

    @property
    def both_modalities(self) -> bool:
        """There are test images of both."""
        return all(len(self.data.modality_rows(modality, "test")) for modality in MODALITIES)

    @cached_property
    def sets(self) -> dict[str, Embeddings]:
        """Title -> images: those of training persons first, where they are wanted."""
        sets = {}
        if self.with_training:
            rows = np.sort(np.concatenate(list(self._training_rows())))
            sets["training persons"] = embed_rows(self.module, self.data, rows)
        sets["test persons"] = self.embeddings
        return sets

    @cached_property
    def lists(self) -> RankedLists:
        """The ranked lists of the chosen probes, ten images each."""
        return ranked_list(self.embeddings, self.protocol, self.scorer, queries=_chosen_queries(self), k=10)

    def _training_rows(self) -> Iterator[Array]:
        """Rows of as many training persons as there are test persons."""
        wanted = len(np.unique(self.embeddings.pids))
        for rows in self.data.index.rows[:wanted]:
            yield from rows.values()


@torch.no_grad()
def embed_rows(module: CrossModalityModule[Any], data: ReIDDataModule, rows: Array) -> Embeddings:
    """Embeddings of some rows of the dataset, in float32 on the module's device, in the order of ``rows``."""
    images = data.images(data.streams["identity"].size)
    features: dict[str, Array] = {}
    with evaluating(module):
        for modality in MODALITIES:
            of_modality = []  # places in rows
            for place, row in enumerate(rows):
                if data.dataset.records[row].modality == modality:
                    of_modality.append(place)
            for start in range(0, len(of_modality), _BATCH):
                places = of_modality[start : start + _BATCH]
                pixels = torch.from_numpy(images[rows[places]]).permute(0, 3, 1, 2).to(module.device)  # (B, 3, H, W)
                gathered = module.features_to_gather(to_float(pixels), modality)
                for name, feature in gathered.items():
                    if name not in features:
                        features[name] = np.zeros((len(rows), feature.shape[1]), np.float32)
                    features[name][places] = feature.float().cpu().numpy()
    return as_embeddings(data.dataset, rows, features)


# ---------------------------------------------------------------- the figures

Figures = Iterator[tuple[str, "Figure"]]
"""Name of the file and the figure."""


def _pictures(source: FigureSource) -> Figures:
    from crossreid.visualization import picture_grid  # noqa: PLC0415 - extra `viz`

    batch = source.data.sample_pairs("test", identities=5, images=3, size=source.size)
    rows = pictures(source.module, batch.visible, batch.infrared)
    if has_generated(rows):
        yield source.module.pictures_name, picture_grid(rows, per_person=3)


def _own(source: FigureSource) -> Figures:
    from crossreid.visualization import method_figures  # noqa: PLC0415

    choice = source.correspondences
    if choice.pair is None:
        batch = source.data.sample_pairs("test", identities=5, images=3, size=source.size)
    else:
        visible, infrared = rows_of_pair(source.data.dataset, choice.pair)
        batch = source.data.pair(visible, infrared, source.size)
    data = figure_data(source.module, batch, choice)
    yield from method_figures(source.module.config.name, data, choice).items()


def rows_of_pair(dataset: ReIDDataset, pair: Sequence[str]) -> tuple[int, int]:
    """Rows of a visible and an infrared image by their paths, below the dataset's folder or whole.

    Raises:
        ConfigError: one of them is no image of the dataset, or of the other modality.
    """
    place_of = {record.path.resolve(): row for row, record in enumerate(dataset.records)}
    rows = []
    for name, modality in zip(pair, MODALITIES, strict=True):
        row = place_of.get((dataset.root / name).resolve())  # a whole path stays as it is
        if row is None:
            raise ConfigError(
                f"correspondences.pair names '{name}', which is no image of {dataset.name}: give paths below '{dataset.root}'."
            )
        found = dataset.records[row].modality
        if found != modality:
            raise ConfigError(
                f"correspondences.pair is [VISIBLE, INFRARED], and '{name}' is {found} where {modality} belongs."
            )
        rows.append(row)
    return rows[0], rows[1]


def _ranked_lists(source: FigureSource) -> Figures:
    from crossreid.visualization import ranked_gallery  # noqa: PLC0415

    name = "ranked_lists"
    if source.queries != "even":
        name = f"ranked_lists_{source.queries}"
    yield name, ranked_gallery(source.lists, source.embeddings, source.data.images(source.size))


def _chosen_queries(source: FigureSource) -> Array:
    """Places of probes; by average precision in the first trial those without a true match are left out."""
    probes = source.protocol.queries(source.embeddings)
    if source.queries == "even":
        step = max(1, len(probes) // source.count)
        return probes[::step][: source.count]
    gallery = source.embeddings.select(source.protocol.gallery(source.embeddings, 0))
    scores = source.protocol.score(source.embeddings.select(probes), gallery, source.scorer)
    valid = np.flatnonzero(scores.valid)
    ascending = valid[np.argsort(scores.ap[valid], kind="stable")]
    if source.queries == "best":
        ascending = ascending[::-1]
    return probes[ascending[: source.count]]


def _map(layout: str) -> Callable[[FigureSource], Figures]:
    def draw(source: FigureSource) -> Figures:
        from crossreid.visualization import embedding_map  # noqa: PLC0415

        if source.persons:
            yield layout, embedding_map(source.sets, source.persons, layout=layout)

    return draw


def _similarities(source: FigureSource) -> Figures:
    from crossreid.visualization import similarity_histograms  # noqa: PLC0415

    panels = {}
    for title, images in source.sets.items():
        pairs = pairs_of(images, queries=True, others=False)
        panels[title] = (pairs.genuine, pairs.impostor)
    yield "similarities", similarity_histograms(panels)


def _cameras(source: FigureSource) -> Figures:
    from crossreid.visualization import camera_matrix  # noqa: PLC0415

    yield "cameras", camera_matrix(camera_pairs(source.embeddings))


def _cmc(source: FigureSource) -> Figures:
    from crossreid.visualization import cmc_curves  # noqa: PLC0415

    result = source.protocol(source.embeddings, source.scorer)
    yield "cmc", cmc_curves({source.module.config.name: [result]}, source.protocol.key)


def _activation(source: FigureSource) -> Figures:
    """Of some probes and the first right image of the gallery, each map by the similarity to the other image."""
    from crossreid.visualization import heat_pairs  # noqa: PLC0415

    images = source.data.images(source.size)
    embeddings = source.embeddings
    pairs = []
    for probe in _chosen_queries(source):
        # the same person in the other modality
        matches = (embeddings.pids == embeddings.pids[probe]) & (embeddings.infrared != embeddings.infrared[probe])
        if not matches.any():
            continue
        similarity = embeddings.features["main"][matches] @ embeddings.features["main"][probe]
        other = int(np.flatnonzero(matches)[np.argmax(similarity)])
        both = []
        for image in (int(probe), other):
            pixels = np.ascontiguousarray(images[embeddings.rows[image]])
            both.append((pixels, embeddings.modalities[image], embeddings.features["main"][image]))
        one, two = both
        heats = shared_heat(source.module, one, two)
        if heats is None:  # of this method there are none, for any pair
            return
        pairs.append(((one[0], heats[0]), (two[0], heats[1]), float(similarity.max())))
    if pairs:
        yield "activation", heat_pairs(pairs)


def _learning(source: FigureSource) -> Figures:
    from crossreid.visualization import learning_curves  # noqa: PLC0415

    if source.history is not None and source.history.is_file():
        losses = losses_of(source.history)
        if losses:
            yield "learning", learning_curves(losses)


@dataclass(frozen=True)
class FigureKind:
    """A figure that can be asked for.

    Attributes:
        meaning: what it shows, in a line.
        draw: makes it; nothing where this method, run or dataset has none.
        across: it compares the two modalities.
        embedded: it looks at the embeddings of all test images.
    """

    meaning: str
    draw: Callable[[FigureSource], Figures]
    across: bool = True
    embedded: bool = True


FIGURES = {
    "pictures": FigureKind(
        "what the method makes of images: fakes, reconstructions, interpolations", _pictures, embedded=False
    ),
    "correspondences": FigureKind(
        "matches, person masks and co-attention between two images (LbA)", _own, embedded=False
    ),
    "ranked_lists": FigureKind(
        "probes and the gallery images most like them, right and wrong", _ranked_lists, across=False
    ),
    "activation": FigureKind("where two images of a person look alike to the network (Grad-CAM)", _activation),
    "tsne": FigureKind("embeddings of some persons, near each other where they are alike (t-SNE)", _map("tsne")),
    "pca": FigureKind("the same by principal components", _map("pca")),
    "similarities": FigureKind("similarities of one person's images and of two persons'", _similarities),
    "cameras": FigureKind("mAP between each two cameras", _cameras, across=False),
    "cmc": FigureKind("share of probes found by rank k", _cmc, across=False),
    "learning": FigureKind("losses over the iterations of training", _learning, across=False, embedded=False),
}
"""Name -> the figure."""


def figures_of(module: CrossModalityModule[Any]) -> dict[str, str]:
    """Name -> meaning of the figures that a method has."""
    missing = set()
    if not isinstance(module, HasFigureData):
        missing.add("correspondences")
    if type(module).translate is EmbeddingModule.translate:  # it makes no images
        missing.add("pictures")
    return {name: kind.meaning for name, kind in FIGURES.items() if name not in missing}


def need_embeddings(names: Sequence[str]) -> bool:
    """One of the named figures looks at the embeddings of all test images."""
    return any(FIGURES[name].embedded for name in names)


def draw_figures(folder: Path, source: FigureSource, names: Sequence[str] = AFTER_TRAINING) -> list[Path]:
    """Write the named figures as PNGs; returns their paths.

    A figure that cannot be drawn is named and left out: it may come after hours of training, and the scores are there already.
    """
    from crossreid.visualization import save  # noqa: PLC0415 - extra `viz`

    written = []
    for name in names:
        kind = FIGURES[name]
        if kind.across and not source.both_modalities:
            continue
        try:
            for file_name, figure in kind.draw(source):
                written.append(save(figure, folder / f"{for_file_name(file_name)}.png"))
        except Exception as error:  # of matplotlib, scikit-learn or the disk: none of them is worth the run
            notice(f"Left out, {name}: {type(error).__name__}: {error}")
    return written
