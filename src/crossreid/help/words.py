"""Every word that a command line may begin with, for a shell to complete."""

from __future__ import annotations

from collections.abc import Iterator

from crossreid.settings.fields import Settings, describe
from crossreid.settings.protocol import PROTOCOLS
from crossreid.settings.reference import GROUPS, choice_names, reference
from crossreid.settings.registry import dataset_names, dataset_settings, method_names, method_settings


def words_of(command: str) -> list[str]:
    """``CHOICE=NAME`` for every choice of a command, and ``SETTING=`` for every setting, of all methods and datasets."""
    composed, settings = reference(command)
    words = set()
    for group in GROUPS:
        if group in composed.choices:
            for name in choice_names(command, group):
                words.add(f"{group}={name}")
    for setting in settings:
        words.add(f"{setting.key}=")
    # ``settings`` are those of the default choices. A shell cannot know what comes later in the line, so that the settings of
    # every method, dataset and protocol are among the words.
    for group, parts in _parts():
        if group in composed.choices:
            for part in parts:
                for setting in describe(part, group):
                    words.add(f"{setting.key}=")
    return sorted(words)


def _parts() -> Iterator[tuple[str, list[Settings]]]:
    """Groups whose settings depend on the choice, with the settings of every choice."""
    yield "model", [method_settings(name)() for name in method_names()]
    yield "data", [dataset_settings(name)() for name in dataset_names()]
    yield "protocol", [protocol() for protocol in PROTOCOLS.values()]
