"""How a setting is written: default, meaning, unit, range and choices in one place, and the checks made from them.

Example:
    >>> @dataclass
    ... class MirrorSettings(Settings):
    ...     flip: float = setting(0.5, "probability of mirroring a training image", at_least=0, at_most=1)
    >>> MirrorSettings(flip=2.0).check("model")
    Traceback (most recent call last):
    crossreid.errors.ConfigError: model.flip is 2.0: choose 0 to 1 (probability of mirroring a training image).
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from crossreid.errors import ConfigError

REQUIRED = "???"
"""The default of a setting that a person must give (OmegaConf's sign for it)."""

LARGEST_SEED = 2**32 - 1
"""Of random numbers, as NumPy counts them."""

LONGEST_TEXT = 4096
"""Of a setting, in characters: as long as a path may be."""

_KEY = "crossreid"
SettingsT = TypeVar("SettingsT", bound="Settings")
Choice = str | int
Number = float | int


@dataclass(frozen=True)
class Meaning:
    """What is known of a setting besides its type and default.

    Attributes:
        text: what it is, in words that follow its name.
        unit: of a number, such as ``pixels``; empty for none.
        at_least, at_most: bounds that the value may reach.
        above, below: bounds that it may not reach.
        ceiling: what no sensible value is above, of a range that has no other end: beyond it a number is a slip, and would
            ask for more memory or time than there is.
        choices: the values it can have; none for any.
        length: of a list; None for any.
        ascending: each entry of a list is larger than the one before.
        distinct: no entry of a list stands in it twice.
        filled: a list has at least one entry.

    Bounds and choices hold for each entry of a list.
    """

    text: str
    unit: str = ""
    at_least: Number | None = None
    at_most: Number | None = None
    above: Number | None = None
    below: Number | None = None
    ceiling: Number | None = None
    choices: tuple[Choice, ...] = ()
    length: int | None = None
    ascending: bool = False
    distinct: bool = False
    filled: bool = False

    @property
    def values(self) -> str:
        """The values it can have, in words; empty for any."""
        if self.choices:
            return f"from {', '.join(map(str, self.choices))}"
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least} to {self.at_most}"
        bounds = []
        if self.at_least is not None:
            bounds.append(f"{self.at_least} or more")
        if self.above is not None:
            bounds.append(f"above {self.above}")
        if self.at_most is not None:
            bounds.append(f"{self.at_most} or less")
        if self.below is not None:
            bounds.append(f"below {self.below}")
        return " and ".join(bounds)

    def admits(self, value: object) -> bool:
        """Bounds and choices hold for one value."""
        if self.choices:
            return value in self.choices
        # bounds are of numbers; a truth value is a whole number to Python
        if not isinstance(value, int | float) or isinstance(value, bool):
            return True
        inside = (
            self.at_least is None or value >= self.at_least,
            self.at_most is None or value <= self.at_most,
            self.above is None or value > self.above,
            self.below is None or value < self.below,
            self.ceiling is None or value <= self.ceiling,
        )
        return all(inside)


def setting(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    at_least: Number | None = None,
    at_most: Number | None = None,
    above: Number | None = None,
    below: Number | None = None,
    ceiling: Number | None = None,
    choices: Sequence[Choice] = (),
    length: int | None = None,
    ascending: bool = False,
    distinct: bool = False,
    filled: bool = False,
) -> Any:
    """A field of a settings dataclass; the arguments are those of :class:`Meaning`.

    Args:
        default: the value where nothing else is said; :data:`REQUIRED` where a person must give one. A list, a dictionary
            or another settings object is copied for each instance.
        meaning: see :class:`Meaning`, as the rest.
    """
    known = Meaning(
        text=meaning,
        unit=unit,
        at_least=at_least,
        at_most=at_most,
        above=above,
        below=below,
        ceiling=ceiling,
        choices=tuple(choices),
        length=length,
        ascending=ascending,
        distinct=distinct,
        filled=filled,
    )
    if isinstance(default, list | dict | Settings):  # or all instances would share one
        return field(default_factory=lambda: deepcopy(default), metadata={_KEY: known})
    return field(default=default, metadata={_KEY: known})


