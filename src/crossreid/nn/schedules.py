"""Learning-rate schedules that two or more methods share."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from crossreid.errors import ConfigError


@dataclass
class EpochScheduleConfig:
    """Learning rates by epoch (LbA, sec. 4.1): a linear warm-up, then a cut at each step; constant in an epoch.

    Attributes:
        warmup: epochs until the full rate; epoch e < warmup has (e + 1) / warmup of it.
        steps: epochs at which the rates are cut.
        factor: of a cut.
    """

    warmup: int = 10
    steps: list[int] = field(default_factory=lambda: [20, 50])
    factor: float = 0.1

    def check(self) -> None:
        """Raise :class:`ConfigError` for epochs and factors that cannot be."""
        if self.warmup < 0 or self.factor <= 0 or any(step < self.warmup for step in self.steps):
            raise ConfigError(
                "model.schedule takes 0 or more epochs of warm-up, steps after it, and a factor above 0, not "
                f"{self.warmup}, {self.steps} and {self.factor}."
            )

    def share(self, epoch: int) -> float:
        """Share of the full rate in an epoch, counted from 0."""
        if epoch < self.warmup:
            return (epoch + 1) / self.warmup
        return float(self.factor ** sum(epoch >= step for step in self.steps))

    def scheduler(self, optimizer: Optimizer, iterations_per_epoch: int) -> LambdaLR:
        """A schedule to be stepped once an iteration."""
        return LambdaLR(optimizer, lambda iteration: self.share(iteration // iterations_per_epoch))
