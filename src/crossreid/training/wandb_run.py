"""Runs in Weights & Biases: one a training, grouped by method, with scores in percent beside chance and the published ones.

Axes count iterations. A run that is gone on with goes on in the same W&B run and repeats no point. A W&B sweep may choose by
any number that it is sent, so that its runs keep the scores of the test in results.json and history.csv alone.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from crossreid.console import in_wandb_sweep, main_process, notice
from crossreid.errors import ConfigError, reason_of
from crossreid.evaluation import Embeddings, RankedLists, RetrievalResult
from crossreid.evaluation.published import published
from crossreid.invocation import in_multirun
from crossreid.runs.folder import RunFolder
from crossreid.runs.results import Scores
from crossreid.settings.run import RunConfig

AXES = ("train/*", "lr/*", "phase", "pictures/*", "figures/*", "validation/*")
"""Keys that are drawn over the iterations."""
METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
_LISTED = 5
"""Gallery images in a row of the table of ranked lists."""


class IterationWandbLogger(WandbLogger):
    """Sends nothing of iterations that a resumed run has sent before; they would be the same numbers.

    Args:
        sent_until: the last iteration that was sent; -1 for none.
        settings: of :class:`WandbLogger`.
    """

    def __init__(self, sent_until: int = -1, **settings: Any) -> None:
        super().__init__(**settings)
        self._wandb_init.pop("anonymous", None)  # current versions of W&B warn of it, even where it is not set
        self.sent_until = sent_until

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers that have an ``iteration``, unless they were sent."""
        if metrics.get("iteration", self.sent_until + 1) > self.sent_until:
            super().log_metrics(dict(metrics), step)

    def log_picture(self, key: str, image: Any, iteration: int) -> None:
        """Log an image file, or (H, W, 3) uint8 pixels, against the iteration."""
        import wandb  # noqa: PLC0415 - only with this logger; importing it takes a second

        if iteration > self.sent_until:
            self.experiment.log({key: wandb.Image(image), "iteration": iteration})


def job_type() -> str:
    """``sweep`` for a job of a multirun or of a W&B sweep, else ``train``."""
    if in_multirun() or in_wandb_sweep():
        return "sweep"
    return "train"


def make_wandb(
    config: RunConfig, plain: dict[str, Any], run: RunFolder, run_id: str | None, sent_until: int = -1
) -> IterationWandbLogger:
    """Open a W&B run: group = method, job type, tags = data, protocol, scale, preset, row and one's own.

    Args:
        config: the run's settings.
        plain: the same as plain values, kept as the run's config.
        run: the run folder; W&B's files lie inside it.
        run_id: the id of a resumed run.
        sent_until: the last iteration that a resumed run has sent.

    Raises:
        ConfigError: W&B cannot be reached.
    """
    by_mode = {}
    if config.logger.offline:
        os.environ.setdefault("WANDB_SILENT", "true")
        by_mode["mode"] = "offline"  # said to W&B itself, which reads the environment once a process
    known = (config.data.name, config.protocol.name, config.scale, config.preset, config.label)
    tags = dict.fromkeys([*known, *config.logger.tags])  # each once
    logger = IterationWandbLogger(
        sent_until,
        name=f"{config.label} seed {config.seed}",
        save_dir=run.path.absolute(),  # W&B writes from a process whose working directory may be another
        offline=config.logger.offline,
        project=config.logger.project,
        entity=config.logger.entity,
        id=run_id,
        resume="allow" if run_id else None,
        group=config.model.name,
        job_type=job_type(),
        tags=[tag for tag in tags if tag],
        notes=config.logger.notes,
        config=plain,
        **by_mode,
    )
    if main_process():
        _open(logger)
        for key in AXES:
            logger.experiment.define_metric(key, step_metric="iteration")
    return logger


def _open(logger: WandbLogger) -> None:
    """Open the W&B run; :class:`ConfigError` where W&B cannot be reached."""
    import wandb  # noqa: PLC0415 - only with this logger

    try:
        _ = logger.experiment
    except wandb.errors.Error as error:
        raise ConfigError(
            f"W&B does not take the run ({reason_of(error)}): choose logger=wandb, which writes to the disk, and "
            "send it later by `wandb sync`."
        ) from error


def wandb_of(trainer: pl.Trainer) -> IterationWandbLogger | None:
    """The run's W&B logger, if it has one."""
    for logger in trainer.loggers:
        if isinstance(logger, IterationWandbLogger):
            return logger
    return None


def send_scores(logger: IterationWandbLogger, rows: Sequence[Scores]) -> None:
    """Scores in percent: one key of the summary each, a table of all rows, a table of all trials.

    Args:
        logger: of the run.
        rows: the method's own row first; that of the network before training, if any, last.
    """
    if in_wandb_sweep():
        notice("W&B sweep: scores of the test stay in results.json, so that nothing is chosen by them.")
        return
    own = rows[0]
    summary = {}
    for protocol, result in own.results.items():
        for kind, means in (("test", _means(result)), ("chance", result.chance)):
            for metric, percent in zip(METRICS, _in_percent(means), strict=True):
                if percent is not None:
                    summary[f"{kind}/{protocol}/{metric}"] = percent
    logger.experiment.summary.update(summary)
    logger.log_table("scores", columns=["protocol", "row", *METRICS], data=list(_score_rows(rows)))
    logger.log_table("trials", columns=["protocol", "row", "trial", *METRICS], data=list(_trial_rows(rows)))
    _send_bars(logger, own, rows)


