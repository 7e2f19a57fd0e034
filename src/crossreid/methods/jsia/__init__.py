"""JSIA-ReID (Wang et al., Neural Networks 2020): paired images, set-level and instance-level alignment."""

from crossreid.methods.jsia.module import JSIA, JSIAConfig

__all__ = ["JSIA", "JSIAConfig"]
