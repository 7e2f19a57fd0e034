"""The synthetic people: the layout on disk, determinism, all-or-nothing writing, and what the pictures give away."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from crossreid.data.synthetic import RegDBPeople, SyntheticPeople, layout, write_regdb_layout, write_sysu_layout
from crossreid.data.synthetic import render as render_module
from crossreid.data.synthetic.cameras import CAMERA, CUT_SHARE, FILL, project, sample_view, sample_window
from crossreid.data.synthetic.materials import KEPT_CONTRAST, PATTERN_KEPT, VISIBLE_CONTRAST
from crossreid.data.synthetic.occluders import FIXED_SHARE, STRANGER_SHARE
from crossreid.data.synthetic.people import Figure, make_figure, sample_person
from crossreid.data.synthetic.places import make_place
from crossreid.data.synthetic.render import placed, render
from crossreid.data.synthetic.roster import make_roster
from crossreid.data.synthetic.scenes import scene
from crossreid.data.synthetic.surfaces import Surface
from crossreid.errors import ConfigError, DataError

TINY = SyntheticPeople(train_ids=4, val_ids=2, test_ids=5, frames=2, height=64, width=32)
SMALL = SyntheticPeople(train_ids=1, val_ids=0, test_ids=1, frames=2, height=32, width=16)
SPLITS = ("train", "val", "test")


@lru_cache(maxsize=64)
def figure_of(pid: int) -> Figure:
    return make_figure(sample_person(0, pid))


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
    people = SyntheticPeople()  # as many as there
    roster = make_roster(people)
    seen = {split: [set(entry.cameras) for entry in roster if entry.split == split] for split in SPLITS}
    assert all(cameras & {3, 6} and cameras & {1, 2, 4, 5} for cameras in seen["train"])
    assert all(cameras <= {3, 4, 5} and {3, 4} <= cameras for cameras in seen["val"])
    indoor = sum(bool(cameras & {1, 2}) for cameras in seen["test"])
    assert indoor == round(0.6 * people.test_ids) == 58
    for camera in (3, 4, 5, 6):
        assert sum(camera in cameras for cameras in seen["test"]) >= 80
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
    first, second = (render(figure_of(1), 1, 4, 0, SyntheticPeople(seed=seed)) for seed in (0, 1))
    assert (first != second).any()


def test_a_finished_set_is_verified_and_not_drawn_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "render", lambda *_: pytest.fail("drawn again"))
    assert write_sysu_layout(tiny, TINY) == tiny


def test_a_set_with_other_settings_or_missing_images_is_refused(tmp_path: Path) -> None:
    root = write_sysu_layout(tmp_path / "set", SMALL)
    with pytest.raises(DataError, match="other settings"):
        write_sysu_layout(root, TINY)
    next(root.glob("cam3/*/*.jpg")).unlink()
    with pytest.raises(DataError, match="instead of"):
        write_sysu_layout(root, SMALL)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    with pytest.raises(DataError, match="holds no synthetic people"):
        write_sysu_layout(tmp_path / "notes", SMALL)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_set_is_taken_up_again(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    drawn: list[tuple[object, ...]] = []

    def failing(figure: Figure, *shot: object) -> NDArray[np.uint8]:
        if len(drawn) == 7 and not resumed:
            raise error
        drawn.append(shot[:3])
        return render(figure, *shot)  # type: ignore[arg-type]

    monkeypatch.setattr(layout, "render", failing)
    resumed = False
    with pytest.raises(error):
        write_sysu_layout(tmp_path / "set", TINY)
    assert not (tmp_path / "set").exists()
    resumed = True
    (next((tmp_path / ".set.partial").glob("cam*/*")) / "0009.jpg.part").write_bytes(b"half an image")
    root = write_sysu_layout(tmp_path / "set", TINY)
    assert len(drawn) == len(set(drawn))  # nothing twice
    assert contents(root) == contents(tiny)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["set"]


def test_a_killed_process_leaves_what_the_next_one_finishes(tmp_path: Path) -> None:
    people = SyntheticPeople(train_ids=2, val_ids=0, test_ids=2, frames=4, height=64, width=32)
    code = (
        "from pathlib import Path; from crossreid.data.synthetic import *;"
        f"write_sysu_layout(Path({str(tmp_path / 'set')!r}), SyntheticPeople(**{people.as_dict()}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    partial = tmp_path / ".set.partial"
    while len(list(partial.glob("cam*/*/*.jpg"))) < 10:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = {path.relative_to(partial): path.stat().st_mtime_ns for path in partial.glob("cam*/*/*.jpg")}
    root = write_sysu_layout(tmp_path / "set", people)
    assert all((root / path).stat().st_mtime_ns == written for path, written in kept.items())
    assert contents(root) == contents(write_sysu_layout(tmp_path / "whole", people))


def test_what_other_settings_left_behind_is_replaced(tmp_path: Path) -> None:
    stray = tmp_path / ".set.partial" / "cam1" / "0001" / "0001.jpg"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"of another set")
    (tmp_path / ".set.partial" / "plan.json").write_text("{}")
    (tmp_path / "set").mkdir()  # an empty folder is no obstacle
    root = write_sysu_layout(tmp_path / "set", SMALL)
    assert b"of another set" not in contents(root).values()
    assert contents(root) == contents(write_sysu_layout(tmp_path / "clean", SMALL))
    assert not (tmp_path / ".set.partial").exists()


def test_two_callers_at_once_draw_the_set_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[object, ...]] = []

    def counted(figure: Figure, *shot: object) -> NDArray[np.uint8]:
        drawn.append(shot)
        return render(figure, *shot)  # type: ignore[arg-type]

    monkeypatch.setattr(layout, "render", counted)
    with ThreadPoolExecutor(2) as pool:
        roots = list(pool.map(lambda _: write_sysu_layout(tmp_path / "set", SMALL), range(2)))
    assert roots == [tmp_path / "set"] * 2
    assert len(drawn) == len(list(roots[0].glob("cam*/*/*.jpg"))) > 0


@pytest.mark.parametrize("wrong", [{"train_ids": 0}, {"frames": 256}, {"height": 8}, {"seed": -1}, {"test_ids": 9999}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        SyntheticPeople(**wrong)


@pytest.mark.parametrize("wrong", [{"ids": 0}, {"ids": 7}, {"frames": 0}, {"seed": -1}])
def test_regdb_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RegDBPeople(**wrong)


def nearest(probe: NDArray[np.floating], gallery: NDArray[np.floating]) -> float:
    """Share of probes (N, D) whose nearest row of the gallery (N, D) is their own."""
    distance = ((probe[:, None] - gallery[None]) ** 2).sum(-1)
    return float((distance.argmin(1) == np.arange(len(probe))).mean())


def test_mean_colour_and_background_do_not_cross_the_modalities() -> None:
    count, frames = 40, 2
    hits: dict[str, list[float]] = {"colour": [], "border": []}
    shots = {
        camera: np.stack(
            [[render(figure_of(pid), pid, camera, f, TINY) / 255 for pid in range(1, count + 1)] for f in range(frames)]
        )
        for camera in (3, 4, 6, 1)
    }
    for infrared, visible in ((3, 4), (6, 1), (3, 1), (6, 4)):
        for dark, bright in zip(shots[infrared], shots[visible], strict=True):
            hits["colour"].append(nearest(dark.mean((1, 2)), bright.mean((1, 2))))
            borders = [np.concatenate([x[:, :, :2], x[:, :, -2:]], 2).reshape(count, -1) for x in (dark, bright)]
            hits["border"].append(nearest(*borders))
    for name, shares in hits.items():  # 320 probes: one standard error is 0.35 / count
        assert np.mean(shares) <= 2.3 / count, name


def test_near_infrared_reflectance_follows_the_dye_only_partly() -> None:
    wardrobes = [sample_person(0, pid).wardrobe for pid in range(1, 601)]
    for surface in (Surface.UPPER, Surface.LOWER, Surface.BAG):
        for dye in (0, 1):
            lightness = [np.sqrt(wardrobe.visible[surface, dye].mean()) for wardrobe in wardrobes]
            reflectance = [wardrobe.infrared[surface, dye] for wardrobe in wardrobes]
            assert 0.2 < np.corrcoef(lightness, reflectance)[0, 1] < 0.7


def test_most_patterns_keep_a_contrast_in_infrared() -> None:
    contrast, sign = [], []
    for pid in range(1, 401):
        wardrobe = sample_person(0, pid).wardrobe
        for surface in (Surface.UPPER, Surface.LOWER):
            first, second = wardrobe.infrared[surface]
            contrast.append(abs(second - first))
            seen = np.sqrt(wardrobe.visible[surface])
            light = seen**2 @ [0.299, 0.587, 0.114]
            sign.append((second > first) == (light[1] > light[0]))
            assert np.linalg.norm(seen[0] - seen[1]) >= VISIBLE_CONTRAST - 1e-6
    assert abs(np.mean(np.array(contrast) >= KEPT_CONTRAST - 1e-6) - PATTERN_KEPT) < 0.05
    assert 0.6 < np.mean(sign) < 0.9  # carried over by most, not by all


def test_the_modalities_differ_in_more_than_colour() -> None:
    """By its own lamp a camera sees bright people before a dark place; by day the place is as bright."""

    def contrast(camera: int) -> list[float]:
        shots = [render(figure_of(pid), pid, camera, 0, TINY) / 255 for pid in range(1, 13)]
        return [float(np.median(x[:12, :8]) / np.median(x[20:44, 12:20])) for x in shots]

    assert np.median([contrast(camera) for camera in (3, 6)]) < 0.6
    assert np.median([contrast(camera) for camera in (1, 2, 4, 5)]) > 0.8


def test_cameras_2_and_3_look_at_one_room_and_every_camera_at_its_own_part() -> None:
    assert CAMERA[2].place == CAMERA[3].place
    assert len({camera.place for camera in CAMERA.values()}) == 5
    assert make_place(CAMERA[2].place) is make_place(CAMERA[3].place)
    assert scene(CAMERA[2]).shape[-1] == 3
    assert scene(CAMERA[3]).shape[-1] == 1


def test_imperfect_windows_and_occluders_come_at_their_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points, _ = placed(figure_of(1), sample_view(CAMERA[4], rng), rng)
    screen, _ = project(CAMERA[4], points)
    top, bottom = screen[:, 1].min(), screen[:, 1].max()
    cut = 0
    for _ in range(2000):
        window = sample_window(screen, (128, 64), rng)
        assert window.width == pytest.approx(window.height / 2)
        share = (bottom - top) / window.height
        lost = max(window.top - top, bottom - window.top - window.height) / window.height
        cut += share > FILL[1] or lost > 0.01
    assert 0.3 * CUT_SHARE < cut / 2000 < 1.2 * CUT_SHARE  # half of the cuts are at a side
    hidden = {"stranger": 0, "fixed": 0}

    def stranger(*_: object) -> Figure:
        hidden["stranger"] += 1
        return figure_of(2)

    def fixed(image: NDArray[np.floating], *_: object) -> NDArray[np.floating]:
        hidden["fixed"] += 1
        return image

    monkeypatch.setattr(render_module, "_stranger", stranger)
    monkeypatch.setattr(render_module, "fixed_occluder", fixed)
    count = 250
    for frame in range(count):
        render(figure_of(1), 1, 4, frame, SMALL)
    for name, share in (("stranger", STRANGER_SHARE), ("fixed", FIXED_SHARE)):
        assert abs(hidden[name] / count - share) < 3.5 * np.sqrt(share / count)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_regdb_layout(
        tmp_path_factory.mktemp("pairs") / "set", RegDBPeople(ids=6, frames=2, height=64, width=32)
    )


def test_regdb_folders_hold_synchronous_pairs(pairs: Path) -> None:
    for pid in range(1, 7):
        visible, thermal = (sorted((pairs / home / str(pid)).iterdir()) for home in ("Visible", "Thermal"))
        assert [path.name.replace("_v_", "_t_") for path in visible] == [path.name for path in thermal]
        assert len(visible) == 2
        for pair in zip(visible, thermal, strict=True):
            bright, warm = (np.asarray(Image.open(path)) for path in pair)
            assert bright.shape == warm.shape == (64, 32, 3)
            assert (warm == warm[..., :1]).all()
            assert not (bright == bright[..., :1]).all()


def test_thermal_shows_the_pose_of_the_visible_image_with_a_warm_face(pairs: Path) -> None:
    """The body's outline in thermal fits its own visible image better than the other frames' and people's."""

    def outline(path: Path) -> NDArray[np.float64]:
        grey = np.asarray(Image.open(path)).mean(-1)[4:60]
        edges = np.hypot(*np.gradient(grey)).reshape(28, 2, 16, 2).mean((1, 3)).ravel()
        return (edges - edges.mean()) / edges.std()

    names = sorted(path.relative_to(pairs / "Visible") for path in (pairs / "Visible").glob("*/*"))
    visible = np.stack([outline(pairs / "Visible" / name) for name in names])
    thermal = np.stack([outline(pairs / "Thermal" / str(name).replace("_v_", "_t_")) for name in names])
    similarity = thermal @ visible.T
    assert np.diag(similarity).mean() > similarity[~np.eye(len(names), dtype=bool)].mean() * 1.2
    wardrobe = sample_person(0, 1).wardrobe
    assert wardrobe.warmth[Surface.SKIN].min() > wardrobe.warmth[[Surface.UPPER, Surface.LOWER, Surface.HAIR]].max()


