"""Figures by name, through the real command, and what they are drawn from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossreid.settings.commands import FIGURE_NAMES
from crossreid.training.figures import FIGURES, FigureSource, embed_rows
from crossreid.training.loading import restore
from crossreid.training.scoring import embed_dataset


def test_every_figure_can_be_asked_for() -> None:
    assert list(FIGURES) == list(FIGURE_NAMES)


def restored(path: Path):
    from crossreid.settings.commands import VisualizeConfig
    from crossreid.settings.compose import compose, typed

    config = typed(
        VisualizeConfig, compose("visualize", [f"checkpoint={path}", "trainer=cpu", "trainer.progress=false"])
    )
    return restore(path, config.data, config.protocol, config.trainer)


def test_training_rows_are_embedded_as_a_test_embeds(write_checkpoint) -> None:
    run = restored(write_checkpoint("aligngan"))
    embeddings = embed_dataset(run.trainer, run.module, run.data)
    again = embed_rows(run.module, run.data, embeddings.rows)
    assert np.allclose(again.features["main"], embeddings.features["main"], atol=1e-6)
    assert again.pids.tolist() == embeddings.pids.tolist()
    source = FigureSource.of(run, embeddings, Path("none.ckpt"), with_training=True)
    assert list(source.sets) == ["training persons", "test persons"]
    assert not set(source.sets["training persons"].pids) & set(embeddings.pids)


def test_the_worst_probes_have_the_lowest_precision(write_checkpoint) -> None:
    from crossreid.training.figures import _chosen_queries

    run = restored(write_checkpoint("baseline"))
    embeddings = embed_dataset(run.trainer, run.module, run.data)
    probes = run.protocols.test[0].queries(embeddings)
    gallery = embeddings.select(run.protocols.test[0].gallery(embeddings, 0))
    ap = run.protocols.test[0].score(embeddings.select(probes), gallery, run.module.scorer()).ap
    by_place = dict(zip(probes.tolist(), ap.tolist(), strict=True))
    chosen = {}
    for queries in ("worst", "best"):
        source = FigureSource.of(run, embeddings, Path("none.ckpt"), queries=queries, count=4)
        chosen[queries] = [by_place[place] for place in _chosen_queries(source).tolist()]
    assert chosen["worst"] == sorted(ap)[:4]
    assert chosen["best"] == sorted(ap, reverse=True)[:4]


@pytest.mark.slow
def test_pictures_alone_embed_no_dataset(run_here, write_checkpoint, tmp_path: Path, monkeypatch) -> None:
    path = write_checkpoint("aligngan")

    def refuse(*_: object) -> None:
        raise AssertionError("the test images were embedded")

    monkeypatch.setattr("crossreid.training.scoring.embed_dataset", refuse)
    asked = ["figures=[pictures,learning]", "output=drawn", "trainer=cpu", "trainer.progress=false"]
    drawn = run_here("visualize", f"checkpoint={path}", *asked)
    assert drawn.code == 0, drawn.output
    assert "Left out" not in drawn.output
    assert {file.stem for file in (tmp_path / "drawn").glob("*.png")} == {"translation"}


@pytest.mark.slow
def test_the_command_draws_what_is_asked(run_here, write_checkpoint, tmp_path: Path) -> None:
    path = write_checkpoint("lba")
    fast = ["trainer=cpu", "trainer.progress=false"]
    listed = run_here("visualize", f"checkpoint={path}", "figures=[list]", *fast)
    assert listed.code == 0, listed.output
    assert "matches, person masks and co-attention" in listed.output
    asked = "figures=[correspondences,ranked_lists,activation,pca,similarities,cameras,cmc,learning]"
    drawn = run_here("visualize", f"checkpoint={path}", asked, "count=2", "output=drawn", *fast)
    assert drawn.code == 0, drawn.output
    assert "Left out" not in drawn.output
    files = {file.stem for file in (tmp_path / "drawn").glob("*.png")}
    # no run stands beside this checkpoint, so there is no history
    assert files == {
        *("correspondences", "ranked_lists", "activation", "pca", "similarities", "cameras", "cmc"),
    }


def test_matches_of_two_images_that_are_named(run_here, write_checkpoint, people, tmp_path: Path) -> None:
    path = write_checkpoint("lba")
    of_test = [people.records[row] for row in people.rows("test")]
    visible, infrared = (next(record for record in of_test if record.modality == m) for m in ("visible", "infrared"))
    names = [str(record.path.relative_to(people.root)) for record in (visible, infrared)]
    common = ["visualize", f"checkpoint={path}", "figures=[correspondences]", "trainer=cpu", "trainer.progress=false"]
    choices = ["correspondences.layer=3", "correspondences.mutual=true", "correspondences.order=cosine"]
    drawn = run_here(*common, f"correspondences.pair=[{','.join(names)}]", *choices, "output=drawn")
    assert drawn.code == 0, drawn.output
    assert "Left out" not in drawn.output
    assert [file.name for file in (tmp_path / "drawn").glob("*.png")] == ["correspondences.png"]

    swapped = run_here(*common, f"correspondences.pair=[{names[1]},{names[0]}]", "output=other")
    assert swapped.code == 1
    assert "is infrared where visible belongs" in swapped.output
    absent = run_here(*common, f"correspondences.pair=[{names[0]},cam3/none.jpg]", "output=other")
    assert absent.code == 1
    assert "'cam3/none.jpg', which is no image of synthetic: give paths below" in absent.output
    assert not (tmp_path / "other").exists()


def test_settings_of_a_figure_that_is_not_drawn_are_refused(run_here, write_checkpoint) -> None:
    other = run_here("visualize", f"checkpoint={write_checkpoint('agw')}", "correspondences.layer=3", "trainer=cpu")
    assert other.code == 1
    assert "agw has no correspondences between images, as LbA has: leave correspondences.layer out." in other.output
    words = [f"checkpoint={write_checkpoint('lba')}", "figures=[cmc]", "correspondences.count=5", "trainer=cpu"]
    not_asked = run_here("visualize", *words)
    assert not_asked.code == 1
    assert "correspondences.count is of the figure correspondences: add it to figures" in not_asked.output


def test_a_figure_that_the_method_has_not_is_one_sentence(run_here, write_checkpoint) -> None:
    path = write_checkpoint("agw")
    refused = run_here("visualize", f"checkpoint={path}", "figures=[correspondences]", "trainer=cpu")
    assert refused.code == 1
    assert "agw has no figure correspondences: choose from ranked_lists" in refused.output
    wrong = run_here("visualize", f"checkpoint={path}", "figures=[cmm]", "trainer=cpu")
    assert wrong.code == 1
    assert "choose from" in wrong.output


def _crops(folder: Path) -> None:
    """Three images of noise of each modality."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for modality in ("visible", "infrared"):
        (folder / modality).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (64, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / modality / f"{number}.png")