@dataclass
class Settings:
    """Base of all settings."""

    def check(self, place: str = "") -> None:
        """Refuse what no setting of this kind can be.

        Args:
            place: of these settings among all, such as ``model.backbone``; empty at the top.

        Raises:
            ConfigError: in one sentence, naming the setting.
        """
        hints = type_hints(type(self))
        for item in fields(self):
            key = key_below(place, item.name)
            _check(key, getattr(self, item.name), hints[item.name], meaning_of(item))
        self.check_together(place)

    def check_together(self, place: str) -> None:
        """Raise :class:`ConfigError` where settings that are right one by one cannot work together."""

    def plain(self) -> dict[str, Any]:
        """The settings as plain values: numbers, text, lists and dictionaries."""
        return asdict(self)


def key_below(place: str, name: str) -> str:
    """``place.name``, or the name alone at the top, where the place is empty."""
    if not place:
        return name
    return f"{place}.{name}"


def type_hints(schema: type) -> Mapping[str, Any]:
    """The types of a dataclass's fields, resolved once."""
    if schema not in _type_hints:
        _type_hints[schema] = get_type_hints(schema)
    return _type_hints[schema]


_type_hints: dict[type, Mapping[str, Any]] = {}


def meaning_of(item: Field[Any]) -> Meaning:
    """What is known of a field; of one that was not made by :func:`setting`, nothing."""
    known: Meaning = item.metadata.get(_KEY, Meaning(""))
    return known


@dataclass(frozen=True)
class Described:
    """A setting as help and reference show it.

    Attributes:
        key: with its place, such as ``model.backbone.name``.
        default: as plain values.
        kind: its type in words.
        meaning: the rest.
    """

    key: str
    default: Any
    kind: str
    meaning: Meaning


def describe(settings: Settings, place: str = "") -> Iterator[Described]:
    """All settings below an object, depth first, with the values that it holds as defaults."""
    hints = type_hints(type(settings))
    for item in fields(settings):
        key = key_below(place, item.name)
        value = getattr(settings, item.name)
        parts = _parts(key, value)
        if parts:
            for part_key, part in parts:
                yield from describe(part, part_key)
        else:
            yield Described(key, value, kind_of(hints[item.name]), meaning_of(item))


def default_of(item: Field[Any]) -> Any:
    """A field's default; :data:`REQUIRED` where it has none."""
    if item.default is not MISSING:
        return item.default
    if item.default_factory is not MISSING:
        return item.default_factory()
    return REQUIRED


def check_choice(key: str, value: object, allowed: Sequence[Choice]) -> None:
    """Raise :class:`ConfigError` naming the choices."""
    if value not in allowed:
        raise ConfigError(f"{key} is {quoted(value)}: choose from {', '.join(map(str, allowed))}.")


def _parts(key: str, value: object) -> list[tuple[str, Settings]]:
    """The settings objects that a value is or holds, with their keys."""
    if isinstance(value, Settings):
        return [(key, value)]
    parts: list[tuple[str, Settings]] = []
    if isinstance(value, Mapping):
        for name, part in value.items():
            if isinstance(part, Settings):
                parts.append((f"{key}.{name}", part))
    return parts


def _check(key: str, value: object, hint: Any, meaning: Meaning) -> None:
    """One setting's type, then its range."""
    if isinstance(value, str) and value == REQUIRED:
        raise ConfigError(f"{key} has no default: give it ({meaning.text}).")
    allows_none, type_without_none = _without_none(hint)
    if value is None and allows_none:
        return
    if not _is_a(value, type_without_none):
        raise ConfigError(f"{key} is {_excerpt(value)}: give {kind_of(hint)}{_explanation(meaning)}.")
    parts = _parts(key, value)
    for part_key, part in parts:
        part.check(part_key)
    if parts:
        return
    if isinstance(value, list | tuple):
        _check_list(key, list(value), meaning)
        return
    if isinstance(value, Mapping):
        for name, entry in value.items():
            _check_range(f"{key}.{name}", entry, meaning)
        return
    _check_range(key, value, meaning)


