"""Several threads with one extractor: each gets what it would get alone, and nothing stays changed."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from crossreid.data.records import MODALITIES
from crossreid.extraction import Extractor
from support import lively_checkpoint

METHODS = {
    "aligngan": "model.test_norm=per_modality",
    "baseline": "model.test_norm=per_modality",
    "best": "model.norms=per_modality",
    "jsia": "model.test_norm=per_modality",
}
"""Methods whose forwards choose between two sets of averages -> the setting that makes two sets."""


@pytest.fixture
def slow_forwards() -> Iterator[object]:
    """Makes every first layer of a module wait, so that forwards overlap wherever they may."""
    hooks = []

    def slow(extract: Extractor) -> None:
        for layer in extract.module.modules():
            if hasattr(layer, "infrared_mean"):
                hooks.append(layer.register_forward_pre_hook(lambda *_: time.sleep(0.002)))

    yield slow
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("model", METHODS)
def test_threads_get_the_embeddings_of_one_thread(
    model: str, tmp_path: Path, people_root: Path, shared_folder: Path, slow_forwards
) -> None:
    extract = Extractor(
        lively_checkpoint(model, tmp_path, people_root, shared_folder, METHODS[model]), "cpu", workers=0
    )
    images = np.random.default_rng(0).integers(0, 256, (2, *extract.size, 3), dtype=np.uint8)
    alone = {modality: extract(images, modality=modality).features["main"] for modality in MODALITIES}
    assert np.abs(alone["visible"] - alone["infrared"]).max() > 1e-3, "the two sets of averages are alike"
    before = {name: buffer.clone() for name, buffer in extract.module.named_buffers()}
    slow_forwards(extract)
    asked = [MODALITIES[place % 2] for place in range(8)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda modality: extract(images, modality=modality).features["main"], asked))
    for modality, feature in zip(asked, made, strict=True):
        np.testing.assert_array_equal(feature, alone[modality])
    for modality in MODALITIES:
        np.testing.assert_array_equal(extract(images, modality=modality).features["main"], alone[modality])
    for name, buffer in extract.module.named_buffers():
        assert buffer.equal(before[name]), name


def test_a_copy_has_a_lock_of_its_own(tmp_path: Path, people_root: Path, shared_folder: Path) -> None:
    extract = Extractor(lively_checkpoint("baseline", tmp_path, people_root, shared_folder), "cpu", workers=0)
    images = np.zeros((1, *extract.size, 3), dtype=np.uint8)
    for copy in (deepcopy(extract), pickle.loads(pickle.dumps(extract))):
        assert copy.lock is not extract.lock
        made, expected = copy(images, modality="visible"), extract(images, modality="visible")
        np.testing.assert_array_equal(made.features["main"], expected.features["main"])
