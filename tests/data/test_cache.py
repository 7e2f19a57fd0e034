"""The decoded cache: right pixels, rebuilt when it must be, whole or absent."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossreid.data import cache
from crossreid.data.cache import open_cache
from crossreid.data.decoding import Decoder
from crossreid.data.records import ImageRecord
from crossreid.errors import DataError
from crossreid.settings.data import DecodingConfig


def write_images(root: Path, count: int = 5) -> list[ImageRecord]:
    generator = np.random.default_rng(0)
    records = []
    for i in range(count):
        path = root / "cam1" / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (20, 10) if i == 1 else (20, 10, 3)  # one grey file, as infrared may be stored
        Image.fromarray(generator.integers(0, 255, shape, dtype=np.uint8)).save(path)
        records.append(ImageRecord(path, i, 1, "visible", 0, i))
    return records


def build(root: Path, folder: Path, count: int) -> None:
    open_cache(write_images(root, count) if not root.exists() else listed(root), root, folder, (16, 8), progress=False)


def listed(root: Path) -> list[ImageRecord]:
    return [ImageRecord(p, i, 1, "visible", 0, i) for i, p in enumerate(sorted((root / "cam1").iterdir()))]


def test_pixels_are_the_resized_images_in_order(tmp_path: Path) -> None:
    records = write_images(tmp_path / "set")
    images = open_cache(records, tmp_path / "set", tmp_path / "cache", (16, 8), progress=False).pixels
    assert (images.shape, images.dtype, images.flags.writeable) == ((5, 16, 8, 3), np.uint8, False)
    for record in records:
        expected = Image.open(record.path).convert("RGB").resize((8, 16), Image.Resampling.BICUBIC)
        assert (images[record.row] == np.asarray(expected)).all()
    assert (images[1, ..., 0] == images[1, ..., 2]).all()


def test_lanczos_is_another_filter_and_no_cache_of_bicubic_is_taken_for_it(tmp_path: Path) -> None:
    records = write_images(tmp_path / "set")
    folder = tmp_path / "cache"
    bicubic = open_cache(records, tmp_path / "set", folder, (16, 8), progress=False).pixels
    settings = DecodingConfig(resize="lanczos")
    lanczos = open_cache(records, tmp_path / "set", folder, (16, 8), decoding=settings, progress=False).pixels
    for record in records:
        expected = Image.open(record.path).convert("RGB").resize((8, 16), Image.Resampling.LANCZOS)
        assert (lanczos[record.row] == np.asarray(expected)).all()
    assert (bicubic != lanczos).any()


def test_it_is_built_once_and_again_when_source_or_size_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = tmp_path / "set", tmp_path / "cache"
    records = write_images(root)
    decoded: list[Path] = []
    decode = Decoder.decode
    monkeypatch.setattr(
        Decoder, "decode", lambda self, path, modality: decoded.append(path) or decode(self, path, modality)
    )
    open_cache(records, root, folder, (16, 8), progress=False)
    open_cache(records, root, folder, (16, 8), progress=False)
    assert len(decoded) == 5
    open_cache(records, root, folder, (8, 8), progress=False)
    assert len(decoded) == 10
    Image.new("RGB", (10, 20), (255, 0, 0)).save(records[2].path)
    os.utime(records[2].path, ns=(1, 1))
    again = open_cache(records, root, folder, (16, 8), progress=False).pixels
    assert len(decoded) == 15
    assert (again[2] == (255, 0, 0)).all()
    assert len(list(folder.glob("16x8-*.npy"))) == 1  # the stale one is gone


def test_a_damaged_image_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    records = write_images(tmp_path / "set")
    whole = records[3].path.read_bytes()
    records[3].path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"0003\.png' cannot be read .* restore it"):
        open_cache(records, tmp_path / "set", tmp_path / "cache", (16, 8), progress=False)
    assert not list((tmp_path / "cache").glob("*.npy")) + list((tmp_path / "cache").glob("*.partial"))


def test_two_processes_may_build_at_once(tmp_path: Path) -> None:
    write_images(tmp_path / "set", 40)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=build, args=(tmp_path / "set", tmp_path / "cache", 40)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert [path.suffix for path in sorted((tmp_path / "cache").iterdir())] == [".json", ".npy", ".lock"]


def write_deep_images(root: Path, count: int = 6) -> list[ImageRecord]:
    """Grey images of 16 bits, each brighter than the one before; infrared, as thermal cameras write them."""
    records = []
    root.mkdir(parents=True)
    for i in range(count):
        values = np.arange(200, dtype=np.uint16).reshape(20, 10) + 1000 * i
        Image.fromarray(values).save(root / f"{i}.png")
        records.append(ImageRecord(root / f"{i}.png", i, 1, "infrared", 0, i))
    return records


def test_caches_of_other_reference_rows_stay_and_stale_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, folder = tmp_path / "set", tmp_path / "cache"
    records = write_deep_images(root)
    builds: list[Path] = []
    build_cache = cache._build
    monkeypatch.setattr(cache, "_build", lambda *args: builds.append(args[1]) or build_cache(*args))

    def opened(rows: list[int], **settings: object) -> np.ndarray:
        decoding = DecodingConfig(**{"stretch": "percentiles", **settings})
        images = open_cache(records, root, folder, (8, 4), decoding=decoding, reference=rows, progress=False)
        return np.array(images.pixels)  # no map of a file that is damaged below

    first, second = opened([0, 1]), opened([2, 3])
    assert (first != second).any()
    for _ in range(2):  # two trainings of two divisions, in turns
        assert (opened([1, 0]) == first).all()
        assert (opened([2, 3]) == second).all()
    assert len(builds) == 2
    killed = builds[0].with_suffix(".12345.partial")
    killed.touch()
    builds[0].write_bytes(builds[0].read_bytes()[:-10])
    assert (opened([0, 1]) == first).all()  # damaged, so decoded again, beside the other
    assert len(builds) == 3
    assert not killed.exists()
    assert (opened([2, 3]) == second).all()
    assert len(builds) == 3
    os.utime(records[2].path, ns=(1, 1))
    opened([0, 1])
    assert [path.suffix for path in sorted(folder.glob("8x4-*-*-*"))] == [
        ".json",
        ".npy",
    ]  # those of the files before are gone
    opened([2, 3], stretch="per_image")
    assert len(list(folder.glob("*.npy"))) == 1  # so are those of other settings
