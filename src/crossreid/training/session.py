"""One run from the verified dataset to its figures; nothing is written before every check has passed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from crossreid.console import main_process, notice
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets.sources import open_source
from crossreid.errors import ConfigError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.building import Scored, build_protocols, build_scorers
from crossreid.evaluation.embeddings import files_of
from crossreid.files import size_in_words
from crossreid.interruption import Interruption, Stopped, name_of
from crossreid.methods.base import CrossModalityModule
from crossreid.methods.reporting import reported_pairs_of
from crossreid.runs.choosing import tell_ranks
from crossreid.runs.folder import (
    BEST,
    LAST,
    RunFolder,
    differences_from,
    finish_run,
    first_three,
    start_run,
)
from crossreid.runs.results import UNTRAINED, RunResults, Scores
from crossreid.settings.run import RunConfig
from crossreid.stages import tell
from crossreid.training.announcing import data_sentence, place_sentence, run_sentence, scoring_sentence
from crossreid.training.budget import TrainingClock
from crossreid.training.checkpoints import IterationCheckpoint, drop_optimizers, load_weights, read_checkpoint
from crossreid.training.environment import choose_device, machine, world_size
from crossreid.training.figures import FigureSource, draw_figures
from crossreid.training.initial import InitialWeights, start_from
from crossreid.training.kernels import compile_networks, use_kernels
from crossreid.training.loading import checkpoint_at, make_method, scorers_of
from crossreid.training.loggers import HistoryLogger, PictureGrids
from crossreid.training.people_weights import people_weights
from crossreid.training.persons import note_persons
from crossreid.training.progress import IterationProgress
from crossreid.training.resuming import IMAGES, check_resumable, check_same_images
from crossreid.training.scoring import (
    check_matches,
    check_scorable,
    embed_dataset,
    score,
    score_all,
    show,
)
from crossreid.training.stopwatch import Stopwatch
from crossreid.training.trainer import make_trainer
from crossreid.training.validation import ValidationSelection
from crossreid.training.wandb_run import make_wandb, send_artifacts, send_ranked_lists, send_scores, wandb_of


@dataclass
class Session:
    """What is trained, on what, and where it goes.

    Args:
        config: the run's settings; those that depend on the dataset are filled in.
        run: where it writes.
        interruption: says whether a person or the system asked to stop.
    """

    config: RunConfig
    run: RunFolder
    interruption: Interruption = field(default_factory=Interruption)
    doing: str = field(default="reading the data", init=False)
    began: bool = field(default=False, init=False)
    initial: InitialWeights | None = field(default=None, init=False)
    watch: Stopwatch = field(default_factory=partial(Stopwatch, "data"), init=False)

    def complete(self) -> RunResults:
        """Read, train, score, show, keep.

        Raises:
            CrossReIDError: in one sentence, what went wrong.
            Stopped: a person or the system asked to stop; :meth:`farewell` says what there is.
        """
        tell(self.doing)
        self._prepare()
        resumed_at = self._check_checkpoint()
        self.interruption.check()
        # every check has passed: from here on the run is on disk
        if main_process():
            start_run(self.run, self.config.to_plain(), overwrite=self.config.overwrite)
            self._note_persons()
            tell_ranks(self.run)  # before the trainer, which starts them
        self.began = True
        self.watch.begin("starting")
        trainer = self._make_trainer(resumed_at)
        notice(scoring_sentence(self.config, self.protocols))
        notice(place_sentence(self.config, self.run, machine(trainer.strategy.root_device)))
        self._now("scoring the untrained network", "scoring")
        before = self._score_untrained(trainer)
        self._now("training", "training")
        self._fit(trainer, resumed_at)
        seconds = round(self.clock.seconds, 1)
        self._now("scoring", "scoring")
        scores, embeddings = self._score(trainer)
        self._now("saving the scores", "saving")
        if not self.config.model.trains:
            self._save_checkpoints(trainer)
        results = RunResults([*scores, *before], self._facts(resumed_at, seconds))
        if trainer.is_global_zero:
            self._keep(trainer, results, embeddings)
            self._finish(trainer, seconds)
        return results

    def _save_checkpoints(self, trainer: pl.Trainer) -> None:
        """Of a method that does not train, so that evaluate can take its weights as any other."""
        trainer.save_checkpoint(self.run.path / LAST)
        if self.selection:
            trainer.save_checkpoint(self.run.path / BEST)

    def _keep(self, trainer: pl.Trainer, results: RunResults, embeddings: Embeddings) -> None:
        """Write, show and draw what came out."""
        results.save(self.run.path / "results.json")  # before anything is shown
        embeddings.save(self.run.path / "embeddings.npz")
        self._show(trainer, results)
        if self.config.report.figures:
            self._now("drawing", "figures")
            self._draw(trainer, embeddings)
        self._send_artifacts(trainer)

    def _finish(self, trainer: pl.Trainer, seconds: float) -> None:
        """Say, on disk and on the screen, that the run is finished; ``seconds`` of training."""
        if not self.config.trainer.keep_optimizers:
            drop_optimizers(self.run.path / LAST)  # killed from here on, it is scored again, which needs none
        self.interruption.check()
        place = machine(trainer.strategy.root_device)
        parts = {name: round(taken, 1) for name, taken in self.watch.stop().items()}
        finish_run(self.run, self.config.to_plain(), training_seconds=seconds, seconds=parts, machine=place)
        notice(self.watch.sentence())
        self._say_where()

    def _note_persons(self) -> None:
        """What else a run keeps of its beginning: where its weights come from, and how a folder's persons were divided."""
        if self.initial is not None:
            self.run.note(init=self.initial.facts())
        if getattr(self.config.data, "divide", None) is None:
            return
        note_persons(self.data.dataset, self.run.path)

    def farewell(self, stop: Stopped) -> str:
        """What to say of a run that was stopped: how far it came, what there is of it, how to go on."""
        place = self.run.path
        by = name_of(stop.signum)
        if not self.began:
            return f"Stopped by {by} while {self.doing}: the run had not begun."
        if self.run.checkpoint and self.run.finished:
            return f"Stopped by {by} while {self.doing}: the finished run in {place} is as it was."
        if not (place / LAST).is_file():
            return (
                f"Stopped by {by} while {self.doing}, before the first checkpoint: start the same command again, with "
                f"run_dir={shlex.quote(str(place))} overwrite=true to use the same folder."
            )
        again = f"go on with the same command and resume={shlex.quote(str(place))}"
        if self.doing != "training" or not self.config.model.trains:
            trained = "; the training is complete"
            if self.doing.startswith("scoring the untrained"):
                trained = ""
            return f"Stopped by {by} while {self.doing}{trained}: {again}"
        iteration = self.module.iteration
        if iteration == self._saved_at:
            return f"Stopped at iteration {iteration} by {by}, which is saved: {again}"
        return (
            f"Stopped at iteration {iteration} by {by}; the last checkpoint is of iteration {self._saved_at}: {again}"
        )

    def _now(self, doing: str, part: str) -> None:
        """Say what is done from here on, for :meth:`farewell`, and which part of the run it is, for the stopwatch.

        Stops here if that was asked for.
        """
        self.interruption.check()
        self.doing = doing
        tell(doing)
        self.watch.begin(part)

    # ------------------------------------------------------------------ before training

    def _prepare(self) -> None:
        """The dataset, the method, the protocols; refuses what cannot be before anything is written."""
        config = self.config
        validating = config.selection.name == "validation"
        config = replace(config, data=open_source(config.data).for_training())
        self.config = config
        self.data = ReIDDataModule.for_method(
            config.data, config.model, seed=config.seed, validating=validating, progress=config.trainer.progress
        )
        notice(data_sentence(self.data))
        if config.model.trains:
            config = replace(config, model=config.model.with_epoch(self.data.iterations_per_epoch))
            self.config = config
            config.check()  # once more: the length of an epoch decides that of the training
        notice(run_sentence(config))
        device = choose_device(config.trainer.accelerator)
        if config.scale == "paper" and config.model.trains and device.type == "cpu":
            notice(
                "scale=paper is the full setting, which wants a GPU: on a CPU, try things out with scale=small first."
            )
        self.watch.begin("network")
        self.module = self._make_module()
        for sentence in self._load_initial_weights(device):
            notice(f"Initial weights: {sentence}")
        scored = Scored.of(config.data, config.data, self.data.dataset)
        self.protocols = build_protocols(config.protocol, scored)
        check_scorable(self.data.dataset, self.protocols)
        self.selection = self._make_selection()
        self.data.sampler(world_size=world_size(config.trainer))  # refuses impossible batches
        self.watch.begin("cache")
        self.data.prepare_data()

    def _load_initial_weights(self, device: torch.device) -> Sequence[str]:
        """Of another run where ``init`` names one, else what the method's settings name; says what was loaded."""
        config = self.config
        if config.init is not None:
            self.initial = start_from(self.module, config.init)
            return self.initial.sentences()
        people = partial(
            people_weights,
            data=config.data,
            device=device,
            progress=config.trainer.progress,
            check=self.interruption.check,
        )
        return self.module.load_pretrained(people)

    def _make_module(self) -> CrossModalityModule[Any]:
        module = make_method(self.config.model, self.data.num_identities, self.config.seed)
        module.log_every = self.config.trainer.log_every
        module.optimizer_kernels = self.config.trainer.optimizer_kernels
        use_kernels(module, self.config.trainer)
        module.checkpoint_extras = {"config": self.config.to_plain(), IMAGES: self.data.dataset.digest}
        return module

    def _make_selection(self) -> ValidationSelection | None:
        """The callback that looks at the validation identities, if asked for."""
        if self.config.selection.name == "last":
            return None
        if self.protocols.validation is None or "val" not in self.data.dataset.splits:
            raise ConfigError(f"{self.config.data.name} has no validation identities to select on: use selection=last.")
        check_matches(self.data.dataset, "val", self.protocols.validation)
        scorer = build_scorers(self.config.protocol, {"": self.module.scorer()})[""]
        return ValidationSelection(self.run.path, self.data, self.protocols.validation, scorer)

    def _check_checkpoint(self) -> int:
        """The iteration to resume at, once the checkpoint is known to be whole; 0 for a new run. Sets the clock."""
        self.clock = TrainingClock(self.config.trainer.time_budget)
        if self.run.checkpoint is None:
            return 0
        checkpoint = read_checkpoint(self.run.checkpoint)
        unlike = differences_from(self.run.path, self.config.to_plain())  # now that the dataset has said its part
        if unlike:
            raise ConfigError(f"The run in '{self.run.path}' has other settings than this one: {first_three(unlike)}.")
        trial = self._make_module()  # a copy: the row before training keeps its weights
        check_resumable(checkpoint, self.run.checkpoint, self.config, trial)
        check_same_images(checkpoint, self.run.checkpoint, self.data.dataset)
        load_weights(trial, checkpoint["state_dict"], self.run.checkpoint)
        ours = checkpoint["crossreid"]
        self.clock.before = float(ours.get("training_seconds", 0.0))  # older checkpoints did not count
        iteration = int(ours["iteration"])
        length = self.config.model.iterations
        if iteration < length:
            where = f"at iteration {iteration} of {length}, in phase {ours['phase']}"
            notice(f"Resuming from '{self.run.checkpoint}' {where}.")
        else:
            notice(f"Resuming from '{self.run.checkpoint}': its training is complete, so it is scored.")
        return iteration

    def _make_trainer(self, resumed_at: int) -> pl.Trainer:
        config = self.config
        run = self.run
        history = HistoryLogger(run.path / "history.csv")
        loggers: list[Logger] = [history]
        self._checkpoints = IterationCheckpoint(
            run.path,
            config.trainer.checkpoint_every,
            self.clock,
            self.interruption,
            phases=config.trainer.phase_checkpoints,
        )
        callbacks: list[pl.Callback] = [self._checkpoints]
        sent_until = -1
        if run.checkpoint and main_process():
            sent_until = history.truncate(resumed_at)  # iterations behind the checkpoint are trained once more
        if config.logger.name == "wandb":
            known = None
            if run.checkpoint:
                known = run.note().get("wandb_id")
            wandb_logger = make_wandb(config, config.to_plain(), run, known, sent_until)
            loggers.append(wandb_logger)
            if main_process():
                run.note(wandb_id=wandb_logger.experiment.id)
        callbacks += self._picture_grids()
        if config.trainer.progress:
            callbacks.append(IterationProgress())
        if self.selection:
            callbacks.append(self.selection)
        return make_trainer(
            config.trainer,
            config.model,
            len(self.module.OPTIMIZERS),
            run.path,
            loggers,
            callbacks,
            validate_every=config.selection.every,
        )

    def _picture_grids(self) -> list[pl.Callback]:
        """The grids of pictures that W&B is sent, of test persons in both modalities; none where there are none to send."""
        every = self.config.trainer.pictures_every
        if not every or self.config.logger.name != "wandb":
            return []
        if not self.data.has_pairs("test"):
            notice("Left out, grids of pictures: no test person has both visible and infrared images.")
            return []
        size = self.data.streams["identity"].size
        batch = self.data.sample_pairs("test", identities=4, images=3, size=size)
        return [PictureGrids(batch.visible, batch.infrared, every)]

    # ------------------------------------------------------------------ training

    def _fit(self, trainer: pl.Trainer, resumed_at: int) -> None:
        self._resumed_at = resumed_at
        self.clock.start()
        if not self.config.model.trains:
            return
        compile_networks(self.module, self.config.trainer)
        with self.interruption.put_off():  # to the end of an iteration, where there is a checkpoint
            trainer.fit(self.module, self.data, ckpt_path=self.run.checkpoint, weights_only=True)
        if self.selection:
            best = self.selection.best
            path = self.run.path / BEST
            load_weights(self.module, read_checkpoint(path)["state_dict"], path)
            notice(
                f"Chosen on the validation identities: iteration {best['iteration']:.0f} "
                f"(mAP {100 * best['mAP']:.1f}, Rank-1 {100 * best['rank1']:.1f})"
            )

    @property
    def _saved_at(self) -> int:
        """Iteration of ``last.ckpt``."""
        if self._checkpoints.saved_at is None:
            return self._resumed_at
        return self._checkpoints.saved_at

    # ------------------------------------------------------------------ scores and figures

    def _score_untrained(self, trainer: pl.Trainer) -> list[Scores]:
        """The method's own row before training, where asked for; by default on the embedded set only."""
        wanted = self.config.report.untrained
        if wanted is None:
            wanted = self.config.data.embedded
        if not wanted or not self.config.model.trains:
            return []
        embeddings = embed_dataset(trainer, self.module, self.data)
        scorer = scorers_of(self.module, self.config.protocol, trainer.strategy.root_device)[""]
        return [score(UNTRAINED, embeddings, self.protocols, scorer, progress=self._shows_progress(trainer))]

    def _score(self, trainer: pl.Trainer) -> tuple[list[Scores], Embeddings]:
        """All rows of the trained method."""
        embeddings = embed_dataset(trainer, self.module, self.data)
        scores = score_all(
            self.config.label,
            embeddings,
            self.protocols,
            scorers_of(self.module, self.config.protocol, trainer.strategy.root_device),
            pairs=self.config.report.modality_pairs,
            reported=reported_pairs_of(self.module),
            progress=self._shows_progress(trainer),
        )
        return scores, embeddings

    def _shows_progress(self, trainer: pl.Trainer) -> bool:
        return self.config.trainer.progress and trainer.is_global_zero

    def _facts(self, resumed_at: int, seconds: float) -> dict[str, Any]:
        """What results.json says besides scores."""
        facts: dict[str, Any] = {
            "seed": self.config.seed,
            "iterations": self.config.model.iterations,
            "resumed_at": resumed_at,
            "training_identities": self.data.num_identities,
            "training_seconds": seconds,
            "left_out_identities": list(self.data.index.unpaired),
        }
        if self.selection:
            facts["selected"] = self.selection.best
        return facts

    def _show(self, trainer: pl.Trainer, results: RunResults) -> None:
        """Show and log the scores."""
        config = self.config
        title = f"{config.label} on {config.data.name}, seed {config.seed}"
        if config.preset:
            title += f", preset {config.preset}"
        own = [row for row in results.rows if row.name != UNTRAINED]
        untrained = [row for row in results.rows if row.name == UNTRAINED]
        show([*untrained, *own], title=title)
        iteration = self.module.iteration
        for logger in trainer.loggers:
            if isinstance(logger, HistoryLogger):
                for row in own:
                    logger.log_metrics(row.flat(), step=iteration)
        wandb_logger = wandb_of(trainer)
        if wandb_logger is not None:
            send_scores(wandb_logger, [*own, *untrained])

    def _draw(self, trainer: pl.Trainer, embeddings: Embeddings) -> None:
        source = FigureSource(
            self.module,
            self.data,
            embeddings,
            self.protocols.test[0],
            scorers_of(self.module, self.config.protocol, trainer.strategy.root_device)[""],
            self.run.path / "history.csv",
            persons=self.config.report.tsne_identities,
        )
        figures = draw_figures(self.run.figures, source)
        wandb_logger = wandb_of(trainer)
        if wandb_logger is None:
            return
        for path in figures:
            wandb_logger.log_picture(f"figures/{path.stem}", str(path), self.module.iteration)
        send_ranked_lists(wandb_logger, source.lists, embeddings, self.data.images(source.size))

    def _send_artifacts(self, trainer: pl.Trainer) -> None:
        """Checkpoint and embeddings into W&B, where asked for."""
        wandb_logger = wandb_of(trainer)
        if wandb_logger is None or not self.config.logger.artifacts:
            return
        embeddings = files_of(self.run.path / "embeddings.npz")
        send_artifacts(wandb_logger, self.config, {"model": [checkpoint_at(self.run.path)], "embeddings": embeddings})

    def _say_where(self) -> None:
        place = shlex.quote(str(self.run.path))
        notice(f"Results, checkpoints and figures: {self.run.path} ({size_in_words(self.run.path)})")
        if self.config.logger.name == "wandb" and self.config.logger.offline:
            notice(f"W&B, offline: wandb sync {place}/wandb/offline-run-*")
        notice(f"Score it on another dataset: python -m crossreid.evaluate checkpoint={place} data=...")
        notice(f"Beside published numbers: python -m crossreid.report runs={place}")
