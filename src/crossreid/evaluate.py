"""Score a checkpoint, or embeddings from anywhere, by the official protocol.

``python -m crossreid.evaluate checkpoint=outputs/.../last.ckpt``
``python -m crossreid.evaluate embeddings=FILE.npz protocol=sysu_mm01 protocol.permutations=FILE.mat output=FILE.json``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from crossreid.checks import check_report, check_trainer
from crossreid.command import run_command
from crossreid.config import EvaluateConfig, TrainConfig, method_config, typed
from crossreid.console import notice
from crossreid.datasets import TRAINED, DataConfig, data_config
from crossreid.errors import ConfigError
from crossreid.evaluation import load_foreign, write_results_json
from crossreid.protocols import AUTO, Scored, protocol_config
from crossreid.training.build import make_datamodule, make_method, make_trainer
from crossreid.training.checkpoints import load_weights, read_checkpoint
from crossreid.training.progress import IterationProgress
from crossreid.training.scoring import Scores, draw_figures, embed_dataset, score, show


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
        raise ConfigError("Embeddings do not say which protocol they are for: add protocol=sysu_mm01.")
    embeddings = load_foreign(path)
    protocol = protocol_config(config.protocol)
    protocols, scorer = protocol.build(Scored()), protocol.scorer()
    scores = score(path.stem, embeddings, protocols, scorer, pairs=config.report.modality_pairs)
    return _report(config, scores, path.with_name(f"{path.stem}.evaluation.json"))


def _score_checkpoint(config: EvaluateConfig, path: Path) -> float:
    saved = read_checkpoint(path)
    trained = typed(TrainConfig, saved["crossreid"]["config"])
    if "backbone" in trained.model:
        trained.model["backbone"]["weights"] = "random"  # the checkpoint brings all weights
    method = method_config(trained.model)
    check_trainer(config.trainer, 1)
    trained_on, scored_on = data_config(trained.data), _data(config.data, trained.data)
    protocol = protocol_config(trained.protocol if config.protocol["name"] == AUTO else config.protocol)
    data = make_datamodule(scored_on, method, trained.selection, seed=trained.seed, progress=config.trainer.progress)
    module = make_method(trained.model, method, saved["crossreid"]["num_identities"], trained.seed)
    load_weights(module, saved["state_dict"], path)
    protocols, scorer = protocol.build(Scored.of(scored_on, trained_on)), protocol.scorer(module.scorer())
    callbacks = [IterationProgress()] if config.trainer.progress else []
    trainer = make_trainer(config.trainer, method, 1, path.parent, (), callbacks)
    embeddings = embed_dataset(trainer, module, data)
    name = f"{trained.name} (iteration {saved['crossreid']['iteration']})"
    scores = score(
        name,
        embeddings,
        protocols,
        scorer,
        pairs=config.report.modality_pairs,
        reported=module.reported_pairs(),
        progress=config.trainer.progress and trainer.is_global_zero,
    )
    if not trainer.is_global_zero:
        return 0.0
    value = _report(config, scores, path.with_name(f"{path.stem}.evaluation.json"))
    if config.save_embeddings:
        notice(f"Embeddings: {embeddings.save(config.save_embeddings)}")
    if config.report.figures:
        folder = path.parent / f"figures_{path.stem}"
        draw_figures(folder, module, data, embeddings, protocols.test[0], scorer, config.report)
        notice(f"Figures: {folder}")
    return value


def _data(asked: dict[str, Any], trained: dict[str, Any]) -> DataConfig:
    """The dataset asked for, or the one of training, where it lies now."""
    if asked["name"] != TRAINED:
        return data_config(asked)
    moved = {key: value for key, value in asked.items() if key != "name" and value is not None}
    return data_config(trained | moved)


def _report(config: EvaluateConfig, scores: Scores, default: Path) -> float:
    show([scores], title=scores.name)
    output = Path(config.output) if config.output else default
    write_results_json(output, scores.results)
    notice(f"Results: {output}")
    return scores.headline


if __name__ == "__main__":
    main()
