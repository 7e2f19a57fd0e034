"""Settings of optimizers and learning-rate schedules; :mod:`crossreid.nn.optimization` makes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossreid.errors import ConfigError
from crossreid.settings.fields import Settings, setting


@dataclass
class AdamConfig(Settings):
    """An Adam optimizer."""

    lr: float = setting(2e-4, "learning rate", above=0, ceiling=100)
    betas: list[float] = setting([0.9, 0.999], "decay rates of the moments", length=2, at_least=0, below=1)
    weight_decay: float = setting(0.0, "L2 weight", at_least=0, ceiling=10)


@dataclass
class FeatureOptimizerConfig(Settings):
    """Optimizer of an encoder and its heads."""

    kind: str = setting(
        "sgd",
        "sgd (the papers'), or adam, which learns faster where there are no pre-trained weights",
        choices=("sgd", "adam"),
    )
    encoder_lr: float = setting(0.01, "learning rate of the encoder", above=0, ceiling=100)
    head_lr: float = setting(0.1, "learning rate of all but the encoder", above=0, ceiling=100)
    momentum: float = setting(0.9, "of SGD", above=0, below=1)
    nesterov: bool = setting(True, "Nesterov's momentum of SGD")
    weight_decay: float = setting(5e-4, "L2 weight", at_least=0, ceiling=10)


@dataclass
class DecayConfig(Settings):
    """Every rate times ``factor`` once ``after`` iterations of the last phase are done."""

    after: int = setting(5000, "iterations of the last phase", at_least=0, ceiling=1_000_000_000)
    factor: float = setting(0.1, "of the cut", above=0, at_most=1)


@dataclass
class EpochStepsConfig(Settings):
    """Every rate times ``factor`` at each of the epochs ``after``."""

    after: list[float] = setting(
        [40.0, 70.0], "epochs, from 0; parts of one are allowed", at_least=0, ceiling=100_000, ascending=True
    )
    factor: float = setting(0.1, "of a cut", above=0, at_most=1)


@dataclass
class EpochScheduleConfig(Settings):
    """Learning rates by epoch, constant in an epoch: a linear warm-up, then a cut at each step (LbA, sec. 4.1), or half a
    cosine down to nothing at the end (Loshchilov and Hutter, ICLR 2017, without restarts)."""

    warmup: int = setting(
        10, "epochs until the full rate; epoch e < warmup has (e + 1) / warmup of it", at_least=0, ceiling=100_000
    )
    curve: str = setting(
        "steps", "after the warm-up: cuts at ``steps``, or half a cosine, which has none", choices=("steps", "cosine")
    )
    steps: list[int] = setting(
        [20, 50], "epochs at which the rates are cut", at_least=0, ceiling=100_000, ascending=True
    )
    factor: float = setting(0.1, "of a cut", above=0, at_most=1)

    def check_together(self, place: str) -> None:
        """Cuts come after the warm-up, and a cosine has none."""
        if self.curve == "cosine" and self.steps:
            raise ConfigError(f"{place}.curve=cosine has no cuts: say {place}.steps=[] with it, not {self.steps}.")
        if any(step < self.warmup for step in self.steps):
            raise ConfigError(
                f"{place}.steps are epochs after the warm-up of {self.warmup}, not {self.steps}: change one of them."
            )

    def share(self, epoch: int, epochs: int) -> float:
        """Share of the full rate in an epoch, counted from 0, of so many."""
        if epoch < self.warmup:
            return (epoch + 1) / self.warmup
        if self.curve == "cosine":  # (1 + cos(pi t)) / 2, t running from 0 to 1 behind the warm-up
            progress = (epoch - self.warmup) / max(1, epochs - self.warmup)
            return (1 + math.cos(math.pi * min(1.0, progress))) / 2
        cuts = sum(epoch >= step for step in self.steps)  # that are behind
        return float(self.factor**cuts)
