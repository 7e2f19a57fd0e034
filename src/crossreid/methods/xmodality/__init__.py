"""See :mod:`crossreid.methods.xmodality.module`."""

from crossreid.methods.xmodality.module import XModality, XModalityConfig

__all__ = ["XModality", "XModalityConfig"]
