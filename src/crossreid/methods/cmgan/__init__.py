"""See :mod:`crossreid.methods.cmgan.module`."""

from crossreid.methods.cmgan.module import CMGAN, CMGANConfig

__all__ = ["CMGAN", "CMGANConfig"]
