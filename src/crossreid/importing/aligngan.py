"""Layout of AlignGAN's code: eight files a step, a network each."""

from __future__ import annotations

from crossreid.importing.layouts import LayoutRow, PublicLayout, Weights, renamed, same, single

GENERATORS = ("to_infrared", "to_visible")
"""Of the files 0 and 1."""
PATCH_DISCRIMINATORS = {2: "discriminator_visible", 4: "warmup_visible", 5: "warmup_infrared"}
"""File -> our discriminator of images."""
PLAIN_LAYERS = (0, 1, 3, 4, 6, 7)
"""Layers with weights of a generator, before its residual blocks,"""
RESIDUAL = (9, 10, 11, 12)
"""the blocks,"""
LAST_LAYERS = (13, 14, 16, 17, 19)
"""and those behind them."""
CONVOLUTIONS = (0, 2, 5, 8, 11)
"""Of a discriminator of images."""


def _generator(weights: Weights, ours: str, file: int) -> LayoutRow:
    """What translates images of one modality into the other."""
    # Layers have the same numbers in both; the inside of a residual block has another name.
    first = [(str(layer), str(layer)) for layer in PLAIN_LAYERS]
    blocks = [(f"{block}.model", f"{block}.body") for block in RESIDUAL]
    last = [(str(layer), str(layer)) for layer in LAST_LAYERS]
    return renamed(weights, "model", f"{ours}.body", [*first, *blocks, *last], file=file)


def _patch_discriminator(weights: Weights, ours: str, file: int) -> list[LayoutRow]:
    """A discriminator of images, by patches."""
    names = [(str(layer), str(layer)) for layer in CONVOLUTIONS]
    return [
        renamed(weights, "model", f"{ours}.body", names, file=file),
        single("conv_src.weight", f"{ours}.out.weight", file=file),
    ]


def _joint_discriminator(weights: Weights, file: int) -> list[LayoutRow]:
    """The discriminator of an image together with its feature."""
    ours = "discriminator_joint"
    return [
        same(weights, "image_convs", f"{ours}.image", file=file),
        same(weights, "feature_convs.0", f"{ours}.reduce.conv", file=file),
        same(weights, "dis_convs", f"{ours}.joint", file=file),
        single("conv_src.weight", f"{ours}.out.weight", file=file),
    ]


def _heads(weights: Weights, file: int) -> list[LayoutRow]:
    """Classifier and embedder, which stand behind the encoder."""
    # ours counts the dropout before the first layer, theirs has it elsewhere
    return [
        same(weights, "classifier0.bottle.0", "feature.classifier.1", file=file),
        same(weights, "classifier0.bottle.1", "feature.classifier.2", file=file),
        same(weights, "classifier0.classifier.0", "feature.classifier.4", file=file),
        same(weights, "embedder0", "feature.embedder.0", file=file),
    ]


def _rows(weights: Weights) -> list[LayoutRow]:
    rows = []
    for file, ours in enumerate(GENERATORS):
        rows.append(_generator(weights, ours, file))
    rows += _patch_discriminator(weights, PATCH_DISCRIMINATORS[2], 2)
    rows += _joint_discriminator(weights, 3)
    rows += _patch_discriminator(weights, PATCH_DISCRIMINATORS[4], 4)
    rows += _patch_discriminator(weights, PATCH_DISCRIMINATORS[5], 5)
    rows.append(same(weights, "resnet_conv", "feature.encoder.body", file=6))
    rows += _heads(weights, 7)
    return rows


ALIGNGAN_LAYOUT = PublicLayout(
    name="aligngan",
    title="AlignGAN (Wang et al., ICCV 2019)",
    choices=("model=aligngan",),
    rows=_rows,
    classes=(7, "classifier0.classifier.0.weight"),
    resize="bicubic",
    wrapped=False,
    prefix="module.",
    pattern="model-{number}_{mark}.pkl",
    networks=(
        "generator, visible to infrared",
        "generator, infrared to visible",
        "discriminator of visible images",
        "joint discriminator",
        "warm-up discriminator, visible",
        "warm-up discriminator, infrared",
        "encoder",
        "classifier and embedder",
    ),
)
