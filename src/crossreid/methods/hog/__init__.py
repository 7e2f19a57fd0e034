"""See :mod:`crossreid.methods.hog.module`."""

from crossreid.methods.hog.module import HOG, HOGConfig

__all__ = ["HOG", "HOGConfig"]
