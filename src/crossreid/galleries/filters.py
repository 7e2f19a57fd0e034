"""Filters: ``camera != 3 and time >= '2025-11-03T22:00' and zone in ('north', 'east')``, the same over every gallery.

A comparison is a column's name, one of ``= == != < <= > >= in``, and a number, a text in quotes, or a list of these in
parentheses. ``and``, ``or``, ``not`` and parentheses join them. An image whose column is empty fails every comparison; so
``not camera = 3`` takes images of unknown cameras, and ``camera != 3`` does not. Text compared with ``time`` is a date.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crossreid.data.datasets.lists import shortened
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation.embeddings import Cell
from crossreid.extraction.manifest import seconds_of
from crossreid.settings.fields import unknown_name

LONGEST = 4096
"""Of a filter, in characters."""
_DEEPEST = 50
_LARGEST_WHOLE = 2**63 - 1
"""Larger numbers are fractions to every store."""
_WHOLE_COLUMNS = ("pid", "camid")
"""Kept as whole numbers, which LanceDB does not compare with fractions by itself."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<text>'(?:[^']|'')*'|\"[^\"]*\")"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign><=|>=|!=|==|[=<>(),]))",
    re.ASCII,
)
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""Columns that a filter can name."""
_COMPARISONS = ("=", "==", "!=", "<", "<=", ">", ">=")

Value = str | int | float
Mask = npt.NDArray[np.bool_]


class Filter(ABC):
    """A condition on an image's columns."""

    @abstractmethod
    def mask(self, columns: Mapping[str, Sequence[Cell]]) -> Mask:
        """Which of N images fulfil it (N,)."""

    @abstractmethod
    def sql(self) -> str:
        """As a condition in SQL, true or false and never unknown; names in backticks."""

    @abstractmethod
    def milvus(self) -> str:
        """As a condition of Milvus."""

    @abstractmethod
    def names(self) -> set[str]:
        """The columns that it looks at."""


@dataclass(frozen=True)
class Compared(Filter):
    """A column against a value."""

    name: str
    sign: str
    value: Value

    def mask(self, columns: Mapping[str, Sequence[Cell]]) -> Mask:
        """See the base."""
        fulfilled = [_compare(cell, self.sign, self.value) for cell in columns[self.name]]
        return np.array(fulfilled, dtype=bool)

    def sql(self) -> str:
        """See the base."""
        column = _column_for(self.name, (self.value,))
        # In SQL a comparison with NULL is unknown, and NOT of it too: the first half makes it false.
        return f"(`{self.name}` IS NOT NULL AND {column} {self.sign} {literal(self.value)})"

    def milvus(self) -> str:
        """See the base."""
        sign = self.sign
        if sign == "=":
            sign = "=="
        # An image without the column has no such field in Milvus, as each row has fields of its own.
        return f"(exists {self.name} and {self.name} {sign} {_quoted(self.value)})"

    def names(self) -> set[str]:
        """See the base."""
        return {self.name}


@dataclass(frozen=True)
class OneOf(Filter):
    """A column that has one of some values."""

    name: str
    values: tuple[Value, ...]

    def mask(self, columns: Mapping[str, Sequence[Cell]]) -> Mask:
        """See the base."""
        wanted = set(self.values)  # an empty cell is None, which no list names
        fulfilled = [cell in wanted for cell in columns[self.name]]
        return np.array(fulfilled, dtype=bool)

    def sql(self) -> str:
        """See the base."""
        listed = ", ".join(literal(value) for value in self.values)
        column = _column_for(self.name, self.values)
        return f"(`{self.name}` IS NOT NULL AND {column} IN ({listed}))"

    def milvus(self) -> str:
        """See the base."""
        listed = ", ".join(_quoted(value) for value in self.values)
        return f"(exists {self.name} and {self.name} in [{listed}])"

    def names(self) -> set[str]:
        """See the base."""
        return {self.name}


