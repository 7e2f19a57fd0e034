"""Layout of JSIA-ReID's code: four files an epoch; both generators hold the one encoder."""

from __future__ import annotations

from crossreid.importing.layouts import (
    LayoutRow,
    PublicLayout,
    Weights,
    absent,
    as_convolution,
    constant,
    neck,
    renamed,
    same,
    single,
)

MODALITIES_OF_FILES = ("visible", "infrared")
"""Of the generators (files 0 and 1) and discriminators (2 and 3)."""
ENCODER_FILE = 1
"""Of the two that hold the encoder, the one that the code reads last."""
SAME_ENCODER = "the code reads the encoder from both generators, and that of model-1 replaces this one"
UNUSED_CLASSIFIER = "a classifier of styles, whose output no loss and no test looks at"
PLACEHOLDERS = "of instance norms whose scale and shift come from the style: never read, never changed"
STYLE_CONVOLUTIONS = 5
"""Of a style encoder, with a ReLU behind each."""
STYLE_CLASSES = "mod_spec_enc.classifier"


def _style(weights: Weights, modality: str, file: int) -> list[LayoutRow]:
    """The encoder of one modality's style; its last layer is a 1x1 convolution there, and linear here."""
    ours = f"generation.style_{modality}"
    # Ours counts the ReLUs between the convolutions too, theirs does not.
    names = [(f"{layer}.conv", str(2 * layer)) for layer in range(STYLE_CONVOLUTIONS)]
    title = "mod_spec_enc.model.0, .1, .2, .3, .4"
    classes = len(weights["instance.classifier.fc.weight"])
    width = len(weights[f"{ours}.fc.weight"])
    classifier = {
        f"{STYLE_CLASSES}.weight": constant(0.0, classes, width),
        f"{STYLE_CLASSES}.bias": constant(0.0, classes),
    }
    return [
        renamed(weights, "mod_spec_enc.model", f"{ours}.body", names, title=title, file=file),
        single("mod_spec_enc.model.6.weight", f"{ours}.fc.weight", as_convolution, file=file),
        single("mod_spec_enc.model.6.bias", f"{ours}.fc.bias", file=file),
        absent(STYLE_CLASSES, classifier, UNUSED_CLASSIFIER, file=file),
    ]


def _encoder(weights: Weights, file: int) -> list[LayoutRow]:
    """The encoder of what both modalities share, with the classifier of persons: both generators hold it."""
    left_out = ""
    if file != ENCODER_FILE:
        left_out = SAME_ENCODER
    theirs = "mod_invar_enc"
    classifier = same(
        weights, f"{theirs}.classifier.classifier", "instance.classifier.fc", left_out=left_out, file=file
    )
    # without the stem's ReLU both count the first stage as the fourth layer
    return [
        same(weights, f"{theirs}.resnet_conv1", "set_level.body", left_out=left_out, file=file),
        same(weights, f"{theirs}.resnet_conv2", "instance.body", left_out=left_out, file=file),
        *neck(weights, f"{theirs}.classifier.bn", "instance.classifier.norm", left_out=left_out, file=file),
        classifier,
    ]


def _decoder(weights: Weights, modality: str, file: int) -> list[LayoutRow]:
    """The decoder that draws images of one modality, and the layers that make the scales and shifts of its norms."""
    ours = f"generation.decode_{modality}"
    rows = []
    for block in range(2):
        for layer, name in enumerate(("first", "second")):
            theirs = f"dec.model.0.model.{block}.model.{layer}"
            channels = len(weights[f"{ours}.blocks.{block}.{name}.weight"])
            averages = {
                f"{theirs}.norm.running_mean": constant(0.0, channels),
                f"{theirs}.norm.running_var": constant(1.0, channels),
            }
            rows.append(absent(f"{theirs}.norm", averages, PLACEHOLDERS, file=file))
            rows.append(same(weights, f"{theirs}.conv", f"{ours}.blocks.{block}.{name}", file=file))
    rows.append(single("dec.model.2.norm.gamma", f"{ours}.tail.2.gain", file=file))
    rows.append(single("dec.model.2.norm.beta", f"{ours}.tail.2.bias", file=file))
    rows.append(same(weights, "dec.model.2.conv", f"{ours}.tail.1", file=file))
    rows.append(same(weights, "dec.model.3.conv", f"{ours}.tail.4", file=file))
    for layer in range(3):
        rows.append(same(weights, f"mlp.model.{layer}.fc", f"{ours}.adain.{2 * layer}", file=file))
    return rows


def _discriminator(weights: Weights, modality: str, file: int) -> LayoutRow:
    """Two scales, each of four convolutions and a last one; ours counts what stands between them too."""
    ours = f"discriminator_{modality}.scales"
    names = []
    for scale in range(2):
        for layer in range(4):
            names.append((f"{scale}.{layer}.conv", f"{scale}.{2 * layer}"))
        names.append((f"{scale}.4", f"{scale}.8"))
    return renamed(weights, "cnns", ours, names, file=file)


def _rows(weights: Weights) -> list[LayoutRow]:
    rows = []
    for file, modality in enumerate(MODALITIES_OF_FILES):
        rows += _style(weights, modality, file)
        rows += _encoder(weights, file)
        rows += _decoder(weights, modality, file)
    for number, modality in enumerate(MODALITIES_OF_FILES):
        rows.append(_discriminator(weights, modality, 2 + number))
    return rows


JSIA_LAYOUT = PublicLayout(
    name="jsia",
    title="JSIA-ReID (Wang et al., AAAI 2020)",
    choices=("model=jsia",),
    rows=_rows,
    classes=(ENCODER_FILE, "mod_invar_enc.classifier.classifier.weight"),
    resize="bicubic",
    wrapped=False,
    prefix="module.",
    pattern="model-{number}_{mark}.pkl",
    networks=("generator, visible", "generator, infrared", "discriminator, visible", "discriminator, infrared"),
)