@pytest.mark.slow
def test_figures_of_images_whose_persons_nobody_knows(run_here, write_checkpoint, tmp_path: Path) -> None:
    _crops(tmp_path / "crops")
    path = write_checkpoint("aligngan")
    words = (f"checkpoint={path}", "images=crops", "count=2", "trainer=cpu")
    drawn = run_here("visualize", *words, "output=drawn")
    assert drawn.code == 0, drawn.output
    files = {file.stem for file in (tmp_path / "drawn").glob("*.png")}
    assert files == {"translation", "ranked_lists", "activation"}
    listed = run_here("visualize", *words, "figures=[list]")
    assert "Grad-CAM" in listed.output
    assert "mAP" not in listed.output
    refused = run_here("visualize", *words, "figures=[cameras]")
    assert refused.code == 1
    assert "it needs a dataset" in refused.output
    alone = run_here("visualize", words[0], "images=crops/visible/0.png", "modality=visible", "trainer=cpu")
    assert alone.code == 1
    assert "give two or more" in alone.output
    said = run_here("visualize", words[0], "modality=visible", "trainer=cpu")
    assert "modality goes with images=" in said.output
    for ignored, sentence in (
        ("queries=worst", "queries=worst needs"),
        ("data=synthetic", "two sources of images"),
        ("persons=4", "persons=4 needs to know whom images show"),
        ("training=false", "training=false leaves a dataset's training persons out"),
    ):
        refused = run_here("visualize", *words, ignored)
        assert refused.code == 1
        assert sentence in refused.output
    plain = run_here(
        "visualize", f"checkpoint={write_checkpoint('agw')}", *words[1:], "figures=[pictures]", "output=none"
    )
    assert "Left out, pictures: agw has none" in plain.output


@pytest.mark.parametrize(("names", "embedded"), [(["pictures"], False), (["pictures", "activation"], True)])
@pytest.mark.parametrize("modality", [None, "auto"])
def test_own_images_are_embedded_for_figures_that_compare_them(
    modality: str | None,
    names: list[str],
    embedded: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_checkpoint: Callable[..., Path],
) -> None:
    from crossreid.extraction import Extractor
    from crossreid.extraction.figures import OwnImages, draw_own_figures

    _crops(tmp_path / "crops")
    if modality == "auto":  # no folder says it then
        (tmp_path / "crops" / "infrared").rename(tmp_path / "crops" / "night")
    calls = []
    embed = Extractor.__call__
    monkeypatch.setattr(Extractor, "__call__", lambda self, *words: calls.append(words) or embed(self, *words))
    images = OwnImages(Extractor(write_checkpoint("aligngan"), "cpu"), str(tmp_path / "crops"), modality, 2)
    drawn = draw_own_figures(tmp_path, images, names)
    assert len(drawn) == len(names)
    # Only colours say what the images are: then all must be read before any is chosen.
    assert len(calls) == int(embedded or modality == "auto")


def test_the_nearest_of_unknown_persons_are_those_of_the_other_modality() -> None:
    from crossreid.evaluation import Embeddings
    from crossreid.extraction.figures import nearest

    class Plain:
        def scorer(self) -> None:
            return None

    angles = np.deg2rad([0, 10, 50, 80, 20, 60])
    images = Embeddings(
        features={"main": np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)},
        pids=np.full(6, -1),
        camids=np.full(6, -1),
        infrared=np.array([False] * 4 + [True] * 2),
        frames=np.zeros(6),
        rows=np.arange(6),
        paths=tuple("abcdef"),
    )
    lists = nearest(images, Plain(), 5)
    assert lists.queries.tolist() == [4, 5]
    assert lists.indices.tolist() == [[1, 0, 2, 3], [2, 3, 1, 0]]
    assert lists.similarity[0, 0] == pytest.approx(np.cos(np.deg2rad(10)))
    of_one = nearest(images.select(np.arange(4)), Plain(), 2)
    assert of_one.queries.tolist() == [0, 2]
    assert of_one.indices.tolist() == [[1, 2, 3, -1], [3, 1, 0, -1]]  # none beside itself
