"""Weights that validation chose are those that everything but a resume works with, and what chose them is part of the run."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

import crossreid
from crossreid.errors import CheckpointError, ConfigError, DataError
from crossreid.evaluation.building import Scored, build_protocols, build_scorers
from crossreid.extraction.origin import model_digest
from crossreid.runs.choosing import open_run
from crossreid.runs.folder import BEST, LAST, fingerprint, read_config, scored_checkpoint, write_json
from crossreid.runs.reading import read_run
from crossreid.settings.compose import compose, run_config
from crossreid.settings.fields import from_plain
from crossreid.settings.protocol import SysuProtocolConfig
from crossreid.settings.run import differences, identity_of, without
from crossreid.training.loading import checkpoint_at
from crossreid.training.validation import ValidationSelection

ARTIFACTS: list[dict[str, list[Path]]] = []


def first_wins(self: ValidationSelection, trainer: Any, module: Any) -> None:
    """The validation persons like the first weights best, so that the best are not the last."""
    if not self.best:
        self.best = {"iteration": module.iteration, "mAP": 1.0, "rank1": 1.0}
        trainer.save_checkpoint(self.folder / BEST)


@pytest.fixture(scope="module")
def run(people_root: Path, shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> crossreid.FinishedRun:
    """Of a method whose best weights are those of its first epoch of two."""
    overrides = {
        "data.root": str(people_root),
        "data.cache": str(shared_folder / "cache"),
        "model.epochs": 2,
        "model.iterations_per_epoch": 2,
        "protocol.trials": 2,
        "selection.every": 1,
        "report.untrained": False,
        "report.modality_pairs": False,
        "report.figures": False,
        "trainer.progress": False,
        "logger.artifacts": True,
    }
    folder = tmp_path_factory.mktemp("selected") / "run"
    experiment = crossreid.Experiment(
        "onestream", scale="smoke", trainer="cpu", selection="validation", run_dir=str(folder), overrides=overrides
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ValidationSelection, "on_validation_end", first_wins)
        patched.setattr("crossreid.training.session.wandb_of", lambda trainer: "in the place of a W&B logger")
        patched.setattr("crossreid.training.session.send_scores", lambda logger, rows: None)
        patched.setattr(
            "crossreid.training.session.send_artifacts", lambda logger, config, files: ARTIFACTS.append(files)
        )
        return experiment.run()


@pytest.fixture(scope="module")
def digests(run: crossreid.FinishedRun) -> dict[str, str]:
    """Of the weights in each checkpoint."""
    found = {name: model_digest(crossreid.load(run.path / name, device="cpu")) for name in (LAST, BEST)}
    assert found[LAST] != found[BEST]
    return found


def test_the_folder_stands_for_the_weights_that_were_scored(
    run: crossreid.FinishedRun, digests: dict[str, str], run_here
) -> None:
    assert checkpoint_at(run.path) == run.path / BEST
    for name in (LAST, BEST):
        assert checkpoint_at(run.path / name) == run.path / name
    assert model_digest(crossreid.load(run.path, device="cpu")) == digests[BEST]
    assert crossreid.Extractor(run.path, "cpu").about["model"] == digests[BEST]
    assert ARTIFACTS[0]["model"] == [run.path / BEST]

    quiet = ["trainer=cpu", "trainer.progress=false", "report.figures=false", "report.modality_pairs=false"]
    scored = run_here("evaluate", f"checkpoint={run.path}", *quiet)
    assert scored.code == 0, scored.output
    assert f"(iteration {run.results.facts['selected']['iteration']})" in scored.output
    again = json.loads((run.path / "best.evaluation.json").read_text())
    assert again == {key: result.metrics() for key, result in run.results.rows[0].results.items()}


@pytest.mark.usefixtures("few_pairs")
def test_a_calibration_is_of_the_weights_that_were_scored(run: crossreid.FinishedRun, digests: dict[str, str]) -> None:
    calibration = crossreid.calibrate(run.path, bootstrap=100, trainer="cpu")
    assert calibration.model == digests[BEST]


def test_another_training_starts_from_the_weights_that_were_scored_and_a_resume_goes_on_from_the_last(
    run: crossreid.FinishedRun,
) -> None:
    from crossreid.training.initial import start_from
    from crossreid.training.loading import make_method

    module = make_method(run.config.model, 8, 3)
    assert start_from(module, str(run.path)).checkpoint == run.path / BEST
    settings = replace(run.config, resume=str(run.path), run_dir=None).to_plain()
    assert open_run(settings).checkpoint == run.path / LAST


def test_a_folder_without_the_weights_that_it_should_have_chosen_is_refused(
    run: crossreid.FinishedRun, tmp_path: Path
) -> None:
    folder = copytree(run.path, tmp_path / "run")
    (folder / BEST).unlink()
    with pytest.raises(CheckpointError, match=r"no best\.ckpt.*name its last\.ckpt"):
        checkpoint_at(folder)
    assert checkpoint_at(folder / LAST) == folder / LAST
    (folder / LAST).unlink()
    with pytest.raises(CheckpointError, match="There is no checkpoint at"):
        checkpoint_at(folder)


def test_a_folder_whose_settings_are_damaged_is_refused(run: crossreid.FinishedRun, tmp_path: Path) -> None:
    folder = copytree(run.path, tmp_path / "run")
    (folder / "config.yaml").write_text("selection: [")
    with pytest.raises(
        CheckpointError, match=r"does not say which of its checkpoints was scored.*name the \.ckpt file"
    ):
        checkpoint_at(folder)


@pytest.mark.parametrize("content", [None, "seed: 0", "selection: last", "selection: {name: last, every: 0}"])
def test_any_other_folder_stands_for_its_last_weights(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    for name in (LAST, BEST):
        (tmp_path / name).touch()
    assert scored_checkpoint(tmp_path) == checkpoint_at(tmp_path) == tmp_path / LAST


def test_a_method_that_trains_nothing_leaves_what_its_folder_stands_for(
    people_root: Path, shared_folder: Path, tmp_path: Path
) -> None:
    overrides = {
        "data.root": str(people_root),
        "data.cache": str(shared_folder / "cache"),
        "protocol.trials": 1,
        "report.modality_pairs": False,
        "report.figures": False,
        "trainer.progress": False,
    }
    done = crossreid.Experiment(
        "hog", scale="smoke", trainer="cpu", selection="validation", run_dir=str(tmp_path / "run"), overrides=overrides
    ).run()
    assert crossreid.load(done.path, device="cpu").config.name == "hog"
    assert (done.path / LAST).is_file()


# ------------------------------------------------------------------ what chose them

OTHER_VALUES: dict[str, Any] = {
    "modes": ["indoor"],
    "shots": [1],
    "trials": 3,
    "draw": "seeded",
    "permutations": "rand_perm_cam.mat",
    "similarity": "euclidean",
    "rerank": True,
    "reranking": {"k1": 5, "k2": 6, "lambda_": 0.3, "convention": "paper"},
}
"""Of every setting of the protocol, another value than the default."""


def plain(*words: str) -> dict[str, Any]:
    return run_config(compose("train", ["model=baseline", "scale=smoke", *words])).to_plain()


def chooser(protocol: dict[str, Any], root: Path) -> str:
    """What looks at the validation persons, with all that it goes by."""
    config = from_plain(SysuProtocolConfig, protocol, "protocol")
    validation = build_protocols(config, Scored(root)).validation
    scorer = build_scorers(config)[""]
    return f"{vars(validation)} {type(scorer)}"


def test_every_setting_is_there() -> None:
    assert set(OTHER_VALUES) == set(plain("protocol=sysu_mm01")["protocol"])


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_a_setting_of_the_protocol_is_the_runs_where_it_decides_which_weights_are_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossreid.evaluation.building.GalleryPermutations.from_mat", str)
    (tmp_path / "rand_perm_cam.mat").touch()
    one = plain("selection=validation", "protocol=sysu_mm01")
    other = {**one, "protocol": {**one["protocol"], name: OTHER_VALUES[name]}}
    choosers = {chooser(config["protocol"], tmp_path) for config in (one, other)}
    decides = len(choosers) == 2
    assert bool(differences(identity_of(one), identity_of(other))) == decides
    assert (fingerprint(one) != fingerprint(other)) == decides
    last = plain("protocol=sysu_mm01")
    assert not differences(identity_of(last), identity_of({**last, "protocol": other["protocol"]}))


def test_a_run_does_not_go_on_by_another_choice(run: crossreid.FinishedRun) -> None:
    changed = replace(run.config, resume=str(run.path), run_dir=None)
    changed.protocol = replace(run.config.protocol, similarity="euclidean")
    with pytest.raises(ConfigError, match=r"protocol\.similarity is cosine there and euclidean here"):
        open_run(changed.to_plain())


def test_a_run_of_before_is_read_and_gone_on_with(run: crossreid.FinishedRun, tmp_path: Path) -> None:
    """Its fingerprint does not know of the protocol."""
    folder = copytree(run.path, tmp_path / "run")
    facts = json.loads((folder / "run.json").read_text())
    identity = without(identity_of(read_config(folder)), ("protocol",))
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    assert digest != facts["fingerprint"]
    write_json(folder / "run.json", {**facts, "fingerprint": digest})
    assert read_run(folder).settings == read_run(run.path).settings
    assert open_run(replace(run.config, resume=str(folder), run_dir=None).to_plain()).checkpoint == folder / LAST
    write_json(folder / "run.json", {**facts, "fingerprint": "0" * 16})
    with pytest.raises(DataError, match="their fingerprints differ"):
        read_run(folder)
