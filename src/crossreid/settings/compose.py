"""From choices and overrides to typed settings, by Hydra's own loader and without a Hydra application.

One function composes the files for Python; a command that Hydra started hands its composed config to the same reader. No
global state of Hydra is touched, so it works twice in a process, in threads, and inside another program's application.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from crossreid.errors import ConfigError
from crossreid.settings.data import DataConfig, TrainedDataConfig
from crossreid.settings.fields import Settings, from_plain, unknown_name
from crossreid.settings.method import MethodConfig
from crossreid.settings.protocol import PROTOCOLS, ProtocolConfig, TrainedProtocolConfig
from crossreid.settings.registry import dataset_settings, method_settings, use_plugins
from crossreid.settings.run import RunConfig
from crossreid.settings.sentences import explain, keys_of, unreadable
from crossreid.settings.store import choices_of, is_choice, packaged_conf, register

PLUGINS = "plugins="
VERSION_BASE = "1.3"
"""The version of Hydra whose rules hold; by those of older ones a job changes the working directory."""
OPTIONAL_GROUPS = ("model_preset", "protocol_preset", "model_scale", "recipe", "row_preset")
"""Groups of which a method may have no choice that fits."""
_NOT_A_NAME = re.compile(r"[+-]?[\d._]+(e[+-]?\d+)?|[+-]?(inf|nan)|true|false|\{.*|\[.*", re.IGNORECASE | re.DOTALL)
"""What Hydra takes for a number, a truth value, a list or a dictionary, where the name of a choice belongs."""
SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class Composed:
    """What Hydra made of choices and overrides.

    Attributes:
        values: all settings as plain values, interpolations resolved.
        choices: group -> what was chosen.
        overrides: what a person said, as given.
    """

    values: dict[str, Any]
    choices: Mapping[str, str | None]
    overrides: tuple[str, ...] = ()


def compose(command: str, overrides: Sequence[str] = ()) -> Composed:
    """Compose a command's settings.

    Args:
        command: ``train``, ``evaluate``, ...
        overrides: as on the command line: ``model=lba``, ``model.w_dt=0``, ``data.root=/data/SYSU-MM01``.

    Raises:
        ConfigError: a choice, a key or a type is wrong, in one sentence.
    """
    use_plugins(plugins_in(overrides))  # before anything is composed: what they bring is chosen among
    register()
    refuse_untold_choices(overrides)
    try:
        config = _load(command, list(overrides))
        choices = dict(config.hydra.runtime.choices)
        with flag_override(config, ["readonly", "struct"], False):
            config.pop("hydra")  # Hydra's own settings, which are none of the command
        return Composed(plain_values(config), choices, tuple(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, known_keys(command, overrides), choices_of)) from error


def _load(command: str, overrides: list[str]) -> DictConfig:
    """Compose by Hydra's own loader."""
    setup_globals()
    loader = hydra_context(None).config_loader
    return loader.load_configuration(config_name=command, overrides=overrides, run_mode=RunMode.RUN)


def hydra_context(config: DictConfig | None) -> HydraContext:
    """What Hydra's parts are given: its loader, and the callbacks that a job's settings name.

    Both are internal to Hydra, so this is the one place that makes them; tests watch over it.
    """
    loader = ConfigLoaderImpl(create_config_search_path(str(packaged_conf())))
    return HydraContext(config_loader=loader, callbacks=Callbacks(config))


