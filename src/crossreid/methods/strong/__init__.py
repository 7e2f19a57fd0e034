"""See :mod:`crossreid.methods.strong.module`."""

from crossreid.methods.strong.module import Strong, StrongConfig

__all__ = ["Strong", "StrongConfig"]
