"""Score a checkpoint: embed the dataset, keep embeddings and figures where asked for."""

from __future__ import annotations

from pathlib import Path

from crossreid.console import notice
from crossreid.methods.reporting import reported_pairs_of
from crossreid.runs.outputs import Outputs
from crossreid.runs.results import RunResults
from crossreid.settings.commands import EvaluateConfig
from crossreid.training.figures import FigureSource, draw_figures
from crossreid.training.loading import checkpoint_at, restore
from crossreid.training.scoring import embed_dataset, score_all, write_scores


def figures_folder(checkpoint: Path) -> Path:
    """Where the figures of a checkpoint's evaluation go."""
    return checkpoint.parent / f"figures_{checkpoint.stem}"


def score_checkpoint(config: EvaluateConfig, outputs: Outputs) -> RunResults | None:
    """All rows of a checkpoint's method; None on the processes that do not show and write.

    Args:
        config: the command's settings.
        outputs: the files that it writes, checked.

    Raises:
        CrossReIDError: in one sentence, what went wrong.
    """
    path = checkpoint_at(config.checkpoint or "")
    run = restore(path, config.data, config.protocol, config.trainer)
    embeddings = embed_dataset(run.trainer, run.module, run.data)
    scorers = run.scorers()
    scores = score_all(
        run.name,
        embeddings,
        run.protocols,
        scorers,
        pairs=config.report.modality_pairs,
        reported=reported_pairs_of(run.module),
        progress=config.trainer.progress and run.trainer.is_global_zero,
    )
    if not run.trainer.is_global_zero:
        return None
    results = RunResults(scores, {"checkpoint": str(path)})
    with outputs.written():
        write_scores(outputs.paths["output"][0], results.rows)  # before anything is drawn or shown
        if config.save_embeddings:
            notice(f"Embeddings: {embeddings.save(Path(config.save_embeddings))}")
        if config.report.figures:
            folder = outputs.folders["report.figures"]
            persons = config.report.tsne_identities
            draw_figures(folder, FigureSource.of(run, embeddings, path, persons=persons))
            notice(f"Figures: {folder}")
    return results
