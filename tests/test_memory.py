"""Memory that is freed stays in the process where that is asked for, and goes back to the system where it is not."""

import ctypes
import os
import subprocess
import sys

import pytest

from crossreid.multirun.task import _keeps_memory

FAULTS = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from crossreid import keep_memory
    keep_memory()
for _ in range(2):
    np.ones(40 << 20, dtype=np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(40 << 20, dtype=np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
HAS_GLIBC = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def page_faults(how: str) -> int:
    """Pages that the system clears while five arrays of 40 MiB are made and freed one after the other."""
    command = [sys.executable, "-c", FAULTS, how]
    # pages of 4 KiB, whatever NumPy would ask for
    environment = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not HAS_GLIBC, reason="only glibc has these settings")
def test_blocks_that_were_freed_are_used_again() -> None:
    assert page_faults("kept") < 0.1 * page_faults("given back")


@pytest.mark.skipif(not HAS_GLIBC, reason="only glibc has these settings")
def test_glibc_takes_the_settings() -> None:
    from crossreid import keep_memory

    assert keep_memory()


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossreid import memory

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(memory.ctypes, "CDLL", None)  # calling it would raise
    assert not memory.keep_memory()


@pytest.mark.parametrize(
    ("values", "keeps"),
    [
        ({"trainer": {"keep_memory": True}}, True),
        ({"trainer": {"keep_memory": False}}, False),
        ({"keep_memory": True}, True),
        ({"keep_memory": False}, False),
        ({"runs": "multirun"}, False),
    ],
)
def test_the_setting_stands_in_the_trainer_or_in_the_command(values: dict[str, object], keeps: bool) -> None:
    assert _keeps_memory(values) is keeps


@pytest.mark.parametrize(("setting", "calls"), [("true", 1), ("false", 0)])
def test_a_command_asks_before_torch_is_imported(setting: str, calls: int) -> None:
    code = (
        "import sys\n"
        "from crossreid import launch\nfrom crossreid.multirun import task\n"
        "asked = []\n"
        "task.keep_memory = lambda: asked.append('torch' in sys.modules)\n"
        f"sys.argv = ['train', 'scale=smoke', 'trainer.keep_memory={setting}']\n"
        "launch.run_command('train', lambda composed: None)\n"
        f"assert asked == [False] * {calls}, asked\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
