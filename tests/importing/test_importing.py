"""Weights of public codes in and out: names and shapes against the published ones, embeddings against slow forwards."""

import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import public_forwards as slow
import public_layouts as published
from crossreid import Extractor, export_weights, import_weights
from crossreid.errors import CheckpointError, ConfigError, WriteError
from crossreid.importing.importer import LEFT_OUT, SIDECAR
from crossreid.importing.layouts import entries_of
from crossreid.importing.public_files import PublicFiles, check_files, find_files, persons_in, read_files
from crossreid.importing.sources import LAYOUTS, layout_of_method
from crossreid.importing.tables import all_tables, rows_of
from crossreid.methods.base import CrossModalityModule
from crossreid.pickled import read_pickled
from crossreid.settings.importing import LAYOUT_NAMES, ImportedConfig
from crossreid.settings.registry import method_class
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.imported import trained_on
from support import ROOT, files_in

MODALITIES = ("visible", "infrared")


def outline(source: str, persons: int) -> dict[str, Tensor]:
    """Names and shapes of our weights."""
    settings = LAYOUTS[source].settings()
    with torch.device("meta"):
        module: CrossModalityModule = method_class(settings)(settings, persons, 0)
    return module.state_dict()


# ------------------------------------------------------------------ tables


def test_every_layout_has_a_name_that_can_be_chosen() -> None:
    assert tuple(LAYOUTS) == LAYOUT_NAMES
    assert set(published.DIGESTS) == set(slow.FORWARDS) == set(LAYOUTS)


@pytest.mark.parametrize("source", LAYOUTS)
def test_the_lists_of_the_tests_are_the_published_ones(source: str) -> None:
    assert published.digest_of(published.files_of(source)) == published.DIGESTS[source]


@pytest.mark.slow
@pytest.mark.parametrize("persons", [395, 206])
@pytest.mark.parametrize("source", LAYOUTS)
def test_a_layout_has_the_published_names_shapes_and_types_in_their_order(source: str, persons: int) -> None:
    layout = LAYOUTS[source]
    weights = outline(source, persons)
    rows = layout.rows(weights)
    for number, keys in enumerate(published.files_of(source, persons)):
        ours = []
        for entry in entries_of(row for row in rows if row.file == number):
            value = entry.value(weights)
            assert (value.dtype == torch.int64) == entry.key.endswith("num_batches_tracked")
            ours.append((layout.prefix + entry.key, tuple(value.shape)))
        assert ours == keys


@pytest.mark.slow
@pytest.mark.parametrize("source", LAYOUTS)
def test_every_number_of_ours_comes_from_one_place_of_a_file(source: str) -> None:
    layout = LAYOUTS[source]
    counts = {name: torch.zeros(weight.shape) for name, weight in outline(source, 7).items()}
    for row in layout.rows(counts):
        if row.left_out:
            continue
        for entry in row.entries:
            for view in entry.views(counts):
                view.add_(1)
    for name, count in counts.items():
        assert (count == float(name not in layout.own)).all(), name


def test_the_page_has_the_tables_of_the_code() -> None:
    page = (ROOT / "docs" / "imported_weights.md").read_text(encoding="utf-8")
    assert all_tables().strip() in page


# ------------------------------------------------------------------ the whole way


def public_names(source: str, folder: Path) -> list[Path]:
    if source in ("aligngan", "jsia"):
        return [folder / f"model-{number}_250.pkl" for number in range(len(published.files_of(source)))]
    return [folder / f"sysu_{source}_best.t"]


