"""Figures of a trained model.

``python -m crossreid.visualize checkpoint=outputs/.../last.ckpt figures=[ranked_lists,activation] queries=worst``
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from crossreid.console import console, notice
from crossreid.errors import ConfigError
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.commands import VisualizeConfig
from crossreid.settings.compose import Composed, typed

if TYPE_CHECKING:
    from crossreid.runs.outputs import Outputs


def main() -> None:
    """The command."""
    run_command("visualize", visualize)


def visualize(composed: Composed) -> float:
    """Embed, draw, say where; returns the number of PNGs."""
    config = typed(VisualizeConfig, composed)
    refuse_optimiser("visualize")
    from crossreid.runs.outputs import check_outputs, origin_of, output_path  # noqa: PLC0415 - behind the first checks
    from crossreid.training.environment import check_figures  # noqa: PLC0415
    from crossreid.training.evaluation import figures_folder  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at  # noqa: PLC0415

    check_figures(wanted=True)
    path = checkpoint_at(config.checkpoint)
    inputs = {"checkpoint": [path]}
    if config.images is not None:
        inputs["images"] = [Path(config.images)]
    origin = origin_of("visualize", config, inputs)
    folder = output_path(config.output, figures_folder(path), origin)
    outputs = check_outputs("visualize", config, {}, inputs, folders={"output": folder})
    if config.images is None:
        written = _of_the_dataset(config, path, folder, outputs)
    else:
        written = _of_own_images(config, path, folder, outputs)
    for file in written:
        notice(f"Figure: {file}")
    return float(len(written))


def _of_the_dataset(config: VisualizeConfig, path: Path, folder: Path, outputs: Outputs) -> list[Path]:
    """Figures of images whose persons a dataset knows."""
    from crossreid.training.figures import (  # noqa: PLC0415 - torch
        FigureSource,
        draw_figures,
        figures_of,
        need_embeddings,
        rows_of_pair,
    )
    from crossreid.training.loading import restore  # noqa: PLC0415
    from crossreid.training.scoring import embed_dataset  # noqa: PLC0415

    run = restore(path, config.data, config.protocol, config.trainer)
    known = figures_of(run.module)
    wanted = config.figures or list(known)
    if "list" in wanted:
        console.print(_table(run.name, known))
        return []
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{run.module.config.name} has no figure {name}: choose from {', '.join(known)}.")
    config.correspondences.check_asked(config.figures, run.module.config.name, has_figure="correspondences" in known)
    if config.correspondences.pair is not None:  # refuse what is no pair before anything is embedded
        rows_of_pair(run.data.dataset, config.correspondences.pair)
    embeddings = None
    if need_embeddings(wanted):
        embeddings = embed_dataset(run.trainer, run.module, run.data)
    # Of several processes only the first one draws.
    if not run.trainer.is_global_zero:
        return []
    source = FigureSource.of(
        run,
        embeddings,
        path,
        persons=config.persons,
        queries=config.queries,
        count=config.count,
        with_training=config.training,
        correspondences=config.correspondences,
    )
    with outputs.written():
        return draw_figures(folder, source, wanted)


def _of_own_images(config: VisualizeConfig, path: Path, folder: Path, outputs: Outputs) -> list[Path]:
    """Figures of images of which nobody needs to know whom they show."""
    from crossreid.extraction import Extractor  # noqa: PLC0415 - torch
    from crossreid.extraction.figures import (  # noqa: PLC0415
        OWN_FIGURES,
        OwnImages,
        check_own_figures,
        draw_own_figures,
    )
    from crossreid.settings.data import DataConfig  # noqa: PLC0415
    from crossreid.training.figures import FIGURES  # noqa: PLC0415

    wanted = config.figures or list(OWN_FIGURES)
    if "list" in wanted:
        meanings = {name: FIGURES[name].meaning for name in OWN_FIGURES}
        console.print(_table("images of one's own", meanings))
        return []
    check_own_figures(wanted)
    config.correspondences.check_asked(config.figures, "images=", has_figure=False)
    assert config.images is not None
    if isinstance(config.data, DataConfig):
        raise ConfigError("images= and data= are two sources of images: name one of them.")
    extract = Extractor(path, config.trainer.accelerator)
    images = OwnImages(extract, config.images, config.modality, config.count)
    with outputs.written():
        return draw_own_figures(folder, images, wanted)


def _table(name: str, known: dict[str, str]) -> Table:
    table = Table(title=f"Figures of {name}", title_justify="left")
    table.add_column("figures=")
    table.add_column("what it shows")
    for figure, meaning in known.items():
        table.add_row(figure, meaning)
    return table


if __name__ == "__main__":
    main()
