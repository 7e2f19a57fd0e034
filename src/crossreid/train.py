"""Train a method, score it, show what it learned: ``python -m crossreid.train model=aligngan``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from crossreid.checks import check_train, device_count
from crossreid.command import run_command
from crossreid.config import TrainConfig, method_class, method_config, typed
from crossreid.console import main_process, notice
from crossreid.data.datamodule import ReIDDataModule
from crossreid.datasets import DataConfig, SyntheticConfig, SyntheticRegDBConfig, data_config
from crossreid.errors import ConfigError
from crossreid.evaluation import Embeddings, Scorer
from crossreid.methods.base import CrossModalityModule, MethodConfig
from crossreid.protocols import ProtocolConfig, Scored, protocol_config
from crossreid.runs.existing import open_or_keep
from crossreid.runs.folder import BEST, LAST, RunFolder, forget_ranks, now, start_run, tell_ranks
from crossreid.studies.footprint import machine
from crossreid.training.budget import TrainingClock
from crossreid.training.checkpoints import IterationCheckpoint, load_weights, read_checkpoint
from crossreid.training.loggers import HistoryLogger, PictureGrids, finish_wandb, log_image, make_wandb, wandb_of
from crossreid.training.progress import IterationProgress
from crossreid.training.scoring import Scores, draw_figures, embed_dataset, save_scores, score, score_all, show
from crossreid.training.trainer import is_distributed, make_datamodule, make_method, make_trainer
from crossreid.training.validation import ValidationSelection

_LEAKING = ("LOCAL_RANK", "GLOBAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def main() -> None:
    """The command."""
    run_command("train", train)


def train(cfg: DictConfig) -> float:
    """One run; returns the headline score for sweepers: the Rank-1 of the first setting."""
    hydra = HydraConfig.get()
    sweeping = hydra.mode == RunMode.MULTIRUN
    plain = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    config = typed(TrainConfig, plain)
    method = method_config(plain["model"])
    data, protocol = data_config(plain["data"]), protocol_config(plain["protocol"])
    check_train(config, method, len(method_class(plain["model"]).OPTIMIZERS))
    if sweeping:
        _prepare_sweep_job(config)
    sweep_dir = Path(hydra.runtime.output_dir) if sweeping else None
    run = open_or_keep(plain, sweep_dir)
    if isinstance(run, float):
        return run
    try:
        value = _Training(config, plain, method, data, protocol, run).complete()
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)  # Lightning ends an interrupted run with either
        if main_process():
            run.note_problem(error, interrupted=interrupted)
        finish_wandb(exit_code=1)
        if interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        forget_ranks()
    finish_wandb(exit_code=0)
    return value


def _prepare_sweep_job(config: TrainConfig) -> None:
    """A relaunching DDP strategy would start the whole sweep again in every rank."""
    if is_distributed(config.trainer):
        raise ConfigError(
            "A multirun cannot start DDP jobs, since each rank would start the whole sweep again: set "
            "trainer.devices=1, or start the DDP runs one by one without -m."
        )
    if config.run_dir:
        raise ConfigError("A multirun gives every job a folder of its own: leave run_dir out.")
    for name in _LEAKING:
        os.environ.pop(name, None)


@dataclass
class _Training:
    """One run from the verified dataset to its figures; nothing is written before every check has passed."""

    config: TrainConfig
    plain: dict[str, Any]
    method: MethodConfig
    data_config: DataConfig
    protocol: ProtocolConfig
    run: RunFolder

    def complete(self) -> float:
        """Train, score, show, keep."""
        config, run = self.config, self.run
        self.data = make_datamodule(
            self.data_config, self.method, config.selection, seed=config.seed, progress=config.trainer.progress
        )
        notice(_describe(self.data))
        self.module = self._make_module()
        self.protocols = self.protocol.build(Scored.of(self.data_config, self.data_config, self.data.dataset))
        self.selection = self._make_selection()
        world_size = device_count(config.trainer) * config.trainer.num_nodes
        self.data.sampler(world_size=world_size)  # refuses impossible batches
        self.data.prepare_data()
        resumed_at = self._check_checkpoint()
        if main_process():
            start_run(run, self.plain, overwrite=config.overwrite)
            tell_ranks(run)
        trainer = self._make_trainer(resumed_at)
        before = self._score_untrained(trainer)
        self._fit(trainer)
        seconds = round(self.clock.seconds, 1)
        scores, embeddings = self._score(trainer)
        if not self.method.trains:
            trainer.save_checkpoint(self.run.path / LAST)  # so that evaluate can take it as any other
        if trainer.is_global_zero:
            facts: dict[str, Any] = {
                "seed": config.seed,
                "iterations": self.method.iterations,
                "resumed_at": resumed_at,
                "training_identities": self.data.num_identities,
                "training_seconds": seconds,
            }
            if self.selection:
                facts["selected"] = self.selection.best
            self._keep(trainer, before, scores, **facts)
            embeddings.save(run.path / "embeddings.npz")
            if config.report.figures:
                self._draw(trainer, embeddings)
            place = machine(trainer.strategy.root_device)
            run.note(status="finished", finished=now(), training_seconds=seconds, machine=place)
            self._say_where()
        return scores[0].headline

    def _scorers(self, *own: Scorer) -> dict[str, Scorer]:
        """What to score by: all rows of the method, which may ask its trainer for the device, or one scorer alone."""
        return self.protocol.scorers({"": own[0]} if own else self.module.scorers())

    def _make_selection(self) -> ValidationSelection | None:
        """The callback that looks at the validation identities, if asked for."""
        if self.config.selection.name == "last":
            return None
        if self.protocols.validation is None or "val" not in self.data.dataset.splits:
            raise ConfigError(f"{self.data_config.name} has no validation identities to select on: use selection=last.")
        return ValidationSelection(
            self.run.path, self.data, self.protocols.validation, self._scorers(self.module.scorer())[""]
        )

    def _make_module(self) -> CrossModalityModule[Any]:
        module = make_method(self.plain["model"], self.method, self.data.num_identities, self.config.seed)
        module.log_every = self.config.trainer.log_every
        module.checkpoint_extras = {"config": self.plain}
        return module

    def _check_checkpoint(self) -> int:
        """The iteration to resume at, once the checkpoint is known to be whole; 0 for a new run. Sets the clock."""
        self.clock = TrainingClock(self.config.trainer.time_budget)
        if self.run.checkpoint is None:
            return 0
        state = read_checkpoint(self.run.checkpoint)
        load_weights(
            self._make_module(), state["state_dict"], self.run.checkpoint
        )  # a copy: the row before training stays
        self.clock.before = float(state["crossreid"].get("training_seconds", 0.0))  # older checkpoints did not count
        return int(state["crossreid"]["iteration"])

    def _make_trainer(self, resumed_at: int) -> pl.Trainer:
        config, run = self.config, self.run
        history = HistoryLogger(run.path / "history.csv")
        loggers: list[Logger] = [history]
        callbacks: list[pl.Callback] = [IterationCheckpoint(run.path, config.trainer.checkpoint_every, self.clock)]
        if resumed_at and main_process():
            history.truncate(resumed_at)
        if config.logger.name == "wandb":
            known = run.note().get("wandb_id") if run.checkpoint else None
            wandb_logger = make_wandb(config, self.plain, run, known)
            loggers.append(wandb_logger)
            if main_process():
                run.note(wandb_id=wandb_logger.experiment.id)
        if config.trainer.pictures_every:
            batch = self.data.sample_pairs("test", identities=4, images=3, size=self.data.streams["identity"].size)
            callbacks.append(PictureGrids(batch.visible, batch.infrared, config.trainer.pictures_every))
        if config.trainer.progress:
            callbacks.append(IterationProgress())
        if self.selection:
            callbacks.append(self.selection)
        players = len(self.module.OPTIMIZERS)
        every = config.selection.every
        return make_trainer(config.trainer, self.method, players, run.path, loggers, callbacks, validate_every=every)

    def _fit(self, trainer: pl.Trainer) -> None:
        self.clock.start()
        if not self.method.trains:
            return
        try:
            trainer.fit(self.module, self.data, ckpt_path=self.run.checkpoint, weights_only=True)
        except (KeyboardInterrupt, SystemExit):
            if (self.run.path / LAST).is_file():
                at = self.module.iteration
                notice(f"Stopped at iteration {at}; go on with the same command and resume={self.run.path}")
            raise
        if self.selection:
            best, place = self.selection.best, self.run.path / BEST
            load_weights(self.module, read_checkpoint(place)["state_dict"], place)
            notice(
                f"Chosen on the validation identities: iteration {best['iteration']:.0f} "
                f"(mAP {100 * best['mAP']:.1f}, Rank-1 {100 * best['rank1']:.1f})"
            )

    def _score_untrained(self, trainer: pl.Trainer) -> list[Scores]:
        """The method's own row before training, where asked for; by default on the embedded set only."""
        asked = self.config.report.untrained
        wanted = isinstance(self.data_config, SyntheticConfig | SyntheticRegDBConfig) if asked is None else asked
        if not wanted or not self.method.trains:
            return []
        embeddings = embed_dataset(trainer, self.module, self.data)
        progress = self.config.trainer.progress and trainer.is_global_zero
        return [score("untrained network", embeddings, self.protocols, self._scorers()[""], progress=progress)]

    def _score(self, trainer: pl.Trainer) -> tuple[list[Scores], Embeddings]:
        """All rows of the trained method."""
        config, embeddings = self.config, embed_dataset(trainer, self.module, self.data)
        scores = score_all(
            config.name,
            embeddings,
            self.protocols,
            self._scorers(),
            pairs=config.report.modality_pairs,
            reported=self.module.reported_pairs(),
            progress=config.trainer.progress and trainer.is_global_zero,
        )
        return scores, embeddings

    def _keep(self, trainer: pl.Trainer, before: list[Scores], scores: list[Scores], **facts: Any) -> None:
        """Show, write and log the scores."""
        config, iteration, rows = self.config, self.module.iteration, [*before, *scores]
        show(rows, title=f"{config.name} on {self.data_config.name}, seed {config.seed}, preset {self.method.preset}")
        left_out = list(self.data.index.unpaired)
        save_scores(self.run.path / "results.json", rows, **facts, left_out_identities=left_out)
        values = {key: value for row in scores for key, value in row.flat().items()}
        for logger in trainer.loggers:
            logger.log_metrics({**values, "iteration": iteration}, step=iteration)
        if wandb_logger := wandb_of(trainer):
            for key, result in (item for row in scores for item in row.keyed().items()):
                summary = result.metrics()
                table = [[t, *(summary[m]["per_trial"][t] for m in summary)] for t in range(result.trials)]
                wandb_logger.log_table(f"tables/{key}", columns=["trial", *summary], data=table)

    def _draw(self, trainer: pl.Trainer, embeddings: Embeddings) -> None:
        figures = draw_figures(
            self.run.figures,
            self.module,
            self.data,
            embeddings,
            self.protocols.test[0],
            self._scorers()[""],
            self.config.report,
        )
        if wandb_logger := wandb_of(trainer):
            for path in figures:
                log_image(wandb_logger, f"figures/{path.stem}", str(path), self.module.iteration)

    def _say_where(self) -> None:
        notice(f"Results, checkpoints and figures: {self.run.path}")
        if self.config.logger.name == "wandb" and self.config.logger.offline:
            notice(f"W&B, offline: wandb sync {self.run.path}/wandb/offline-run-*")


def _describe(data: ReIDDataModule) -> str:
    """What was found on disk."""
    dataset, counts = data.dataset, []
    for split, rows in dataset.splits.items():
        people = len({dataset.records[row].pid for row in rows})
        infrared = sum(dataset.records[row].modality == "infrared" for row in rows)
        counts.append(f"{split} {people} ids, {len(rows) - infrared} visible + {infrared} infrared images")
    unpaired = data.index.unpaired
    left_out = f"; {len(unpaired)} ids with one modality only are not trained on" if unpaired else ""
    return f"{dataset.name} at {dataset.root}: {'; '.join(counts)}{left_out}"


if __name__ == "__main__":
    main()
