"""Score a checkpoint, or embeddings from anywhere, by the official protocol.

``python -m crossreid.evaluate checkpoint=outputs/.../last.ckpt``
``python -m crossreid.evaluate embeddings=FILE.npz protocol=sysu_mm01 protocol.permutations=FILE.mat output=FILE.json``
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from crossreid.checks import check_report
from crossreid.command import run_command
from crossreid.config import EvaluateConfig, typed
from crossreid.console import notice
from crossreid.errors import ConfigError
from crossreid.evaluation import load_foreign, write_results_json
from crossreid.protocols import AUTO, Scored, modalities, protocol_config
from crossreid.training.restoring import restore
from crossreid.training.scoring import Scores, draw_figures, embed_dataset, score_all, show


def main() -> None:
    """The command."""
    run_command("evaluate", evaluate)


def evaluate(cfg: DictConfig) -> float:
    """Score what is named; returns the first Rank-1."""
    config = typed(EvaluateConfig, cfg)
    if (config.checkpoint is None) == (config.embeddings is None):
        raise ConfigError("Name what to score: either checkpoint=FILE.ckpt or embeddings=FILE.npz.")
    check_report(config.report)
    if config.embeddings:
        return _score_embeddings(config, Path(config.embeddings))
    assert config.checkpoint is not None
    return _score_checkpoint(config, Path(config.checkpoint))


def _score_embeddings(config: EvaluateConfig, path: Path) -> float:
    if config.save_embeddings:
        raise ConfigError("save_embeddings goes with checkpoint=; the embeddings given are a file already.")
    if config.protocol["name"] == AUTO:
        raise ConfigError(
            "Embeddings do not say which protocol they are for: add protocol=sysu_mm01, regdb, llcm or all_pairs."
        )
    embeddings = load_foreign(path)
    protocol = protocol_config(config.protocol)
    protocols = protocol.build(Scored(modalities=modalities(embeddings.infrared)))
    scores = score_all(path.stem, embeddings, protocols, protocol.scorers(), pairs=config.report.modality_pairs)
    return _report(config, scores, path.with_name(f"{path.stem}.evaluation.json"))


def _score_checkpoint(config: EvaluateConfig, path: Path) -> float:
    run = restore(path, config.data, config.protocol, config.trainer)
    embeddings = embed_dataset(run.trainer, run.module, run.data)
    scores = score_all(
        run.name,
        embeddings,
        run.protocols,
        run.scorers(),
        pairs=config.report.modality_pairs,
        reported=run.module.reported_pairs(),
        progress=config.trainer.progress and run.trainer.is_global_zero,
    )
    if not run.trainer.is_global_zero:
        return 0.0
    value = _report(config, scores, path.with_name(f"{path.stem}.evaluation.json"))
    if config.save_embeddings:
        notice(f"Embeddings: {embeddings.save(config.save_embeddings)}")
    if config.report.figures:
        folder = path.parent / f"figures_{path.stem}"
        draw_figures(folder, run.module, run.data, embeddings, run.protocols.test[0], run.scorers()[""], config.report)
        notice(f"Figures: {folder}")
    return value


def _report(config: EvaluateConfig, scores: list[Scores], default: Path) -> float:
    show(scores, title=scores[0].name)
    output = Path(config.output) if config.output else default
    write_results_json(output, {key: result for row in scores for key, result in row.keyed().items()})
    notice(f"Results: {output}")
    return scores[0].headline


if __name__ == "__main__":
    main()