def test_regdb_lists_halve_the_people_ten_times(pairs: Path) -> None:
    halves = set()
    for split in range(1, 11):
        people: dict[str, list[str]] = {}
        for part in ("train", "test"):
            for modality, home in (("visible", "Visible"), ("thermal", "Thermal")):
                text = (pairs / "idx" / f"{part}_{modality}_{split}.txt").read_bytes().decode()
                lines = text.split("\r\n")
                assert lines.pop() == ""
                assert "\n" not in "".join(lines)
                rows = [line.split(" ") for line in lines]
                assert all((pairs / path).is_file() and path.startswith(f"{home}/") for path, _ in rows)
                assert [int(label) for _, label in rows] == [0, 0, 1, 1, 2, 2]
                order = list(dict.fromkeys(path.split("/")[1] for path, _ in rows))
                assert people.setdefault(part, order) == order  # both modalities, one order
        assert sorted(people["train"] + people["test"]) == [str(pid) for pid in range(1, 7)]
        halves.add(tuple(people["train"]))
    assert len(halves) > 5


def test_a_regdb_set_is_verified(pairs: Path, tmp_path: Path) -> None:
    people = RegDBPeople(ids=6, frames=2, height=64, width=32)
    assert write_regdb_layout(pairs, people) == pairs
    with pytest.raises(DataError, match="other settings"):
        write_regdb_layout(pairs, RegDBPeople(ids=8, frames=2, height=64, width=32))
    root = write_regdb_layout(tmp_path / "set", RegDBPeople(ids=2, frames=1, height=32, width=16))
    next(root.glob("Thermal/*/*")).unlink()
    with pytest.raises(DataError, match="instead of"):
        write_regdb_layout(root, RegDBPeople(ids=2, frames=1, height=32, width=16))