def write_public(source: str, folder: Path, states: list[dict[str, Tensor]], *, old: bool = False) -> Path:
    """Files as the public code writes them; returns what file= names."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = public_names(source, folder)
    for path, state in zip(paths, states, strict=True):
        content: Any = state
        if len(paths) == 1:
            scores = {"cmc": np.linspace(0.4, 1.0, 20), "mAP": np.float64(0.41), "epoch": 20}
            content = {"net": state, **scores}
        torch.save(content, path, _use_new_zipfile_serialization=not old)
    return paths[-1]


def write_images(folder: Path) -> list[Path]:
    """Two pictures of large coloured patches, of another size than any network's."""
    folder.mkdir()
    generator = np.random.default_rng(3)
    paths = []
    for number in range(2):
        patches = generator.integers(0, 256, (5, 3, 3), dtype=np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(patches).resize((70, 170), Image.Resampling.BILINEAR).save(path)
        paths.append(path)
    return paths


def loaded(paths: list[Path], source: str) -> Tensor:
    """Pixels as the public code brings them to its size."""
    height, width = slow.SIZES[source]
    kind = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}[slow.FILTERS[source]]
    pixels = [np.asarray(Image.open(path).convert("RGB").resize((width, height), kind)) for path in paths]
    return torch.from_numpy(np.stack(pixels))


def leave_a_quirk_out(source: str, module: Any) -> None:
    """Make the network one that the public code does not have."""
    if source in ("caj", "aligngan"):
        module.config.flip_test = False
    elif source == "jsia":
        module.set_level.gray = False
    elif source == "ddag":
        parts = module.network.parts
        parts.query, parts.key = parts.key, parts.query
    elif source == "deen":
        module.network.encoder.aggregations["2"].spatial.halves = False
    elif source == "deen_regdb":
        module.config.flip_test = False
    elif source == "lba":
        module.network.encoder.streams = torch.nn.ModuleDict(
            {
                "visible": module.network.encoder.streams["infrared"],
                "infrared": module.network.encoder.streams["visible"],
            }
        )
    else:
        module.network.encoder.middle[1][3].norm.weight.data.zero_()


def imported_layouts() -> list[Any]:
    """All; what shares its parts with another one, CAJ with AGW and DEEN's for RegDB with DEEN's, in `make test-full` only."""
    alike = ("caj", "deen_regdb")
    return [pytest.param(name, marks=pytest.mark.full) if name in alike else name for name in LAYOUTS]


