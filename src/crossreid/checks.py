"""Semantic checks of settings: each raises :class:`ConfigError` with one sentence, before anything is written."""

from __future__ import annotations

import re
from importlib.util import find_spec

import torch

from crossreid.config import ReportConfig, SelectionConfig, TrainConfig, TrainerConfig, check_choice
from crossreid.errors import ConfigError
from crossreid.methods.base import MethodConfig


def check_train(config: TrainConfig, method: MethodConfig, players: int) -> None:
    """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
    check_choice("logger.name", config.logger.name, ("csv", "wandb"))
    check_selection(config.selection, method.iterations // method.iterations_per_epoch)
    check_trainer(config.trainer, players)
    check_report(config.report)
    check_existing(config)


def check_existing(config: TrainConfig) -> None:
    """Raise :class:`ConfigError` where two settings say different things about a run that is there already."""
    check_choice("existing", config.existing, ("refuse", "continue"))
    if config.existing == "continue" and (config.overwrite or config.resume):
        raise ConfigError("existing=continue decides by itself what to resume: leave overwrite and resume out.")


def check_report(config: ReportConfig) -> None:
    """Raise :class:`ConfigError` before hours of training, not after, when figures cannot be drawn."""
    if not 0 <= config.tsne_identities <= 10:
        raise ConfigError("report.tsne_identities is 0 to 10: one marker shape a person.")
    check_figures(config.figures, "report.figures")


def check_figures(wanted: bool, key: str = "figure") -> None:
    """Raise :class:`ConfigError` naming the key, when figures are wanted and their packages are missing."""
    if wanted and any(find_spec(name) is None for name in ("matplotlib", "sklearn")):
        raise ConfigError(
            f"Figures need matplotlib and scikit-learn: pip install 'crossreid[viz]', or set {key}=false."
        )


def check_selection(config: SelectionConfig, epochs: int) -> None:
    """Raise :class:`ConfigError` for settings of model selection that cannot be."""
    check_choice("selection.name", config.name, ("last", "validation"))
    if config.name == "validation" and config.every < 1:
        raise ConfigError("selection.every is the number of epochs between two validations: give 1 or more.")
    if config.name == "validation" and epochs % config.every:
        raise ConfigError(
            f"selection.every={config.every} does not divide the {epochs} epochs of this training, so the last weights "
            "would not be looked at: choose another number."
        )
    if config.name == "last" and config.every:
        raise ConfigError("selection.every goes with selection=validation; selection=last looks at no validation ids.")


def check_trainer(config: TrainerConfig, players: int) -> None:
    """Raise :class:`ConfigError` for settings that manual optimization cannot do."""
    check_choice("trainer.accelerator", config.accelerator, ("auto", "cpu", "gpu"))
    check_choice("trainer.strategy", config.strategy, ("auto", "ddp", "ddp_find_unused_parameters_true"))
    check_choice("trainer.precision", config.precision, ("32-true", "bf16-mixed", "16-mixed"))
    if config.precision == "16-mixed" and players > 1:
        raise ConfigError(
            "trainer.precision=16-mixed updates one gradient scaler once a player, which is wrong with several: use "
            "trainer.precision=bf16-mixed."
        )
    _check_devices(config)
    if min(config.log_every, config.checkpoint_every) < 1 or config.pictures_every < 0:
        raise ConfigError("trainer.log_every and trainer.checkpoint_every are 1 or more, pictures_every 0 or more.")
    if config.time_budget is not None and config.time_budget <= 0:
        raise ConfigError("trainer.time_budget is a number of seconds above 0, or null for any time.")


def device_count(config: TrainerConfig) -> int:
    """Processes on this machine that the settings ask for."""
    if isinstance(config.devices, list):
        return len(config.devices)
    if str(config.devices) in ("auto", "-1"):
        return max(1, torch.cuda.device_count()) if config.accelerator != "cpu" else 1
    return int(config.devices)


def _check_devices(config: TrainerConfig) -> None:
    gpus = torch.cuda.device_count()
    if config.accelerator == "gpu" and not gpus:
        raise ConfigError("trainer=gpu needs a CUDA GPU and torch finds none: choose trainer=cpu or trainer=auto.")
    if not isinstance(config.devices, list) and not re.fullmatch(r"auto|-1|[1-9]\d*", str(config.devices)):
        raise ConfigError(f"trainer.devices is '{config.devices}': give a number from 1, a list, or 'auto'.")
    if config.accelerator != "cpu" and gpus and device_count(config) > gpus:
        raise ConfigError(f"trainer.devices asks for {device_count(config)} GPUs and there are {gpus}: ask for fewer.")
    if config.strategy != "auto" and device_count(config) * config.num_nodes == 1:
        raise ConfigError(f"trainer.strategy={config.strategy} needs several processes: set trainer.devices=2 or more.")
