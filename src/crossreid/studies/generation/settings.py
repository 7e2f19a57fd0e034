"""Settings of ``crossreid.image_quality``."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from omegaconf import MISSING

from crossreid.config import check_choice
from crossreid.errors import ConfigError
from crossreid.studies.generation.baselines import GeneratorSizes

BASELINES = {"cyclegan": "CycleGAN", "stargan": "StarGAN", "vae": "VAE"}


@dataclass
class JudgeConfig:
    """The fixed re-ID network.

    Attributes:
        checkpoint: a checkpoint of ``crossreid.train``, of another run; null to train one on real images.
        weights: that training starts from: ``imagenet``, ``random`` or the path of a state-dict file; null for those that
            the run started from.
        iterations: of that training.
        lr: its learning rate.
    """

    checkpoint: str | None = None
    weights: str | None = None
    iterations: int = 300
    lr: float = 7e-4


@dataclass
class ImageQualityConfig:
    """Everything ``crossreid.image_quality`` is told.

    Attributes:
        checkpoint: of a JSIA run.
        output: folder to write to; by default ``image_quality`` beside the checkpoint.
        data: where the dataset of training lies now.
        device: ``auto``, ``cpu`` or ``cuda``.
        seed: of weights, batches and mixtures.
        progress: show progress.
        figure: draw the grid of images.
        baselines: generators to compare with.
        iterations: of each one's training.
        generator: their sizes.
        images: pairs a test person.
        fid: ``judge`` or ``inception``.
    """

    checkpoint: str = MISSING
    output: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    seed: int = 0
    progress: bool = True
    figure: bool = True
    baselines: list[str] = field(default_factory=lambda: list(BASELINES))
    iterations: int = 300
    generator: GeneratorSizes = field(default_factory=GeneratorSizes)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    images: int = 5
    fid: str = "judge"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work."""
        check_choice("device", self.device, ("auto", "cpu", "cuda"))
        check_choice("fid", self.fid, ("judge", "inception"))
        for name in self.baselines:
            check_choice("baselines", name, tuple(BASELINES))
        if min(self.iterations, self.judge.iterations, self.images) < 1:
            raise ConfigError("iterations, judge.iterations and images are 1 or more.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("device=cuda needs a CUDA GPU and torch finds none: choose device=cpu.")
        if self.fid == "inception" and find_spec("torch_fidelity") is None:
            raise ConfigError("fid=inception needs torch-fidelity: pip install torch-fidelity, or choose fid=judge.")
        if self.figure and find_spec("matplotlib") is None:
            raise ConfigError("The figure needs matplotlib: pip install 'crossreid[viz]', or set figure=false.")
