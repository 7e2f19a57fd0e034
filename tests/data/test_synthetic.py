"""The synthetic people: the layout on disk, determinism, all-or-nothing writing, and what the pictures give away."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from crossreid.data.synthetic import SyntheticPeople, layout, write_sysu_layout
from crossreid.data.synthetic.cameras import CAMERA
from crossreid.data.synthetic.drawing import View
from crossreid.data.synthetic.figure import draw_figure
from crossreid.data.synthetic.materials import Material
from crossreid.data.synthetic.people import sample_person
from crossreid.data.synthetic.pose import sample_pose
from crossreid.data.synthetic.render import render
from crossreid.data.synthetic.roster import make_roster
from crossreid.data.synthetic.sensor import SUPERSAMPLING, photograph
from crossreid.errors import ConfigError, DataError

TINY = SyntheticPeople(train_ids=4, val_ids=2, test_ids=5, frames=2, height=64, width=32)
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sysu_layout(tmp_path_factory.mktemp("people") / "set", TINY)


def read_ids(root: Path, split: str) -> list[int]:
    return [int(pid) for pid in (root / "exp" / f"{split}_id.txt").read_text().strip().split(",")]


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_splits_are_disjoint_and_the_manifest_counts_what_lies_on_disk(tiny: Path) -> None:
    splits = {split: read_ids(tiny, split) for split in SPLITS}
    assert [len(splits[split]) for split in SPLITS] == [4, 2, 5]
    assert sorted(pid for pids in splits.values() for pid in pids) == read_ids(tiny, "available") == list(range(1, 12))
    manifest = json.loads((tiny / "manifest.json").read_text())
    assert manifest["settings"] == TINY.as_dict()
    assert manifest["version"] == SyntheticPeople.VERSION
    for split in SPLITS:
        for camera in range(1, 7):
            found = [sorted((tiny / f"cam{camera}" / f"{pid:04d}").glob("*.jpg")) for pid in splits[split]]
            count = manifest["counts"][split][str(camera)]
            assert count == {"ids": sum(map(bool, found)), "images": sum(map(len, found))}
            assert {path.name for paths in found for path in paths} <= {"0001.jpg", "0002.jpg"}


def test_people_appear_where_those_of_sysu_do() -> None:
    roster = make_roster(SyntheticPeople())
    seen = {split: [set(entry.cameras) for entry in roster if entry.split == split] for split in SPLITS}
    assert all(cameras & {3, 6} and cameras & {1, 2, 4, 5} for cameras in seen["train"])
    assert all(cameras <= {3, 4, 5} and {3, 4} <= cameras for cameras in seen["val"])
    indoor = sum(bool(cameras & {1, 2}) for cameras in seen["test"])
    assert indoor == round(0.6 * 48)
    for camera in (3, 4, 5, 6):
        assert sum(camera in cameras for cameras in seen["test"]) >= 40
    order = [entry.split for entry in roster]
    assert order != sorted(order, key=SPLITS.index)  # interleaved


def test_infrared_files_have_three_equal_channels_and_visible_ones_have_not(tiny: Path) -> None:
    for camera in range(1, 7):
        for path in (tiny / f"cam{camera}").glob("*/*.jpg"):
            with Image.open(path) as image:
                assert image.mode == "RGB"
                assert image.size == (TINY.width, TINY.height)
                pixels = np.asarray(image)
            grey = bool((pixels == pixels[..., :1]).all())
            assert grey == (camera in (3, 6))


def test_the_permutations_read_as_the_official_file_does(tiny: Path) -> None:
    cells = loadmat(tiny / "exp" / "rand_perm_cam.mat")["rand_perm_cam"]
    assert cells.shape == (6, 1)
    for camera in range(1, 7):
        inner = cells[camera - 1, 0]
        assert inner.shape == (11, 1)
        for pid in range(1, 12):
            images = len(list((tiny / f"cam{camera}" / f"{pid:04d}").glob("*.jpg")))
            draw = inner[pid - 1, 0]
            assert draw.dtype == np.uint8
            assert draw.shape == (10, images)
            assert (np.sort(draw, axis=1) == np.arange(1, images + 1)).all()


def test_one_and_two_workers_write_the_same_bytes_and_another_seed_others(tiny: Path, tmp_path: Path) -> None:
    assert contents(write_sysu_layout(tmp_path / "two", TINY, workers=2)) == contents(tiny)
    other = sample_person(1, 1)
    assert other != sample_person(0, 1)


def test_a_finished_set_is_verified_and_not_drawn_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "render", lambda *_: pytest.fail("drawn again"))
    assert write_sysu_layout(tiny, TINY) == tiny


def test_a_set_with_other_settings_or_missing_images_is_refused(tmp_path: Path) -> None:
    small = SyntheticPeople(train_ids=1, val_ids=0, test_ids=1, frames=1, height=32, width=16)
    root = write_sysu_layout(tmp_path / "set", small)
    with pytest.raises(DataError, match="other settings"):
        write_sysu_layout(root, TINY)
    next(root.glob("cam3/*/*.jpg")).unlink()
    with pytest.raises(DataError, match="instead of"):
        write_sysu_layout(root, small)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    with pytest.raises(DataError, match="holds no synthetic people"):
        write_sysu_layout(tmp_path / "notes", small)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    calls = 0

    def failing(*arguments: object) -> NDArray[np.uint8]:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise error
        return render(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(layout, "render", failing)
    with pytest.raises(error):
        write_sysu_layout(tmp_path / "set", TINY)
    assert calls == 6
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_two_callers_at_once_draw_the_set_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = SyntheticPeople(train_ids=1, val_ids=0, test_ids=1, frames=2, height=32, width=16)
    drawn: list[tuple[object, ...]] = []

    def counted(person: object, *place: object) -> NDArray[np.uint8]:
        drawn.append(place)
        return render(person, *place)  # type: ignore[arg-type]

    monkeypatch.setattr(layout, "render", counted)
    with ThreadPoolExecutor(2) as pool:
        roots = list(pool.map(lambda _: write_sysu_layout(tmp_path / "set", small), range(2)))
    assert roots == [tmp_path / "set"] * 2
    assert len(drawn) == len(list(roots[0].glob("cam*/*/*.jpg"))) > 0


def test_what_a_killed_process_left_behind_is_replaced(tmp_path: Path) -> None:
    small = SyntheticPeople(train_ids=1, val_ids=0, test_ids=1, frames=1, height=32, width=16)
    (tmp_path / ".set.partial" / "cam1" / "0001").mkdir(parents=True)
    (tmp_path / "set").mkdir()  # an empty folder is no obstacle
    root = write_sysu_layout(tmp_path / "set", small)
    assert (root / "manifest.json").is_file()
    assert not (tmp_path / ".set.partial").exists()


@pytest.mark.parametrize("wrong", [{"train_ids": 0}, {"frames": 256}, {"height": 8}, {"seed": -1}, {"test_ids": 9999}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        SyntheticPeople(**wrong)


def nearest(probe: NDArray[np.float32], gallery: NDArray[np.float32]) -> float:
    """Share of probes (N, D) whose nearest row of the gallery (N, D) is their own."""
    distance = ((probe[:, None] - gallery[None]) ** 2).sum(-1)
    return float((distance.argmin(1) == np.arange(len(probe))).mean())


def test_mean_colour_and_background_do_not_cross_the_modalities() -> None:
    people, count = SyntheticPeople(height=64, width=32), 60
    hits: dict[str, list[float]] = {"colour": [], "border": []}
    shots = {
        camera: [
            [render(sample_person(0, pid), pid, camera, frame, people) / np.float32(255) for pid in range(1, count + 1)]
            for frame in range(3)
        ]
        for camera in (3, 4, 6, 1)
    }
    for infrared, visible in ((3, 4), (6, 1), (3, 1), (6, 4)):
        for frame in range(3):
            dark, bright = np.stack(shots[infrared][frame]), np.stack(shots[visible][frame])
            hits["colour"].append(nearest(dark.mean((1, 2)), bright.mean((1, 2))))
            borders = [np.concatenate([x[:, :, :2], x[:, :, -2:]], 2).reshape(count, -1) for x in (dark, bright)]
            hits["border"].append(nearest(*borders))
    for name, shares in hits.items():
        assert np.mean(shares) <= 2.5 / count, name  # three standard errors above chance


def test_reflectance_says_nothing_of_the_dye() -> None:
    wardrobes = [sample_person(0, pid).wardrobe for pid in range(1, 601)]
    for material in (Material.UPPER, Material.UPPER_TONE, Material.LOWER, Material.BAG):
        brightness = [sum(wardrobe.visible[material]) for wardrobe in wardrobes]
        reflectance = [wardrobe.infrared[material] for wardrobe in wardrobes]
        assert abs(np.corrcoef(brightness, reflectance)[0, 1]) < 0.13  # three standard errors


def test_both_tones_of_a_garment_can_be_told_apart_in_both_modalities() -> None:
    for pid in range(1, 201):
        wardrobe = sample_person(0, pid).wardrobe
        for base, tone in ((Material.UPPER, Material.UPPER_TONE), (Material.LOWER, Material.LOWER_TONE)):
            assert abs(wardrobe.infrared[base] - wardrobe.infrared[tone]) >= 0.3
            assert np.linalg.norm(np.subtract(wardrobe.visible[base], wardrobe.visible[tone])) >= 0.45


def test_the_layout_of_the_clothes_shows_in_both_modalities() -> None:
    """In one pose and view, edges in infrared find the same person's edges in visible light among 40."""

    def edges(pid: int, camid: int) -> NDArray[np.float32]:
        person, rng = sample_person(0, pid), np.random.default_rng((pid, camid))
        view = View(0.2, 0.88 * 256, 64.0, 240.0, 0.1, 0.1)
        pose = sample_pose(person.build, np.random.default_rng(0))
        figure = draw_figure(person, pose, view, 64 * SUPERSAMPLING, 128 * SUPERSAMPLING)
        grey = photograph(figure, person.wardrobe, CAMERA[camid], rng).mean(-1).astype(np.float32)
        fine = np.hypot(*np.gradient(grey))[20:116, 16:48]
        coarse = np.asarray(fine).reshape(32, 3, 16, 2).mean((1, 3)).reshape(-1).astype(np.float32)
        normalised: NDArray[np.float32] = (coarse - coarse.mean()) / coarse.std()
        return normalised

    infrared = np.stack([edges(pid, 3) for pid in range(1, 41)])
    visible = np.stack([edges(pid, 4) for pid in range(1, 41)])
    similarity = infrared @ visible.T / infrared.shape[1]
    own, others = np.diag(similarity), similarity[~np.eye(40, dtype=bool)]
    assert own.mean() > others.mean() + others.std()
    assert nearest(infrared, visible) >= 0.3  # chance is 0.025


def test_the_modalities_differ_in_more_than_colour() -> None:
    """The lamp's fall-off: corners of infrared images are much darker than their middle, those of visible ones are not."""
    people = SyntheticPeople(height=64, width=32)

    def contrast(camera: int) -> NDArray[np.float64]:
        shots = [render(sample_person(0, pid), pid, camera, 0, people) / 255 for pid in range(1, 31)]
        return np.array([x[:8, :6].mean() / x[20:44, 10:22].mean() for x in shots])

    infrared, visible = np.concatenate([contrast(3), contrast(6)]), np.concatenate([contrast(c) for c in (1, 2, 4, 5)])
    assert np.median(infrared) < 0.45
    assert np.median(visible) > 0.7
