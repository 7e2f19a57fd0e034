"""See :mod:`crossreid.methods.agw.module`."""

from crossreid.methods.agw.module import AGW, AGWConfig

__all__ = ["AGW", "AGWConfig"]
