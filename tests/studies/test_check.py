"""The doctor: a good copy passes, and every kind of damage is found and named, with exit code 1."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support import Finished

Check = Callable[..., Finished]


@pytest.fixture
def copy(people_root: Path, tmp_path: Path) -> Path:
    """A copy of the people that may be damaged."""
    return Path(shutil.copytree(people_root, tmp_path / "copy"))


@pytest.fixture
def check(run_here, copy: Path) -> Check:
    def run(*args: str) -> Finished:
        return run_here("check", "data=sysu_mm01", "data.counts=any", f"data.root={copy}", "progress=false", *args)

    return run


def test_a_good_copy_passes_and_its_numbers_are_shown(check: Check, people, tmp_path: Path) -> None:
    finished = check("output=found.json")
    assert finished.code == 0, finished.output
    assert f"{len(people.records)} images opened, 0 errors, 0 warnings." in finished.output
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["healthy"] is True
    assert found["findings"] == []
    counts = people.counts()
    assert [(row["split"], row["camera"], tuple(row["found"])) for row in found["counts"]] == [
        (split, camera, tuple(count)) for split, cameras in counts.items() for camera, count in cameras.items()
    ]
    probes = sum(counts["test"][camera].images for camera in (3, 6))
    gallery = sum(counts["test"][camera].ids for camera in (1, 2, 4, 5))
    assert f"sysu_mm01/all/single: {probes} probes, {gallery} gallery images" in finished.output


def test_the_embedded_set_is_compared_with_what_it_should_hold(run_here, smoke_args: list[str]) -> None:
    own = [arg for arg in smoke_args if arg.startswith(("scale", "data"))]
    finished = run_here("check", *own, "progress=false")
    assert finished.code == 0, finished.output
    assert "differs" not in finished.output
    assert finished.output.count("ok") == 15  # a row for each split and camera


def test_a_missing_camera_is_named_and_the_rest_is_examined(check: Check, copy: Path) -> None:
    shutil.rmtree(copy / "cam4")
    finished = check("data.counts=official")
    assert finished.code == 1
    assert f"error (layout): The dataset folder '{copy}' lacks cam4" in finished.output
    assert "error (count): test camera 4 is missing where 94 ids and 1918 images belong" in finished.output
    assert "error (count): test camera 5 holds" in finished.output


def test_a_truncated_image_is_named(check: Check, copy: Path) -> None:
    path = next(copy.glob("cam1/*/0002.jpg"))
    path.write_bytes(path.read_bytes()[:400])
    finished = check()
    assert finished.code == 1
    assert f"error (unreadable): {path} cannot be read" in finished.output
    assert finished.output.count("error (") == 1


def test_a_swapped_camera_is_named(check: Check, copy: Path) -> None:
    (copy / "cam5").rename(copy / "kept")
    (copy / "cam6").rename(copy / "cam5")
    (copy / "kept").rename(copy / "cam6")
    finished = check()
    assert finished.code == 1
    assert (
        "error (modality): grey images in the visible camera 5: it holds the other modality's images" in finished.output
    )
    assert "error (modality): coloured images in the infrared camera 6" in finished.output


def test_one_persons_swapped_images_are_named(check: Check, copy: Path) -> None:
    both = {path.name for path in (copy / "cam3").iterdir()} & {path.name for path in (copy / "cam5").iterdir()}
    name = min(both)
    (copy / "cam3" / name).rename(copy / "kept")
    (copy / "cam5" / name).rename(copy / "cam3" / name)
    (copy / "kept").rename(copy / "cam5" / name)
    finished = check()
    assert finished.code == 1
    assert f"grey images in the visible camera 5: those of identities {int(name)}" in finished.output
    assert f"coloured images in the infrared camera 3: those of identities {int(name)}" in finished.output


def test_a_duplicated_identity_is_named(check: Check, copy: Path) -> None:
    names = sorted(path.name for path in (copy / "cam6").iterdir())
    for path in (copy / "cam6" / names[0]).iterdir():
        shutil.copyfile(path, copy / "cam6" / names[1] / path.name)
    finished = check()
    assert finished.code == 1
    assert (
        f"error (duplicate): identities {int(names[0])} and {int(names[1])} share 3 images, such as "
        f"{copy}/cam6/{names[0]}/000"
    ) in finished.output


def test_an_identity_in_train_and_test_is_named(check: Check, copy: Path) -> None:
    test_ids = (copy / "exp" / "test_id.txt").read_text().split(",")
    train = copy / "exp" / "train_id.txt"
    train.write_text(f"{test_ids[0].strip()},{train.read_text()}")
    finished = check()
    assert finished.code == 1
    assert f"error (split): identities {int(test_ids[0])} are in both train and test" in finished.output


def test_odd_images_are_warned_of_and_pass(check: Check, copy: Path) -> None:
    wide, grey, tiny = sorted(copy.glob("cam5/*/0001.jpg"))[:3]
    Image.new("RGB", (90, 40), (200, 30, 30)).save(wide)
    Image.new("L", (48, 96), 90).save(grey)
    Image.new("RGB", (5, 12), (30, 200, 30)).save(tiny)
    finished = check()
    assert f"warning (size): 1 image wider than high: {wide}" in finished.output
    assert f"warning (size): 1 image smaller than 16x8 pixels: {tiny}" in finished.output
    assert f"warning (channels): 1 image of mode L where the other visible images are RGB: {grey}" in finished.output
    assert finished.code == 0, finished.output


def test_a_permutation_file_of_another_copy_is_told(check: Check, copy: Path) -> None:
    tested = {f"{int(pid):04d}" for pid in (copy / "exp" / "test_id.txt").read_text().split(",")}
    next(path for path in copy.glob("cam6/*/0003.jpg") if path.parent.name in tested).unlink()
    finished = check()
    assert finished.code == 1
    assert "the permutation file" in finished.output


def test_a_folder_that_is_not_there_is_one_sentence(run_here, tmp_path: Path) -> None:
    finished = run_here("check", "data=sysu_mm01", f"data.root={tmp_path / 'none'}")
    assert finished.code == 1
    assert "There is no dataset folder" in finished.output


def test_a_persons_folder_without_images_is_named_among_the_rest(run_here, tmp_path: Path) -> None:
    for modality in ("visible", "infrared"):
        for number in range(2):
            path = tmp_path / "set" / modality / "anna" / f"c1_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 16), (40 * number, 0, 0)).save(path)
        (tmp_path / "set" / modality / "nobody").mkdir()
    (tmp_path / "set" / "visible" / "anna" / "c1_9.png").write_bytes(b"no image")
    finished = run_here(
        "check", "data=folder", f"data.root={tmp_path / 'set'}", "progress=false", "output=findings.json"
    )
    assert finished.code == 1
    findings = (tmp_path / "findings.json").read_text()
    for place in ("visible/nobody", "infrared/nobody", "c1_9.png"):
        assert place in findings


def test_deep_images_are_shown_with_the_range_that_they_use(run_here, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(7000, 9000, (4, 20, 10)).astype(np.uint16)
    for number, values in enumerate(pixels):
        modality = "infrared" if number % 2 else "visible"
        path = tmp_path / "set" / modality / "anna" / f"c{1 + number % 2}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    of_folder = ("check", "data=folder", f"data.root={tmp_path / 'set'}", "progress=false")
    flat = run_here(*of_folder)
    assert "2 infrared images are deeper than 8 bits: values from 70" in flat.output
    assert "warning (range): the 2 deep infrared images hold values from 70" in flat.output
    stretched = run_here(*of_folder, "data.decoding.stretch=range", "data.decoding.range=[7000,9000]")
    assert "warning (range)" not in stretched.output