@pytest.mark.slow
@pytest.mark.parametrize("source", imported_layouts())
def test_imported_weights_embed_as_the_public_code_and_go_back_to_the_bit(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = published.random_states(source)
    file = write_public(source, tmp_path / "public", states, old=source == "lba")
    folder = import_weights(source, file, tmp_path / "run")

    images = write_images(tmp_path / "images")
    extractor = Extractor(folder, "cpu", workers=0)
    largest = 0.0
    features = {}
    for modality in MODALITIES:
        expected = slow.FORWARDS[source](states, loaded(images, source), modality)
        features[modality] = torch.from_numpy(extractor(images, modality=modality).features["main"]).double()
        assert features[modality].shape == expected.shape
        largest = max(largest, float((features[modality] - expected).abs().max() / expected.abs().max()))
        assert float((expected[0] - expected[1]).norm()) > 1e-3, "two pictures look alike"
    with capsys.disabled():
        print(f"\n{source}: largest difference {largest:.1e} of the largest entry")
    assert largest < 1e-6
    assert torch.equal(*features.values()) == (source == "jsia")  # one path for both modalities

    back = export_weights(folder, tmp_path / "again" if len(states) > 1 else tmp_path / "again.t")
    paths = sorted(back.iterdir()) if back.is_dir() else [back]
    assert [path.name for path in paths] == [path.name for path in public_names(source, tmp_path)] or len(states) == 1
    for path, state in zip(paths, states, strict=True):
        content = read_pickled(path)
        if len(states) == 1:
            assert content["epoch"] == 20
            assert content["mAP"] == np.float64(0.41)
            assert np.array_equal(content["cmc"], np.linspace(0.4, 1.0, 20))
            content = content["net"]
        assert list(content) == list(state)
        for name, tensor in state.items():
            assert content[name].dtype == tensor.dtype
            assert torch.equal(content[name], tensor), name

    table = json.loads((folder / SIDECAR).read_text())
    keys = [entry["key"] for entry in table["keys"]]
    prefix = LAYOUTS[source].prefix
    assert keys == [name.removeprefix(prefix) for state in states for name in state]
    assert all(("ours" in entry) != ("left_out" in entry) for entry in table["keys"])
    assert table["persons"] == 395
    assert table["dataset"] == "sysu_mm01"

    check_training_parts(source, extractor.module, states)
    leave_a_quirk_out(source, extractor.module)
    changed = torch.from_numpy(extractor(images, modality="visible").features["main"]).double()
    assert float((changed - features["visible"]).abs().max() / changed.abs().max()) > 1e-4


def near(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert float((ours.double() - theirs).abs().max() / theirs.abs().max()) < 1e-5


@torch.inference_mode()
def check_training_parts(source: str, module: Any, states: list[dict[str, Tensor]]) -> None:
    """What a test does not use is where it belongs, too."""
    generator = torch.Generator().manual_seed(4)
    vectors = torch.rand((6, 2048), generator=generator)
    if source in ("agw", "caj", "deen", "deen_regdb"):
        vectors = vectors[:, : module.network.block.dim]
        near(
            module.network.block.classifier(vectors),
            slow.linear(slow.in_double(states[0]), "classifier", vectors.double()),
        )
    elif source == "lba":
        near(module.network.classifier(vectors), slow.linear(slow.in_double(states[0]), "classifier", vectors.double()))
    elif source == "ddag":
        state = slow.in_double(states[0])
        labels = torch.tensor([0, 1, 0, 2, 1, 0])
        near(module.network.block.classifier(vectors), slow.linear(state, "classifier", vectors.double()))
        near(module.graph(vectors, labels), slow.ddag_graph(state, vectors.double(), labels))
    elif source == "aligngan":
        check_parts_of_aligngan(module, [slow.in_double(state, "module.") for state in states], vectors, generator)
    else:
        check_parts_of_jsia(module, [slow.in_double(state, "module.") for state in states], vectors, generator)


def check_parts_of_aligngan(module: Any, states: list[slow.State], vectors: Tensor, generator: torch.Generator) -> None:
    images = torch.rand((2, 3, 128, 128), generator=generator)
    maps = torch.rand((2, 2048, 24, 12), generator=generator)
    scaled = images.double() * 2 - 1
    near(module.to_visible(images), slow.generated(states[1], scaled) / 2 + 0.5)
    near(module.discriminator_visible(images), slow.aligngan_patches(states[2], scaled))
    near(module.discriminator_joint(images, maps), slow.aligngan_joint(states[3], scaled, maps.double()))
    near(module.warmup_visible(images), slow.aligngan_patches(states[4], scaled))
    near(module.warmup_infrared(images), slow.aligngan_patches(states[5], scaled))
    near(module.feature.classifier(vectors), slow.aligngan_logits(states[7], vectors.double()))
    near(module.feature.embedder(vectors), slow.linear(states[7], "embedder0", vectors.double()))


def check_parts_of_jsia(module: Any, states: list[slow.State], vectors: Tensor, generator: torch.Generator) -> None:
    images = torch.rand((2, 3, 128, 64), generator=generator)
    content = torch.rand((2, 256, 32, 16), generator=generator)
    scaled = images.double() * 2 - 1
    for number, modality in enumerate(MODALITIES):
        generation = module.generation
        style = getattr(generation, f"style_{modality}")(images)
        near(style, slow.jsia_style(states[number], scaled))
        decoded = getattr(generation, f"decode_{modality}")(content, style)
        near(decoded, slow.jsia_decoded(states[number], content.double(), style.double()) / 2 + 0.5)
        logits = getattr(module, f"discriminator_{modality}")(images)
        for ours, theirs in zip(logits, slow.jsia_patches(states[2 + number], scaled), strict=True):
            near(ours, theirs)
    near(
        module.instance.classifier.fc(vectors),
        slow.linear(states[1], "mod_invar_enc.classifier.classifier", vectors.double()),
    )


@pytest.mark.slow
def test_a_training_of_ours_goes_out_and_comes_in_again(tmp_path: Path, write_checkpoint: Callable[..., Path]) -> None:
    full = ("preset=official", "scale=paper", "model.iterations_per_epoch=1")
    path = write_checkpoint("agw", *full)
    file = export_weights(path, tmp_path / "ours.t")
    back = import_weights("agw", file, tmp_path / "run", dataset="sysu_mm01")
    one, other = read_checkpoint(path)["state_dict"], read_checkpoint(back / "last.ckpt")["state_dict"]
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    state = read_pickled(file)["net"]
    assert torch.equal(
        state["visible_module.visible.layer4.2.conv3.weight"], state["base_resnet.base.layer4.2.conv3.weight"]
    )
    with pytest.raises(ConfigError, match="weights of agw, and source=lba is for lba"):
        export_weights(path, tmp_path / "other.t", "lba")
    wider = write_checkpoint("agw", *full, "model.non_local_width=2")
    with pytest.raises(ConfigError, match=r"another network .*non_local_width is 1 there and 2 here"):
        export_weights(wider, tmp_path / "other.t")
    assert not (tmp_path / "other.t").exists()
    (back / "last.evaluation.json").write_text("{}")
    before = files_in(tmp_path)
    (back / "embeddings.npz").touch()
    before = files_in(tmp_path)
    for name in ("last.ckpt", "imported.json", "left_out.pt", "last.evaluation.json", "embeddings.npz"):
        with pytest.raises(WriteError, match="lies with the checkpoint and would be lost: choose another name"):
            export_weights(back, back / name)
    with pytest.raises(WriteError, match=r"holds 'embeddings\.npz', which would be lost"):
        import_weights("agw", file, back, dataset="sysu_mm01")
    assert files_in(tmp_path) == before


@pytest.mark.slow
def test_a_network_that_the_public_code_would_read_otherwise_is_not_written(
    tmp_path: Path, write_checkpoint: Callable[..., Path]
) -> None:
    path = write_checkpoint("jsia", "preset=official", "scale=paper", "model.encoder.gray=false")
    with pytest.raises(ConfigError, match=r"would embed images otherwise .*gray is True there and False here"):
        export_weights(path, tmp_path / "jsia")


def test_a_method_without_a_public_layout_is_named(tmp_path: Path, write_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="baseline has no public layout: there are aligngan"):
        export_weights(write_checkpoint("baseline"), tmp_path / "ours.t")
    assert layout_of_method("agw", {"flip_test": True}).name == "caj"
    assert layout_of_method("agw", {"flip_test": False}).name == "agw"
    assert layout_of_method("deen", {"flip_test": True, "last_stage": 4}).name == "deen"
    assert layout_of_method("deen", {"flip_test": True, "last_stage": 3}).name == "deen_regdb"


# ------------------------------------------------------------------ files that are not right


@pytest.fixture(scope="module")
def lba_weights() -> dict[str, Tensor]:
    return outline("lba", 395)


def lba_state() -> dict[str, Tensor]:
    """All names and shapes of a file, each of one number that takes no room."""
    state = {}
    for name, shape in published.files_of("lba")[0]:
        kind = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
        state[name] = torch.zeros((), dtype=kind).expand(shape)
    return state


def without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: state.pop(name)


def with_(name: str, value: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: state.update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("bottleneck.weight"), "'best.t' is no file of LbA .* it lacks 'bottleneck.weight'."),
        (without("base_resnet.base.layer1.0.conv1.weight"), "lacks 'base_resnet.base.layer1.0.conv1.weight'"),
        (without("visible_module.visible.layer4.2.bn3.bias"), "lacks 'visible_module.visible.layer4.2.bn3.bias'"),
        (with_("fc.weight", torch.zeros(2)), "it has 'fc.weight', which that network does not"),
        (with_("bottleneck.weight", torch.zeros(1024)), "'bottleneck.weight' is 1024 and not 2048"),
        (with_("classifier.weight", torch.zeros(395, 1024)), "'classifier.weight' is 395x1024 and not 395x2048"),
        (with_("bottleneck.weight", torch.zeros(2048).half()), "of type torch.float16 and not torch.float32"),
        (with_("bottleneck.running_var", torch.full((2048,), torch.nan)), "'bottleneck.running_var' holds nan or inf"),
        (with_("bottleneck.bias", torch.ones(2048)), "'bottleneck.bias' is not 0 throughout"),
    ],
)
def test_a_tensor_that_does_not_belong_is_named(
    change: Callable[[dict[str, Tensor]], None], message: str, lba_weights: dict[str, Tensor]
) -> None:
    layout = LAYOUTS["lba"]
    rows = layout.rows(lba_weights)
    good = lba_state()
    check_files(rows, lba_weights, PublicFiles([Path("best.t")], "", [good]), layout)
    change(good)
    with pytest.raises(CheckpointError, match=message):
        check_files(rows, lba_weights, PublicFiles([Path("best.t")], "", [good]), layout)


