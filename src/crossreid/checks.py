"""Semantic checks of settings: each raises :class:`ConfigError` with one sentence, before anything is written."""

from __future__ import annotations

import re
from importlib.util import find_spec

import torch

from crossreid.config import ProtocolConfig, ReportConfig, TrainConfig, TrainerConfig
from crossreid.errors import ConfigError


def check_train(config: TrainConfig, players: int) -> None:
    """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
    check_choice("logger.name", config.logger.name, ("csv", "wandb"))
    check_choice("data.name", config.data.name, ("synthetic", "sysu_mm01"))
    check_choice("data.counts", config.data.counts, ("official", "manifest", "any"))
    if config.data.evaluation_batch < 1:
        raise ConfigError("data.evaluation_batch is 1 or more.")
    check_protocol(config.protocol)
    check_trainer(config.trainer, players)
    check_report(config.report)


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


def check_protocol(config: ProtocolConfig) -> None:
    """Raise :class:`ConfigError` for an unknown protocol or impossible numbers."""
    check_choice("protocol.name", config.name, ("sysu_mm01", "auto"))
    check_choice("protocol.draw", config.draw, ("official", "seeded"))
    check_choice("protocol.similarity", config.similarity, ("cosine", "euclidean"))
    for mode in config.modes:
        check_choice("protocol.modes", mode, ("all", "indoor"))
    if not config.modes or not config.shots or min(config.shots) < 1:
        raise ConfigError("protocol.modes and protocol.shots need at least one entry, and shots are 1 or more.")
    if not 1 <= config.trials <= 10:
        raise ConfigError(f"protocol.trials is {config.trials}: choose 1 to 10.")


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


def check_choice(key: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise :class:`ConfigError` naming the choices."""
    if value not in allowed:
        raise ConfigError(f"{key} is '{value}': choose from {', '.join(allowed)}.")
