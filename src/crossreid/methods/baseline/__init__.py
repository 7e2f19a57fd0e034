"""AlignGAN's Basel.: one ResNet for both modalities, classification and triplet."""

from crossreid.methods.baseline.module import Baseline, BaselineConfig

__all__ = ["Baseline", "BaselineConfig"]
