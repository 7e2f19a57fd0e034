"""Names and shapes of the public networks' tensors, built from their published descriptions and from nothing of crossreid.

A digest holds each list against the facts: it is of the list that the official classes gave, at their default settings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import torch
from torch import Tensor

Keys = Iterator[tuple[str, tuple[int, ...]]]

STAGES = ((64, 256, 3), (128, 512, 4), (256, 1024, 6), (512, 2048, 3))
"""Inner and outer width and number of blocks of ResNet-50's stages."""


def norm(name: str, channels: int) -> Keys:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def conv(name: str, *shape: int) -> Keys:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def stage(name: str, number: int) -> Keys:
    inner, outer, blocks = STAGES[number]
    entering = 64 if number == 0 else STAGES[number - 1][1]
    for block in range(blocks):
        place = f"{name}.{block}"
        width = entering if block == 0 else outer
        yield f"{place}.conv1.weight", (inner, width, 1, 1)
        yield from norm(f"{place}.bn1", inner)
        yield f"{place}.conv2.weight", (inner, inner, 3, 3)
        yield from norm(f"{place}.bn2", inner)
        yield f"{place}.conv3.weight", (outer, inner, 1, 1)
        yield from norm(f"{place}.bn3", outer)
        if block == 0:
            yield f"{place}.downsample.0.weight", (outer, width, 1, 1)
            yield from norm(f"{place}.downsample.1", outer)


def resnet(name: str) -> Keys:
    yield f"{name}.conv1.weight", (64, 3, 7, 7)
    yield from norm(f"{name}.bn1", 64)
    for number in range(4):
        yield from stage(f"{name}.layer{number + 1}", number)


def three_resnets() -> Keys:
    yield from resnet("thermal_module.thermal")
    yield from resnet("visible_module.visible")
    yield from resnet("base_resnet.base")


def lba(classes: int) -> Keys:
    yield from three_resnets()
    yield from norm("bottleneck", 2048)
    yield "classifier.weight", (classes, 2048)


def agw(classes: int) -> Keys:
    yield from three_resnets()
    for number, blocks, channels in ((2, 2, 512), (3, 3, 1024)):
        for block in range(blocks):
            name = f"NL_{number}.{block}"
            yield from conv(f"{name}.g.0", 1, channels, 1, 1)
            yield from conv(f"{name}.W.0", channels, 1, 1, 1)
            yield from norm(f"{name}.W.1", channels)
            yield from conv(f"{name}.theta", 1, channels, 1, 1)
            yield from conv(f"{name}.phi", 1, channels, 1, 1)
    yield from norm("bottleneck", 2048)
    yield "classifier.weight", (classes, 2048)


def ddag(classes: int) -> Keys:
    yield from three_resnets()
    yield from norm("bottleneck", 2048)
    for name in ("classifier", "classifier1", "classifier2"):
        yield f"{name}.weight", (classes, 2048)
    yield "wpa.gate", (3,)
    for name in ("fc1.0", "fc2", "fc3", "W.0"):
        yield from conv(f"wpa.{name}", 2048, 2048, 1, 1)
    yield from norm("wpa.W.1", 2048)
    yield from norm("wpa.bottleneck", 2048)
    for head in range(4):
        yield f"attention_{head}.W", (2048, 512)
        yield f"attention_{head}.a", (1024, 1)
    yield "out_att.W", (2048, classes)
    yield "out_att.a", (2 * classes, 1)


