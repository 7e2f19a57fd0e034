"""The data module: ranges, pairing, determinism, augmentation, evaluation batches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from crossreid.data import cache
from crossreid.data.batches import PairedBatch
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets import read_folder
from crossreid.data.transforms import random_flip, to_float
from crossreid.errors import DataError
from crossreid.settings.batches import StreamConfig
from crossreid.settings.data import DecodingConfig

STREAMS = {"identity": StreamConfig(3, 2, 32, 16), "gan": StreamConfig(2, 2, 16, 8)}


@pytest.fixture
def data(people, shared_folder: Path) -> ReIDDataModule:
    return ReIDDataModule(
        lambda: people, shared_folder / "cache", STREAMS, 4, seed=0, evaluation_batch=7, progress=False
    )


def test_streams_have_their_own_shapes_and_pixels_in_0_1(data: ReIDDataModule) -> None:
    raw = next(iter(data.train_dataloader()))
    batch = data.on_after_batch_transfer(raw, 0)
    assert set(batch) == {"identity", "gan"}
    assert batch["identity"].visible.shape == (6, 3, 32, 16)
    assert batch["gan"].infrared.shape == (4, 3, 16, 8)
    for stream in batch.values():
        for images in (stream.visible, stream.infrared):
            assert images.dtype == torch.float32
            assert 0 <= images.min() < 0.3 < images.max() <= 1
        assert torch.equal(stream.infrared[:, 0], stream.infrared[:, 2])  # one channel three times
    assert batch["identity"].pids.max() < data.num_identities == 12


def test_augmentation_is_a_function_of_seed_and_iteration(data: ReIDDataModule) -> None:
    raw = next(iter(data.train_dataloader()))
    one, two = (data.on_after_batch_transfer(raw, 0)["identity"] for _ in range(2))
    assert torch.equal(one.visible, two.visible)
    other = data.on_after_batch_transfer({k: v._replace(iteration=5) for k, v in raw.items()}, 0)["identity"]
    assert not torch.equal(one.visible, other.visible)


def test_flip_mirrors_single_images() -> None:
    images = torch.rand(200, 3, 4, 5)
    flipped = random_flip(images, torch.Generator().manual_seed(0))
    mirrored = [bool(torch.equal(a, b.flip(-1))) for a, b in zip(flipped, images, strict=True)]
    same = [bool(torch.equal(a, b)) for a, b in zip(flipped, images, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 70 < sum(mirrored) < 130
    assert torch.equal(random_flip(images, torch.Generator(), 0.0), images)


def test_to_float_maps_bytes_to_unit_range() -> None:
    assert torch.equal(to_float(torch.tensor([0, 51, 255], dtype=torch.uint8)), torch.tensor([0, 0.2, 1]))


def test_evaluation_covers_every_test_image_of_each_modality(data: ReIDDataModule, people) -> None:
    for loader, modality in zip(data.test_dataloader(), ("visible", "infrared"), strict=True):
        rows = torch.cat([batch.rows for batch in loader]).tolist()
        expected = [row for row in people.rows("test") if people.records[row].modality == modality]
        assert rows == expected


def test_sampled_pairs_are_fixed_and_of_the_split(data: ReIDDataModule) -> None:
    one, two = (data.sample_pairs("test", 3, 2, (16, 8)) for _ in range(2))
    assert isinstance(one, PairedBatch)
    assert one.visible.shape == (6, 3, 16, 8)
    assert torch.equal(one.infrared, two.infrared)


def test_a_set_without_training_images_is_refused_in_one_sentence(people, shared_folder: Path) -> None:
    tested_only = replace(people, splits={"test": people.splits["test"]})
    data = ReIDDataModule(lambda: tested_only, shared_folder / "cache", STREAMS, 4, progress=False)
    with pytest.raises(DataError, match="has no split 'train'"):
        _ = data.num_identities
    without_val = replace(people, splits={"train": people.splits["train"]})
    with pytest.raises(DataError, match="has no split 'val'"):
        without_val.rows("train", "val")


@pytest.mark.parametrize("stretch", ["depth", "percentiles"])
def test_a_set_with_a_broken_file_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretch: str
) -> None:
    names = [
        f"{split}/{modality}/{split}{person}/c{camera}_{frame}.png"
        for split in ("train", "test")
        for modality, camera in (("visible", 1), ("infrared", 2))
        for person in range(3)
        for frame in range(2)
    ]
    for place, name in enumerate(names):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.arange(128, dtype=np.uint16).reshape(16, 8) * (place + 1)
        Image.fromarray(values).save(tmp_path / "set" / name)
    (tmp_path / "set" / names[0]).write_bytes(b"broken")
    builds: list[Path] = []
    build_cache = cache._build
    monkeypatch.setattr(cache, "_build", lambda *args: builds.append(args[1]) or build_cache(*args))
    counts = []
    for _ in range(3):
        data = ReIDDataModule(
            lambda: read_folder(tmp_path / "set"),
            tmp_path / "cache",
            {"identity": StreamConfig(2, 2, 16, 8)},
            2,
            decoding=DecodingConfig(unreadable="skip", stretch=stretch),
            progress=False,
        )
        data.prepare_data()
        counts.append(len(builds))
    assert counts == [1, 1, 1]
    assert sum(len(rows) for rows in data.dataset.splits.values()) == len(names) - 1


def test_pairs_are_of_identities_with_both_modalities(people, shared_folder: Path) -> None:
    visible = [row for row in people.rows("test") if people.records[row].modality == "visible"]
    of_one = [row for row in people.rows("test") if people.records[row].pid == people.records[visible[0]].pid]
    other_infrared = np.array(sorted({*people.rows("test")} - {*visible, *of_one}))
    for rows in (np.array(visible), np.array([visible[0], *other_infrared])):  # one modality; two of other persons
        unpaired = replace(people, splits={**people.splits, "test": rows})
        data = ReIDDataModule(lambda held=unpaired: held, shared_folder / "cache", STREAMS, 4, progress=False)
        assert data.has_pairs("train")
        assert not data.has_pairs("test")
        with pytest.raises(DataError, match="No identity of the split 'test' has both"):
            data.sample_pairs("test", 3, 2, (16, 8))
