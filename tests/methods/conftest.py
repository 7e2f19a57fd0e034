"""Methods for tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from crossreid.config import method_class, method_config
from methods_support import CLASSES, Harness, attach, compose_model


@pytest.fixture
def make() -> Callable[..., Harness]:
    """Make a method from config overrides."""

    def build(*overrides: str, seed: int = 0) -> Harness:
        model = compose_model(*overrides)
        torch.manual_seed(seed)
        return attach(method_class(model)(method_config(model), CLASSES, seed))

    return build
