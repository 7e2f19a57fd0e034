"""Methods for tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from crossreid.settings.registry import method_class
from methods_support import CLASSES, Harness, attach, compose_model


@pytest.fixture
def make() -> Callable[..., Harness]:
    """Make a method from config overrides."""

    def build(*overrides: str, seed: int = 0) -> Harness:
        settings = compose_model(*overrides)
        torch.manual_seed(seed)
        return attach(method_class(settings)(settings, CLASSES, seed))

    return build
