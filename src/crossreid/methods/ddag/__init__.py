"""See :mod:`crossreid.methods.ddag.module`."""

from crossreid.methods.ddag.module import DDAG, DDAGConfig

__all__ = ["DDAG", "DDAGConfig"]
