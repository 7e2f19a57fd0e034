"""See :mod:`crossreid.methods.bdtr.module`."""

from crossreid.methods.bdtr.module import BDTR, BDTRConfig

__all__ = ["BDTR", "BDTRConfig"]
