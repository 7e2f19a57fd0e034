"""Figures of one's own images, of which nobody needs to know whom they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from crossreid.console import notice
from crossreid.data.transforms import to_float
from crossreid.errors import ConfigError
from crossreid.escaping import for_file_name
from crossreid.evaluation import Embeddings, RankedLists
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.scorers import Cosine, similarities
from crossreid.extraction.extractor import Extractor
from crossreid.methods.attention import shared_heat
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.embedding import has_generated
from crossreid.nn.normalisation import evaluating
from crossreid.visualization import heat_pairs, picture_grid, ranked_gallery, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LISTED = 10


@dataclass(frozen=True)
class ProbedImages:
    """Some images as probes, and for each those of the other modality, or else all others, by their similarity to it.

    Attributes:
        shown: the images that appear in a figure; their ``rows`` are places in ``pixels``.
        pixels: (n, H, W, 3) uint8, as the network sees them.
        lists: of the probes, in places of ``shown``; nobody knows what is right.
    """

    shown: Embeddings
    pixels: Array
    lists: RankedLists

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Each probe and what is most like it, in places of ``shown``."""
        probes = self.lists.queries.tolist()
        most_alike = self.lists.indices[:, 0].tolist()
        return list(zip(probes, most_alike, strict=True))


class OwnImages:
    """Images of one's own as figures ask for them: they are embedded when the first one that compares them is drawn.

    Args:
        extract: of a checkpoint.
        source: of files, see :meth:`crossreid.Extractor.__call__`, as ``modality``.
        modality: of all images, ``auto``, or None.
        count: probes, and images of each modality that are translated.

    Raises:
        ConfigError: there is one image, nothing says the modality, or an exported program embeds.
        DataError: there is no image, or a manifest is damaged.
    """

    def __init__(self, extract: Extractor, source: str, modality: str | None, count: int) -> None:
        self.module: CrossModalityModule[Any] = extract.module
        self._extract = extract
        self._source = source
        self._modality = modality
        self._count = count
        number, self._known = extract.modalities(source, modality)
        if number < 2:
            raise ConfigError(f"'{source}' has one image, and figures set images beside others: give two or more.")

    @cached_property
    def embeddings(self) -> Embeddings:
        """All of them; raises :class:`DataError` where one cannot be read."""
        return self._extract(self._source, self._modality)

    @cached_property
    def infrared(self) -> Array:
        """(N,) which ones are; only colours cannot say it before all are read."""
        if self._known is not None:
            return self._known
        return self.embeddings.infrared

    @cached_property
    def probed(self) -> ProbedImages:
        """Infrared images as probes where there are any."""
        lists = nearest(self.embeddings, self._extract, self._count)
        is_image = lists.indices >= 0  # a list that is shorter ends in -1
        # Only images that appear are kept, and places in all of them become places among these.
        places = np.unique(np.concatenate([lists.queries, lists.indices[is_image]]))
        shown = replace(self.embeddings.select(places), rows=np.arange(len(places)))
        queries = np.searchsorted(places, lists.queries)
        indices = np.where(is_image, np.searchsorted(places, lists.indices), -1)
        pixels = self._pixels(self.embeddings.rows[places])
        return ProbedImages(shown, pixels, replace(lists, queries=queries, indices=indices))

    def batches(self) -> tuple[Array, Array]:
        """As many visible as infrared images to translate, (n, H, W, 3) each; those of one modality twice where it is alone."""
        visible = evenly(np.flatnonzero(~self.infrared), self._count)
        infrared = evenly(np.flatnonzero(self.infrared), self._count)
        if not len(visible):
            visible = infrared
        if not len(infrared):
            infrared = visible
        count = max(len(visible), len(infrared))
        visible = np.resize(visible, count)  # begins again where there are fewer
        infrared = np.resize(infrared, count)
        both = self._pixels(np.concatenate([visible, infrared]))
        return both[:count], both[count:]

    def _pixels(self, rows: Array) -> Array:
        """(n, H, W, 3) of places in the source, each decoded once."""
        unique, inverse = np.unique(rows, return_inverse=True)
        return self._extract.pixels(self._source, self._modality, unique)[inverse]


