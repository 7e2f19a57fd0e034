"""AlignGAN (Wang et al., ICCV 2019): joint pixel and feature alignment."""

from crossreid.methods.aligngan.module import AlignGAN, AlignGANConfig

__all__ = ["AlignGAN", "AlignGANConfig"]
