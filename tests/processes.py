"""Commands in processes of their own that cost no start of Python: a server that has imported everything forks them."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import thin

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["processes", "crossreid.train", "crossreid.experiment", "crossreid.visualization"])
thin.narrow()  # in the server too, which imports this


class Command:
    """``python -m crossreid.<module> ARGUMENTS``, started at once.

    Args:
        folder: in which it runs.
        module: ``train``, ``evaluate``, ...
        ranks: processes that DDP starts besides, forked likewise.
        path: a further folder in which packages are looked for.
        before: called in each process before the command, to spy on it; a function of a module that can be imported.
    """

    def __init__(
        self,
        folder: Path,
        module: str,
        *arguments: str,
        ranks: int = 0,
        path: Path | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f".log-{time.monotonic_ns()}"
        work = (str(folder), str(self._log), module, list(arguments), ranks, path and str(path), before)
        self._process = CONTEXT.Process(target=_command, args=work)
        self._process.start()

    @property
    def ended(self) -> bool:
        """It runs no more."""
        return self._process.exitcode is not None

    @property
    def output(self) -> str:
        """What it, and its ranks, printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.is_file() else ""

    def send(self, signum: int) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, signum)

    def kill(self) -> None:
        """End it without a word, and wait."""
        self.send(signal.SIGKILL)
        self._process.join()

    def wait(self, timeout: float = 400) -> int:
        """Wait; returns the exit code, negative for a signal that ended it."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"still going on after {timeout} s: {self.output}"
        return self._process.exitcode

    def finish(self) -> str:
        """Wait until it has ended well; returns what it printed."""
        code = self.wait()
        assert code == 0, self.output
        return self.output


def _command(
    folder: str,
    log: str,
    module: str,
    arguments: list[str],
    ranks: int,
    path: str | None,
    before: Callable[[], None] | None,
) -> None:
    """Be the command, in a forked process."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.chdir(folder)
    if path:
        sys.path.insert(0, path)
    sys.argv = [f"crossreid.{module}", *arguments]
    waiting = [_Rank(module, before) for _ in range(ranks)]
    if ranks:
        _fork_where_lightning_starts(waiting)
    if before:
        before()
    importlib.import_module(f"crossreid.{module}").main()


class _Rank:
    """A process forked before its parent has done anything, that waits to be told its environment.

    It stands where Lightning's launcher starts a fresh Python with the same command line.
    """

    def __init__(self, module: str, before: Callable[[], None] | None) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=self._wait, args=(theirs, module, before), daemon=True)
        self._process.start()
        self.pid = self._process.pid

    @staticmethod
    def _wait(pipe: Any, module: str, before: Callable[[], None] | None) -> None:
        environment: Mapping[str, str] = pipe.recv()
        os.environ.clear()
        os.environ.update(environment)
        if before:
            before()
        importlib.import_module(f"crossreid.{module}").main()

    def go(self, environment: Mapping[str, str]) -> None:
        """Let it begin."""
        self._pipe.send(dict(environment))

    @property
    def returncode(self) -> int | None:
        """As of ``subprocess.Popen``."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As of ``subprocess.Popen``."""
        return self._process.exitcode

    def send_signal(self, signum: int) -> None:
        """As of ``subprocess.Popen``: nothing to one that has ended."""
        if self.pid and self.returncode is None:
            os.kill(self.pid, signum)


def _fork_where_lightning_starts(waiting: list[_Rank]) -> None:
    """Give Lightning's launcher the waiting processes where it would start Python anew; all else is its own."""
    from pytorch_lightning.strategies.launchers import subprocess_script

    def started(command: list[str], env: Mapping[str, str], cwd: str | None) -> _Rank:
        rank = waiting[int(env["LOCAL_RANK"]) - 1]
        rank.go(env)
        return rank

    launcher: Any = subprocess_script
    launcher.subprocess = type("subprocess", (), {"Popen": staticmethod(started)})


def keep_weights() -> None:
    """A spy: every process saves its weights when training has ended."""
    import pytorch_lightning as pl
    import torch

    original = pl.Trainer.fit

    def fit(self: pl.Trainer, module: pl.LightningModule, *args: Any, **kwargs: Any) -> None:
        original(self, module, *args, **kwargs)
        torch.save(module.state_dict(), f"weights{self.global_rank}.pt")

    pl.Trainer.fit = fit