def evenly(places: Array, count: int) -> Array:
    """At most ``count`` of some places, evenly over them."""
    step = max(1, len(places) // count)
    return places[::step][:count]


def nearest(embeddings: Embeddings, extract: Extractor, count: int) -> RankedLists:
    """What is most like some probes, evenly over the infrared images, or over all where one modality is all there is."""
    infrared = embeddings.infrared
    has_both = infrared.any() and not infrared.all()
    if has_both:
        probes = np.flatnonzero(infrared)
        gallery = np.flatnonzero(~infrared)
    else:
        probes = np.arange(len(embeddings))
        gallery = probes
    queries = evenly(probes, count)
    scorer = extract.scorer() or Cosine()
    scores = similarities(scorer, embeddings.select(queries), embeddings.select(gallery))  # (Q, G)
    scores = np.where(gallery == queries[:, None], -np.inf, scores)  # no image beside itself
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_LISTED]
    similarity = np.take_along_axis(scores, order, axis=1)
    counts = np.isfinite(similarity)  # not the probe itself, which only comes where others are too few
    return RankedLists(
        queries=queries,
        indices=np.where(counts, gallery[order], -1),
        correct=np.zeros_like(counts),  # nobody knows
        similarity=np.where(counts, similarity, np.nan),
        valid=np.zeros(len(queries), dtype=bool),
    )


def _pictures(images: OwnImages) -> Iterator[tuple[str, Figure]]:
    """What a method translates; the rows of a modality that is not there are left out, though they were computed."""
    device = images.module.device
    batches = []
    for pixels in images.batches():
        tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # (n, H, W, 3) -> (n, 3, H, W)
        batches.append(to_float(tensor.to(device)))
    with torch.inference_mode(), evaluating(images.module):
        made = images.module.translate(*batches)
    rows = {name: row.float().cpu().clamp(0, 1) for name, row in made.items()}
    if not images.infrared.any():
        rows = _without(rows, "real infrared", "fake visible")
    elif images.infrared.all():
        rows = _without(rows, "real visible", "fake infrared")
    if has_generated(rows):
        yield images.module.pictures_name, picture_grid(rows, per_person=1)


def _without(rows: Mapping[str, torch.Tensor], *names: str) -> dict[str, torch.Tensor]:
    return {name: row for name, row in rows.items() if name not in names}


def _ranked_lists(images: OwnImages) -> Iterator[tuple[str, Figure]]:
    probed = images.probed
    yield "ranked_lists", ranked_gallery(probed.lists, probed.shown, probed.pixels)


def _activation(images: OwnImages) -> Iterator[tuple[str, Figure]]:
    """Where a probe and what is most like it have what makes them alike."""
    probed = images.probed
    modalities = probed.shown.modalities
    vectors = probed.shown.features["main"]
    pairs = []
    for probe, other in probed.pairs:
        heats = shared_heat(
            images.module,
            (probed.pixels[probe], modalities[probe], vectors[probe]),
            (probed.pixels[other], modalities[other], vectors[other]),
        )
        if heats is None:
            return
        similarity = float(vectors[probe] @ vectors[other])
        of_probe, of_other = heats
        pairs.append(((probed.pixels[probe], of_probe), (probed.pixels[other], of_other), similarity))
    yield "activation", heat_pairs(pairs, other="most alike")


OWN_FIGURES: dict[str, Callable[[OwnImages], Iterator[tuple[str, Figure]]]] = {
    "pictures": _pictures,
    "ranked_lists": _ranked_lists,
    "activation": _activation,
}
"""Name -> the figure of images whose persons are not known."""


def draw_own_figures(folder: Path, images: OwnImages, names: Sequence[str]) -> list[Path]:
    """Write figures as PNGs; returns their paths. What a method does not have is named and left out."""
    written = []
    for name in names:
        figures = list(OWN_FIGURES[name](images))
        if not figures:
            notice(f"Left out, {name}: {images.module.config.name} has none.")
        for file_name, figure in figures:
            written.append(save(figure, folder / f"{for_file_name(file_name)}.png"))
    return written


def check_own_figures(names: Sequence[str]) -> None:
    """Raise :class:`ConfigError` where a figure needs to know whom images show."""
    for name in names:
        if name not in OWN_FIGURES:
            raise ConfigError(
                f"The figure {name} is not made of images= (choose from {', '.join(OWN_FIGURES)}): it needs a dataset, such as "
                "data=folder data.root=FOLDER, which says whom images show."
            )