def _check_list(key: str, values: list[Any], meaning: Meaning) -> None:
    if meaning.length is not None and len(values) != meaning.length:
        raise ConfigError(f"{key} is {_excerpt(values)}: give {meaning.length} entries{_explanation(meaning)}.")
    if meaning.filled and not values and meaning.values:
        raise ConfigError(f"{key} needs at least one entry: choose {meaning.values}.")
    if meaning.filled and not values:
        raise ConfigError(f"{key} needs at least one entry.")
    for value in values:
        _check_range(key, value, meaning)
    different_values = set(map(str, values))  # as text: not every value can stand in a set
    if meaning.distinct and len(different_values) < len(values):
        raise ConfigError(f"{key} is {_excerpt(values)}: name each entry once{_explanation(meaning)}.")
    if meaning.ascending and any(later <= earlier for earlier, later in pairwise(values)):
        raise ConfigError(f"{key} is {_excerpt(values)}: give entries in ascending order{_explanation(meaning)}.")


def _check_range(key: str, value: object, meaning: Meaning) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} is {value}: give a finite number{_explanation(meaning)}.")
    if isinstance(value, str):
        _check_text(key, value, meaning)
    if meaning.admits(value):
        return
    if meaning.choices:
        raise ConfigError(f"{key} is {quoted(value)}: choose {meaning.values}.")
    if meaning.ceiling is not None and isinstance(value, int | float) and value > meaning.ceiling:
        raise ConfigError(f"{key} is {_excerpt(value)}: give {meaning.ceiling} at most{_explanation(meaning)}.")
    raise ConfigError(f"{key} is {_excerpt(value)}: choose {meaning.values}{_explanation(meaning)}.")


def _check_text(key: str, value: str, meaning: Meaning) -> None:
    """Text that a file of settings, a folder's name and a terminal can hold."""
    if len(value) > LONGEST_TEXT:
        raise ConfigError(f"{key} has {len(value)} characters: give at most {LONGEST_TEXT}{_explanation(meaning)}.")
    for sign in value:
        if not sign.isprintable():
            raise ConfigError(f"{key} is {quoted(value)}: leave out the sign {quoted(sign)}, which cannot be printed.")


def _explanation(meaning: Meaning) -> str:
    """What the setting is, in brackets behind a sentence."""
    if not meaning.text:
        return ""
    return f" ({meaning.text})"


def quoted(value: object) -> str:
    """A value between quotes."""
    if isinstance(value, str):
        return f"'{value}'"
    return f"'{_excerpt(value)}'"


def _excerpt(value: object) -> str:
    """A value in at most 80 characters, whatever it is."""
    if isinstance(value, str):
        text = f"'{value}'"
    else:
        try:
            text = str(value)
        except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists in lists
            return "too large to show"
    if len(text) <= 80:
        return text
    return f"{text[:77]}..."


def _without_none(hint: Any) -> tuple[bool, Any]:
    """Whether None is allowed, and the type without it."""
    if get_origin(hint) not in (Union, types.UnionType):
        return False, hint
    others = [part for part in get_args(hint) if part is not type(None)]
    # the rest put together again, as of int | str | None
    union: Any = others[0]
    for part in others[1:]:
        union = union | part
    return len(others) < len(get_args(hint)), union


def _is_a(value: object, hint: Any) -> bool:
    """A value is of a type; whole numbers are numbers, truth values are not."""
    origin = get_origin(hint)
    parts = get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is_a(value, part) for part in parts)
    if origin is list:
        return isinstance(value, list | tuple) and all(_is_a(entry, parts[0]) for entry in value)
    if origin is dict:
        return isinstance(value, Mapping) and _is_a_dictionary(value, parts[1])
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return hint is Any or isinstance(value, hint)


