"""The time of a run by part."""

from __future__ import annotations

import time

import pytest

from crossreid.training.stopwatch import Stopwatch


def test_each_part_has_its_own_seconds_and_all_of_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 5.0, 5.5, 5.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    watch = Stopwatch("data")
    watch.begin("training")
    watch.begin("scoring")
    watch.begin("training")
    assert watch.stop() == {"data": 2.0, "training": 3.0, "scoring": 0.5}
    assert watch.sentence() == "Took 5.5 s: data 2.0, training 3.0, scoring 0.5"
