"""What run.json says of the command can be pasted into a shell."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crossreid.invocation import command_line, forget_command, note_command
from support import Finished


def test_words_are_quoted_for_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    note_command("train", ["model=lba", "data.root=/my set", "model.backbone={name: resnet18}"])
    words = shlex.split(command_line())
    assert words == [
        "python",
        "-m",
        "crossreid.train",
        "model=lba",
        "data.root=/my set",
        "model.backbone={name: resnet18}",
    ]
    forget_command()
    monkeypatch.setattr("sys.argv", ["my script.py", "7"])
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert command_line() == "python 'my script.py' 7"
    monkeypatch.setitem(sys.modules, "ipykernel", object())  # a kernel's own arguments are nobody's business
    assert command_line() == "(notebook)"


@pytest.mark.slow
def test_a_run_and_each_job_of_a_multirun_say_their_own(
    run_here: Callable[..., Finished], smoke_args: list[str], tmp_path: Path
) -> None:
    words = [*smoke_args, "model=hog", "protocol.trials=1"]
    done = run_here("train", *words, "run_dir=a run")
    assert done.code == 0, done.output
    kept = json.loads((tmp_path / "a run" / "run.json").read_text())["command"]
    assert shlex.split(kept) == ["python", "-m", "crossreid.train", *words, "run_dir=a run"]
    assert "Scored at the end: the last weights, by sysu_mm01/all/single" in done.output
    assert "checkpoint='a run'" in done.output

    done = run_here("train", "-m", *words, "seed=3,4", "hydra.sweep.dir=jobs", "sweep_report=false")
    assert done.code == 0, done.output
    kept = json.loads((tmp_path / "jobs" / "1" / "run.json").read_text())["command"]
    told = shlex.split(kept)[3:]  # Hydra's sweeper writes its own form of the words
    assert {"model=hog", "seed=4"} <= set(told)
    assert not {"-m", "seed=3,4"} & set(told)
