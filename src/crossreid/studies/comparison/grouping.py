"""Things with something in common, together; names in an order that people expect."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def group_by(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Key -> the items that have it; keys in the order of their first items, which need not be neighbours."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)")


def in_natural_order(name: str) -> list[tuple[str, float]]:
    """A key that sorts names by the values of the numbers in them: ``w=2.0`` before ``w=10.0``."""
    parts: list[tuple[str, float]] = []
    for part in _NUMBER.split(name):
        if _NUMBER.fullmatch(part):
            parts.append(("", float(part)))
        else:
            parts.append((part, 0.0))
    return parts
