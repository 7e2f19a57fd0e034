"""Images of one's own to embeddings: equal to evaluate's, whatever kind of source, resumed where it was cut off."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import crossreid
from crossreid.errors import ConfigError, DataError, OwnedError, WriteError
from crossreid.evaluation import Embeddings
from crossreid.extraction import Extractor
from crossreid.extraction import extractor as extractor_module
from crossreid.extraction.batching import Part
from crossreid.extraction.pixels import are_grey
from crossreid.extraction.shards import open_shards
from crossreid.extraction.storage import load_extracted
from crossreid.settings.registry import method_names
from support import disk_of, write_video

QUICK = ("baseline", "cmssft")


@pytest.fixture
def extract(write_checkpoint) -> Extractor:
    return Extractor(write_checkpoint("baseline"), "cpu", workers=0)


def by_hand(extract: Extractor, path: Path, modality: str) -> np.ndarray:
    """One image through Pillow and the network, without anything of the extractor."""
    height, width = extract.size
    image = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        return extract.module.embed(pixels, modality)["main"].numpy()[0]


@pytest.mark.parametrize(
    "model", [pytest.param(m, marks=[] if m in QUICK else [pytest.mark.slow]) for m in method_names()]
)
def test_embeddings_are_those_of_evaluate(model: str, write_checkpoint, manifest: Path, run_here, tmp_path) -> None:
    check_against_evaluate(write_checkpoint(model), manifest, run_here, tmp_path)
    assert Extractor(write_checkpoint(model), "cpu").about["transfer"] == (model == "cmssft")


def test_images_are_resized_as_training_did(write_checkpoint, manifest: Path, run_here, tmp_path: Path) -> None:
    size = "{identity:{identities:4,images:2,height:48,width:24}}"  # smaller than the people: filters differ
    lanczos = write_checkpoint("baseline", "data.decoding.resize=lanczos", f"model.streams={size}")
    ours = check_against_evaluate(lanczos, manifest, run_here, tmp_path)
    bicubic = Extractor(write_checkpoint("baseline", f"model.streams={size}"), "cpu", workers=0)(manifest)
    assert np.abs(ours.features["main"] - bicubic.features["main"]).max() > 1e-4


def check_against_evaluate(path: Path, manifest: Path, run_here, tmp_path: Path) -> Embeddings:
    """The extractor's embeddings of the people, which are those that `evaluate` keeps."""
    words = ["report.figures=false", "report.modality_pairs=false", "trainer=cpu", "trainer.progress=false"]
    trials = ["protocol=sysu_mm01", "protocol.trials=1", "protocol.draw=seeded"]
    done = run_here("evaluate", f"checkpoint={path}", "save_embeddings=scored.npz", *words, *trials)
    assert done.code == 0, done.output
    scored = Embeddings.load(tmp_path / "scored.npz")
    ours = Extractor(path, "cpu", workers=0)(manifest)
    assert ours.paths == scored.paths
    assert (ours.pids == scored.pids).all()
    assert (ours.camids == scored.camids).all()
    assert (ours.frames == scored.frames).all()
    for name, feature in ours.features.items():
        np.testing.assert_allclose(feature, scored.features[name], atol=1e-6)
    return ours