def test_the_number_of_persons_is_that_of_the_classifier() -> None:
    layout = LAYOUTS["lba"]
    for state, message in (
        ({}, "lacks 'classifier.weight'"),
        ({"classifier.weight": torch.zeros(3)}, "no classifier's"),
    ):
        with pytest.raises(CheckpointError, match=message):
            persons_in(layout, PublicFiles([Path("best.t")], "", [state]))
    assert persons_in(layout, PublicFiles([Path("best.t")], "", [lba_state()])) == 395


def test_one_of_several_files_names_the_others(tmp_path: Path) -> None:
    layout = LAYOUTS["jsia"]
    for number in range(4):
        (tmp_path / f"model-{number}_649.pkl").touch()
    expected = [tmp_path / f"model-{number}_649.pkl" for number in range(4)]
    assert find_files(layout, tmp_path / "model-2_649.pkl") == (expected, "649")
    assert find_files(layout, tmp_path) == (expected, "649")
    (tmp_path / "model-0_50.pkl").touch()
    with pytest.raises(CheckpointError, match=r"files of several steps \(50, 649\): name one file"):
        find_files(layout, tmp_path)
    with pytest.raises(CheckpointError, match=r"model-1_50.pkl' is missing \(generator, infrared\)"):
        find_files(layout, tmp_path / "model-0_50.pkl")
    with pytest.raises(CheckpointError, match="is none of the files of JSIA-ReID"):
        find_files(layout, tmp_path / "best.t")
    with pytest.raises(CheckpointError, match=r"is a folder: LbA .* has one file"):
        find_files(LAYOUTS["lba"], tmp_path)


