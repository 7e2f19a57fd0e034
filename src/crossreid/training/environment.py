"""What this machine must have for a run: checked before anything expensive."""

from __future__ import annotations

import inspect
import os
import platform
from dataclasses import fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from crossreid.console import console
from crossreid.errors import ConfigError, reason_of
from crossreid.escaping import one_line
from crossreid.evaluation import GalleryPermutations
from crossreid.nn.backbones import check_resnet
from crossreid.nn.pretrained import check_backbone
from crossreid.nn.timm_networks import PLACE
from crossreid.settings.method import MethodConfig
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.run import LoggerConfig, TrainerConfig
from crossreid.training.kernels import check_compiler, check_threads

FIGURE_PACKAGES = ("matplotlib", "sklearn")
_SCHEDULERS = ("SLURM_NTASKS", "LSB_JOBID", "TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_SIZE", "KUBERNETES_PORT")
"""Any of these: who starts the processes tells them where they meet."""
_MEETING_PLACE = ("MASTER_ADDR", "NODE_RANK")


def figures_possible() -> bool:
    """The packages that figures need are there."""
    return all(find_spec(name) is not None for name in FIGURE_PACKAGES)


def check_figures(wanted: bool, key: str = "figure") -> None:
    """Raise :class:`ConfigError` naming the key, when figures are wanted and their packages are missing."""
    if wanted and not figures_possible():
        raise ConfigError(
            f"Figures need matplotlib and scikit-learn: pip install 'crossreid[viz]', or set {key}=false."
        )


def check_wandb(config: LoggerConfig) -> None:
    """Raise :class:`ConfigError` where W&B is asked for and not installed, or is to send a run and knows no account."""
    if config.name != "wandb":
        return
    if find_spec("wandb") is None:
        raise ConfigError("logger=wandb needs the package wandb: pip install wandb, or choose logger=csv.")
    silenced = os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled")
    if not config.offline and not silenced and not _logged_in():
        raise ConfigError(
            "logger=wandb_online needs a W&B account and none is logged in: run `wandb login`, set WANDB_API_KEY, or choose "
            "logger=wandb, which writes to the disk."
        )


def _logged_in() -> bool:
    """W&B finds a key; nothing is sent, and nobody is asked."""
    import wandb  # noqa: PLC0415 - importing it takes a second

    try:
        if "prompt" in inspect.signature(wandb.login).parameters:
            return bool(wandb.login(prompt=False, verify=False))
        return bool(wandb.api.api_key)
    except wandb.errors.Error as error:
        raise ConfigError(f"W&B cannot use the account that it knows ({reason_of(error)}).") from error


def check_files(*settings: Any) -> None:
    """Raise a sentence for encoders and files that settings name and that are not there: permutations, initial weights.

    Args:
        settings: of a method, of a protocol; others are looked through likewise.

    Raises:
        ConfigError: an encoder or a weights file is not there, or the method does not take such an encoder.
        DataError: a permutations file is not there, or is none.
    """
    for part in settings:
        if not is_dataclass(part) or isinstance(part, type):
            continue
        if isinstance(part, MethodConfig) and part.why_resnet():
            check_resnet(vars(part)["backbone"], f"{part.name} {part.why_resnet()}", PLACE)
        if isinstance(part, BackboneConfig):
            check_backbone(part, PLACE)
        permutations = getattr(part, "permutations", None)
        if permutations:
            GalleryPermutations.from_mat(Path(permutations))
        for entry in fields(part):
            check_files(getattr(part, entry.name))


def check_devices(config: TrainerConfig) -> None:
    """Raise :class:`ConfigError` where the trainer asks for devices that are not there."""
    gpus = torch.cuda.device_count()
    count = device_count(config)
    if config.accelerator == "gpu" and not gpus:
        raise ConfigError("trainer=gpu needs a CUDA GPU and torch finds none: choose trainer=cpu or trainer=auto.")
    if config.accelerator != "cpu" and gpus and count > gpus:
        raise ConfigError(f"trainer.devices asks for {count} GPUs and there are {gpus}: ask for fewer.")
    if config.strategy != "auto" and count * config.num_nodes == 1:
        raise ConfigError(f"trainer.strategy={config.strategy} needs several processes: set trainer.devices=2 or more.")
    check_threads(config, choose_device(config.accelerator), count)
    check_compiler(config, choose_device(config.accelerator))
    check_machines(config.num_nodes)


def check_machines(count: int) -> None:
    """Raise :class:`ConfigError` where several machines are asked for and nothing says where they meet.

    Where a cluster's own scheduler or torchrun starts the processes, it says so. What is waited for is told: a machine that
    never comes is waited for without end.
    """
    if count == 1 or any(name in os.environ for name in _SCHEDULERS):
        return
    unsaid = [name for name in _MEETING_PLACE if name not in os.environ]
    if unsaid:
        raise ConfigError(
            f"trainer.num_nodes={count} waits for {count} machines and does not know where: set {' and '.join(unsaid)} "
            "(MASTER_ADDR: the first machine's address; NODE_RANK: 0 on it, 1 and so on elsewhere) and start this command on "
            "each of them, or set trainer.num_nodes=1."
        )
    place = f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT', 'a port of its choice')}"
    if os.environ.get("LOCAL_RANK", "0") == "0":  # every machine says it, not only the first
        console.print(one_line(f"Waiting until this command runs on {count} machines, which meet at {place}."))


def device_count(config: TrainerConfig) -> int:
    """Processes on this machine that the settings ask for."""
    if isinstance(config.devices, list):
        return len(config.devices)
    if str(config.devices) not in ("auto", "-1"):
        return int(config.devices)
    if config.accelerator == "cpu":
        return 1
    return max(1, torch.cuda.device_count())


def world_size(config: TrainerConfig) -> int:
    """Processes on all machines."""
    return device_count(config) * config.num_nodes


def choose_device(name: str) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu``, ``gpu``, ``cuda`` or ``cuda:1`` as a device.

    Raises:
        ConfigError: it is not there, or is none of these.
    """
    has_gpu = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if has_gpu else "cpu")
    if name in ("gpu", "cuda") or name.startswith("cuda:"):
        if not has_gpu:
            raise ConfigError(f"The device {name} needs a CUDA GPU and torch finds none: choose cpu or auto.")
        return _gpu("cuda" if name == "gpu" else name)
    if name == "cpu":
        return torch.device("cpu")
    raise ConfigError(f"There is no device '{name}': choose from auto, cpu, gpu, cuda:0.")


def _gpu(name: str) -> torch.device:
    """``cuda`` or ``cuda:1``, which is there."""
    number = name.partition(":")[2]
    count = torch.cuda.device_count()
    if ":" in name and not (number.isdecimal() and int(number) < count):
        raise ConfigError(f"There is no device '{name}': the last of {count} GPUs is cuda:{count - 1}.")
    return torch.device(name)


def machine(device: torch.device) -> str:
    """What ``device`` is, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} thread(s)"


def _processor() -> str:
    """By the name that Linux lists, where it does."""
    list_of_cores = Path("/proc/cpuinfo")
    if list_of_cores.is_file():
        for line in list_of_cores.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
