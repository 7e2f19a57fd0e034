"""One test set in several kinds of files scores alike, through the real command."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layouts import write_small_folder
from support import Finished

QUICK = ["scale=smoke", "model=baseline", "trainer=cpu", "trainer.progress=false", "report.figures=false"]
ORIENTATION = 0x0112
"""EXIF's tag for how a camera was held."""
POINTS = 0.005
"""How far apart scores may lie: half a point."""

Picture = Image.Image


def save_png(image: Picture, path: Path, infrared: bool) -> None:
    image.save(path.with_suffix(".png"))


def save_bmp(image: Picture, path: Path, infrared: bool) -> None:
    image.save(path.with_suffix(".bmp"))


def save_tiff(image: Picture, path: Path, infrared: bool) -> None:
    image.save(path.with_suffix(".tif"), compression="tiff_deflate")


def save_webp(image: Picture, path: Path, infrared: bool) -> None:
    image.save(path.with_suffix(".webp"), lossless=True)


def save_cmyk(image: Picture, path: Path, infrared: bool) -> None:
    image.convert("CMYK").save(path.with_suffix(".tiff"))


def save_rgba(image: Picture, path: Path, infrared: bool) -> None:
    image.convert("RGBA").save(path.with_suffix(".png"))


def save_turned(image: Picture, path: Path, infrared: bool) -> None:
    """As a camera that was held sideways stores it."""
    stored = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise by a quarter
    stored.save(path.with_suffix(".png"), exif=exif)


def save_palette(image: Picture, path: Path, infrared: bool) -> None:
    """The infrared images have at most 256 colours; a palette would change the visible ones."""
    stored = image.quantize(256, dither=Image.Dither.NONE) if infrared else image
    stored.save(path.with_suffix(".png"))


def save_sixteen_bits(image: Picture, path: Path, infrared: bool) -> None:
    """Infrared alone: Pillow reads no colours of 16 bits."""
    if not infrared:
        return save_png(image, path, infrared)
    grey = np.asarray(image)[..., 0].astype(np.uint16)
    Image.fromarray(grey * 257).save(path.with_suffix(".png"))
    return None


FORMS = {
    "16 bits": save_sixteen_bits,
    "EXIF orientation": save_turned,
    "palette": save_palette,
    "CMYK": save_cmyk,
    "RGBA": save_rgba,
    "TIFF": save_tiff,
    "WebP": save_webp,
    "BMP": save_bmp,
}


def write_form(source: Path, target: Path, save: Callable[[Picture, Path, bool], None]) -> Path:
    """The test images of a folder set, each saved by ``save``."""
    for path in sorted(source.rglob("*.jpg")):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        infrared = "infrared" in path.parts
        with Image.open(path) as stored:
            image = stored.convert("L").convert("RGB") if infrared else stored.convert("RGB")
        save(image, place, infrared)
    return target


def scores(path: Path) -> dict[str, float]:
    """Rank-1 and mAP of every pairing."""
    protocols = json.loads(path.read_text())
    figures = {}
    for name, result in protocols.items():
        for metric in ("rank1", "mAP"):
            figures[f"{name} {metric}"] = result[metric]["mean"]
    return figures


@pytest.mark.slow
def test_every_form_of_a_test_set_scores_as_the_png_one(
    run_here: Callable[..., Finished], people_root: Path, tmp_path: Path
) -> None:
    own = write_small_folder(tmp_path / "own", people_root)
    cache = f"data.cache={tmp_path / 'cache'}"
    trained = run_here("train", *QUICK, "data=folder", f"data.root={own}", cache, "run_dir=run")
    assert trained.code == 0, trained.output

    def scored(name: str, save: Callable[[Picture, Path, bool], None]) -> dict[str, float]:
        root = write_form(own / "test", tmp_path / name / "test", save).parent
        where = ["data=folder", f"data.root={root}", cache, f"output={name}.json"]
        done = run_here("evaluate", "checkpoint=run/last.ckpt", "trainer=cpu", "report.figures=false", *where)
        assert done.code == 0, done.output
        return scores(tmp_path / f"{name}.json")

    expected = scored("PNG", save_png)
    assert len(expected) == 8
    for name, save in FORMS.items():
        assert scored(name, save) == pytest.approx(expected, abs=POINTS), name
