"""Score a checkpoint, or embeddings from anywhere, by the official protocol.

``python -m crossreid.evaluate checkpoint=outputs/.../last.ckpt``
``python -m crossreid.evaluate embeddings=FILE.npz protocol=sysu_mm01 protocol.permutations=FILE.mat output=FILE.json``
"""

from __future__ import annotations

from pathlib import Path

from crossreid.console import notice
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.commands import EvaluateConfig
from crossreid.settings.compose import Composed, typed


def main() -> None:
    """The command."""
    run_command("evaluate", evaluate)


def evaluate(composed: Composed) -> float:
    """Score what is named; returns the first Rank-1."""
    config = typed(EvaluateConfig, composed)
    refuse_optimiser("evaluate")
    from crossreid.evaluation.embeddings import files_of  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.evaluation.foreign import Reading, foreign_files, load_foreign  # noqa: PLC0415
    from crossreid.experiment import score  # noqa: PLC0415
    from crossreid.runs.outputs import check_outputs, origin_of, output_path  # noqa: PLC0415
    from crossreid.runs.results import RunResults  # noqa: PLC0415
    from crossreid.training.environment import check_figures  # noqa: PLC0415
    from crossreid.training.evaluation import figures_folder, score_checkpoint  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at  # noqa: PLC0415
    from crossreid.training.scoring import show, write_scores  # noqa: PLC0415

    check_figures(config.report.figures, "report.figures")
    # what is read and what is written is known, and refused where it cannot be, before any work
    inputs = {}
    if config.embeddings:
        path = Path(config.embeddings)
        inputs["embeddings"] = foreign_files(path)
        if config.test_ids:
            inputs["test_ids"] = [Path(config.test_ids)]
    else:
        path = checkpoint_at(config.checkpoint or "")
        inputs["checkpoint"] = [path]
    permutations = getattr(config.protocol, "permutations", None)
    if permutations:
        inputs["protocol.permutations"] = [Path(permutations)]
    origin = origin_of("evaluate", config, inputs)
    output = output_path(config.output, path.with_name(f"{path.stem}.evaluation.json"), origin)
    files = {"output": [output]}
    if config.save_embeddings:
        files["save_embeddings"] = files_of(config.save_embeddings)
    folders = {}
    if config.checkpoint and config.report.figures:
        folders["report.figures"] = output_path(None, figures_folder(path), origin)
    outputs = check_outputs("evaluate", config, files, inputs, folders=folders)
    results: RunResults | None
    if config.embeddings:
        embeddings = load_foreign(path, Reading.of(config))
        results = score(embeddings, config.protocol, name=path.stem, pairs=config.report.modality_pairs)
        with outputs.written():
            write_scores(output, results.rows)
            if config.save_embeddings:
                notice(f"Embeddings: {embeddings.save(Path(config.save_embeddings))}")
    else:
        results = score_checkpoint(config, outputs)
    if results is None:  # another process shows and writes
        return 0.0
    show(results.rows, title=results.rows[0].name)
    notice(f"Results: {output}")
    return results.headline


if __name__ == "__main__":
    main()
