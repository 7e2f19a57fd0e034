"""Smaller exports: fewer numbers an embedding, 8-bit weights and activations, and what each costs in accuracy.

Both are fitted on images of one's own, of which every second one of each modality is kept to measure the cost on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from crossreid.data.records import MODALITIES
from crossreid.errors import ConfigError, NothingToScoreError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.all_pairs import AllPairsProtocol
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.removal import SameImage
from crossreid.evaluation.scorers import normalised
from crossreid.extraction.exported import INPUT, Program
from crossreid.extraction.extractor import Extractor
from crossreid.extraction.pixels import Pixels, Rows
from crossreid.randomness import numpy_generator

LEAST_IMAGES = 16
"""Of one's own, of which half are fitted on."""
_MOST_CALIBRATED = 128
"""Images whose activations say the ranges of 8-bit numbers."""
_AT_ONCE = 8
_MOST_COMPARED = 2000
"""Images on which the cost is measured: each is compared with all others."""


@dataclass(frozen=True, eq=False)
class FittingImages:
    """Images to fit on and to measure on.

    Attributes:
        embeddings: of all of them, by the whole model in float32.
        pixels: (N, H, W, 3) uint8, in the same order.
    """

    embeddings: Embeddings
    pixels: Pixels

    @classmethod
    def of(
        cls, checkpoint: str | Path, images: str, modality: str | None, grey_range: Any, dimensions: int | None = None
    ) -> FittingImages:
        """Embed images, each decoded once: all of them, or some of very many.

        Args:
            checkpoint: of the whole model.
            images: as for :class:`~crossreid.Extractor`, as ``modality`` and ``grey_range``.
            dimensions: of the axes that are fitted on them; None for none.

        Raises:
            ConfigError: they are too few.
            DataError: an image cannot be read.
        """

        def chosen(count: int) -> Rows:
            if count < LEAST_IMAGES:
                raise ConfigError(
                    f"'{images}' has {count} images, and half of them measure what the other half fitted: give "
                    f"{LEAST_IMAGES} or more, as they will be searched."
                )
            rows = np.arange(min(count, 2 * _MOST_COMPARED))
            _check_enough(dimensions, len(rows[::2]))
            if count > len(rows):
                generator = numpy_generator(0, "images of a smaller export")
                rows = np.sort(generator.choice(np.arange(count), len(rows), replace=False))
            return rows

        extract = Extractor(checkpoint, "cpu", grey_range=grey_range)
        return cls(*extract.with_pixels(images, modality, chosen))

    def fitting(self) -> Array:
        """Places of the images that are fitted on, every second one of each modality: lists often take them in turns."""
        return self._halves(0)

    def held_out(self) -> Array:
        """Places of the images that the cost is measured on."""
        return self._halves(1)

    def _halves(self, first: int) -> Array:
        infrared = self.embeddings.infrared
        visible_half = np.flatnonzero(~infrared)[first::2]
        infrared_half = np.flatnonzero(infrared)[first::2]
        return np.sort(np.concatenate([visible_half, infrared_half]))

    def pixels_of(self, modality: str | None) -> Pixels:
        """Images of a modality to fit on, at most :data:`_MOST_CALIBRATED`, evenly from the whole list; for None as many of
        each modality, as far as there are so many.

        Raises:
            ConfigError: there is none of that modality.
        """
        places = self.fitting()
        infrared = self.embeddings.infrared[places]
        if modality is None:
            chosen = _of_both(places[~infrared], places[infrared])
        else:
            of_modality = places[infrared == (modality == "infrared")]
            chosen = _evenly(of_modality, _MOST_CALIBRATED)
        if not len(chosen):
            raise ConfigError(
                f"int8 needs {modality} images too, since they take a path of their own: add some to images=."
            )
        return self.pixels[chosen]


def _of_both(visible: Array, infrared: Array) -> Array:
    """At most :data:`_MOST_CALIBRATED` places, ascending: half of each modality, or more of one where the other has fewer."""
    half = _MOST_CALIBRATED // 2
    of_infrared = _evenly(infrared, max(half, _MOST_CALIBRATED - len(visible)))
    of_visible = _evenly(visible, _MOST_CALIBRATED - len(of_infrared))
    return np.sort(np.concatenate([of_visible, of_infrared]))


def _evenly(places: Array, most: int) -> Array:
    """At most so many places, from the first to the last."""
    count = min(len(places), most)
    chosen = np.linspace(0, len(places) - 1, count).round().astype(np.int64)
    return places[chosen]


def principal_axes(embeddings: Embeddings, dimensions: int) -> Array:
    """(D, d) orthonormal axes that keep most of the similarities between images.

    The embeddings are not centred: their products are what is kept, and centring would change all of them.

    Raises:
        ConfigError: there are not fewer dimensions than the model has, or fewer images than dimensions.
    """
    vectors = embeddings.features["main"].astype(np.float64)
    count, whole = vectors.shape
    check_dimensions(dimensions, whole)
    _check_enough(dimensions, count)
    moments = vectors.T @ vectors  # (D, D)
    _, eigenvectors = np.linalg.eigh(moments)  # as columns, by ascending eigenvalues
    largest_first = eigenvectors[:, ::-1]
    return np.asarray(largest_first[:, :dimensions], dtype=np.float32)


def check_dimensions(dimensions: int | None, whole: int) -> None:
    """Raise :class:`ConfigError` where a shorter embedding would not be shorter than the model's."""
    if dimensions is not None and dimensions >= whole:
        raise ConfigError(f"dimensions={dimensions} is not fewer than the {whole} that the model gives.")