def test_every_kind_of_source_gives_the_same_embeddings(extract: Extractor, people_root: Path, tmp_path: Path) -> None:
    folder = people_root / "cam1"
    paths = sorted(folder.rglob("*.jpg"))[:12]
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for place, path in enumerate(paths):
        target = tmp_path / "images" / ("deep" if place >= 8 else "") / f"{place:04d}.jpg"
        target.symlink_to(path)
    expected = np.stack([by_hand(extract, path, "visible") for path in paths])
    (tmp_path / "list.txt").write_text("\n".join(map(str, paths)))
    with (tmp_path / "list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["path"], *([str(path)] for path in paths)])
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    sources = [
        tmp_path / "images",
        str(tmp_path / "images" / "**" / "*.jpg"),
        tmp_path / "list.txt",
        tmp_path / "list.csv",
        paths,
        pixels,
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
    ]
    for source in sources:
        embeddings = extract(source, modality="visible")
        np.testing.assert_allclose(embeddings.features["main"], expected, atol=1e-6)
        assert not embeddings.infrared.any()
        assert len(set(embeddings.pids.tolist())) == 12  # nobody is known, so nobody matches
        assert (embeddings.pids < 0).all()
    single = extract(paths[0], modality="visible")
    np.testing.assert_allclose(single.features["main"][0], expected[0], atol=1e-6)


def test_worker_processes_and_small_batches_change_nothing(
    write_checkpoint, manifest: Path, extract: Extractor
) -> None:
    alone = extract(manifest)
    assert len(alone) > 64  # enough that processes are started
    together = Extractor(write_checkpoint("baseline"), "cpu", workers=2, batch_size=7)(manifest)
    assert together.paths == alone.paths
    assert together.about == alone.about
    np.testing.assert_allclose(together.features["main"], alone.features["main"], atol=1e-6)


def test_the_modality_comes_from_argument_column_folder_or_colour(extract: Extractor, people, tmp_path: Path) -> None:
    records = [people.records[row] for row in people.rows("test")][::7]
    flags = [record.modality == "infrared" for record in records]
    assert 0 < sum(flags) < len(flags)
    paths = [record.path for record in records]
    assert extract(paths, modality="auto").infrared.tolist() == flags
    for record in records:
        folder = tmp_path / "sorted" / {"visible": "RGB", "infrared": "thermal"}[record.modality]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{record.row}.jpg").symlink_to(record.path)
    sorted_by_folder = extract(tmp_path / "sorted")
    assert sorted_by_folder.infrared.sum() == sum(flags)
    assert all(
        ("thermal" in path) == flag
        for path, flag in zip(sorted_by_folder.paths, sorted_by_folder.infrared, strict=True)
    )
    with pytest.raises(ConfigError, match="Nothing says the modality"):
        extract(paths)
    with pytest.raises(ConfigError, match="choose from visible, infrared, auto"):
        extract(paths, modality="radar")
    table = tmp_path / "table.csv"
    table.write_text(f"path,modality\n{paths[0]},infrared\n")
    with pytest.raises(ConfigError, match="leave one out"):
        extract(table, modality="visible")


def test_all_people_are_told_apart_by_colour(people) -> None:
    wrong = []
    for record in people.records:
        grey = bool(are_grey(np.asarray(Image.open(record.path).convert("RGB"))[None])[0])
        if grey != (record.modality == "infrared"):
            wrong.append(record.path)
    assert not wrong


def test_columns_of_a_manifest_come_along(extract: Extractor, people_root: Path, tmp_path: Path) -> None:
    paths = sorted((people_root / "cam1").rglob("*.jpg"))[:4]
    lines = ["path,modality,camera,time,track,person,zone"]
    extra = ["1,2025-11-03T22:14:05,a,7,north", "1,2025-11-03T22:14:06,a,7,north", "2,1000.5,,9,", "2,,b,,south"]
    lines += [f"{path},visible,{rest}" for path, rest in zip(paths, extra, strict=True)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    embeddings = extract(tmp_path / "m.csv")
    assert embeddings.columns["camera"] == (1, 1, 2, 2)
    assert embeddings.columns["time"] == (1762208045.0, 1762208046.0, 1000.5, None)
    assert embeddings.columns["track"] == ("a", "a", None, "b")
    assert embeddings.columns["zone"] == ("north", "north", None, "south")
    assert embeddings.pids.tolist() == [7, 7, 9, -4]
    assert embeddings.frames.tolist() == [0, 1, 0, 0]
    averaged = extract(tmp_path / "m.csv", tracks="average")
    assert averaged.columns["images"] == (2, 1, 1)
    main = embeddings.features["main"]
    mean = (main[0] + main[1]) / 2
    np.testing.assert_allclose(averaged.features["main"][0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(averaged.features["main"][1:], main[2:], atol=1e-6)


def test_boxes_cut_persons_out_of_pictures(extract: Extractor, people_root: Path, tmp_path: Path) -> None:
    paths = sorted((people_root / "cam1").rglob("*.jpg"))[:2]
    crops = [np.asarray(Image.open(path)) for path in paths]
    height, width = crops[0].shape[:2]
    scene = np.zeros((height + 20, 2 * width + 30, 3), np.uint8)
    scene[5 : 5 + height, 10 : 10 + width] = crops[0]
    scene[20:, width + 30 :] = crops[1]
    Image.fromarray(scene).save(tmp_path / "scene.png")
    boxes = [(10, 5, width, height), (width + 30, 20, width + 50, height + 50)]
    lines = ["path,x,y,width,height", *(f"scene.png,{','.join(map(str, box))}" for box in boxes)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    embeddings = extract(tmp_path / "m.csv", modality="visible")
    expected = extract(np.stack(crops), modality="visible")
    np.testing.assert_allclose(embeddings.features["main"], expected.features["main"], atol=1e-6)
    assert list(embeddings.columns["x"]) == [10, width + 30]  # kept: galleries name images after their boxes
    (tmp_path / "m.csv").write_text("path,x,y,width,height\nscene.png,5000,0,10,10\n")
    with pytest.raises(DataError, match="its box lies outside"):
        extract(tmp_path / "m.csv", modality="visible")


def test_pictures_of_videos_are_taken_by_their_number(extract: Extractor, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need the extra `video`")
    pictures = np.random.default_rng(0).integers(0, 256, (6, 64, 48, 3), dtype=np.uint8)
    write_video(tmp_path / "v.mkv", pictures)
    (tmp_path / "m.csv").write_text("path,frame\nv.mkv,4\nv.mkv,1\nv.mkv,5\n")
    embeddings = extract(tmp_path / "m.csv", modality="visible")
    expected = extract(pictures[[4, 1, 5]], modality="visible")
    np.testing.assert_allclose(embeddings.features["main"], expected.features["main"], atol=1e-6)
    (tmp_path / "m.csv").write_text("path,frame\nv.mkv,6\n")
    with pytest.raises(DataError, match="it has no picture 6"):
        extract(tmp_path / "m.csv", modality="visible")
    (tmp_path / "v.mkv").write_bytes(b"no video")
    with pytest.raises(DataError, match="cannot be read"):
        extract(tmp_path / "m.csv", modality="visible")


def test_images_that_cannot_be_read_are_refused_or_listed(
    extract: Extractor, people_root: Path, tmp_path: Path
) -> None:
    paths = sorted((people_root / "cam1").rglob("*.jpg"))[:3]
    script = tmp_path / "script.png"
    script.write_text("#!/bin/sh\ntouch pwned\n")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    source = [paths[0], script, paths[1], empty, tmp_path / "missing.jpg", paths[2]]
    with pytest.raises(DataError, match=r"script.png' cannot be read .*unreadable=skip"):
        extract(source, modality="visible")
    extract.unreadable = "skip"
    embeddings = extract(source, modality="visible")
    assert embeddings.paths == tuple(map(str, paths))
    assert embeddings.rows.tolist() == [0, 2, 5]
    left_out = [Path(entry["path"]).name for entry in embeddings.about["unreadable"]]
    assert left_out == ["script.png", "empty.jpg", "missing.jpg"]
    with pytest.raises(DataError, match="None of the 1 images can be read"):
        extract([script], modality="visible")


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_what_is_written_is_read_again(extract: Extractor, manifest: Path, tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra `search`")
    output = tmp_path / f"people.{ending}"
    written = extract.to_file(manifest, output)
    again = load_extracted(output)
    assert again.paths == written.paths
    assert again.columns == written.columns
    assert again.about == written.about
    assert (again.pids == written.pids).all()
    assert (again.infrared == written.infrared).all()
    assert (again.features["main"] == written.features["main"]).all()
    assert not list(tmp_path.glob(".*.shards"))


def test_a_parquet_manifest_is_read_as_the_csv_one(extract: Extractor, manifest: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra `search`")
    import pyarrow.parquet as pq

    with manifest.open() as stream:
        lines = list(csv.DictReader(stream))[:8]
    columns = {name: [line[name] for line in lines] for name in ("path", "modality")}
    columns["camera"] = [int(line["camera"]) for line in lines]
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    ours = extract(tmp_path / "m.parquet")
    assert ours.columns["camera"] == tuple(columns["camera"])
    expected = extract(manifest).select(slice(8))
    np.testing.assert_allclose(ours.features["main"], expected.features["main"], atol=1e-6)
    (tmp_path / "m.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        extract(tmp_path / "m.parquet")


def test_an_extraction_that_was_cut_off_is_gone_on_with(
    extract: Extractor, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    whole = extract(manifest)
    extract.batch_size = 16
    embed = Extractor._embed
    calls = []

    def cut_off(self, batch, modality):
        calls.append(len(batch[0]))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return embed(self, batch, modality)

    monkeypatch.setattr(extractor_module.Extractor, "_embed", cut_off)
    with pytest.raises(KeyboardInterrupt):
        extract.to_file(manifest, tmp_path / "out.npz", shard=16)
    assert not (tmp_path / "out.npz").exists()
    calls[:] = [0] * 10  # count on, and do not cut off again
    again = extract.to_file(manifest, tmp_path / "out.npz", shard=16)
    assert "32 of" in capsys.readouterr().out
    assert sum(calls) == len(whole) - 32
    assert again.paths == whole.paths
    np.testing.assert_allclose(again.features["main"], whole.features["main"], atol=1e-6)


def test_shards_of_other_images_are_not_mixed_in(extract: Extractor, manifest: Path, tmp_path: Path) -> None:
    with disk_of(5000), pytest.raises(WriteError, match="free some space"):
        extract.to_file(manifest, tmp_path / "out.npz", shard=16)
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match="other images"):
        extract.to_file(manifest, tmp_path / "out.npz", shard=16)


def test_a_damaged_shard_is_made_again(extract: Extractor, manifest: Path, tmp_path: Path) -> None:
    folder = tmp_path / ".out.npz.shards"
    extract.batch_size = 16
    one = np.zeros((1, *extract.size, 3), np.uint8)
    width = extract(one, modality="visible").features["main"].shape[1]
    with disk_of(2 * 16 * width * 4), pytest.raises(WriteError):  # room for a shard of 16, and not for all
        extract.to_file(manifest, tmp_path / "out.npz", shard=16)
    assert list(folder.glob("*.npz"))
    for shard in folder.glob("*.npz"):
        shard.write_bytes(shard.read_bytes()[:100])
    whole = extract.to_file(manifest, tmp_path / "out.npz", shard=16)
    assert len(whole) == len(manifest.read_text().splitlines()) - 1


def cut_off_after(extract: Extractor, source, output: Path, batches: int, **settings) -> None:
    """An extraction to a file, in shards of two images, that ends before the next batch."""
    extract.batch_size = 2
    embed = Extractor._embed
    calls = []

    def cut_off(self, batch, modality):
        calls.append(modality)
        if len(calls) > batches + 1:  # a batch is kept while the next one is computed
            raise KeyboardInterrupt
        return embed(self, batch, modality)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Extractor, "_embed", cut_off)
        with pytest.raises(KeyboardInterrupt):
            extract.to_file(source, output, shard=2, **settings)
    assert not output.exists()
    assert list(output.with_name(f".{output.name}.shards").glob("*.npz"))


@pytest.mark.parametrize("kind", ["uint8", "float", "tensor"])
def test_images_in_memory_are_gone_on_with_where_they_are_the_same(
    extract: Extractor, tmp_path: Path, capsys, kind: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, *extract.size, 3), dtype=np.uint8)
    source = {"uint8": pixels, "float": pixels / 255, "tensor": torch.from_numpy(pixels).permute(0, 3, 1, 2)}[kind]
    whole = extract(source, modality="visible")
    cut_off_after(extract, source, tmp_path / "out.npz", 2, modality="visible")
    again = extract.to_file(source, tmp_path / "out.npz", "visible", shard=2)
    assert "4 of 7 images" in capsys.readouterr().out
    assert again.rows.tolist() == list(range(7))
    np.testing.assert_allclose(again.features["main"], whole.features["main"], atol=1e-6)
    np.testing.assert_array_equal(extract.pixels(pixels, "visible", np.array([5, 1])), pixels[[5, 1]])


def test_other_images_in_memory_are_not_mixed_in(extract: Extractor, tmp_path: Path) -> None:
    dark = np.full((6, *extract.size, 3), 10, np.uint8)
    cut_off_after(extract, dark, tmp_path / "out.npz", 1, modality="visible")
    with pytest.raises(DataError, match="other images"):
        extract.to_file(np.full_like(dark, 200), tmp_path / "out.npz", "visible")
    with pytest.raises(DataError, match="other images"):
        extract.to_file(dark.astype(np.float32) / 255, tmp_path / "out.npz", "visible")


def test_shards_without_a_plan_belong_to_nobody(extract: Extractor, manifest: Path, tmp_path: Path) -> None:
    cut_off_after(extract, manifest, tmp_path / "out.npz", 3)
    (tmp_path / ".out.npz.shards" / "plan.json").unlink()
    lines = manifest.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    written = extract.to_file(other, tmp_path / "out.npz")
    expected = extract(other)
    assert written.rows.tolist() == expected.rows.tolist()
    np.testing.assert_allclose(written.features["main"], expected.features["main"], atol=1e-6)


def test_the_plan_goes_after_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part(np.arange(2), False, {"main": np.zeros((2, 3), np.float32)})
    order = []
    unlink = os.unlink

    def noted(path, *, dir_fd=None):
        order.append(Path(path).name)
        unlink(path, dir_fd=dir_fd)

    with open_shards(tmp_path / "out.npz", {"images": "these"}) as shards:
        shards.write([part])
        shards.write([part])
        monkeypatch.setattr(os, "unlink", noted)
        shards.remove()
    assert not shards.folder.exists()
    assert set(order[: order.index("plan.json")]) >= {"000000.npz", "000001.npz"}


def test_an_image_stands_in_shards_once(tmp_path: Path) -> None:
    ones = Part(np.array([0, 1]), False, {"main": np.ones((2, 3), np.float32)})
    twos = Part(np.array([1, 2]), False, {"main": np.full((2, 3), 2, np.float32)})
    with open_shards(tmp_path / "out.npz", {"images": "these"}) as shards:
        shards.write([ones])
        shards.write([twos])
        rows = np.concatenate([rows for rows, _, _ in shards.read()])
    assert sorted(rows.tolist()) == [0, 1, 2]


def test_two_extractions_do_not_share_an_output(extract: Extractor, manifest: Path, tmp_path: Path) -> None:
    with open_shards(tmp_path / "out.npz", {"images": "these"}) as shards:
        with pytest.raises(OwnedError, match="Another process writes"):
            extract.to_file(manifest, tmp_path / "out.npz")
        shards.remove()
    assert len(extract.to_file(manifest, tmp_path / "out.npz")) > 0


def test_the_digest_is_that_of_the_weights(write_checkpoint, tmp_path: Path) -> None:
    path = write_checkpoint("baseline")
    first = Extractor(path, "cpu").about["model"]
    content = torch.load(path, weights_only=True)
    content["loops"] = {"more": 1}
    torch.save(content, tmp_path / "same.ckpt")
    assert Extractor(tmp_path / "same.ckpt", "cpu").about["model"] == first
    name = next(iter(content["state_dict"]))
    content["state_dict"][name] = content["state_dict"][name] + 1
    torch.save(content, tmp_path / "other.ckpt")
    assert Extractor(tmp_path / "other.ckpt", "cpu").about["model"] != first


def test_a_model_that_saw_percentiles_wants_to_know_the_range(write_checkpoint, tmp_path: Path) -> None:
    path = write_checkpoint("baseline", "data.decoding.stretch=percentiles")
    with pytest.raises(ConfigError, match="grey_range="):
        Extractor(path, "cpu")
    deep = np.linspace(7000, 9000, 64 * 32).reshape(64, 32).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    extract = Extractor(path, "cpu", grey_range=(7000, 9000))
    shallow = np.rint((deep - 7000.0) / 2000 * 255).astype(np.uint8)
    np.testing.assert_allclose(
        extract(tmp_path / "deep.png", modality="infrared").features["main"],
        extract(shallow, modality="infrared").features["main"],
        atol=1e-6,
    )


BAD_MANIFESTS = {
    "": "is empty",
    "a,b\n1,2\n": "has no column path: it has a, b\\.",
    "path;camera\nx;1\n": "has no column path: it has path;camera; columns are parted by commas",
    "path,path\n1,2\n": "give each a name of its own",
    "path,\n1,2\n": "give each a name of its own",
    "path,camera\nx.jpg\n": "has 1 cells and the header 2",
    "path\n\x01\n,\n": "has 2 cells",
    "path,modality\nx.jpg,radar\n": "write visible or infrared",
    "path,x,y\nx.jpg,1,2\n": "a box is x, y, width and height",
    "path,x,y,width,height\nx.jpg,1,2,0,3\n": "The box of image 1",
    "path,x,y,width,height\nx.jpg,1,nan,4,3\n": "The box of image 1",
    "path,x,y,width,height\nx.jpg,1,b,4,3\n": "The box of image 1",
    "path,frame\nx.mp4,-1\n": "give a number from 0",
    "path,time\nx.jpg,yesterday\n": "write seconds, or",
    "path,camera\n": "There is no image",
}


@pytest.mark.parametrize("text", BAD_MANIFESTS)
def test_bad_manifests_are_one_sentence(extract: Extractor, tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=BAD_MANIFESTS[text]):
        extract(tmp_path / "m.csv", modality="visible")


def test_bad_sources_are_one_sentence(extract: Extractor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "archive.zip").write_bytes(b"PK\x03\x04")
    for source, sentence in {
        tmp_path / "empty": "There is no image at",
        tmp_path / "missing": "There is nothing at",
        str(tmp_path / "*.jpg"): "There is no image at",
        tmp_path / "archive.zip": "no image, list or manifest by its ending",
        tmp_path / "missing.csv": "There is no manifest",
    }.items():
        with pytest.raises(DataError, match=sentence):
            extract(source, modality="visible")
    (tmp_path / "circle").mkdir()
    (tmp_path / "circle" / "inner").symlink_to(tmp_path / "circle")
    with pytest.raises(DataError, match="in a circle"):
        extract(tmp_path / "circle", modality="visible")
    for array in (
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((8,), np.uint8),
        np.zeros((2, 8, 8, 3), np.int32),
        np.full((1, *extract.size, 3), 7.0),
        np.full((1, *extract.size, 3), np.nan),
        np.zeros((1, 5, 5, 3)),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.array([["a"]]),
        torch.zeros(2, 4, 8, 8),
    ):
        with pytest.raises(DataError, match=r"mages? in|Float images"):
            extract(array, modality="visible")


def test_the_command_extracts_and_goes_on(run_here, write_checkpoint, manifest: Path, tmp_path: Path) -> None:
    path = write_checkpoint("baseline")
    words = [f"checkpoint={path}", f"images={manifest}", "device=cpu", "workers=0", "progress=false"]
    done = run_here("extract", *words, "output=people.npz")
    assert done.code == 0, done.output
    embeddings = Embeddings.load(tmp_path / "people.npz")
    assert f"{len(embeddings)} x" in done.output
    assert embeddings.about["model"][:12] in done.output
    assert run_here("extract", *words, "output=people.npz").code == 0  # its own output is replaced
    other = run_here("extract", *words, "output=people.npz", "tracks=average")
    assert other.code == 1
    assert "other inputs or settings" in other.output
    odd = run_here("extract", *words, "output=people.csv")
    assert odd.code == 1
    assert "end it in .npz or .parquet" in odd.output


def test_the_front_door_has_it() -> None:
    assert crossreid.Extractor is Extractor
