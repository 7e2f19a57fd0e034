"""LbA (Park et al., ICCV 2021): learning by aligning, with cross-modal correspondences."""

from crossreid.methods.lba.module import LbA, LbAConfig

__all__ = ["LbA", "LbAConfig"]
