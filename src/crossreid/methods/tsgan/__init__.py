"""TS-GAN: a teacher on infrared images, a student guided by it, generators for training alone (arXiv 2007.07452)."""

from crossreid.methods.tsgan.module import TSGAN, TSGANConfig

__all__ = ["TSGAN", "TSGANConfig"]
