"""How long a run has trained, over all its resumes, and how long it may."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from crossreid.errors import OverBudgetError


@dataclass
class TrainingClock:
    """Counts seconds of training.

    Attributes:
        budget: seconds that training may take, above 0; None for any time.
        before: seconds that the checkpoint's iterations took before this process resumed from it.
    """

    budget: float | None = None
    before: float = 0.0
    _began: float = field(default_factory=time.monotonic, init=False)

    def start(self) -> None:
        """Training begins now; what was built and scored before does not count."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far; iterations that a killed run lost do not count."""
        return self.before + time.monotonic() - self._began

    @property
    def spent(self) -> bool:
        """The budget is used up."""
        return self.budget is not None and self.seconds > self.budget

    def refuse(self, iteration: int, iterations: int) -> OverBudgetError:
        """The sentence to stop with before ``iteration`` (0-based) of ``iterations``."""
        return OverBudgetError(
            f"Training went over trainer.time_budget={self.budget:g} seconds at iteration {iteration} of {iterations}, so "
            "nothing was scored: resume the run with a larger budget."
        )
