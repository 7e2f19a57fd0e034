import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from crossreid.evaluation import EmbeddingGatherer


def feature(rows):
    return {"main": rows[:, None] * torch.tensor([1.0, 10.0, 100.0]), "shared": rows[:, None].float() - 0.5}


def check(result, rows):
    given, features = result
    assert given.tolist() == rows
    assert features.keys() == {"main", "shared"}
    for name, matrix in feature(torch.tensor(rows)).items():
        assert torch.equal(features[name], matrix)


def test_one_process_sorts_and_removes_duplicates():
    gatherer = EmbeddingGatherer(["main", "shared"])
    for batch in ([5, 3], [3, 0, 9], [5]):
        gatherer.update(torch.tensor(batch), feature(torch.tensor(batch)))
    check(gatherer.compute(), [0, 3, 5, 9])
    gatherer.reset()
    gatherer.update(torch.tensor([1]), feature(torch.tensor([1])))
    check(gatherer.compute(), [1])


def test_half_precision_features_become_float32():
    gatherer = EmbeddingGatherer()
    gatherer.update(torch.tensor([0]), {"main": torch.ones(1, 2, dtype=torch.bfloat16, requires_grad=True)})
    features = gatherer.compute().features["main"]
    assert features.dtype == torch.float32
    assert not features.requires_grad


@pytest.mark.filterwarnings("ignore:.*was called before the.*update.*")
def test_nothing_gathered_is_empty():
    rows, features = EmbeddingGatherer().compute()
    assert rows.shape == (0,)
    assert len(features["main"]) == 0


def test_wrong_batches_are_refused():
    gatherer = EmbeddingGatherer(["main"])
    with pytest.raises(ValueError, match="expected the features"):
        gatherer.update(torch.tensor([0]), {"other": torch.ones(1, 2)})
    with pytest.raises(ValueError, match="should be"):
        gatherer.update(torch.tensor([0, 1]), {"main": torch.ones(1, 2)})
    with pytest.raises(ValueError, match="hold 'main'"):
        EmbeddingGatherer(["other"])


@pytest.mark.slow
def test_two_processes_gather_what_one_would(tmp_path):
    script = Path(__file__).with_name("gather_in_processes.py")
    command = [sys.executable, str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [*command, str(rank), "2", str(tmp_path / "meeting"), str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(outputs)
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        check(results["padded"], [0, 1, 2, 3, 4, 5, 6])
        check(results["uneven"], [0, 1, 2, 3, 4, 8])
        check(results["uneven, again"], [0, 1, 2, 3, 4, 8])
        check(results["one idle"], [2, 4])