@dataclass(frozen=True)
class Not(Filter):
    """What another filter leaves out."""

    inner: Filter

    def mask(self, columns: Mapping[str, Sequence[Cell]]) -> Mask:
        """See the base."""
        return ~self.inner.mask(columns)

    def sql(self) -> str:
        """See the base."""
        return f"(NOT {self.inner.sql()})"

    def milvus(self) -> str:
        """See the base."""
        return f"(not {self.inner.milvus()})"

    def names(self) -> set[str]:
        """See the base."""
        return self.inner.names()


@dataclass(frozen=True)
class Joined(Filter):
    """All of some filters (``AND``), or at least one of them (``OR``)."""

    word: str
    parts: tuple[Filter, ...]

    def mask(self, columns: Mapping[str, Sequence[Cell]]) -> Mask:
        """See the base."""
        masks = np.stack([part.mask(columns) for part in self.parts])
        if self.word == "AND":
            return np.asarray(masks.all(axis=0))
        return np.asarray(masks.any(axis=0))

    def sql(self) -> str:
        """See the base."""
        conditions = [part.sql() for part in self.parts]
        return "(" + f" {self.word} ".join(conditions) + ")"

    def milvus(self) -> str:
        """See the base."""
        conditions = [part.milvus() for part in self.parts]
        return "(" + f" {self.word.lower()} ".join(conditions) + ")"

    def names(self) -> set[str]:
        """See the base."""
        names: set[str] = set()
        for part in self.parts:
            names |= part.names()
        return names


def both(one: Filter | None, other: Filter | None) -> Filter | None:
    """Both conditions, where there are two."""
    if one is None or other is None:
        return one or other
    return Joined("AND", (one, other))


def parse_filter(text: str, columns: Mapping[str, type]) -> Filter:
    """A filter from its text.

    Args:
        text: see the module.
        columns: the gallery's columns, with ``str`` or ``float`` as what they hold.

    Raises:
        ConfigError: it is none, names an unknown column, or compares text with a number.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"The filter has {len(text)} characters: give at most {LONGEST}.")
    parser = _Parser(text, columns)
    condition = parser.either(0)
    parser.expect_end()
    return condition


def literal(value: Value) -> str:
    """A value as SQL writes it."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def _column_for(name: str, values: Sequence[Value]) -> str:
    """A column in SQL, to be compared with some values."""
    has_fractions = any(isinstance(value, float) for value in values)
    if has_fractions and name in _WHOLE_COLUMNS:
        return f"CAST(`{name}` AS DOUBLE)"
    return f"`{name}`"


