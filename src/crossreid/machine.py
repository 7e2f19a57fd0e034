"""What this machine lets a process have, without torch: cores and GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names that ``CUDA_VISIBLE_DEVICES`` takes; none where there are none."""
    told = os.environ.get(_VISIBLE)
    if told is not None:
        return [name.strip() for name in told.split(",") if name.strip()]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=index", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    if answer.returncode != 0:  # a driver without a GPU
        return []
    return answer.stdout.split()


def share_of_machine(slot: int, jobs: int, gpus: list[str]) -> dict[str, str]:
    """Environment variables that give one of several processes its part of the machine.

    Cores are divided, whoever wanted fewer threads gets those; a GPU goes to every so-many-th process, and is shared where
    there are fewer GPUs than processes.

    Args:
        slot: which of the processes, from 0.
        jobs: how many run at once.
        gpus: as :func:`visible_gpus` names them.
    """
    threads = max(1, usable_cores() // jobs)
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told) > 0:
        threads = min(threads, int(told))
    share = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    if gpus:
        share[_VISIBLE] = gpus[slot % len(gpus)]
    return share
