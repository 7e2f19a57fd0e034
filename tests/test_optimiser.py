"""What a sweeper that optimises gets, by a sweeper of the tests that keeps what the jobs return."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

import hydra_plugins

RETURNED: list[Any] = []


class Choosing(Sweeper):
    """As Optuna's: two jobs, then the best of what they returned."""

    def __init__(self, direction: str = "maximize") -> None:
        self.launcher: Any = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        jobs = self.launcher.launch([list(arguments), list(arguments)], initial_job_idx=0)
        RETURNED.extend(job.return_value for job in jobs)
        return max(float(value) for value in RETURNED)


@pytest.fixture(autouse=True)
def choosing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register it as hydra/sweeper=choosing; Hydra takes plugins from one package alone."""
    RETURNED.clear()
    plugin = ModuleType("hydra_plugins.choosing")
    plugin.Choosing = Choosing
    monkeypatch.setitem(sys.modules, "hydra_plugins.choosing", plugin)
    monkeypatch.setattr(hydra_plugins, "choosing", plugin, raising=False)
    monkeypatch.setattr(Choosing, "__module__", "hydra_plugins.choosing")
    Plugins.instance().register(Choosing)
    node = {"_target_": "hydra_plugins.choosing.Choosing", "direction": "maximize"}
    ConfigStore.instance().store(group="hydra/sweeper", name="choosing", node=node, provider="tests")


VALIDATION = ["selection=validation", "selection.every=1"]


@pytest.mark.slow
def test_an_optimiser_gets_the_validation_score_and_never_that_of_the_test(
    run_here, smoke_args, tmp_path: Path
) -> None:
    told = ["model=baseline", *VALIDATION, "model.phases.joint=2", "model.iterations_per_epoch=2", *smoke_args]
    finished = run_here("train", "-m", "hydra/sweeper=choosing", *told)
    assert finished.code == 0, finished.output
    kept = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("multirun/*/*/results.json"))]
    assert len(kept) == 2
    assert [run["selected"]["mAP"] for run in kept] == RETURNED


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("train", ["model=baseline"], "add selection=validation"),
        ("train", ["model=baseline", *VALIDATION, "hydra.sweeper.direction=minimize"], "direction=maximize"),
        ("evaluate", ["checkpoint=x.ckpt"], "crossreid.evaluate scores on the test"),
        ("report", ["runs=runs"], "crossreid.report scores on the test"),
    ],
)
def test_an_optimiser_of_the_test_is_refused_once(run_here, tmp_path: Path, command, words, message) -> None:
    finished = run_here(command, "-m", "hydra/sweeper=choosing", *words)
    assert finished.code == 1
    assert message in finished.output
    assert finished.output.count("Error: ") == 1
    assert "Traceback" not in finished.output
    assert not list(tmp_path.rglob("run.json"))


def test_a_wandb_agent_is_an_optimiser(run_here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    finished = run_here("train", "model=baseline")
    assert finished.code == 1
    assert "the agent of a W&B sweep (WANDB_SWEEP_ID is set) chooses settings by a score" in finished.output


def test_a_wandb_sweep_is_not_sent_scores_of_the_test(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from crossreid.runs.results import Scores
    from crossreid.training.wandb_run import send_scores
    from test_report import KEY, result

    class Refusing:
        """Any use of it is one too many."""

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    logger: Any = Refusing()
    send_scores(logger, [Scores("mine", {KEY: result(0.4)})])
    assert "scores of the test stay in results.json" in capsys.readouterr().out
