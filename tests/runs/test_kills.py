"""Killed at every moment and gone on with: nothing is lost, nothing lives on, nothing is left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from kills import run_kills
moments = sys.argv[2].split(",")
told = {"folder": Path("."), "data": Path(sys.argv[3]), "cache": Path(sys.argv[4])}
signals = sys.argv[5].split(",")
print(json.dumps(run_kills(["baseline"], len(moments), moments=moments, signals=signals, **told)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moments", "signals"),
    [
        ("last iteration,saving", "SIGKILL"),
        ("last iteration,scoring", "SIGTERM,SIGINT"),
        pytest.param("last iteration,saving,scoring,drawing", "SIGKILL,SIGTERM,SIGINT", marks=pytest.mark.full),
        pytest.param("random", "SIGKILL", marks=pytest.mark.full),
    ],
)
def test_kills_lose_nothing(tmp_path: Path, people_root: Path, shared_folder: Path, moments: str, signals: str) -> None:
    places = [str(ROOT / "scripts"), moments, str(people_root), str(shared_folder / "cache"), signals]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *places], cwd=tmp_path, capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["problems"] == []
    expected = len(moments.split(",")) * len(signals.split(","))
    assert counts["kills in all"] + counts["ended before the signal"] == expected
    assert counts["kills in all"] > 0 or moments == "random"  # which may fall behind the end of a fast run