def plain_values(config: DictConfig) -> dict[str, Any]:
    """A composed config as plain values, interpolations resolved; what is missing stays ``???``."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))


def known_keys(command: str, overrides: Sequence[str]) -> list[str]:
    """The keys that the same choices have without the values given, for guessing what was meant."""
    choices = []
    for word in overrides:
        key = word.partition("=")[0]
        # a choice is of a group, and groups stand at the top
        if "." not in key and not key.startswith(("+", "~")):
            choices.append(word)
    for words in (choices, []):  # where a choice itself is wrong, without any
        try:
            config = _load(command, words)
        except (HydraException, OmegaConfBaseException):
            continue
        plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=False))
        return [key for key in keys_of(plain) if not key.startswith("hydra")]
    return []


def refuse_untold_choices(overrides: Sequence[str]) -> None:
    """Raise :class:`ConfigError` for ``GROUP=null`` or a number, and for a choice that is not there where none is needed.

    Hydra ends the first two by an error of Python's own, and takes the third without a word.
    """
    for word in overrides:
        key, _, value = word.lstrip("+").partition("=")
        if not key:
            raise ConfigError(unreadable(word))
        group = key.partition("@")[0]
        known = choices_of(group)
        if known and (value in ("null", "") or _NOT_A_NAME.fullmatch(value)):
            raise ConfigError(f"{group} is chosen by a name: choose from {', '.join(known)}, or leave {word} out.")
        if group in OPTIONAL_GROUPS and value not in known:
            raise ConfigError(unknown_name(group, value, known))


def plugins_in(overrides: Sequence[str]) -> list[str]:
    """The packages that overrides name: ``plugins=[one,two]`` or ``plugins=one``."""
    packages: list[str] = []
    for word in overrides:
        override = word.lstrip("+")
        if not override.startswith(PLUGINS):
            continue
        value = override.removeprefix(PLUGINS).strip("'\" ")
        value = value.removeprefix("[").removesuffix("]")
        for entry in value.split(","):
            package = entry.strip("'\" ")
            if package:
                packages.append(package)
    return packages


def run_config(composed: Composed) -> RunConfig:
    """The settings of one run, typed and checked.

    Raises:
        ConfigError: settings cannot be, or were chosen so that they contradict each other.
    """
    choices = composed.choices
    values = dict(composed.values)
    if isinstance(values.get("plugins"), str):
        values["plugins"] = [values["plugins"]]
    parts: dict[str, Settings] = {
        "model": method_part(str(choices["model"]), values.pop("model")),
        "data": data_part(str(choices["data"]), values.pop("data")),
        "protocol": protocol_part(str(choices["protocol"]), values.pop("protocol")),
    }
    _refuse_trained(parts)
    names = {"row": choices.get("experiment"), "preset": choices.get("preset"), "scale": choices.get("scale")}
    config = from_plain(RunConfig, {**values, **parts, **names})
    # mistakes that compose without a word, each of which would train something else than was meant
    _check_row(composed)
    _check_family(config.model, choices.get("family"))
    if not config.defaults_for_missing:
        _check_choices_are_settled(config)
    config.check()
    return config


def typed(schema: type[SettingsT], composed: Composed) -> SettingsT:
    """The settings of a command other than ``train``, typed and checked.

    Raises:
        ConfigError: settings cannot be.
    """
    values = dict(composed.values)
    if "data" in values:
        values["data"] = data_part(str(composed.choices["data"]), values["data"])
    if "protocol" in values:
        values["protocol"] = protocol_part(str(composed.choices["protocol"]), values["protocol"])
    names_a_checkpoint = hasattr(schema, "checkpoint") or hasattr(schema, "first")
    if not names_a_checkpoint:
        _refuse_trained(values)
    config = from_plain(schema, values)
    config.check()
    return config


def _refuse_trained(parts: Mapping[str, Any]) -> None:
    """Only a checkpoint was trained on something, and with a protocol."""
    if isinstance(parts.get("data"), TrainedDataConfig):
        raise ConfigError("data=trained is the dataset of a checkpoint, and there is none here: name a dataset.")
    if isinstance(parts.get("protocol"), TrainedProtocolConfig):
        raise ConfigError("protocol=auto is the protocol of a checkpoint, and there is none here: name a protocol.")


def method_part(name: str, values: Mapping[str, Any]) -> MethodConfig:
    """A method's settings from plain values."""
    return from_plain(method_settings(name), values, "model")


def data_part(name: str, values: Mapping[str, Any]) -> DataConfig | TrainedDataConfig:
    """A dataset's settings from plain values."""
    if name == TrainedDataConfig.name:
        return from_plain(TrainedDataConfig, values, "data")
    return from_plain(dataset_settings(name), values, "data")


def protocol_part(name: str, values: Mapping[str, Any]) -> ProtocolConfig | TrainedProtocolConfig:
    """A protocol's settings from plain values."""
    if name == TrainedProtocolConfig.name:
        return TrainedProtocolConfig()
    if name not in PROTOCOLS:
        raise ConfigError(f"There is no protocol '{name}': choose from {', '.join(PROTOCOLS)}.")
    return from_plain(PROTOCOLS[name], values, "protocol")


def _check_row(composed: Composed) -> None:
    """A row is of one method: another one chosen beside it would be trained under the row's name."""
    row = composed.choices.get("experiment")
    if row is None or not any(word.startswith("model=") for word in composed.overrides):
        return
    row_alone = _load("train", [f"experiment={row}"])
    model_of_row = row_alone.hydra.runtime.choices["model"]
    model = composed.choices["model"]
    if model_of_row != model:
        raise ConfigError(
            f"experiment={row} is a row of model={model_of_row}, and model={model} is chosen beside it: leave one of them "
            "out."
        )


def _check_family(method: MethodConfig, family: str | None) -> None:
    """A config file that forgets the family of its method would silently leave out what a scale means for the family."""
    if method.family and family != method.family:
        raise ConfigError(
            f"{method.name} is of the family {method.family}, and model/{method.name}.yaml does not say so: add "
            f"'- override /family@_global_.family: {method.family}' to its defaults, or remove the file."
        )


def _check_choices_are_settled(config: RunConfig) -> None:
    """A scale or preset that a method has no settings for would silently be its full setting."""
    method = config.model
    for group, choice, folder in (("preset", config.preset, "model_preset"), ("scale", config.scale, "model_scale")):
        override = f"{group}={choice}"
        if choice in (None, "paper") or override in method.settled:
            continue
        if has_settings(folder, method, str(choice)):
            continue
        raise ConfigError(
            f"{method.name} has no settings for {override}: add conf/{folder}/{method.name}/{choice}.yaml, choose "
            f"{group}=paper, or take its own settings all the same by defaults_for_missing=true."
        )


def has_settings(folder: str, method: MethodConfig, choice: str) -> bool:
    """A method, or its family, has settings for a scale or preset."""
    groups = [f"{folder}/{method.name}"]
    if method.family:
        groups.append(f"{folder}/{method.family}")
    return any(is_choice(group, choice) for group in groups)
