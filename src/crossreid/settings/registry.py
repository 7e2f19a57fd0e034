"""Which methods there are: named as text, imported only when they are asked for.

A method inside the package is a folder of ``crossreid/methods`` with a ``config.py``. One outside it is registered by the
entry point ``crossreid.methods`` of an installed package, or by a package that the user names (``plugins=[package]``), never
by a file.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from crossreid.errors import ConfigError
from crossreid.settings.data import BUILT_IN_DATASETS, DataConfig
from crossreid.settings.fields import quoted, unknown_name
from crossreid.settings.method import MethodConfig

METHODS_FOLDER = Path(__file__).resolve().parents[1] / "methods"
METHODS_ENTRY = "crossreid.methods"
DATASETS_ENTRY = "crossreid.datasets"

NamedT = TypeVar("NamedT", MethodConfig, DataConfig)

_plugin_methods: dict[str, type[MethodConfig]] = {}
_plugin_datasets: dict[str, type[DataConfig]] = {}


def method_names() -> list[str]:
    """All registered methods, those of the package first."""
    of_others = {*_entry_points(METHODS_ENTRY), *_plugin_methods}
    return [*built_in_methods(), *sorted(of_others)]


@cache
def built_in_methods() -> tuple[str, ...]:
    """The methods of the package itself, by their folders."""
    configs = METHODS_FOLDER.glob("*/config.py")
    return tuple(sorted(path.parent.name for path in configs))


def method_settings(name: str) -> type[MethodConfig]:
    """The settings class of a method.

    Raises:
        ConfigError: there is no such method, or what is registered under the name is none.
    """
    if name in built_in_methods():
        return _settings_of_folder(name)
    if name in _plugin_methods:
        return _plugin_methods[name]
    entry = _entry_points(METHODS_ENTRY).get(name)
    if entry is None:
        raise ConfigError(_unregistered("method", name, method_names()))
    return _checked(_loaded(entry), MethodConfig, name)


def method_class(settings: type[MethodConfig] | MethodConfig) -> type[Any]:
    """The LightningModule that a method's settings belong to, imported now.

    Raises:
        ConfigError: the settings do not say which it is, or it is not there.
    """
    place, _, name = settings.module.partition(":")
    if not name:
        raise ConfigError(
            f"The settings of {settings.name} do not say which module they are for (package.module:Class)."
        )
    try:
        module = import_module(place)
    except ModuleNotFoundError as error:
        raise ConfigError(f"The settings of {settings.name} name the module '{settings.module}': {error}.") from error
    if not hasattr(module, name):
        raise ConfigError(
            f"The settings of {settings.name} name the module '{settings.module}': {place} has no {name}."
        )
    found: type[Any] = getattr(module, name)
    return found


def dataset_names() -> list[str]:
    """All registered datasets, those of the package first."""
    of_others = {*_entry_points(DATASETS_ENTRY), *_plugin_datasets}
    return [*BUILT_IN_DATASETS, *sorted(of_others)]


def dataset_settings(name: str) -> type[DataConfig]:
    """The settings class of a dataset.

    Raises:
        ConfigError: there is no such dataset, or what is registered under the name is none.
    """
    if name in BUILT_IN_DATASETS:
        return BUILT_IN_DATASETS[name]
    if name in _plugin_datasets:
        return _plugin_datasets[name]
    entry = _entry_points(DATASETS_ENTRY).get(name)
    if entry is None:
        raise ConfigError(_unregistered("dataset", name, dataset_names()))
    return _checked(_loaded(entry), DataConfig, name)


def use_plugins(packages: Iterable[str]) -> None:
    """Import packages that the user names, and register what their ``METHODS`` and ``DATASETS`` list.

    Raises:
        ConfigError: a package is not there, or lists nothing.
    """
    for package in packages:
        if not all(part.isidentifier() for part in package.split(".")):
            raise ConfigError(f"plugins names {quoted(package)}, which is no name of a package, such as plugins=[toy].")
        try:
            module = import_module(package)
        except ImportError as error:
            raise ConfigError(f"plugins names '{package}', which cannot be imported ({error}): install it.") from error
        methods = _entries_of(module, "METHODS")
        datasets = _entries_of(module, "DATASETS")
        if not methods and not datasets:
            raise ConfigError(
                f"plugins names '{package}', which has neither METHODS nor DATASETS: list its settings classes there."
            )
        for schema in methods:
            name = _free_name(getattr(schema, "name", schema), package, built_in_methods())
            _plugin_methods[name] = _checked(schema, MethodConfig, name)
        for schema in datasets:
            name = _free_name(getattr(schema, "name", schema), package, BUILT_IN_DATASETS)
            _plugin_datasets[name] = _checked(schema, DataConfig, name)


def _entries_of(module: Any, attribute: str) -> list[Any]:
    """What a package lists; a single class is a list of one."""
    entries = getattr(module, attribute, ())
    if isinstance(entries, Iterable):
        return list(entries)
    return [entries]


def _free_name(name: object, registrar: str, own_names: Collection[str]) -> str:
    """A name that crossreid has not given itself; another one's settings would never be found under it."""
    if name in own_names:
        raise ConfigError(f"'{registrar}' registers '{name}', which is a name of crossreid's own: choose another one.")
    return str(name)


def _loaded(entry: EntryPoint) -> Any:
    """What an installed package's entry point names.

    Raises:
        ConfigError: it cannot be imported.
    """
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"An installed package registers '{entry.name}' as {entry.value}, which cannot be imported ({error}): mend or "
            "uninstall it."
        ) from error


def _unregistered(kind: str, name: str, known: list[str]) -> str:
    """The sentence for a name that is not there; a package may be what is missing."""
    return f"{unknown_name(kind, name, known)} One of another package is named by plugins=[PACKAGE]."


def _settings_of_folder(name: str) -> type[MethodConfig]:
    """The class in ``methods/<name>/config.py`` whose ``name`` is the folder's."""
    module = import_module(f"crossreid.methods.{name}.config")
    for _, member in inspect.getmembers(module, inspect.isclass):  # those that it imports, too: hence the name
        if issubclass(member, MethodConfig) and member.name == name:
            return _checked(member, MethodConfig, name)
    raise ConfigError(f"crossreid/methods/{name}/config.py has no settings class with name = '{name}'.")


def _checked(schema: Any, base: type[NamedT], name: str) -> type[NamedT]:
    """What is registered is settings of the right kind, under its own name."""
    if not (inspect.isclass(schema) and issubclass(schema, base)):
        raise ConfigError(f"What is registered as '{name}' is no settings class derived from {base.__name__}.")
    if "__dataclass_fields__" not in vars(schema):
        raise ConfigError(f"The settings class {schema.__name__} is no dataclass: write @dataclass above it.")
    if schema.name != name:
        raise ConfigError(f"What is registered as '{name}' calls itself '{schema.name}': let both names be one.")
    return schema


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    """What installed packages register, by name."""
    own_names: Collection[str] = BUILT_IN_DATASETS
    if group == METHODS_ENTRY:
        own_names = built_in_methods()
    by_name: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        by_name[_free_name(entry.name, entry.value, own_names)] = entry
    return by_name