def _is_a_dictionary(values: Mapping[Any, Any], hint: Any) -> bool:
    """All keys are text, and all values of a type."""
    return all(isinstance(name, str) and _is_a(entry, hint) for name, entry in values.items())


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_MANY = {bool: "truth values", int: "whole numbers", float: "numbers", str: "texts"}


def kind_of(hint: Any) -> str:
    """A type in words."""
    allows_none, hint = _without_none(hint)
    if get_origin(hint) in (Union, types.UnionType):
        words = " or ".join(map(kind_of, get_args(hint)))
    elif get_origin(hint) is list:
        words = f"a list of {_MANY.get(get_args(hint)[0], 'values')}"
    elif get_origin(hint) is dict:
        words = f"names with {_MANY.get(get_args(hint)[1], 'settings')}"
    elif hint is Any:
        words = "any value"
    else:
        words = _KINDS.get(hint, "a group of settings")
    if allows_none:
        return f"{words}, or null"
    return words


def from_plain(schema: type[SettingsT], values: Mapping[str, Any], place: str = "") -> SettingsT:
    """Settings from plain values; what is not given keeps its default. Text is taken as it is: nothing is looked up.

    Raises:
        ConfigError: a key is unknown, and the nearest known one is named; or the values are no group of settings.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{place or 'What holds the settings'} is {_excerpt(values)}: give a group of settings.")
    field_of = {item.name: item for item in fields(schema)}
    hints = type_hints(schema)
    arguments = {}  # what is not given is not here, and keeps the default of the class
    for name, value in values.items():
        key = key_below(place, str(name))
        if name not in field_of:
            known_keys = [key_below(place, other) for other in field_of]
            raise ConfigError(unknown_key(key, known_keys))
        arguments[name] = _build(hints[name], value, default_of(field_of[name]), key)
    return schema(**arguments)


def unknown_key(key: str, known: Sequence[str]) -> str:
    """The sentence for a key that is not there, with the nearest one that is."""
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f"There is no setting '{key}': did you mean {near[0]}?"
    examples = list(known[:12])
    if len(known) > len(examples):
        examples.append("...")
    return f"There is no setting '{key}': there are {', '.join(examples)}."


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """The sentence for a method, dataset or the like that is not there, with the nearest one that is."""
    near = get_close_matches(name, known, n=1)
    if near:
        return f"There is no {kind} '{name}': did you mean {near[0]}?"
    return f"There is no {kind} '{name}': choose from {', '.join(known)}."


def _build(hint: Any, value: Any, default: Any, key: str) -> Any:
    """One plain value as a field's type wants it; settings inside a value keep the defaults of the field."""
    _, hint = _without_none(hint)
    if isinstance(hint, type) and issubclass(hint, Settings) and isinstance(value, Mapping):
        return from_plain(hint, _over(default, value), key)
    if get_origin(hint) is dict and isinstance(value, Mapping):
        return _build_dictionary(get_args(hint)[1], value, default, key)
    if get_origin(hint) is list and isinstance(value, tuple):
        return list(value)
    return value


def _build_dictionary(hint: Any, values: Mapping[str, Any], default: Any, key: str) -> dict[str, Any]:
    """As :func:`_build`, for each value; names in the order of the default's, so that phases stay in theirs."""
    defaults: Mapping[str, Any] = {}
    if isinstance(default, Mapping):
        defaults = default
    known_names = [name for name in defaults if name in values]
    entries: dict[str, Any] = {}
    for name in dict.fromkeys([*known_names, *values]):
        entries[name] = _build(hint, values[name], defaults.get(name), f"{key}.{name}")
    return entries


def _over(default: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values over those of a default settings object, if there is one."""
    merged: dict[str, Any] = {}
    if isinstance(default, Settings):
        for item in fields(default):
            merged[item.name] = getattr(default, item.name)
    merged.update(values)
    return merged