def _quoted(value: Value) -> str:
    """A value as Milvus writes it: text as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def _text_of(word: str) -> str:
    """A text without its quotes; a single quote inside single ones is written twice, as in SQL."""
    inner = word[1:-1]
    if word[0] == "'":
        return inner.replace("''", "'")
    return inner


def _number_of(word: str) -> int | float:
    """A number, whole where it is written so and every store can keep it."""
    number = float(word)
    if not math.isfinite(number):
        raise ConfigError(f"The number {shortened(word)} of the filter is too large: no image has one like it.")
    written_whole = not re.search(r"[.eE]", word)
    if written_whole and abs(int(word)) <= _LARGEST_WHOLE:
        return int(word)
    return number


def _seconds(text: str) -> float:
    """A date of a filter in seconds."""
    try:
        return seconds_of(text, "the time in the filter") or 0.0
    except DataError as error:
        raise ConfigError(str(error)) from error


def _compare(cell: Cell, sign: str, value: Value) -> bool:
    if cell is None or isinstance(cell, str) != isinstance(value, str):
        return False
    results = {
        "=": cell == value,
        "!=": cell != value,
        "<": cell < value,  # type: ignore[operator] # both are text, or both are numbers
        "<=": cell <= value,  # type: ignore[operator]
        ">": cell > value,  # type: ignore[operator]
        ">=": cell >= value,  # type: ignore[operator]
    }
    return bool(results[sign])


class _Parser:
    """Reads one filter from left to right, by recursive descent: ``or`` binds least, then ``and``, then ``not``.

    ``words`` are (kind, text), where the kind is a group of :data:`_TOKEN`; ``place`` is that of the next one.
    """

    def __init__(self, text: str, columns: Mapping[str, type]) -> None:
        self.text = text
        self.columns = columns
        self.words: list[tuple[str, str]] = []
        place = 0
        while rest := text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise self._refuse(rest)
            self.words.append((match.lastgroup, match[match.lastgroup]))
            place = match.end()
        self.place = 0

    def either(self, depth: int) -> Filter:
        """Conditions joined by ``or``."""
        parts = [self._all(depth)]
        while self._take_word("or"):
            parts.append(self._all(depth))
        if len(parts) == 1:
            return parts[0]
        return Joined("OR", tuple(parts))

    def expect_end(self) -> None:
        """Nothing may be left."""
        if self.place < len(self.words):
            raise self._refuse(self.words[self.place][1])

    def _all(self, depth: int) -> Filter:
        """Conditions joined by ``and``."""
        parts = [self._one(depth)]
        while self._take_word("and"):
            parts.append(self._one(depth))
        if len(parts) == 1:
            return parts[0]
        return Joined("AND", tuple(parts))

    def _one(self, depth: int) -> Filter:
        """A condition that nothing divides: a comparison, one in parentheses, or the opposite of one."""
        if depth > _DEEPEST:
            raise ConfigError(f"The filter is nested more than {_DEEPEST} levels deep.")
        if self._take_word("not"):
            return Not(self._one(depth + 1))
        if self._take_sign("("):
            inner = self.either(depth + 1)
            self._require(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Filter:
        kind, name = self._next()
        if kind != "name":
            raise self._refuse(name)
        if name not in self.columns:
            raise ConfigError(unknown_name("column", name, sorted(self.columns)))
        if self._take_word("in"):
            return OneOf(name, self._list(name))
        _, sign = self._next()
        if sign not in _COMPARISONS:
            raise self._refuse(sign)
        if sign == "==":
            sign = "="
        return Compared(name, sign, self._value(name))

    def _list(self, name: str) -> tuple[Value, ...]:
        """Values in parentheses."""
        self._require("(")
        values = [self._value(name)]
        while self._take_sign(","):
            values.append(self._value(name))
        self._require(")")
        return tuple(values)

    def _value(self, name: str) -> Value:
        """A value that a column is compared with."""
        kind, word = self._next()
        value: Value
        if kind == "text":
            value = _text_of(word)
            if name == "time":
                value = _seconds(value)
        elif kind == "number":
            value = _number_of(word)
        else:
            raise self._refuse(word)
        holds_text = self.columns[name] is str
        if holds_text != isinstance(value, str):
            needed = "numbers: write it without quotes"
            if holds_text:
                needed = "text: write it in quotes"
            raise ConfigError(f"The column {name} holds {needed}, not {shortened(str(value))}.")
        return value

    def _next(self) -> tuple[str, str]:
        if self.place == len(self.words):
            raise ConfigError(
                f"The filter {shortened(self.text)} ends too early: write conditions such as camera != 3."
            )
        self.place += 1
        return self.words[self.place - 1]

    def _take_word(self, word: str) -> bool:
        return self._take(("name", word), ("name", word.upper()))

    def _take_sign(self, sign: str) -> bool:
        return self._take(("sign", sign))

    def _take(self, *wanted: tuple[str, str]) -> bool:
        """Go on where the next word is one of some; False where it is none of them."""
        if self.place == len(self.words) or self.words[self.place] not in wanted:
            return False
        self.place += 1
        return True

    def _require(self, sign: str) -> None:
        if self._take_sign(sign):
            return
        if self.place == len(self.words):
            raise self._refuse("its end")
        raise self._refuse(self.words[self.place][1])

    def _refuse(self, word: str) -> ConfigError:
        return ConfigError(
            f"The filter {shortened(self.text)} cannot be read at {shortened(word)}: write conditions such as camera != 3 and "
            "zone = 'north', joined by and, or, not."
        )