def _check_enough(dimensions: int | None, count: int) -> None:
    """Raise :class:`ConfigError` where axes are fitted on fewer images than they are."""
    if dimensions is not None and count < dimensions:
        raise ConfigError(
            f"{dimensions} axes need as many images to be found in, not {count}: add images, or take fewer."
        )


def projected(vectors: Array, axes: Array) -> Array:
    """(N, D) by (D, d), of unit length again."""
    return np.asarray(normalised(vectors @ axes), dtype=np.float32)


def derived_digest(model: str, *changes: bytes) -> str:
    """The digest of a model that was made smaller: its embeddings do not go with those of the whole one."""
    digest = hashlib.sha256(model.encode())
    for change in changes:
        digest.update(change)
    return digest.hexdigest()


# ---------------------------------------------------------------- 8 bits


@contextmanager
def _silent() -> Iterator[None]:
    """Inside, ONNX Runtime does not list the biases that it leaves in float32."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Reader:
    """Some images at a time, as ONNX Runtime asks for them."""

    def __init__(self, pixels: Pixels) -> None:
        lots = [pixels[start : start + _AT_ONCE] for start in range(0, len(pixels), _AT_ONCE)]
        self._lots = iter(lots)

    def get_next(self) -> dict[str, Pixels] | None:
        """The next images by the name of the input; None after the last."""
        lot = next(self._lots, None)
        if lot is None:
            return None
        return {INPUT: lot}


def quantize(source: Path, target: Path, pixels: Pixels) -> None:
    """Write an ONNX file with its convolutions in 8 bits, their ranges as these images have them.

    What follows them stays in float32: it takes next to no time, and in 8 bits a short embedding may come out as zeros.

    Weights have a range for each output channel, and seven of the eight bits: processors without VNNI would overflow else.

    Args:
        source: in float32.
        target: the file to write.
        pixels: (N, H, W, 3) uint8.
    """
    from onnxruntime.quantization import (  # noqa: PLC0415 - extra `export`
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    with TemporaryDirectory() as folder, _silent():
        fused = Path(folder) / "fused.onnx"  # batch norm inside the convolutions
        quant_pre_process(str(source), str(fused), skip_symbolic_shape=True)
        quantize_static(
            str(fused),
            str(target),
            _Reader(pixels),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["Conv"],
        )


# ---------------------------------------------------------------- what it costs


def cost_of(images: FittingImages, programs: dict[str, Program]) -> dict[str, Any]:
    """What smaller programs lose on the held-out images, beside the whole model in float32.

    Args:
        images: see :class:`FittingImages`.
        programs: modality -> the program that was written.

    Returns:
        ``images``, how many; ``nearest_kept``, the share of images whose nearest other image stays the same; ``cosine``, the
        mean cosine to the whole model's embeddings, None where their numbers differ; and where persons are known ``mAP`` and
        ``rank1`` of the whole and of the smaller model, in [0, 1].
    """
    held = images.held_out()
    whole = images.embeddings.select(held)
    smaller = _embedded(images, held, programs)
    before = whole.features["main"]
    after = smaller.features["main"]
    kept = _nearest(before) == _nearest(after)
    cosine = None
    if before.shape == after.shape:
        cosines = (before * after).sum(axis=1)  # of unit vectors
        cosine = round(float(cosines.mean()), 6)
    cost: dict[str, Any] = {
        "images": len(held),
        "nearest_kept": round(float(np.mean(kept)), 4),
        "cosine": cosine,
    }
    scores_before = _scores(whole)
    scores_after = _scores(smaller)
    if scores_before is not None and scores_after is not None:
        for name in ("mAP", "rank1"):
            cost[name] = [scores_before[name], scores_after[name]]
    return cost


def _embedded(images: FittingImages, places: Array, programs: dict[str, Program]) -> Embeddings:
    """The images at these places by programs."""
    chosen = images.embeddings.select(places)
    features: Array | None = None
    for modality in MODALITIES:
        rows = np.flatnonzero(chosen.infrared == (modality == "infrared"))
        for start in range(0, len(rows), _AT_ONCE):
            lot = rows[start : start + _AT_ONCE]
            vectors = np.asarray(programs[modality](images.pixels[places[lot]]), dtype=np.float32)
            if features is None:  # only now it is known how many numbers a program gives
                features = np.zeros((len(chosen), vectors.shape[1]), np.float32)
            features[lot] = vectors
    assert features is not None, "there are images of some modality"
    return replace(chosen, features={"main": features})


def _nearest(vectors: Array) -> Array:
    """(N,) place of the other image that is most like each."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)  # no image is its own nearest
    return np.asarray(similarity.argmax(axis=1))


def _scores(embeddings: Embeddings) -> dict[str, float] | None:
    """Infrared images among all visible ones, or each image among all others of one modality; None where nobody is known."""
    known = embeddings.select(np.flatnonzero(embeddings.pids >= 0))
    if not len(known):
        return None
    pairing = "ir2rgb"
    if known.infrared.all():
        pairing = "ir2ir"
    elif not known.infrared.any():
        pairing = "rgb2rgb"
    try:
        result = AllPairsProtocol(pairing, removal=SameImage())(known)
    except NothingToScoreError:
        return None
    return {"mAP": round(float(result.mean_ap.mean()), 4), "rank1": round(float(result.rank(1).mean()), 4)}
