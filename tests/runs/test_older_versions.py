"""Checkpoints and runs of format 1 (version 0.1): loaded, resumed and read, and never changed.

The file beside this one holds what such checkpoints were made of, one of each method in the middle of a training at
scale=smoke: names, shapes, settings, optimizers, counters. The tests fill them with random numbers.
"""

import gzip
import json
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import crossreid
from crossreid.errors import CheckpointError, ConfigError
from crossreid.runs.folder import read_config
from crossreid.runs.reading import read_run
from crossreid.settings.compose import compose, run_config
from crossreid.settings.conversion import current, fingerprint_of_format_1
from crossreid.settings.registry import built_in_methods
from crossreid.settings.run import NOT_PART_OF_METHOD, run_config_from_plain, without
from crossreid.training.conversion import current_checkpoint, current_name
from crossreid.training.loading import make_method

pytestmark = pytest.mark.true_width  # what is recorded has torchvision's shapes
RECORDED = json.loads(gzip.decompress((Path(__file__).parent / "checkpoints_of_format_1.json.gz").read_bytes()))
DTYPES = {"float32": torch.float32, "int64": torch.int64}


def weights_of(name: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, (shape, dtype) in RECORDED[name]["state_dict"].items():
        values = torch.rand(shape, generator=generator) * 0.1
        weights[key] = values.to(DTYPES[dtype])
    return weights


def checkpoint_of(name: str, data_root: str = "people", cache: str = "cache") -> dict[str, object]:
    """A checkpoint as version 0.1 wrote it."""
    recorded = deepcopy(RECORDED[name])
    ours = recorded["crossreid"]
    ours["config"]["data"] |= {"root": data_root, "cache": cache}
    checkpoint = {
        "state_dict": weights_of(name),
        "crossreid": ours,
        "loops": recorded["loops"],
        "callbacks": {},
        "epoch": recorded["epoch"],
        "global_step": recorded["global_step"],
        "pytorch-lightning_version": recorded["pytorch-lightning_version"],
        "lr_schedulers": [_schedule(state) for state in recorded["lr_schedulers"]],
    }
    return checkpoint | {"optimizer_states": _optimizer_states(checkpoint, recorded["optimizers"])}


def _schedule(state: dict[str, object]) -> dict[str, object]:
    if "milestones" in state:
        state["milestones"] = Counter({int(key): count for key, count in state["milestones"].items()})
    return state


def _optimizer_states(checkpoint: dict[str, object], recorded: list[dict[str, object]]) -> list[dict[str, object]]:
    """States with the shapes of the parameters, in the order of the method's optimizers."""
    ours = current_checkpoint({**checkpoint, "optimizer_states": []})["crossreid"]
    config = run_config_from_plain(ours["config"])
    module = make_method(config.model, ours["num_identities"], ours["seed"])
    optimizers = module.make_optimizers()
    players = [name for name in module.OPTIMIZERS if name in optimizers]
    states = []
    for player, told in zip(players, recorded, strict=True):
        groups, state, place = [], {}, 0
        for group, kept in zip(optimizers[player].param_groups, told["param_groups"], strict=True):
            assert len(group["params"]) == kept["params"], "another number of parameters than before"
            places = list(range(place, place + len(group["params"])))
            groups.append({**kept, "params": places})
            for number, parameter in zip(places, group["params"], strict=True):
                state[number] = {
                    entry: torch.tensor(3.0) if entry == "step" else torch.zeros_like(parameter)
                    for entry in told["state_entries"]
                }
            place += len(places)
        states.append({"state": state, "param_groups": groups})
    return states


def write_run(folder: Path, name: str, data_root: Path, cache: Path) -> None:
    """A run folder as version 0.1 left it when it was stopped, with weights that can be trained on."""
    checkpoint = checkpoint_of(name, str(data_root), str(cache))
    ours = current_checkpoint(checkpoint)["crossreid"]
    module = make_method(run_config_from_plain(ours["config"]).model, ours["num_identities"], seed=1)
    initial = module.state_dict()
    checkpoint["state_dict"] = {key: initial[current_name(key)] for key in checkpoint["state_dict"]}
    config = checkpoint["crossreid"]["config"]
    folder.mkdir(parents=True)
    torch.save(checkpoint, folder / "last.ckpt")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    facts = {"status": "interrupted", "fingerprint": fingerprint_of_format_1(config), "started": "2026-01-01T00:00:00"}
    (folder / "run.json").write_text(json.dumps(facts))


YOUNGER = {"deen", "mpanet", "best"}
"""Methods that version 0.1 did not have."""


def test_every_method_of_then_is_recorded() -> None:
    assert set(built_in_methods()) - YOUNGER <= set(RECORDED)


QUICK = ("lba", "cmssft", "tsgan", "jsia")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in RECORDED])
def test_an_old_checkpoint_becomes_a_method_and_is_left_as_it_was(name: str, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(checkpoint_of(name), path)
    before = path.read_bytes()
    module = crossreid.load(path, device="cpu")
    assert path.read_bytes() == before
    assert module.iteration == RECORDED[name]["crossreid"]["iteration"]
    loaded = module.state_dict()
    for key, value in weights_of(name).items():
        assert torch.equal(loaded[current_name(key)], value), key


@pytest.mark.parametrize("name", RECORDED)
def test_old_settings_say_the_same_as_todays(name: str) -> None:
    """What the smoke setting composes today is what it was: converted settings and composed ones are one run."""
    old = RECORDED[name]["crossreid"]["config"]
    converted = run_config_from_plain(current(old))
    chosen = {"row": name.replace("--", "/")} if "--" in name else {"model": name}
    composed = crossreid.Experiment(**chosen, scale="smoke", trainer="cpu").config
    of_converted = without(converted.model.plain(), NOT_PART_OF_METHOD)
    assert of_converted == without(composed.model.plain(), NOT_PART_OF_METHOD)
    assert converted.choices == composed.choices
    assert not {"_target_", "name", "preset"} & set(converted.to_plain()["model"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aligngan", "jsia", "tsgan", "cmssft", "lba", "agw"])
def test_resume_goes_on_from_an_old_run(name: str, tmp_path: Path, people_root: Path, shared_folder: Path) -> None:
    cache = shared_folder / "cache"
    write_run(tmp_path / "run", name, people_root, cache)
    settings = {"data.root": str(people_root), "data.cache": str(cache), "trainer.checkpoint_every": 1}
    settings |= {"report.figures": False, "report.untrained": False, "protocol.trials": 1}
    folder = str(tmp_path / "run")
    run = crossreid.Experiment(name, scale="smoke", trainer="cpu", resume=folder, overrides=settings).run()
    assert run.path == tmp_path / "run"
    assert run.results.facts["resumed_at"] == RECORDED[name]["crossreid"]["iteration"]
    assert read_config(run.path)["format"] == 2
    assert read_run(run.path).status == "finished"


def test_an_old_run_of_other_settings_is_refused_with_what_differs(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "lba", tmp_path / "people", tmp_path / "cache")
    settings = {"model.w_dt": 0.25, "report.figures": False}
    folder = str(tmp_path / "run")
    other = crossreid.Experiment("lba", scale="smoke", trainer="cpu", resume=folder, overrides=settings)
    with pytest.raises(ConfigError, match=r"model\.w_dt is 0\.5 there and 0\.25 here"):
        other.run()


def test_a_folder_of_old_runs_can_be_read(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "jsia", tmp_path / "people", tmp_path / "cache")
    run = read_run(tmp_path / "run")
    assert (run.name, run.seed, run.data, run.status) == ("jsia", 0, "synthetic", "interrupted")


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    checkpoint = checkpoint_of("lba")
    checkpoint["crossreid"]["config"]["format"] = 3
    torch.save(checkpoint, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="newer version"):
        crossreid.load(tmp_path / "last.ckpt", device="cpu")


def test_settings_that_came_since_have_their_defaults_and_what_differs_still_does() -> None:
    config = current(RECORDED["lba"]["crossreid"]["config"])
    older = deepcopy(config)
    assert older["model"]["schedule"].pop("curve") == "steps"
    older["model"]["w_dt"] = 0.25
    untouched = deepcopy(older)
    ours = {"format": 2, "method": "lba", "model": older["model"], "config": older}
    converted = current_checkpoint({"state_dict": {}, "crossreid": ours})["crossreid"]
    for settings in (converted["model"], converted["config"]["model"]):
        assert settings == config["model"] | {"w_dt": 0.25}
    assert older == untouched


def kept_settings(*words: str) -> dict[str, Any]:
    return run_config(compose("train", ["scale=smoke", *words])).to_plain()


def test_a_permutations_file_beside_a_seeded_draw_is_left_out_of_kept_settings() -> None:
    kept = kept_settings("model=baseline", "protocol=sysu_mm01", "protocol.draw=seeded")
    kept["protocol"]["permutations"] = "rand_perm_cam.mat"
    assert current(kept)["protocol"]["permutations"] is None
    with pytest.raises(ConfigError, match="reads no file: leave one out"):
        run_config_from_plain(kept).check()


@pytest.mark.parametrize("row", ["base", "dee", "dee_cpm", "dee_ort", "dee_cpm_ort", "mfa", "full"])
def test_losses_of_deen_that_were_left_out_by_their_weights_are_listed(row: str) -> None:
    today = kept_settings(f"experiment=deen/{row}")
    then = deepcopy(today)
    for name, weight in (("cpm", "w_cpm"), ("orthogonal", "w_orthogonal")):
        if name not in then["model"]["losses"]:
            then["model"][weight] = 0.0
    del then["model"]["losses"]
    assert current(then)["model"] == today["model"]
