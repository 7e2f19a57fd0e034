"""Settings of network parts that several methods have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossreid.settings.fields import Settings, setting


@dataclass
class BackboneConfig(Settings):
    """Which encoder."""

    name: str = setting(
        "resnet50",
        "a torchvision ResNet: resnet18, resnet34, resnet50, ...; or, with the package timm, one of its models, perhaps with "
        "the tag of its weights: resnet50d, convnext_tiny, vit_small_patch14_dinov2.lvd142m, ...",
    )
    weights: str = setting(
        "imagenet",
        "imagenet (torchvision's, of its ResNets, downloaded on first use), timm (what timm has for a name of its own, "
        "downloaded on first use), people (a stand-in, trained on embedded people of another seed on first use, in minutes), "
        "random, or the path of a state-dict file",
    )
    size: list[int] = setting(
        [288, 144],
        "height and width that images are resized to before the first layer",
        unit="pixels",
        length=2,
        at_least=1,
        ceiling=4096,
    )
    last_stride: int = setting(
        1,
        "stride of the last stage: of a ResNet 1 keeps its map at 1/16 of the image, 2 at 1/32; of a ViT, whose blocks all "
        "work at one resolution, always 1",
        choices=(1, 2),
    )


def test_norm() -> Any:
    """The setting ``test_norm`` of methods that send the modalities through batch norm in separate forwards."""
    return setting(
        "mixed",
        "running averages of batch norms, which tests go by: of both modalities (mixed, as all public codes have it), or a set "
        "for each (per_modality)",
        choices=("mixed", "per_modality"),
    )


def upsampling() -> Any:
    """The setting ``upsampling`` of generators of images."""
    return setting(
        "transposed",
        "how maps become larger: transposed convolutions (CycleGAN), or resize, nearest neighbours and a convolution, which "
        "leaves no checkerboard",
        choices=("transposed", "resize"),
    )


@dataclass
class HeadConfig(Settings):
    """AlignGAN's classifier and embedder."""

    order: str = setting(
        "paper", "layers of the classifier as printed or as in the authors' code", choices=("paper", "official")
    )
    dropout: float = setting(0.5, "probability in the classifier", at_least=0, below=1)
    hidden: int = setting(256, "width of the classifier's hidden layer", at_least=1, ceiling=16_384)
    embedding: int = setting(256, "D, dimension of the triplet embedding", at_least=1, ceiling=16_384)
    centre: bool = setting(False, "batch-normalise V before the embedder, for training from random weights")