def _score_rows(rows: Sequence[Scores]) -> Iterable[list[Any]]:
    """Every row's means by protocol, then chance and what papers print on real images."""
    own = rows[0]
    for protocol, result in own.results.items():
        for row in rows:
            if protocol in row.results:
                yield [protocol, row.row, *_in_percent(_means(row.results[protocol]))]
        yield [protocol, "chance", *_in_percent(result.chance)]
        for entry in published(own.name, "", result.labels.inference, protocol):
            printed = {"rank1": entry.rank1, "mAP": entry.mean_ap}  # in percent already
            cells = [printed.get(metric) for metric in METRICS]
            yield [protocol, f"published on real images, {entry.source}", *cells]


def _trial_rows(rows: Sequence[Scores]) -> Iterable[list[Any]]:
    for row in rows:
        for protocol, result in row.results.items():
            metrics = result.metrics()
            for trial in range(result.trials):
                values = [_percent(metrics[metric]["per_trial"][trial]) for metric in METRICS]
                yield [protocol, row.row, trial, *values]


def _send_bars(logger: IterationWandbLogger, own: Scores, rows: Sequence[Scores]) -> None:
    """Rank-1 of the first protocol beside chance, the network before training and what is printed."""
    import wandb  # noqa: PLC0415

    protocol = next(iter(own.results))
    bars = []
    for entry in _score_rows(rows):
        if entry[0] == protocol and entry[2] is not None:
            bars.append(entry[1:3])
    table = wandb.Table(columns=["row", "Rank-1 in percent"], data=bars)
    title = f"{protocol}: Rank-1 in percent"
    logger.experiment.log({"beside": wandb.plot.bar(table, "row", "Rank-1 in percent", title=title)})


def send_ranked_lists(
    logger: IterationWandbLogger, lists: RankedLists, embeddings: Embeddings, images: npt.NDArray[np.uint8]
) -> None:
    """A table of probes and the gallery images most like them, each with camera, similarity and whether it is right.

    Args:
        logger: of the run.
        lists: n probes and the first k images of their galleries.
        embeddings: who and where each image is.
        images: (N, H, W, 3) pixels of the dataset, by the embeddings' ``rows``.
    """
    import wandb  # noqa: PLC0415

    listed = min(_LISTED, lists.indices.shape[1])
    ranks = [f"rank {rank}" for rank in range(1, listed + 1)]
    table = wandb.Table(columns=["person", "camera", "probe", *ranks])
    for row, probe in enumerate(lists.queries.tolist()):
        cells: list[Any] = [int(embeddings.pids[probe]), int(embeddings.camids[probe])]
        cells.append(wandb.Image(images[embeddings.rows[probe]]))
        for place in range(listed):
            index = int(lists.indices[row, place])
            if index < 0:  # past the end of the list
                cells.append(None)
                continue
            right = "right" if lists.correct[row, place] else "wrong"
            caption = f"{right}, {lists.similarity[row, place]:.3f}, camera {embeddings.camids[index]}"
            cells.append(wandb.Image(images[embeddings.rows[index]], caption=caption))
        table.add_data(*cells)
    logger.experiment.log({"ranked_lists": table})


def send_artifacts(logger: IterationWandbLogger, config: RunConfig, files: Mapping[str, Sequence[Path]]) -> None:
    """Files as artifacts of the run, such as its checkpoint (``model``) and its embeddings (``embeddings``)."""
    import wandb  # noqa: PLC0415

    for kind, paths in files.items():
        name = f"{config.label}-{config.data.name}-seed{config.seed}-{kind}".replace("/", "-")
        artifact = wandb.Artifact(name, type=kind)
        for path in paths:
            if path.is_file():
                artifact.add_file(str(path))
        logger.experiment.log_artifact(artifact)


def as_bytes(image: torch.Tensor) -> npt.NDArray[np.uint8]:
    """An image (3, H, W) in [0, 1] -> (H, W, 3) uint8: W&B would cast floats to bytes as they are, which is black."""
    scaled = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.asarray(scaled.permute(1, 2, 0))


def finish_wandb(exit_code: int) -> None:
    """Close the W&B run of this job, or the next job of a sweep would log into it."""
    if "wandb" in sys.modules:
        import wandb  # noqa: PLC0415

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wandb.finish(exit_code=exit_code)


def _means(result: RetrievalResult) -> dict[str, float]:
    return {metric: values["mean"] for metric, values in result.metrics().items()}


def _in_percent(fractions: Mapping[str, float]) -> list[float | None]:
    """Every metric in the order of :data:`METRICS`; None for one that is not there."""
    return [_percent(fractions.get(metric)) for metric in METRICS]


def _percent(fraction: float | None) -> float | None:
    if fraction is None or np.isnan(fraction):
        return None
    return round(100 * float(fraction), 2)
