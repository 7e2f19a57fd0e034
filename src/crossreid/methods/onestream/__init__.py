"""See :mod:`crossreid.methods.onestream.module`."""

from crossreid.methods.onestream.module import OneStream, OneStreamConfig

__all__ = ["OneStream", "OneStreamConfig"]
