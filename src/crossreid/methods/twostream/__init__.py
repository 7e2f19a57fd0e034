"""See :mod:`crossreid.methods.twostream.module`."""

from crossreid.methods.twostream.module import TwoStream, TwoStreamConfig

__all__ = ["TwoStream", "TwoStreamConfig"]
