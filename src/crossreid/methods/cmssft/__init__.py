"""cm-SSFT (Lu et al., CVPR 2020): shared and specific features, transferred between modalities."""

from crossreid.methods.cmssft.module import CMSSFT, CMSSFTConfig

__all__ = ["CMSSFT", "CMSSFTConfig"]
