"""Help pages are made from the settings, fit a terminal, and stand in the documentation as they are printed."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crossreid.completion import script
from crossreid.errors import ConfigError
from crossreid.help.page import command_list, help_page
from crossreid.help.texts import TEXTS
from crossreid.settings.__main__ import settings_page
from crossreid.settings.compose import compose
from crossreid.settings.overrides import with_action
from crossreid.settings.reference import COMMAND_NAMES, GROUPS, reference
from support import ROOT, Finished


def test_every_command_has_a_help_page() -> None:
    assert set(TEXTS) == set(COMMAND_NAMES)
    for command in COMMAND_NAMES:
        assert (ROOT / "src" / "crossreid" / f"{command}.py").is_file()
        assert f"crossreid.{command}" in command_list()


@pytest.mark.parametrize("command", COMMAND_NAMES)
def test_a_page_shows_settings_that_are_there_and_examples_that_compose(command: str) -> None:
    text = TEXTS[command]
    composed, settings = reference(command)
    keys = {item.key for item in settings}
    assert set(text.keys) <= keys | {"data.root"}
    assert all(item.meaning.text for item in settings)
    assert set(text.choices) <= set(GROUPS) & set(composed.choices)
    assert len(text.examples) == 3
    for example in text.examples:
        words = with_action(example.split())
        compose(command, [word.partition(",")[0] for word in words if word != "-m" and "[" not in word])
    assert (ROOT / "docs" / text.page).is_file()
    page = help_page(command)
    usual = [line for line in page.splitlines() if "python -m" not in line]
    assert max(map(len, usual)) <= 100
    for word in ("Hydra", "hydra", "OmegaConf"):
        assert word not in page


def test_values_are_those_of_the_choices_on_the_line() -> None:
    page = help_page("train", ["--help", "data=sysu_mm01", "seed=7", "data.root=/data/SYSU-MM01"])
    assert "data=sysu_mm01" in page
    assert "seed=7" in page
    assert "data.root=/data/SYSU-MM01" in page
    assert "data.root=..." in help_page("train", ["data=sysu_mm01"])
    with pytest.raises(ConfigError, match="did you mean model=lba"):
        help_page("train", ["model=lbb"])


def test_the_commands_print_their_pages(run_here: Callable[..., Finished]) -> None:
    for arguments in (["--help"], ["-h"], ["model=lba", "--help"]):
        finished = run_here("train", *arguments)
        assert finished.code == 0
        assert finished.output.startswith("python -m crossreid.train: train a method")
    wrong = run_here("evaluate", "--help", "protocl=regdb")
    assert wrong.code == 1
    assert "Error:" in wrong.output


def test_the_list_of_commands_takes_no_arguments(run_here: Callable[..., Finished]) -> None:
    assert command_list() in run_here("__main__").output
    wrong = run_here("__main__", "train")
    assert wrong.code == 1
    assert "python -m crossreid.train" in wrong.output


def test_every_setting_is_listed_with_its_value() -> None:
    page = settings_page(["model=lba", "model.w_dt=0.25"])
    assert "\n  model.w_dt=0.25 " in page
    assert "lba/dt_noA" in page
    assert "\n  embeddings=null" in settings_page(["command=evaluate"])
    assert max(len(line) for line in page.splitlines()) <= 100
    with pytest.raises(ConfigError, match="choose from train, evaluate"):
        settings_page(["command=trian"])
    with pytest.raises(ConfigError, match=r"did you mean model\.w_dt"):
        settings_page(["model=lba", "model.w_td=1"])


def test_the_settings_command_prints_them_and_ends_a_mistake_in_one_sentence(run_here: Callable[..., Finished]) -> None:
    assert run_here("settings.__main__", "command=check").output.startswith("Choices of python -m crossreid.check")
    assert "Usage: python -m crossreid.settings" in run_here("settings.__main__", "--help").output
    wrong = run_here("settings.__main__", "modle=lba")
    assert wrong.code == 1
    assert wrong.output.startswith("Error: ")
    assert len(wrong.output.splitlines()) == 1


def documented_arguments() -> list[str]:
    """What the pages give to `python -m crossreid.settings`."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    command = "python -m crossreid.settings"
    return sorted({line.partition("#")[0].removeprefix(command).strip() for line in lines if line.startswith(command)})


@pytest.mark.parametrize("arguments", documented_arguments())
def test_documented_listings_are_printed(arguments: str) -> None:
    assert settings_page(arguments.split()).startswith("Choices of")


COMPLETIONS = {
    "python -m crossreid.tr": ["crossreid.train"],
    "python -m crossreid.train model=al": ["aligngan"],
    "python -m crossreid.train experiment=lba/full,lba/d": ["lba/full,lba/dt", "lba/full,lba/dt_noA"],
    "crossreid-image-quality chec": ["checkpoint="],
    "python -m crossreid.train model=lba model.w_d": ["model.w_dt="],
    "python -m crossreid.train data=tr": [],
    "python -m crossreid.evaluate data=tr": ["trained"],
    "python other.py mod": [],
}
"""A line that is being typed -> what TAB offers."""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_shell_completes_choices_and_settings(tmp_path: Path) -> None:
    lines = [script("bash")]
    for line in COMPLETIONS:
        lines.append(f'COMP_LINE="{line}"; COMP_POINT={len(line)}; _crossreid; echo "${{COMPREPLY[*]}}"')
    (tmp_path / "complete.sh").write_text("\n".join(lines))
    done = subprocess.run(
        ["bash", str(tmp_path / "complete.sh")], capture_output=True, text=True, check=True
    )  # compopt speaks to a line that is edited, and there is none here
    offered = dict(zip(COMPLETIONS, (line.split() for line in done.stdout.splitlines()), strict=True))
    assert offered == COMPLETIONS
    assert "python -m" not in lines[0].partition("\n")[2]  # a press of TAB starts no Python


def test_zsh_takes_the_same_script(run_here: Callable[..., Finished]) -> None:
    printed = run_here("completion", "zsh").output
    assert printed.startswith("autoload -U +X bashcompinit")
    assert "complete -o default -F _crossreid" in printed
    wrong = run_here("completion", "fish")
    assert wrong.code == 1
    assert "bash and zsh" in wrong.output


PRINTED = {"python -m crossreid": command_list, "python -m crossreid.train --help": lambda: help_page("train")}
"""A command in docs/commands.md -> what it prints."""


@pytest.mark.parametrize("command", PRINTED)
def test_the_documented_text_is_what_is_printed(command: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    block = page.partition(f"$ {command}\n")[2].partition("\n```")[0]
    assert PRINTED[command]() in block
