"""Every command that a README shows composes to valid settings (the smoke runs execute the same code)."""

import re
from itertools import product
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from crossreid.checks import check_train
from crossreid.config import (
    AuxiliaryConfig,
    CheckConfig,
    EvaluateConfig,
    TrainConfig,
    method_class,
    method_config,
    packaged_conf,
    typed,
)
from crossreid.cost import CostConfig
from crossreid.datasets import data_config
from crossreid.protocols import protocol_config
from crossreid.report import ReportCommandConfig
from crossreid.studies.generation.settings import ImageQualityConfig
from support import ROOT

READMES = [ROOT / "README.md", *sorted((ROOT / "src" / "crossreid" / "methods").glob("*/README.md"))]
SCHEMAS = {
    "evaluate": EvaluateConfig,
    "check": CheckConfig,
    "cost": CostConfig,
    "auxiliary": AuxiliaryConfig,
    "image_quality": ImageQualityConfig,
    "report": ReportCommandConfig,
}
COMMAND = re.compile(r"^python -m crossreid\.(\w+) ([^#\n`]*)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """(module, arguments) of every command in a fenced block."""
    found = []
    for readme in READMES:
        for block in re.findall(r"^```\w*\n(.*?)^```", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            found += COMMAND.findall(block)
    return found


def jobs(arguments: str) -> list[list[str]]:
    """The override lists of one command; -m takes them apart at commas."""
    words = arguments.split()
    if "-m" not in words:
        return [words]
    words.remove("-m")
    choices = [[f"{word.split('=')[0]}={value}" for value in word.split("=")[1].split(",")] for word in words]
    return [list(job) for job in product(*choices)]


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 10
    assert {module for module, _ in commands()} == {"train", *SCHEMAS}


@pytest.mark.parametrize(("module", "arguments"), commands())
def test_command_composes(module: str, arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    for overrides in jobs(arguments):
        with initialize_config_dir(str(packaged_conf()), version_base="1.3"):
            plain = OmegaConf.to_container(compose(module, overrides=overrides), resolve=True)
        if module in SCHEMAS:
            typed(SCHEMAS[module], plain)
            continue
        config = typed(TrainConfig, plain)
        check_train(config, method_config(config.model), len(method_class(config.model).OPTIMIZERS))
        data_config(config.data)
        protocol_config(config.protocol)


def test_nothing_is_left_to_fill_in() -> None:
    for readme in READMES:
        assert not re.findall(r"\b[A-Z]+_(?:PLACEHOLDER|SECONDS|FIGURES|ROW)\b", readme.read_text(encoding="utf-8"))


def test_links_and_pictures_are_there() -> None:
    for readme in READMES:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", readme.read_text(encoding="utf-8")):
            assert Path(readme.parent, target).exists(), f"{readme}: {target}"
