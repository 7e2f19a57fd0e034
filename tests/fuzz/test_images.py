"""Images of every format and mode with bytes flipped, cut off, zeroed."""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crossreid.data.decoding import make_decoder
from crossreid.data.records import MODALITIES, ImageRecord
from crossreid.settings.data import DecodingConfig
from fuzz.oracle import cases, damaged, ends_well, untouched

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("L", "P"),
}
STRETCHES = ("depth", "range", "percentiles", "per_image")


def decoded(path: Path, stretch: str = "depth") -> np.ndarray:
    """One image as (H, W, 3) uint8, as the cache gets it before it resizes: the one place that knows the decoder."""
    config = DecodingConfig(stretch=stretch, range=[0.0, 255.0] if stretch == "range" else None)
    config.check("data.decoding")
    record = ImageRecord(path=path, pid=1, camid=1, modality=MODALITIES[1], frame=0, row=0)
    return np.asarray(make_decoder(config, [record]).decode(path, MODALITIES[1]).image)


def picture(form: str, mode: str, width: int, height: int, seed: int) -> bytes:
    """A random picture as a file."""
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 2**16, (height, width), dtype=np.uint16))
    elif mode == "I":
        image = Image.fromarray(rng.integers(0, 2**16, (height, width), dtype=np.int32))
    elif mode == "F":
        image = Image.fromarray(rng.random((height, width), dtype=np.float32))
    else:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)
    stream = io.BytesIO()
    options = {}
    if seed % 3 == 0:
        exif = Image.Exif()
        exif[0x0112] = seed % 9  # orientation, 0 is none of those that there are
        options["exif"] = exif
    image.save(stream, form, **(options if form in ("PNG", "JPEG", "WEBP", "TIFF") else {}))
    return stream.getvalue()


@st.composite
def pictures(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of a format and mode, whole or damaged, sometimes under the ending of another format."""
    form = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[form]))
    width, height = draw(st.sampled_from([(8, 16), (1, 1), (1, 200), (300, 2), (7, 5)]))
    whole = picture(form, mode, width, height, draw(st.integers(0, 40)))
    content = draw(st.one_of(damaged(whole), damaged(whole), damaged(whole), st.just(whole)))
    ending = draw(st.sampled_from([form.lower(), form.lower(), "jpg", "png"]))
    return ending, content


@cases(300)
@given(file=pictures(), stretch=st.sampled_from(STRETCHES))
def test_a_damaged_image_is_named_in_a_sentence_or_decoded(file: tuple[str, bytes], stretch: str) -> None:
    ending, content = file
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what it then reads or refuses
        path = Path(folder) / f"image.{ending}"
        path.write_bytes(content)
        with untouched(Path(folder)):
            pixels, refused = ends_well(lambda: decoded(path, stretch))
        if refused:
            assert path.name in refused
        else:
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            assert pixels.dtype == np.uint8


@pytest.mark.parametrize("form", MODES)
def test_whole_images_are_decoded(form: str, tmp_path: Path) -> None:
    """The fuzzer's own pictures are fine before it damages them."""
    for mode in {"L", "RGB"} & {*MODES[form]}:
        path = tmp_path / f"{mode}.{form.lower()}"
        path.write_bytes(picture(form, mode, 8, 16, 1))
        pixels, refused = ends_well(lambda path=path: decoded(path))
        assert not refused
        assert pixels.std() > 1
