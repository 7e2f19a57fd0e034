"""What commands write: no two outputs share a path, none is an input, and what something else wrote is never replaced."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossreid.errors import ConfigError
from crossreid.runs.outputs import check_outputs, origin_file, output_path
from crossreid.settings.commands import CostConfig
from support import files_in

COLLISIONS = {
    "evaluate: scores and the embeddings' description": (
        ["evaluate", "checkpoint=x.ckpt", "output=a.json", "save_embeddings=a.npz"],
        "output and save_embeddings would both write 'a.json': choose other names.",
    ),
    "evaluate: scores and embeddings": (
        ["evaluate", "checkpoint=x.ckpt", "output=a.npz", "save_embeddings=./a"],
        "output and save_embeddings would both write",
    ),
    "evaluate: over its checkpoint": (
        ["evaluate", "checkpoint=x.ckpt", "output=x.ckpt"],
        "output would write over 'x.ckpt', which checkpoint reads: choose another output.",
    ),
    "evaluate: over its checkpoint by another name": (
        ["evaluate", "checkpoint=x.ckpt", "output=link.ckpt"],
        "output would write over 'link.ckpt', which checkpoint reads",
    ),
    "evaluate: over its embeddings": (
        ["evaluate", "embeddings=e.npz", "protocol=sysu_mm01", "output=e.npz"],
        "output would write over 'e.npz', which embeddings reads",
    ),
    "evaluate: over its embeddings' description": (
        ["evaluate", "embeddings=e.npz", "protocol=sysu_mm01", "output=e.json"],
        "output would write over 'e.json', which embeddings reads",
    ),
    "evaluate: over its permutations": (
        ["evaluate", "embeddings=e.npz", "protocol=sysu_mm01", "protocol.permutations=p.mat", "output=p.mat"],
        "output would write over 'p.mat', which protocol.permutations reads",
    ),
    "evaluate: over somebody's file": (
        ["evaluate", "checkpoint=x.ckpt", "output=thesis.json"],
        "'thesis.json' is there, and nothing says that crossreid.evaluate wrote it: choose another output, or remove it.",
    ),
    "evaluate: over somebody's embeddings": (
        ["evaluate", "checkpoint=x.ckpt", "save_embeddings=e.npz"],
        "'e.npz' is there, and nothing says that crossreid.evaluate wrote it: choose another save_embeddings",
    ),
    "evaluate: a folder": (
        ["evaluate", "checkpoint=x.ckpt", "output=figures_x"],
        "output is to be the file 'figures_x'",
    ),
    "evaluate: a file as a folder": (
        ["evaluate", "checkpoint=x.ckpt", "output=e.npz/a.json"],
        "output is to be 'e.npz/a.json', and",
    ),
    "auxiliary: the figure and the scores": (
        ["auxiliary", "checkpoint=x.ckpt", "output=curve.png"],
        "output and figure would both write 'curve.png'",
    ),
    "auxiliary: over its checkpoint": (
        ["auxiliary", "checkpoint=x.ckpt", "output=x.ckpt", "figure=false"],
        "output would write over 'x.ckpt', which checkpoint reads",
    ),
    "cost": (["cost", "output=thesis.json"], "nothing says that crossreid.cost wrote it"),
    "check": (["check", "data=folder", "data.root=.", "output=thesis.json"], "that crossreid.check wrote it"),
    "report": (["report", "runs=.", "output=others"], "'others/comparison.md' is there, and nothing says that"),
    "image_quality": (
        ["image_quality", "checkpoint=x.ckpt", "output=others"],
        "'others/image_quality.json' is there, and nothing says that crossreid.image_quality wrote it",
    ),
    "image_quality: a judge's weights": (
        ["image_quality", "checkpoint=x.ckpt", "judge.weights=gone.pth"],
        "There is no weights file 'gone.pth': set judge.weights to",
    ),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_collisions_are_refused_before_any_work(
    run_here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    def at_work(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the work had begun")

    for place in ("crossreid.data.datasets.sources.open_source", "torch.load", "numpy.load"):
        monkeypatch.setattr(place, at_work)
    (tmp_path / "figures_x").mkdir()
    (tmp_path / "others").mkdir()
    for name in ("x.ckpt", "e.npz", "e.json", "p.mat", "thesis.json"):
        (tmp_path / name).write_bytes(b"precious")
    for name in ("comparison.md", "image_quality.json"):
        (tmp_path / "others" / name).write_bytes(b"precious")
    (tmp_path / "link.ckpt").hardlink_to(tmp_path / "x.ckpt")
    before = files_in(tmp_path)
    (module, *arguments), message = COLLISIONS[case]
    if module == "evaluate" and "report.figures=true" not in arguments:
        arguments.append("report.figures=false")
    refused = run_here(module, *arguments)
    assert refused.code == 1, refused.output
    assert message in refused.output
    assert "Traceback" not in refused.output
    assert files_in(tmp_path) == before


def test_the_same_command_replaces_its_own_output_and_others_do_not(run_here, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        arrays = {"pids": np.repeat([1, 2, 3], 8), "camids": np.tile([1, 2, 3, 6], 6), "frames": np.arange(24)}
        features = generator.normal(size=(24, 4)).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", features=features, **arrays)
    command = ["evaluate", "protocol=sysu_mm01", "protocol.draw=seeded", "protocol.trials=1", "output=scores.json"]
    first = run_here(*command, "embeddings=one.npz")
    assert first.code == 0, first.output
    written = (tmp_path / "scores.json").read_bytes()
    again = run_here(*command, "embeddings=./one.npz", "trainer.progress=false")
    assert again.code == 0, again.output
    assert (tmp_path / "scores.json").read_bytes() == written

    other = run_here(*command, "embeddings=two.npz")
    assert other.code == 1
    assert "'scores.json' was written from other inputs or settings (settings.embeddings is" in other.output
    changed = run_here(*command, "embeddings=one.npz", "protocol.trials=2")
    assert changed.code == 1
    assert "(settings.protocol.trials is 1 there and 2 here): choose another output, or remove it." in changed.output
    assert (tmp_path / "scores.json").read_bytes() == written
    (tmp_path / "scores.json").unlink()
    assert run_here(*command, "embeddings=two.npz").code == 0


def test_a_default_place_gives_way_to_what_others_wrote(run_here, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = {"pids": np.repeat([1, 2, 3], 8), "camids": np.tile([1, 2, 3, 6], 6), "frames": np.arange(24)}
    np.savez(tmp_path / "e.npz", features=generator.normal(size=(24, 4)).astype(np.float32), **arrays)
    command = ["evaluate", "embeddings=e.npz", "protocol=sysu_mm01", "protocol.draw=seeded"]
    for trials, name in ((1, "e.evaluation.json"), (2, "e.evaluation_2.json"), (1, "e.evaluation.json")):
        done = run_here(*command, f"protocol.trials={trials}")
        assert done.code == 0, done.output
        assert f"Results: {name}" in done.output
    assert len(list(tmp_path.glob("e.evaluation*.json"))) == 2
    origin = {"command": "evaluate", "settings": {}}
    (tmp_path / "figures").mkdir()  # nobody knows who made it
    assert output_path(None, tmp_path / "figures", origin) == tmp_path / "figures_2"
    assert output_path("mine", tmp_path / "figures", origin) == Path("mine")
    (tmp_path / "report").mkdir()
    assert output_path(None, tmp_path / "report", origin, within="a.json") == tmp_path / "report"
    (tmp_path / "report" / "a.json").touch()
    assert output_path(None, tmp_path / "report", origin, within="a.json") == tmp_path / "report_2"


def test_a_folder_made_beforehand_is_nobodys_after_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    outputs = check_outputs("cost", CostConfig(), {}, {}, folders={"output": folder})
    with pytest.raises(RuntimeError, match="stopped"), outputs.written():
        raise RuntimeError("stopped")
    (folder / "thesis.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"nothing says that crossreid\.cost wrote it"):
        check_outputs("cost", CostConfig(), {}, {}, folders={"output": folder})


def test_of_long_lists_of_files_only_what_differs_is_said(tmp_path: Path) -> None:
    output = tmp_path / "cost.json"
    files = [tmp_path / f"{number}.json" for number in range(100)]
    with check_outputs("cost", CostConfig(), {"output": [output]}, {"runs": files}).written():
        output.write_text("{}")
    renamed = [*files[:50], tmp_path / "other.json", *files[51:]]
    expected = (
        r"settings\.runs has 100 values there and 100 here, \S*/50.json is only there, \S*/other.json is only here\)"
    )
    with pytest.raises(ConfigError, match=expected):
        check_outputs("cost", CostConfig(), {"output": [output]}, {"runs": renamed})
    with pytest.raises(ConfigError, match=r"has 100 values there and 99 here, \S*/99.json is only there\)"):
        check_outputs("cost", CostConfig(), {"output": [output]}, {"runs": files[:99]})
    with pytest.raises(ConfigError, match=r"has 100 values there and 100 here, in another order or number\)"):
        check_outputs("cost", CostConfig(), {"output": [output]}, {"runs": files[::-1]})


def test_another_command_does_not_replace_it(tmp_path: Path) -> None:
    config, path = CostConfig(), tmp_path / "cost.json"
    outputs = check_outputs("cost", config, {"output": [path]}, {}, also={"scale": "paper"})
    assert not origin_file(path).exists()  # nothing is written before the work is done
    with outputs.written():
        path.write_text("{}")
    check_outputs("cost", config, {"output": [path]}, {}, also={"scale": "paper"})
    with pytest.raises(ConfigError, match="command is cost there and check here"):
        check_outputs("check", config, {"output": [path]}, {}, also={"scale": "paper"})
    with pytest.raises(ConfigError, match=r"settings\.scale is paper there and small here"):
        check_outputs("cost", config, {"output": [path]}, {}, also={"scale": "small"})
    origin_file(path).write_text("{")
    with pytest.raises(ConfigError, match=r"nothing says that crossreid\.cost wrote it"):
        check_outputs("cost", config, {"output": [path]}, {}, also={"scale": "paper"})


def test_a_folder_that_was_made_beforehand_is_written_to_while_it_is_empty(tmp_path: Path) -> None:
    place = tmp_path / "weights"
    place.mkdir()
    check_outputs("export", CostConfig(), {}, {}, folders={"output": place})
    (place / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"nothing says that crossreid\.export wrote it"):
        check_outputs("export", CostConfig(), {}, {}, folders={"output": place})


def test_a_command_that_fails_leaves_no_record_of_what_it_did_not_write(tmp_path: Path) -> None:
    kept, never = tmp_path / "kept.json", tmp_path / "never.json"
    outputs = check_outputs("cost", CostConfig(), {"output": [kept, never]}, {})
    with pytest.raises(RuntimeError, match="half way"):
        with outputs.written():
            kept.write_text("{}")
            raise RuntimeError("half way")
    assert sorted(files_in(tmp_path)) == [".kept.json.origin.json", "kept.json"]


def test_a_failed_import_leaves_nothing(run_here, tmp_path: Path) -> None:
    (tmp_path / "best.t").write_bytes(b"no weights")
    before = files_in(tmp_path)
    done = run_here("import_weights", "source=agw", "file=best.t", "output=agw")
    assert done.code == 1, done.output
    assert files_in(tmp_path) == before
