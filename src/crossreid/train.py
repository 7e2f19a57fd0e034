"""Train a method, score it, show what it learned: ``python -m crossreid.train model=aligngan``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from crossreid.command import run_command
from crossreid.config import TrainConfig, check_train, method_class, method_config, typed
from crossreid.console import notice
from crossreid.data.datamodule import ReIDDataModule
from crossreid.errors import ConfigError
from crossreid.methods.base import CrossModalityModule, MethodConfig
from crossreid.run_folder import LAST, RUN_DIR_VARIABLE, RunFolder, main_process, open_run, start_run
from crossreid.training.build import is_distributed, make_datamodule, make_method, make_scorer, make_trainer
from crossreid.training.checkpoints import IterationCheckpoint, read_checkpoint
from crossreid.training.loggers import (
    HistoryLogger,
    PictureGrids,
    finish_wandb,
    log_image,
    make_wandb,
    wandb_of,
)
from crossreid.training.progress import IterationProgress
from crossreid.training.scoring import Draw, Scores, draw_figures, embed_dataset, save_scores, score, show

HEADLINE = "test/sysu_mm01/all/single/rank1"
_LEAKING = ("LOCAL_RANK", "GLOBAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", RUN_DIR_VARIABLE)


def main() -> None:
    """The command."""
    run_command("train", train)


def train(cfg: DictConfig) -> float:
    """One run; returns the headline score (or the first scored Rank-1) for sweepers."""
    hydra = HydraConfig.get()
    sweeping = hydra.mode == RunMode.MULTIRUN
    plain = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    config = typed(TrainConfig, plain)
    method = method_config(plain["model"])
    check_train(config, len(method_class(plain["model"]).OPTIMIZERS))
    if sweeping:
        _prepare_sweep_job(config)
    run = open_run(plain, sweep_dir=Path(hydra.runtime.output_dir) if sweeping else None)
    try:
        value = _run(config, method, plain, run)
    except BaseException as error:
        stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        if (run.path / "run.json").is_file() and main_process():
            run.note(status=stopped, problem=f"{type(error).__name__}: {error}"[:500])
        finish_wandb(exit_code=1)
        raise
    finally:
        os.environ.pop(RUN_DIR_VARIABLE, None)
    finish_wandb(exit_code=0)
    return value


def _prepare_sweep_job(config: TrainConfig) -> None:
    """A relaunching DDP strategy would start the whole sweep again in every rank."""
    if is_distributed(config.trainer):
        raise ConfigError(
            "A multirun cannot start DDP jobs, since each rank would start the whole sweep again: set "
            "trainer.devices=1, or start the DDP runs one by one without -m."
        )
    for name in _LEAKING:
        os.environ.pop(name, None)


def _run(config: TrainConfig, method: MethodConfig, plain: dict[str, Any], run: RunFolder) -> float:
    data = make_datamodule(config.data, method, seed=config.seed, progress=config.trainer.progress)
    state = read_checkpoint(run.checkpoint) if run.checkpoint else None
    notice(_describe(data))
    module = make_method(plain["model"], method, data.num_identities, config.seed)
    module.log_every = config.trainer.log_every
    module.checkpoint_extras = {"config": plain}
    draw = Draw.find(config.protocol, Path(config.data.root))
    data.sampler(world_size=_world_size(config))  # refuses impossible batches before anything is written
    data.prepare_data()
    if main_process():
        start_run(run, plain, overwrite=config.overwrite)
        os.environ[RUN_DIR_VARIABLE] = str(run.path.resolve())
    trainer = _make_trainer(config, method, plain, module, data, run, state)
    scorer = make_scorer(config.protocol, module)
    rows: list[Scores] = []
    if config.report.untrained:
        embeddings = embed_dataset(trainer, module, data)
        rows.append(score("untrained network", embeddings, config.protocol, draw, scorer, pairs=False))
    began = time.monotonic()
    _fit(trainer, module, data, run)
    seconds = time.monotonic() - began
    embeddings = embed_dataset(trainer, module, data)
    pairs = config.report.modality_pairs
    rows.append(score(config.name, embeddings, config.protocol, draw, scorer, pairs=pairs))
    if trainer.is_global_zero:
        _finish(config, run, trainer, module, data, rows, seconds)
        embeddings.save(run.path / "embeddings.npz")
        if config.report.figures:
            _draw(config, run, trainer, module, data, draw, embeddings)
        notice(f"Results, checkpoints and figures: {run.path}")
        if config.logger.name == "wandb" and config.logger.offline:
            notice(f"W&B, offline: wandb sync {run.path}/wandb/offline-run-*")
    values = rows[-1].flat()
    return values.get(HEADLINE, next(iter(values.values())))


def _make_trainer(
    config: TrainConfig,
    method: MethodConfig,
    plain: dict[str, Any],
    module: CrossModalityModule[Any],
    data: ReIDDataModule,
    run: RunFolder,
    state: dict[str, Any] | None,
) -> pl.Trainer:
    history = HistoryLogger(run.path / "history.csv")
    loggers: list[Any] = [history]
    callbacks: list[pl.Callback] = [IterationCheckpoint(run.path, config.trainer.checkpoint_every)]
    if state and main_process():
        history.truncate(int(state["crossreid"]["iteration"]))
    if config.logger.name == "wandb":
        known = run.note().get("wandb_id") if run.checkpoint else None
        wandb_logger = make_wandb(config, plain, run, known)
        loggers.append(wandb_logger)
        if main_process():
            run.note(wandb_id=wandb_logger.experiment.id)
    if config.trainer.pictures_every:
        batch = data.sample_pairs("test", identities=4, images=3, size=data.streams["identity"].size)
        callbacks.append(PictureGrids(batch.visible, batch.infrared, config.trainer.pictures_every))
    if config.trainer.progress:
        callbacks.append(IterationProgress())
    players = len(module.OPTIMIZERS)
    return make_trainer(config.trainer, method, players, run.path, loggers, callbacks)


def _fit(trainer: pl.Trainer, module: CrossModalityModule[Any], data: ReIDDataModule, run: RunFolder) -> None:
    try:
        trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
    except (KeyboardInterrupt, SystemExit) as error:  # Lightning ends an interrupted run with either
        if main_process() and (run.path / LAST).is_file():
            notice(f"Stopped at iteration {module.iteration}; go on with the same command and resume={run.path}")
        raise KeyboardInterrupt from error


def _finish(
    config: TrainConfig,
    run: RunFolder,
    trainer: pl.Trainer,
    module: CrossModalityModule[Any],
    data: ReIDDataModule,
    rows: list[Scores],
    seconds: float,
) -> None:
    """Show, log and keep the scores."""
    title = f"{config.name} on {config.data.name}, seed {config.seed}, preset {module.config.preset}"
    show(rows, title=title)
    facts = {"seed": config.seed, "iterations": module.iteration, "training_seconds": round(seconds, 1)}
    save_scores(run.path / "results.json", rows, **facts, left_out_identities=list(data.index.unpaired))
    for logger in trainer.loggers:
        logger.log_metrics({**rows[-1].flat(), "iteration": module.iteration}, step=module.iteration)
    if wandb_logger := wandb_of(trainer):
        for key, result in rows[-1].results.items():
            summary = result.metrics()
            table = [[t, *(summary[m]["per_trial"][t] for m in summary)] for t in range(result.trials)]
            wandb_logger.log_table(f"tables/{key}", columns=["trial", *summary], data=table)
    run.note(status="finished", training_seconds=round(seconds, 1))


def _draw(
    config: TrainConfig,
    run: RunFolder,
    trainer: pl.Trainer,
    module: CrossModalityModule[Any],
    data: ReIDDataModule,
    draw: Draw,
    embeddings: Any,
) -> None:
    scorer = make_scorer(config.protocol, module)
    for path in draw_figures(run.figures, module, data, embeddings, draw, scorer, config.report):
        if wandb_logger := wandb_of(trainer):
            log_image(wandb_logger, f"figures/{path.stem}", str(path), module.iteration)


def _world_size(config: TrainConfig) -> int:
    devices = config.trainer.devices
    return int(devices) * config.trainer.num_nodes if is_distributed(config.trainer) and str(devices).isdigit() else 1


def _describe(data: ReIDDataModule) -> str:
    """What was found on disk."""
    dataset, counts = data.dataset, []
    for split, rows in dataset.splits.items():
        people = len({dataset.records[row].pid for row in rows})
        infrared = sum(dataset.records[row].modality == "infrared" for row in rows)
        counts.append(f"{split} {people} ids, {len(rows) - infrared} visible + {infrared} infrared images")
    left_out = (
        f"; {len(data.index.unpaired)} ids with one modality only are not trained on" if data.index.unpaired else ""
    )
    return f"{dataset.name} at {dataset.root}: {'; '.join(counts)}{left_out}"


if __name__ == "__main__":
    main()
