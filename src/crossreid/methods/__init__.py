"""The methods: a folder each, imported when one is asked for.

Example:
    >>> from crossreid.methods import LbA, LbAConfig
    >>> method = LbA(LbAConfig(w_dt=0.0), num_identities=395)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """A method's class or its settings by name; only what is asked for is imported."""
    from crossreid.settings.registry import built_in_methods, method_class, method_settings  # noqa: PLC0415

    for method in built_in_methods():
        settings = method_settings(method)
        if settings.__name__ == name:
            return settings
        if settings.module.endswith(f":{name}"):
            return method_class(settings)
    raise AttributeError(f"module 'crossreid.methods' has no attribute '{name}'")


def __dir__() -> list[str]:
    from crossreid.settings.registry import built_in_methods, method_settings  # noqa: PLC0415

    names = []
    for method in built_in_methods():
        settings = method_settings(method)
        names += [settings.__name__, settings.module.rpartition(":")[2]]
    return names
