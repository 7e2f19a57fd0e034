"""Hydra's view of the settings: each dataclass as a schema, and the choices that say nothing but their name.

A schema is stored as ``schema/<group>/<name>``, those of the commands as ``<command>_schema``. A group file takes its schema
and says only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore

from crossreid.errors import ConfigError, reason_of
from crossreid.settings.commands import COMMANDS
from crossreid.settings.data import DataConfig, TrainedDataConfig
from crossreid.settings.method import MethodConfig
from crossreid.settings.multirun import LAUNCHERS, SWEEPERS
from crossreid.settings.protocol import PROTOCOLS, TrainedProtocolConfig
from crossreid.settings.registry import dataset_names, dataset_settings, method_names, method_settings
from crossreid.settings.run import TrainConfig

PACKAGE_HEADER = "# @package"
FULL = "full"
"""The row of every method that switches nothing off."""


def packaged_conf() -> Path:
    """The folder of config files: inside an installed wheel, or at the top of the repository."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    if inside.is_dir():
        return inside
    return package.parents[1] / "conf"


def has_file(group: str, name: str) -> bool:
    """The package has a config file for a choice."""
    return (packaged_conf() / group / f"{name}.yaml").is_file()


def is_choice(group: str, name: str) -> bool:
    """A group has a choice, in a file of the package or in one that a plugin brought along."""
    if has_file(group, name):
        return True
    stored: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        stored = stored.get(part, {})
    return f"{name}.yaml" in stored


def choices_of(group: str) -> list[str]:
    """All choices of a group, those of its subfolders too (``lba/full`` of ``experiment``): files, and what is stored."""
    folder = packaged_conf() / group
    names = set(_stored_choices(group))
    for path in folder.rglob("*.yaml"):
        names.add(path.relative_to(folder).with_suffix("").as_posix())
    return sorted(names)


def _stored_choices(group: str) -> list[str]:
    stored: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        stored = stored.get(part, {})
    names = []
    for name in stored:
        if name.endswith(".yaml"):
            names.append(name.removesuffix(".yaml"))
            continue
        for choice in _stored_choices(f"{group}/{name}"):
            names.append(f"{name}/{choice}")
    return names


def register() -> None:
    """Store all schemas and nameless choices; once more where plugins were named since."""
    _register((*method_names(), *dataset_names()))


@cache
def _register(names: tuple[str, ...]) -> None:
    """As :func:`register`; ``names`` are those of all methods and datasets."""
    store = ConfigStore.instance()
    _never_copy(store)
    for command, schema in {"train": TrainConfig, **COMMANDS}.items():
        store.store(name=f"{command}_schema", node=schema)
    for group, choices in (("launcher", LAUNCHERS), ("sweeper", SWEEPERS)):
        for name, schema in choices.items():
            store.store(group=f"schema/{group}", name=name, node=schema)
    for name in method_names():
        _register_method(store, name, method_settings(name))
    for name in dataset_names():
        _register_dataset(store, name, dataset_settings(name))
    for name, protocol in PROTOCOLS.items():
        store.store(group="protocol", name=name, node=protocol)
    store.store(group="protocol", name=TrainedProtocolConfig.name, node=TrainedProtocolConfig)
    store.store(group="data", name=TrainedDataConfig.name, node=TrainedDataConfig)
    # what these choose is the settings' own default
    for group, name in (("trainer", "auto"), ("logger", "csv"), ("selection", "last")):
        store.store(group=group, name=name, node={})
    for preset in ("paper", "official"):
        store.store(group="preset", name=preset, package="_global_", node={})


def _never_copy(store: ConfigStore) -> None:
    """Hydra copies its sources at every look at a group, and with them this store, of which there is one by contract.

    What is loaded from it is copied anyway; without this ``--help`` takes half a minute.
    """
    vars(store)["__deepcopy__"] = lambda memo: store


def _register_method(store: ConfigStore, name: str, schema: type[MethodConfig]) -> None:
    store.store(group="schema/model", name=name, node=schema)
    if schema.family:
        store.store(group="family", name=schema.family, package="_global_", node={})
    if not has_file(f"experiment/{name}", FULL):  # a file may say more of the full method
        full = {"defaults": [{"override /model": name}]}
        store.store(group=f"experiment/{name}", name=FULL, package="_global_", node=full)
    if has_file("model", name):
        return
    if schema.conf_folder:
        register_folder(schema.conf_folder)
    if not schema.conf_folder or not (Path(schema.conf_folder) / "model" / f"{name}.yaml").is_file():
        defaults: list[Any] = [{"/schema/model@_here_": name}, "_self_"]
        if schema.family:
            defaults.append({"override /family@_global_.family": schema.family})
        store.store(group="model", name=name, node={"defaults": defaults})


def _register_dataset(store: ConfigStore, name: str, schema: type[DataConfig]) -> None:
    store.store(group="schema/data", name=name, node=schema)
    if has_file("data", name):
        return
    defaults: list[Any] = [{"/schema/data@data": name}, "_self_"]
    if not schema.embedded:  # real images: the full setting, where nothing else is said
        defaults.append({"override /scale": "paper"})
    defaults.append({"override /protocol": schema.protocol})
    store.store(group="data", name=name, package="_global_", node={"defaults": defaults})


def register_folder(folder: str) -> None:
    """Store the config files of a package outside this one, under the groups that their folders name.

    Raises:
        ConfigError: one cannot be read.
    """
    root = Path(folder)
    for path in sorted(root.rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        try:
            content: Any = yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            raise ConfigError(f"The config file '{path}' cannot be read: {reason_of(error)}.") from error
        if not isinstance(content, Mapping):
            raise ConfigError(f"The config file '{path}' holds no settings.")
        group = path.relative_to(root).parent.as_posix()
        ConfigStore.instance().store(group=group, name=path.stem, package=_package(text), node=dict(content))


def _package(text: str) -> str | None:
    """The package that a file's first line names, as Hydra reads it."""
    start = text.lstrip()
    if not start.startswith(PACKAGE_HEADER):
        return None
    return start.splitlines()[0].removeprefix(PACKAGE_HEADER).strip()
