"""Ctrl-C and SIGTERM at every moment of a run: the exit code, what is said, what is kept, and that it goes on from there."""

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from crossreid.interruption import Interruption, Stopped, interruptible
from support import files_in

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


def at(monkeypatch: pytest.MonkeyPatch, place: str, *signals: int, when: Any = lambda *args: True) -> None:
    """Send signals where a function begins, the first time that ``when`` is true of its arguments."""
    module, _, name = place.rpartition(".")
    left = list(signals)
    target: Any = __import__("pkgutil").resolve_name(module)
    original = getattr(target, name)

    def spied(*args: Any, **kwargs: Any) -> Any:
        if left and when(*args):
            for signum in [*left]:
                left.remove(signum)
                send(signum)
        return original(*args, **kwargs)

    monkeypatch.setattr(target, name, spied)


def facts(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text())


@pytest.fixture
def quick(smoke_args: list[str]) -> list[str]:
    return ["model=baseline", *smoke_args, "report.untrained=false", "report.modality_pairs=false", "run_dir=run"]


IN_TRAINING = "crossreid.methods.base.CrossModalityModule.on_train_batch_end"
MOMENTS = {
    "drawing or reading the data": (
        "crossreid.data.datamodule.ReIDDataModule.prepare_data",
        signal.SIGTERM,
        "Stopped by SIGTERM while reading the data: the run had not begun.",
    ),
    "the last iteration": (
        IN_TRAINING,
        signal.SIGINT,
        "Stopped at iteration 6 by Ctrl-C, which is saved: go on with the same command and resume=run",
    ),
    "training": (
        IN_TRAINING,
        signal.SIGTERM,
        "Stopped at iteration 3 by SIGTERM, which is saved: go on with the same command and resume=run",
    ),
    "scoring": (
        "crossreid.training.session.score_all",
        signal.SIGTERM,
        "Stopped by SIGTERM while scoring; the training is complete: go on with the same command and resume=run",
    ),
    "saving": (
        "crossreid.evaluation.embeddings.Embeddings.save",
        signal.SIGINT,
        "Stopped by Ctrl-C while saving the scores; the training is complete: go on with",
    ),
    "drawing figures": (
        "crossreid.training.session.draw_figures",
        signal.SIGTERM,
        "Stopped by SIGTERM while drawing; the training is complete: go on with",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_stops_in_good_order_and_goes_on(
    run_here, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    place, signum, sentence = MOMENTS[moment]
    iteration = {"the last iteration": 5, "training": 2}.get(moment)
    if moment == "drawing figures":
        quick = [word for word in quick if not word.startswith("report.figures")]

    def there(*args: Any) -> bool:
        return iteration is None or args[0].iteration == iteration

    with monkeypatch.context() as patched:
        at(patched, place, signum, when=there)
        stopped = run_here("train", *quick)
    assert stopped.code == CODES[signum], stopped.output
    assert sentence in stopped.output
    assert "Traceback" not in stopped.output
    run = tmp_path / "run"
    if moment.startswith("drawing or"):
        assert not run.exists()
        return
    assert facts(run)["status"] == "interrupted"
    assert not [name for name in files_in(run) if name.endswith(".tmp") or name == "lock.json"]
    iteration = torch.load(run / "last.ckpt", weights_only=True)["crossreid"]["iteration"]
    assert iteration == (3 if moment == "training" else 6)
    resumed = run_here("train", *quick, "resume=run")
    assert resumed.code == 0, resumed.output
    if moment == "training":
        assert "Resuming from 'run/last.ckpt' at iteration 3 of 6, in phase joint." in resumed.output
    else:
        assert "Resuming from 'run/last.ckpt': its training is complete, so it is scored." in resumed.output
    assert "not resumable" not in resumed.output
    assert facts(run)["status"] == "finished"


def test_a_second_signal_stops_at_once(run_here, quick: list[str], tmp_path: Path, monkeypatch) -> None:
    at(monkeypatch, IN_TRAINING, signal.SIGINT, signal.SIGINT, when=lambda module, *rest: module.iteration == 4)
    stopped = run_here("train", *quick, "trainer.checkpoint_every=3")
    assert stopped.code == 130, stopped.output
    assert "Stopped at iteration 4 by Ctrl-C; the last checkpoint is of iteration 3: go on" in stopped.output
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["crossreid"]["iteration"] == 3


def test_before_the_first_checkpoint_nothing_else_is_claimed(run_here, quick: list[str], monkeypatch) -> None:
    at(monkeypatch, IN_TRAINING, signal.SIGTERM, signal.SIGTERM)
    stopped = run_here("train", *quick)
    assert stopped.code == 143, stopped.output
    assert "Stopped by SIGTERM while training, before the first checkpoint: start the same command" in stopped.output


@pytest.mark.slow
@pytest.mark.parametrize("signum", CODES)
def test_in_the_last_iteration_of_a_job_the_whole_sweep_ends(
    run_here, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: int
) -> None:
    at(monkeypatch, IN_TRAINING, signum, when=lambda module, *rest: module.iteration == 5)
    sweep = ["hydra.sweep.dir=sweep", "hydra.sweep.subdir=${seed}"]
    stopped = run_here("train", "-m", *quick[:-1], *sweep, "seed=0,1")
    assert stopped.code == CODES[signum], stopped.output
    assert [path.parent.name for path in tmp_path.glob("sweep/*/run.json")] == ["0"]


@pytest.mark.slow
def test_a_finished_run_that_is_stopped_again_stays_finished(
    run_here, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_here("train", *quick, "trainer.checkpoint_every=4").code == 0
    run = tmp_path / "run"
    (run / "middle.ckpt").write_bytes((run / "last.ckpt").read_bytes())
    before = files_in(run)
    with monkeypatch.context() as patched:
        at(patched, "crossreid.training.session.score_all", signal.SIGINT)
        stopped = run_here("train", *quick, "resume=run")
    assert stopped.code == 130, stopped.output
    assert "Stopped by Ctrl-C while scoring: the finished run in run is as it was." in stopped.output
    assert files_in(run) == before

    def broken(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crossreid.runs.results.RunResults.save", broken)
    failed = run_here("train", *quick, "resume=run")
    assert failed.code == 1
    assert "No space left on device" in failed.output
    assert files_in(run) == before


@pytest.mark.parametrize("signum", CODES)
def test_other_commands_stop_with_the_code_of_the_signal(
    run_here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: int
) -> None:
    (tmp_path / "x.npz").touch()
    at(monkeypatch, "crossreid.evaluation.foreign.load_foreign", signum)
    stopped = run_here("evaluate", "embeddings=x.npz", "protocol=sysu_mm01", "protocol.draw=seeded")
    assert stopped.code == CODES[signum]
    assert f"Stopped by {'Ctrl-C' if signum == signal.SIGINT else 'SIGTERM'}: the same command" in stopped.output
    assert list(files_in(tmp_path)) == ["x.npz"]


def test_handlers_are_given_back_and_put_off_signals_are_not_lost() -> None:
    before = [signal.getsignal(signum) for signum in CODES]
    with interruptible() as outer:
        with interruptible() as inner:
            assert inner is outer
        with pytest.raises(Stopped) as stop, outer.put_off():
            send(signal.SIGTERM)
            assert outer.asked
        assert stop.value.code == 143
    assert [signal.getsignal(signum) for signum in CODES] == before


def test_other_threads_catch_nothing() -> None:
    before = [signal.getsignal(signum) for signum in CODES]
    seen: list[Interruption] = []

    def work() -> None:
        with interruptible() as interruption:
            seen.append(interruption)

    with interruptible() as mine:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen[0] is not mine
    assert [signal.getsignal(signum) for signum in CODES] == before