def deen(classes: int, stages: int = 4) -> Keys:
    widths = (64, 256, 512, 1024, 2048)
    yield from three_resnets()
    expanded = widths[stages - 1]
    for branch in (1, 2):
        for dilation in (1, 2, 3):
            yield f"DEE.FC{branch}{dilation}.weight", (expanded // 4, expanded, 3, 3)
        yield from conv(f"DEE.FC{branch}", expanded, expanded // 4, 1, 1)
    for place in range(1, stages):
        low, high = widths[place - 1], widths[place]
        for part, inner in (("CNL", low), ("PNL", low // 2)):
            yield from conv(f"MFA{place}.{part}.g", inner, low, 1, 1)
            yield from conv(f"MFA{place}.{part}.theta", inner, high, 1, 1)
            yield from conv(f"MFA{place}.{part}.phi", inner, low, 1, 1)
            yield from conv(f"MFA{place}.{part}.W.0", high, inner, 1, 1)
            yield from norm(f"MFA{place}.{part}.W.1", high)
    yield from norm("bottleneck", widths[stages])
    yield "classifier.weight", (classes, widths[stages])


def gan_generator() -> Keys:
    for place, shape in ((0, (64, 3, 7, 7)), (3, (128, 64, 4, 4)), (6, (256, 128, 4, 4))):
        yield f"model.{place}.weight", shape
        yield from norm(f"model.{place + 1}", shape[0])
    for block in range(9, 13):
        for place in (0, 3):
            yield f"model.{block}.model.{place}.weight", (256, 256, 3, 3)
            yield from norm(f"model.{block}.model.{place + 1}", 256)
    for place, shape in ((13, (256, 128, 4, 4)), (16, (128, 64, 4, 4))):
        yield f"model.{place}.weight", shape
        yield from norm(f"model.{place + 1}", shape[1])
    yield "model.19.weight", (3, 64, 7, 7)


def patch_discriminator() -> Keys:
    widths = (3, 64, 128, 256, 512, 1024)
    for layer, place in enumerate((0, 2, 5, 8, 11)):
        yield from conv(f"model.{place}", widths[layer + 1], widths[layer], 4, 4)
    yield "conv_src.weight", (1, 1024, 3, 3)


def joint_discriminator() -> Keys:
    for place, shape in ((0, (64, 3, 4, 4)), (2, (128, 64, 4, 4)), (5, (256, 128, 4, 4))):
        yield from conv(f"image_convs.{place}", *shape)
    yield from conv("feature_convs.0", 64, 2048, 1, 1)
    yield from conv("dis_convs.0", 512, 320, 4, 4)
    yield from conv("dis_convs.3", 1024, 512, 4, 4)
    yield "conv_src.weight", (1, 1024, 3, 3)


def aligngan_encoder() -> Keys:
    yield "resnet_conv.0.weight", (64, 3, 7, 7)
    yield from norm("resnet_conv.1", 64)
    for number in range(4):
        yield from stage(f"resnet_conv.{number + 4}", number)


def aligngan_heads(classes: int) -> Keys:
    yield from conv("classifier0.bottle.0", 256, 2048)
    yield from norm("classifier0.bottle.1", 256)
    yield from conv("classifier0.classifier.0", classes, 256)
    yield from conv("embedder0", 256, 2048)


def jsia_generator(classes: int) -> Keys:
    widths = (3, 32, 64, 128, 128, 128)
    for layer in range(5):
        kernel = 7 if layer == 0 else 4
        yield from conv(f"mod_spec_enc.model.{layer}.conv", widths[layer + 1], widths[layer], kernel, kernel)
    yield from conv("mod_spec_enc.model.6", 128, 128, 1, 1)
    yield from conv("mod_spec_enc.classifier", classes, 128)
    yield "mod_invar_enc.resnet_conv1.0.weight", (64, 3, 7, 7)
    yield from norm("mod_invar_enc.resnet_conv1.1", 64)
    yield from stage("mod_invar_enc.resnet_conv1.3", 0)
    for number in range(3):
        yield from stage(f"mod_invar_enc.resnet_conv2.{number}", number + 1)
    yield from norm("mod_invar_enc.classifier.bn", 2048)
    yield "mod_invar_enc.classifier.classifier.weight", (classes, 2048)
    for block in range(2):
        for layer in range(2):
            name = f"dec.model.0.model.{block}.model.{layer}"
            yield f"{name}.norm.running_mean", (256,)
            yield f"{name}.norm.running_var", (256,)
            yield from conv(f"{name}.conv", 256, 256, 3, 3)
    yield "dec.model.2.norm.gamma", (128,)
    yield "dec.model.2.norm.beta", (128,)
    yield from conv("dec.model.2.conv", 128, 256, 5, 5)
    yield from conv("dec.model.3.conv", 3, 128, 7, 7)
    for layer, shape in enumerate(((256, 128), (256, 256), (2048, 256))):
        yield from conv(f"mlp.model.{layer}.fc", *shape)


def jsia_discriminator() -> Keys:
    widths = (3, 32, 64, 128, 256)
    for scale in range(2):
        for layer in range(4):
            yield from conv(f"cnns.{scale}.{layer}.conv", widths[layer + 1], widths[layer], 4, 4)
        yield from conv(f"cnns.{scale}.4", 1, 256, 1, 1)


def files_of(source: str, classes: int = 395) -> list[list[tuple[str, tuple[int, ...]]]]:
    """The tensors of each file of a public code, in its order and with its prefix."""
    if source in ("agw", "caj"):
        return [list(agw(classes))]
    if source == "lba":
        return [list(lba(classes))]
    if source == "ddag":
        return [list(ddag(classes))]
    if source == "deen":
        return [list(deen(classes))]
    if source == "deen_regdb":
        return [list(deen(classes, stages=3))]
    if source == "aligngan":
        parallel = [
            gan_generator(),
            gan_generator(),
            patch_discriminator(),
            joint_discriminator(),
            patch_discriminator(),
            patch_discriminator(),
            aligngan_encoder(),
            aligngan_heads(classes),
        ]
    else:
        parallel = [
            jsia_generator(classes),
            jsia_generator(classes),
            jsia_discriminator(),
            jsia_discriminator(),
        ]
    return [[(f"module.{name}", shape) for name, shape in keys] for keys in parallel]


DIGESTS = {
    "aligngan": "0043ac121f554f35",
    "jsia": "d3b678b1a9449eaf",
    "lba": "d0b0aa32e6bcd8fe",
    "agw": "9c0c8658d9a21c70",
    "caj": "9c0c8658d9a21c70",
    "ddag": "dccbb2e774733208",
    "deen": "c151d398ec5fd640",
    "deen_regdb": "b84d398508ea5808",
}
"""Source -> digest of its list with 395 persons."""


def digest_of(files: list[list[tuple[str, tuple[int, ...]]]]) -> str:
    plain = [[[name, list(shape)] for name, shape in keys] for keys in files]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:16]


def random_tensor(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers of a size with which a deep network neither explodes nor dies out; the shift of a neck is 0."""
    if name.endswith("num_batches_tracked"):
        return torch.randint(1, 10_000, (), generator=generator)
    if name.endswith(("bottleneck.bias", "classifier.bn.bias")):
        return torch.zeros(shape)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return torch.rand(shape, generator=generator) + 0.5
    if len(shape) < 2:
        return torch.randn(shape, generator=generator) * 0.1
    inputs = torch.Size(shape[1:]).numel()
    size = (1.5 / inputs) ** 0.5
    if name.startswith(("NL_", "MFA")) and inputs > 1:  # three products of large maps, one behind the other
        size /= 30 if name.startswith("NL_") else 15
    if name.startswith(("wpa.fc1", "wpa.fc2")):  # or the softmax of their products would choose one part alone
        size /= 500
    return torch.randn(shape, generator=generator) * size


def random_states(source: str, classes: int = 395, seed: int = 0) -> list[dict[str, Tensor]]:
    """Random numbers in the layout of a public code."""
    generator = torch.Generator().manual_seed(seed)
    states = []
    for keys in files_of(source, classes):
        states.append({name: random_tensor(name, shape, generator) for name, shape in keys})
    if source == "jsia":  # one encoder, saved twice
        for name in states[0]:
            if name.startswith("module.mod_invar_enc"):
                states[0][name] = states[1][name].clone()
    return states
