"""The one decoder: every kind of file comes to the same pixels, or is refused by name."""

import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossreid.data.cache import damaged_caches, open_cache
from crossreid.data.decoding import Decoder, make_decoder
from crossreid.data.image_files import UnreadableImageError
from crossreid.data.records import ImageRecord
from crossreid.errors import ConfigError, DataError
from crossreid.settings.data import DecodingConfig

GREY = np.random.default_rng(0).integers(0, 256, (20, 10), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (20, 10, 3), dtype=np.uint8)


def decoded(path: Path, **config) -> np.ndarray:
    return np.asarray(Decoder(DecodingConfig(**config)).decode(path, "infrared").image)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.jp2"])
def test_lossless_colour_files_hold_the_same_pixels(tmp_path: Path, name: str) -> None:
    lossless = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(COLOUR).save(tmp_path / name, **lossless)
    assert (decoded(tmp_path / name) == COLOUR).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_scaled_by_their_depth(tmp_path: Path, name: str) -> None:
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / name)
    assert Image.open(tmp_path / name).mode == "I;16"
    assert (decoded(tmp_path / name) == as_rgb(GREY)).all()


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_floating_point_is_read_in_either_range(tmp_path: Path, white: float) -> None:
    Image.fromarray(GREY.astype(np.float32) / 255 * white).save(tmp_path / "a.tif")
    assert (decoded(tmp_path / "a.tif") == as_rgb(GREY)).all()


def test_what_is_white_in_floating_point_is_decided_by_all_files_together(tmp_path: Path) -> None:
    dark, bright = np.full((20, 10), 0.5, np.float32), np.full((20, 10), 200.0, np.float32)
    records = []
    for row, values in enumerate((dark, bright)):
        path = tmp_path / f"{row}.tif"
        Image.fromarray(values).save(path)
        records.append(ImageRecord(path, row, 1, "infrared", 0, row))
    decoder = make_decoder(DecodingConfig(), records)
    assert decoder.float_white == 255.0
    assert np.asarray(decoder.decode(records[0].path, "infrared").image).max() <= 1


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((20, 10), 300, np.float32), "neither \\[0, 1\\] nor \\[0, 255\\]"),
        (np.full((20, 10), -1, np.float32), "neither \\[0, 1\\] nor \\[0, 255\\]"),
        (np.full((20, 10), np.nan, np.float32), "no numbers"),
        (np.full((20, 10), 7, np.int32), "do not say what is white"),
    ],
)
def test_values_without_a_meaning_are_refused_and_a_range_gives_them_one(
    tmp_path: Path, values: np.ndarray, says: str
) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableImageError, match=says):
        decoded(tmp_path / "a.tif")
    if np.isfinite(values).all():
        low, high = float(values[0, 0]) - 1, float(values[0, 0]) + 1
        assert (decoded(tmp_path / "a.tif", stretch="range", range=[low, high]) == 128).all()


def test_percentiles_are_those_of_the_training_images_of_a_modality(tmp_path: Path) -> None:
    records = []
    for row, (low, modality) in enumerate([(7000, "infrared"), (30000, "infrared"), (100, "visible")]):
        values = np.linspace(low, low + 1000, 200).reshape(20, 10).astype(np.uint16)
        path = tmp_path / f"{row}.png"
        Image.fromarray(values).save(path)
        records.append(ImageRecord(path, row, 1, modality, 0, row))
    config = DecodingConfig(stretch="percentiles", percentiles=[0, 100])
    decoder = make_decoder(config, records, reference=[0, 2])
    assert decoder.percentiles == {"infrared": (7000, 8000), "visible": (100, 1100)}
    assert np.asarray(decoder.decode(records[1].path, "infrared").image).min() == 255
    own = decoded(records[1].path, stretch="per_image", percentiles=[0, 100])
    assert (own.min(), own.max()) == (0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_colours_under_transparency_play_no_part(tmp_path: Path, mode: str) -> None:
    shown = as_rgb(GREY) if mode == "LA" else COLOUR
    alpha = np.full((20, 10, 1), 255, np.uint8)
    alpha[:10] = 0
    first = GREY[..., None] if mode == "LA" else COLOUR
    Image.fromarray(np.concatenate([first, alpha], axis=2), mode).save(tmp_path / "a.png")
    pixels = decoded(tmp_path / "a.png", background=[1, 2, 3])
    assert (pixels[:10] == (1, 2, 3)).all()
    assert (pixels[10:] == shown[10:]).all()


def test_a_transparent_palette_entry_shows_the_background(tmp_path: Path) -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    entry = np.asarray(image)
    image.save(tmp_path / "a.png", transparency=int(entry[0, 0]))
    assert (decoded(tmp_path / "a.png", background=[9, 8, 7])[entry == entry[0, 0]] == (9, 8, 7)).all()


@pytest.mark.parametrize("deep", [False, True])
def test_the_orientation_that_a_camera_noted_is_applied(tmp_path: Path, deep: bool) -> None:
    values = GREY.astype(np.uint16) * 257 if deep else GREY
    exif = Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    lying = Image.fromarray(np.rot90(values).copy())
    lying.save(tmp_path / "a.png", exif=exif)
    assert (decoded(tmp_path / "a.png") == as_rgb(GREY)).all()


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr", "1"])
def test_other_colours_become_rgb(tmp_path: Path, mode: str) -> None:
    if mode == "LAB":
        image = Image.frombytes("LAB", (10, 20), np.full((20, 10, 3), (255, 0, 0), np.uint8).tobytes())
    else:
        image = Image.new("RGB", (10, 20), (255, 255, 255)).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "YCbCr" else "a.tif")
    image.save(path)
    assert decoded(path).min() >= 254


