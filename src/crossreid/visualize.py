"""Figures of a trained model.

``python -m crossreid.visualize checkpoint=outputs/.../last.ckpt figures=[ranked_lists,activation] queries=worst``
"""

from __future__ import annotations

from rich.table import Table

from crossreid.console import console, notice
from crossreid.errors import ConfigError
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.commands import VisualizeConfig
from crossreid.settings.compose import Composed, typed


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
    from crossreid.training.figures import FigureSource, draw_figures, figures_of, rows_of_pair  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at, restore  # noqa: PLC0415
    from crossreid.training.scoring import embed_dataset  # noqa: PLC0415

    check_figures(wanted=True)
    path = checkpoint_at(config.checkpoint)
    inputs = {"checkpoint": [path]}
    origin = origin_of("visualize", config, inputs)
    folder = output_path(config.output, figures_folder(path), origin)
    outputs = check_outputs("visualize", config, {}, inputs, folders={"output": folder})
    run = restore(path, config.data, config.protocol, config.trainer)
    known = figures_of(run.module)
    wanted = config.figures or list(known)
    if "list" in wanted:
        console.print(_table(run.name, known))
        return 0.0
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{run.module.config.name} has no figure {name}: choose from {', '.join(known)}.")
    config.correspondences.check_asked(config.figures, run.module.config.name, "correspondences" in known)
    if config.correspondences.pair is not None:
        rows_of_pair(
            run.data.dataset, config.correspondences.pair
        )  # refuses what is no pair before anything is embedded
    embeddings = embed_dataset(run.trainer, run.module, run.data)
    if not run.trainer.is_global_zero:
        return 0.0
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
        written = draw_figures(folder, source, wanted)
    for file in written:
        notice(f"Figure: {file}")
    return float(len(written))


def _table(name: str, known: dict[str, str]) -> Table:
    table = Table(title=f"Figures of {name}", title_justify="left")
    table.add_column("figures=")
    table.add_column("what it shows")
    for figure, meaning in known.items():
        table.add_row(figure, meaning)
    return table


if __name__ == "__main__":
    main()