SCORES = {
    "cmc": np.linspace(0.0, 1.0, 6).reshape(2, 3),
    "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "mAP": np.float64(0.5),
    "single": np.float32(0.25),
    "count": np.int64(7),
    "flag": np.bool_(True),
    "big": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 4), dtype=np.float32),
    "epoch": 4,
}


@pytest.mark.parametrize("new", [True, False])
def test_scores_that_numpy_made_are_read_in_new_files_and_old_ones(tmp_path: Path, *, new: bool) -> None:
    path = tmp_path / "best.t"
    torch.save({"net": {"a": torch.arange(3)}, **SCORES}, path, _use_new_zipfile_serialization=new)
    content = read_pickled(path)
    assert torch.equal(content["net"]["a"], torch.arange(3))
    for name, value in SCORES.items():
        assert np.array_equal(content[name], value), name
        assert np.asarray(content[name]).dtype == np.asarray(value).dtype, name


def test_names_of_the_first_numpy_are_known(tmp_path: Path) -> None:
    path = tmp_path / "best.t"
    torch.save({"cmc": SCORES["cmc"], "mAP": SCORES["mAP"]}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    content = read_pickled(path)
    assert np.array_equal(content["cmc"], SCORES["cmc"])
    assert content["mAP"] == SCORES["mAP"]


class Evil:
    """What unpickling would run."""

    def __reduce__(self) -> Any:
        return __import__, ("evil",)


class Listed:
    """An array of objects, as NumPy would unpickle it."""

    def __reduce__(self) -> Any:
        return np.dtype, ("O8", False, True)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"net": {}, "extra": Evil()}, r"asks for __import__ besides weights, numbers and NumPy's arrays"),
        ({"net": {}, "extra": Path("x")}, r"asks for pathlib\S* besides weights"),
        ({"net": {}, "cmc": Listed()}, "holds an array of 'O8', which are no numbers"),
        ({"net": {}, "cmc": np.array(["a", "bc"])}, "which are no numbers"),
        ({"net": {}, "cmc": np.array([None, 1])}, "which are no numbers"),
    ],
)
def test_a_file_that_needs_more_is_refused_in_one_sentence(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, new: bool
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "best.t"
    torch.save(content, path, _use_new_zipfile_serialization=new)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_pickled(path)
    assert "\n" not in str(caught.value)
    assert "evil" not in sys.modules


def test_the_opened_names_are_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "best.t"
    torch.save({"mAP": np.float64(0.5)}, path)
    before = set(torch.serialization.get_safe_globals())
    read_pickled(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.t"
    with pytest.raises(CheckpointError, match="There is no file"):
        read_pickled(path)
    for content in (b"", b"hello", bytes(300)):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_pickled(path)
    for new in (True, False):
        torch.save({"net": {"a": torch.rand(1000)}}, path, _use_new_zipfile_serialization=new)
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_pickled(path)
    stored = io.BytesIO()
    torch.save({"net": {"a": torch.zeros(10**6)}}, stored)
    with zipfile.ZipFile(stored) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for info in old.infolist():
            bomb.writestr(info.filename, old.read(info))
    with pytest.raises(CheckpointError, match="unpack to more"):
        read_pickled(path)


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.t"
    cases: list[tuple[Any, str]] = [
        ([1, 2], "holds no weights but a list"),
        (torch.zeros(3), "holds no weights but a single tensor without a name"),
        ({"net": {"a": "text"}}, "does not hold weights alone: 'a' is 'text'"),
        ({"net": {"a": torch.zeros(3).to_sparse()}}, "does not hold weights alone: 'a' is a tensor of another kind"),
        ({"net": {"a": torch.zeros(1).expand(10**7)}}, "says that it holds more than it does"),
        ({"net": {3: torch.zeros(1)}}, "does not hold weights alone: a number is"),
    ]
    for content, message in cases:
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=message):
            read_files(LAYOUTS["lba"], path)


# ------------------------------------------------------------------ the commands


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["source=pmt", "file=best.t", "output=run"], "source is 'pmt': choose from aligngan"),
        (["source=agw", "output=run"], "file has no default"),
        (["source=agw", "file=nothing.t", "output=run"], "There is no file 'nothing.t'"),
        (["source=agw", "file=small.t", "output=run"], "lacks 'thermal_module.thermal.conv1.weight' and 1023 more"),
        (
            ["source=agw", "file=small.t", "output=full"],
            "is there, and nothing says that crossreid.import_weights wrote it",
        ),
        (["source=lba", "file=small.t", "output=run", "dataset=sysu_mm01", "split=2"], "split is one of RegDB's"),
        (["source=lba", "file=small.t", "output=run", "split=11"], "split is 11: choose 1 to 10"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(words: list[str], message: str, run_here, tmp_path: Path) -> None:
    torch.save({"net": {"classifier.weight": torch.zeros(395, 2048)}}, tmp_path / "small.t")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    finished = run_here("import_weights", *words)
    assert finished.code == 1
    assert message in finished.output
    assert "Traceback" not in finished.output
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_in_python_only_an_import_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("last.ckpt", "imported.json"):
        (tmp_path / "mine" / name).write_text('{"thesis": 1}')
        with pytest.raises(WriteError, match=r"mine' holds '(imported\.json|last\.ckpt)', which would be lost"):
            import_weights("agw", "best.t", tmp_path / "mine")
    with pytest.raises(ConfigError, match="choose from aligngan"):
        import_weights("pmt", "best.t", tmp_path / "run")


@pytest.fixture
def imported_checkpoint(tmp_path: Path, write_checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """A folder as an import leaves it, of a small network."""

    def write(**told: Any) -> Path:
        checkpoint = torch.load(write_checkpoint("baseline"), weights_only=True)
        del checkpoint["crossreid"]["config"]
        kept = {"source": "agw", "files": ["best.t"], "resize": "lanczos", **told}
        checkpoint["crossreid"]["imported"] = kept
        (tmp_path / "weights").mkdir(exist_ok=True)
        torch.save(checkpoint, tmp_path / "weights" / "last.ckpt")
        return tmp_path / "weights"

    return write


QUIET = ("report.figures=false", "trainer=cpu", "trainer.progress=false", "protocol.trials=1")


def test_an_import_is_scored_on_the_dataset_that_is_named(run_here, imported_checkpoint, people_root: Path) -> None:
    folder = imported_checkpoint(dataset="sysu_mm01")
    nameless = run_here("evaluate", f"checkpoint={folder}", "report.figures=false", "trainer=cpu")
    assert nameless.code == 1
    assert "were imported, so they do not say where a dataset lies: name one" in nameless.output
    finished = run_here(
        "evaluate", f"checkpoint={folder}", "data=synthetic", f"data.root={people_root}", "people=smoke", *QUIET
    )
    assert finished.code == 0, finished.output
    assert "by lanczos, as the code of agw does it" in finished.output
    assert "agw, weights of 'best.t'" in finished.output
    assert json.loads((folder / "last.evaluation.json").read_text())["sysu_mm01/all/single"]["rank1"]


def test_scores_and_extracted_embeddings_of_an_import_are_equal(
    run_here, imported_checkpoint, people_root: Path, tmp_path: Path, manifest: Path
) -> None:
    folder = imported_checkpoint()
    finished = run_here(
        "evaluate",
        f"checkpoint={folder}",
        "data=synthetic",
        f"data.root={people_root}",
        "people=smoke",
        "save_embeddings=scored.npz",
        *QUIET,
    )
    assert finished.code == 0, finished.output
    scored = np.load(tmp_path / "scored.npz")["features"]
    by_lanczos = Extractor(folder, "cpu", workers=0)(manifest).features["main"]
    assert np.abs(scored - by_lanczos).max() < 1e-5
    by_bicubic = Extractor(imported_checkpoint(resize="bicubic"), "cpu", workers=0)(manifest).features["main"]
    assert np.abs(scored - by_bicubic).max() > 1e-4


def test_persons_that_were_trained_on_are_not_scored(
    run_here, imported_checkpoint, people_root: Path, tmp_path: Path
) -> None:
    from layouts import write_small_regdb

    root = write_small_regdb(tmp_path / "regdb", people_root)
    folder = imported_checkpoint(dataset="regdb", split=1)
    words = [f"checkpoint={folder}", "data=regdb", f"data.root={root}", "data.counts=any", *QUIET[:-1]]
    other = run_here("evaluate", *words, "data.split=2")
    assert other.code == 1
    assert "split" in other.output
    assert run_here("evaluate", *words, "data.split=1").code == 0
    assert trained_on(ImportedConfig("agw", ["best.t"], "lanczos")) is None
    assert trained_on(ImportedConfig("agw", ["best.t"], "lanczos", "regdb", 3)).split_number == 3


def test_an_import_is_not_calibrated_on_persons_that_it_was_trained_on(
    run_here, imported_checkpoint, people_root: Path
) -> None:
    folder = imported_checkpoint(dataset="sysu_mm01")
    data = ["data=sysu_mm01", f"data.root={people_root}", "data.counts=any"]
    finished = run_here(
        "calibrate", f"checkpoint={folder}", *data, "trainer=cpu", "trainer.progress=false", "figure=false"
    )
    assert finished.code == 1
    assert "was trained on its validation persons" in finished.output


@pytest.mark.parametrize("kept", [3, {}, {"source": "evil"}, {"files": []}, {"resize": "evil.Thing"}, {"split": 99}])
def test_a_damaged_record_of_an_import_is_refused(kept: Any, imported_checkpoint, tmp_path: Path) -> None:
    folder = imported_checkpoint(**kept) if isinstance(kept, dict) and kept else imported_checkpoint()
    if not isinstance(kept, dict) or not kept:
        checkpoint = torch.load(folder / "last.ckpt", weights_only=True)
        checkpoint["crossreid"]["imported"] = kept
        torch.save(checkpoint, folder / "last.ckpt")
    with pytest.raises(CheckpointError, match="does not say where its weights were imported from"):
        Extractor(folder, "cpu")


@pytest.mark.slow
def test_every_command_that_takes_a_checkpoint_takes_an_import(
    run_here, imported_checkpoint, people_root: Path, tmp_path: Path, manifest: Path
) -> None:
    folder = imported_checkpoint(dataset="sysu_mm01")
    data = ["data=synthetic", f"data.root={people_root}", "people=smoke"]
    quiet = ["trainer=cpu", "trainer.progress=false"]
    own = ["device=cpu", "workers=0", "progress=false"]
    commands = [
        ("evaluate", *data, *quiet, "protocol.trials=1"),
        ("visualize", *data, *quiet, "protocol.trials=1", "count=2"),
        ("calibrate", *data, *quiet, "split=test", "rates=[0.5]", "between=[visible-infrared]", "figure=false"),
        ("extract", f"images={manifest}", "output=people.npz", *own),
        ("index", "add", "gallery=street.npz", f"images={manifest}", *own),
        ("search", "gallery=street.npz", f"query={manifest}", "output=hits.csv", *own),
        ("export", "output=street.pt2", "format=torch"),
    ]
    for command, *words in commands:
        finished = run_here(command, *words, f"checkpoint={folder}")
        assert finished.code == 0, finished.output
    assert (tmp_path / "hits.csv").is_file()
    run = ["model=baseline", "scale=smoke", *data, *quiet, "report.figures=false", "report.untrained=false"]
    trained = run_here("train", *run, f"init={folder}", "run_dir=tuned", "protocol.trials=1")
    assert trained.code == 0, trained.output
    resumed = run_here("train", *run, f"resume={folder}")
    assert resumed.code == 1
    assert "does not lie in a run folder" in resumed.output


def test_the_dataset_of_an_import_is_in_what_is_exported(imported_checkpoint, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from crossreid.exporting.exporter import _data_of

    assert _data_of(imported_checkpoint(dataset="llcm"))["name"] == "llcm"
    assert "agreement" in _data_of(imported_checkpoint(dataset="llcm"))["licence"]
    assert _data_of(imported_checkpoint()) == {"name": None, "licence": None}


@pytest.mark.slow
def test_the_commands_import_and_write_again(run_here, tmp_path: Path) -> None:
    states = published.random_states("jsia", 206)
    write_public("jsia", tmp_path / "public", states)
    finished = run_here("import_weights", "source=jsia", "file=public", "output=weights/jsia", "split=4")
    assert finished.code == 0, finished.output
    assert "JSIA-ReID (Wang et al., AAAI 2020): " in finished.output
    assert "Trained on 206 persons, so on regdb" in finished.output
    again = run_here("import_weights", "source=jsia", "file=public", "output=weights/jsia", "split=4")
    assert again.code == 0, again.output
    other = run_here("import_weights", "source=jsia", "file=public", "output=weights/jsia", "split=5")
    assert other.code == 1
    assert json.loads((tmp_path / "weights" / "jsia" / SIDECAR).read_text())["split"] == 4
    written = run_here("export_weights", "checkpoint=weights/jsia", "output=again")
    assert written.code == 0, written.output
    before = files_in(tmp_path)
    with pytest.raises(WriteError, match="which would be lost: choose another place"):
        export_weights(tmp_path / "weights" / "jsia", tmp_path / "weights" / "jsia")
    assert files_in(tmp_path) == before
    for path in (tmp_path / "again").iterdir():
        one, two = read_pickled(path), read_pickled(tmp_path / "public" / path.name)
        assert all(torch.equal(one[name], two[name]) for name in two)
    kept = torch.load(tmp_path / "weights" / "jsia" / LEFT_OUT, weights_only=True)
    kept["tensors"][0].popitem()
    torch.save(kept, tmp_path / "weights" / "jsia" / LEFT_OUT)
    damaged = run_here("export_weights", "checkpoint=weights/jsia", "output=more")
    assert damaged.code == 1
    assert "import the weights again" in damaged.output
    assert not (tmp_path / "more").exists()


def test_rows_for_the_page_are_those_of_the_layout() -> None:
    rows = rows_of(LAYOUTS["lba"], 12)
    assert sum(len(row.entries) for row in rows) == 960
    assert sum(len(row.entries) for row in rows if row.left_out) == 631