def test_several_pictures_in_one_file_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UnreadableImageError, match="holds 2 pictures"):
        decoded(tmp_path / "a.tif")


def test_a_few_bytes_cannot_claim_billions_of_pixels(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"pixels|claims"):
        decoded(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"nothing"])
def test_what_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"a\.png' cannot be read"):
        decoded(tmp_path / "a.png")


def test_a_range_and_its_stretch_belong_together() -> None:
    for wrong in (DecodingConfig(range=[0, 1]), DecodingConfig(stretch="range")):
        with pytest.raises(ConfigError, match="belong together"):
            wrong.check("data.decoding")


def some_records(root: Path, count: int = 4) -> list[ImageRecord]:
    root.mkdir()
    records = []
    for row in range(count):
        Image.fromarray(COLOUR).save(root / f"{row}.png")
        records.append(ImageRecord(root / f"{row}.png", row, 1, "visible", 0, row))
    return records


def test_unreadable_images_are_left_out_where_that_is_said(tmp_path: Path) -> None:
    records = some_records(tmp_path / "set")
    records[2].path.write_bytes(records[2].path.read_bytes()[:100])
    where = (records, tmp_path / "set", tmp_path / "cache", (8, 4))
    opened = open_cache(*where, decoding=DecodingConfig(unreadable="skip"), progress=False)
    assert list(opened.unreadable) == [2]
    assert opened.pixels[2].max() == 0
    assert opened.pixels[3].max() > 0
    again = open_cache(*where, decoding=DecodingConfig(unreadable="skip"), progress=False)
    assert again.unreadable == opened.unreadable


@pytest.mark.parametrize("damage", ["changed", "truncated", "swapped", "without its note"])
def test_a_damaged_cache_is_found_and_made_again(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = tmp_path / "set", tmp_path / "cache"
    records = some_records(root)
    whole = np.array(open_cache(records, root, folder, (8, 4), progress=False).pixels)
    assert damaged_caches(root, folder) == []
    (cached,) = folder.glob("*.npy")
    content = bytearray(cached.read_bytes())
    if damage == "changed":
        content[-1] ^= 255
    elif damage == "truncated":
        content = content[:-100]
    elif damage == "swapped":
        content[-96:] = bytes(96)
    else:
        cached.with_suffix(".json").unlink()
    cached.write_bytes(content)
    assert damaged_caches(root, folder) == [cached]
    assert (open_cache(records, root, folder, (8, 4), progress=False).pixels == whole).all()
    assert "damaged: decoding them again" in capsys.readouterr().out
    assert damaged_caches(root, folder) == []


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path: Path) -> None:
    root, folder = tmp_path / "set", tmp_path / "cache"
    records = some_records(root)
    before = open_cache(records, root, folder, (8, 4), progress=False).pixels.copy()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))  # Python ignores the signal, and writing fails
    try:
        with pytest.raises(DataError, match=r"do not fit into .* need 0\.00 GiB, .* set data\.cache"):
            open_cache(records, root, folder, (512, 256), progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(folder.glob("512x256-*.npy")) + list(folder.glob("*.partial")) + list(folder.glob(".*"))
    assert (open_cache(records, root, folder, (8, 4), progress=False).pixels == before).all()


def test_only_headers_of_shallow_files_are_read_to_learn_what_is_white(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = some_records(tmp_path / "set")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("decoded twice"))
    assert make_decoder(DecodingConfig(), records).float_white is None
    assert make_decoder(DecodingConfig(stretch="percentiles"), records).percentiles == {}
