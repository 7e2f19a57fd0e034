"""See :mod:`crossreid.methods.zeropadding.module`."""

from crossreid.methods.zeropadding.module import ZeroPadding, ZeroPaddingConfig

__all__ = ["ZeroPadding", "ZeroPaddingConfig"]
