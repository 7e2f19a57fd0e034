"""How the public codes embed an image at test: slow, in plain torch, from their state dicts, sharing nothing with crossreid.

Images are pixels (N, H, W, 3), uint8, of the size that the code loads them at. What comes out is of unit length, in float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

State = Mapping[str, Tensor]
BLOCKS = (3, 4, 6, 3)


def in_double(state: State, prefix: str = "") -> dict[str, Tensor]:
    """A state dict in float64, without a prefix."""
    return {name.removeprefix(prefix): value.double() for name, value in state.items()}


def scaled(pixels: Tensor) -> Tensor:
    """(N, H, W, 3) in 0 ... 255 -> (N, 3, H, W) in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).double() / 255


def imagenet(images: Tensor) -> Tensor:
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)[:, None, None]
    return (images - mean) / deviation


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.pow(2).sum(1, keepdim=True).sqrt()


def norm(state: State, name: str, x: Tensor) -> Tensor:
    """Any norm by its running averages: batch norm at test, and instance norm that keeps averages."""
    shape = (1, -1) + (1,) * (x.dim() - 2)
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale = state[f"{name}.weight"] / (variance + 1e-5).sqrt()
    return (x - mean.view(shape)) * scale.view(shape) + state[f"{name}.bias"].view(shape)


def block(state: State, name: str, x: Tensor, stride: int) -> Tensor:
    y = F.relu(norm(state, f"{name}.bn1", F.conv2d(x, state[f"{name}.conv1.weight"])))
    y = F.relu(norm(state, f"{name}.bn2", F.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1)))
    y = norm(state, f"{name}.bn3", F.conv2d(y, state[f"{name}.conv3.weight"]))
    if f"{name}.downsample.0.weight" in state:
        x = norm(state, f"{name}.downsample.1", F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride))
    return F.relu(x + y)


def stem(state: State, conv1: str, bn1: str, images: Tensor, *, relu: bool = True) -> Tensor:
    x = norm(state, bn1, F.conv2d(images, state[conv1], stride=2, padding=3))
    return F.max_pool2d(F.relu(x) if relu else x, 3, stride=2, padding=1)


def stages(state: State, names: tuple[str, ...], x: Tensor, first: int = 0) -> Tensor:
    """Stages from number ``first`` on; the last of a ResNet keeps its stride at 1."""
    for number, name in enumerate(names, start=first):
        for place in range(BLOCKS[number]):
            strided = place == 0 and number in (1, 2)
            x = block(state, f"{name}.{place}", x, 2 if strided else 1)
    return x


def gem(x: Tensor) -> Tensor:
    return (x.pow(3).mean(dim=(2, 3)) + 1e-12).pow(1 / 3)


def two_stream_stem(state: State, images: Tensor, modality: str) -> Tensor:
    """Visible images have one stem, infrared ones another."""
    part = {"visible": "visible_module.visible", "infrared": "thermal_module.thermal"}[modality]
    return stem(state, f"{part}.conv1.weight", f"{part}.bn1", images)


def non_local(state: State, name: str, x: Tensor) -> Tensor:
    """One inner channel; products of positions divided by their number, no softmax."""
    count, _, height, width = x.shape

    def inner(part: str) -> Tensor:
        return F.conv2d(x, state[f"{name}.{part}.weight"], state[f"{name}.{part}.bias"]).reshape(count, -1)

    theta, phi, g = inner("theta"), inner("phi"), inner("g.0")
    affinity = theta[:, :, None] * phi[:, None, :] / (height * width)
    y = torch.einsum("npq,nq->np", affinity, g).reshape(count, 1, height, width)
    y = F.conv2d(y, state[f"{name}.W.0.weight"], state[f"{name}.W.0.bias"])
    return x + norm(state, f"{name}.W.1", y)


def agw_features(state: State, images: Tensor, modality: str) -> Tensor:
    x = two_stream_stem(state, images, modality)
    behind = {2: (2, 3), 3: (3, 4, 5)}  # blocks with a non-local block behind them
    for number in range(4):
        for place in range(BLOCKS[number]):
            strided = place == 0 and number in (1, 2)
            x = block(state, f"base_resnet.base.layer{number + 1}.{place}", x, 2 if strided else 1)
            places = behind.get(number + 1, ())
            if place in places:
                x = non_local(state, f"NL_{number + 1}.{places.index(place)}", x)
    return unit(norm(state, "bottleneck", gem(x)))


def agw(states: list[State], pixels: Tensor, modality: str) -> Tensor:
    return agw_features(in_double(states[0]), imagenet(scaled(pixels)), modality)


def caj(states: list[State], pixels: Tensor, modality: str) -> Tensor:
    """The mean of the features of the image and of its mirror image, of unit length again."""
    state = in_double(states[0])
    images = imagenet(scaled(pixels))
    both = agw_features(state, images, modality) + agw_features(state, torch.flip(images, [3]), modality)
    return unit(both / 2)


def whole_map(state: State, images: Tensor, modality: str) -> Tensor:
    names = tuple(f"base_resnet.base.layer{number}" for number in (1, 2, 3, 4))
    return stages(state, names, two_stream_stem(state, images, modality))


def lba(states: list[State], pixels: Tensor, modality: str) -> Tensor:
    """Before the neck."""
    return unit(gem(whole_map(in_double(states[0]), imagenet(scaled(pixels)), modality)))


def aggregated(state: State, name: str, high: Tensor, low: Tensor, stride: int) -> Tensor:
    """MFA: channels by channels, then places of the upper half of a map together with those of its lower half."""

    def inner(part: str, x: Tensor, stride: int = 1) -> Tensor:
        return F.conv2d(x, state[f"{name}.{part}.weight"], state[f"{name}.{part}.bias"], stride=stride)

    def halves(x: Tensor) -> Tensor:
        flat = x.flatten(2)
        middle = flat.shape[2] // 2
        return torch.stack([flat[:, :, :middle], flat[:, :, middle:]], dim=1)  # (N, half, c, T)

    query, key, value = inner("CNL.theta", high), inner("CNL.phi", low, stride), inner("CNL.g", low)
    affinity = torch.einsum("nayx,nbyx->nab", query, key) / query.shape[1]
    mixed = torch.einsum("nab,nbyx->nayx", affinity, value)
    z = high + norm(state, f"{name}.CNL.W.1", inner("CNL.W.0", mixed, stride))

    query, key, value = halves(inner("PNL.theta", z)), halves(inner("PNL.phi", low)), halves(inner("PNL.g", low))
    affinity = torch.einsum("nhct,nhcs->nts", query, key) / key.shape[3]
    gathered = torch.einsum("nts,nhcs->nhct", affinity, value)
    back = torch.cat([gathered[:, 0], gathered[:, 1]], dim=2).reshape(len(z), -1, *z.shape[2:])
    return z + norm(state, f"{name}.PNL.W.1", inner("PNL.W.0", back))


def expanded(state: State, branch: int, x: Tensor) -> Tensor:
    """A branch of DEE."""
    views = [F.conv2d(x, state[f"DEE.FC{branch}{r}.weight"], padding=r, dilation=r) for r in (1, 2, 3)]
    merged = F.relu((views[0] + views[1] + views[2]) / 3)
    return F.conv2d(merged, state[f"DEE.FC{branch}.weight"], state[f"DEE.FC{branch}.bias"])


def deen_features(state: State, images: Tensor, modality: str, stages_used: int) -> Tensor:
    """Six unit vectors, those of each embedding one behind the other: pooled, then behind the neck."""
    x = two_stream_stem(state, images, modality)
    for number in range(1, stages_used):
        low = x
        x = stages(state, (f"base_resnet.base.layer{number}",), low, first=number - 1)
        x = aggregated(state, f"MFA{number}", x, low, 1 if number == 1 else 2)
    vectors = []
    for maps in (x, expanded(state, 1, x), expanded(state, 2, x)):
        last = stages(state, (f"base_resnet.base.layer{stages_used}",), maps, first=stages_used - 1)
        pooled = last.mean(dim=(2, 3))
        vectors += [unit(pooled), unit(norm(state, "bottleneck", pooled))]
    return torch.cat(vectors, dim=1)


def deen(states: list[State], pixels: Tensor, modality: str, stages_used: int = 4) -> Tensor:
    """The code adds what it makes of the mirror image and leaves the sum's length; here it has unit length, as ours."""
    state = in_double(states[0])
    images = imagenet(scaled(pixels))
    mirrored = torch.flip(images, [3])
    both = [deen_features(state, each, modality, stages_used) for each in (images, mirrored)]
    return unit(both[0] + both[1])


def deen_regdb(states: list[State], pixels: Tensor, modality: str) -> Tensor:
    """The last stage takes no part."""
    return deen(states, pixels, modality, stages_used=3)


def ddag(states: list[State], pixels: Tensor, modality: str) -> Tensor:
    """Whole and parts: plain products, softmax of the parts' weights, a batch norm of the sum."""
    state = in_double(states[0])
    maps = whole_map(state, imagenet(scaled(pixels)), modality)
    feature = norm(state, "bottleneck", maps.mean(dim=(2, 3)))
    height = maps.shape[2]
    parts = []
    for part in range(3):  # rows that a part shares in are counted whole
        top, bottom = part * height // 3, -(-(part + 1) * height // 3)
        parts.append(maps[:, :, top:bottom].mean(dim=(2, 3)))

    def projected(name: str) -> list[Tensor]:
        weight = state[f"wpa.{name}.weight"][:, :, 0, 0]
        return [part @ weight.T + state[f"wpa.{name}.bias"] for part in parts]

    queries, keys, values = projected("fc1.0"), projected("fc2"), projected("fc3")
    shares = state["wpa.gate"].exp() / state["wpa.gate"].exp().sum()
    total = feature
    for a in range(3):
        scores = torch.stack([(queries[a] * keys[b]).sum(1) for b in range(3)], dim=1)
        attention = torch.softmax(scores, dim=1)
        total = total + shares[a] * sum(attention[:, b, None] * values[b] for b in range(3))
    return unit(norm(state, "wpa.bottleneck", total))


def aligngan(states: list[State], pixels: Tensor, modality: str) -> Tensor:
    """Visible images are translated, in [-1, 1], by the generator's saved averages; mirrored behind it; raw features add."""
    images = (scaled(pixels) - 0.5) / 0.5
    if modality == "visible":
        images = generated(in_double(states[0], "module."), images)
    encoder = in_double(states[6], "module.")
    return unit(aligngan_vector(encoder, images) + aligngan_vector(encoder, torch.flip(images, [3])))


def generated(state: State, x: Tensor) -> Tensor:
    for place, stride, padding in ((0, 1, 3), (3, 2, 1), (6, 2, 1)):
        x = F.conv2d(x, state[f"model.{place}.weight"], stride=stride, padding=padding)
        x = F.relu(norm(state, f"model.{place + 1}", x))
    for place in range(9, 13):
        name = f"model.{place}.model"
        y = F.relu(norm(state, f"{name}.1", F.conv2d(x, state[f"{name}.0.weight"], padding=1)))
        x = x + norm(state, f"{name}.4", F.conv2d(y, state[f"{name}.3.weight"], padding=1))
    for place in (13, 16):
        x = F.conv_transpose2d(x, state[f"model.{place}.weight"], stride=2, padding=1)
        x = F.relu(norm(state, f"model.{place + 1}", x))
    return torch.tanh(F.conv2d(x, state["model.19.weight"], padding=3))


def aligngan_vector(state: State, images: Tensor) -> Tensor:
    large = F.interpolate(images, size=(384, 192), mode="bilinear", align_corners=False)
    x = stem(state, "resnet_conv.0.weight", "resnet_conv.1", imagenet((large + 1) / 2))
    return stages(state, tuple(f"resnet_conv.{place}" for place in (4, 5, 6, 7)), x).mean(dim=(2, 3))


def jsia(states: list[State], pixels: Tensor, modality: str) -> Tensor:
    """One path for both modalities: grey of the normalised channels, no ReLU behind the first norm, after the neck."""
    state = in_double(states[1], "module.mod_invar_enc.")
    images = imagenet((scaled(pixels) - 0.5) / 0.5 / 2 + 0.5)
    grey = 0.2989 * images[:, 0] + 0.5870 * images[:, 1] + 0.1140 * images[:, 2]
    images = torch.stack([grey, grey, grey], dim=1)
    x = stem(state, "resnet_conv1.0.weight", "resnet_conv1.1", images, relu=False)
    x = stages(state, ("resnet_conv1.3",), x)
    x = stages(state, ("resnet_conv2.0", "resnet_conv2.1", "resnet_conv2.2"), x, first=1)
    return unit(norm(state, "classifier.bn", x.mean(dim=(2, 3))))


FORWARDS = {
    "aligngan": aligngan,
    "jsia": jsia,
    "lba": lba,
    "agw": agw,
    "caj": caj,
    "ddag": ddag,
    "deen": deen,
    "deen_regdb": deen_regdb,
}
SIZES = {
    "aligngan": (128, 128),
    "jsia": (256, 128),
    "lba": (288, 144),
    "agw": (288, 144),
    "caj": (288, 144),
    "ddag": (288, 144),
    "deen": (384, 144),
    "deen_regdb": (384, 144),
}
"""Height and width that the codes load images at."""
FILTERS = {
    "aligngan": "bicubic",
    "jsia": "bicubic",
    "lba": "lanczos",
    "agw": "lanczos",
    "caj": "lanczos",
    "ddag": "lanczos",
    "deen": "lanczos",
    "deen_regdb": "lanczos",
}
"""What they resize by, at load."""


# ------------------------------------------------------------------ parts that only training uses


def instance(x: Tensor) -> Tensor:
    """Instance norm by the image itself, without weights."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = x.var(dim=(2, 3), keepdim=True, unbiased=False)
    return (x - mean) / (variance + 1e-5).sqrt()


def convolved(
    state: State, name: str, x: Tensor, stride: int = 1, padding: int = 0, *, reflect: bool = False
) -> Tensor:
    if reflect:
        x = F.pad(x, (padding,) * 4, mode="reflect")
        padding = 0
    return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), stride=stride, padding=padding)


def aligngan_patches(state: State, images: Tensor) -> Tensor:
    """Images in [-1, 1]; no norm behind the first convolution."""
    x = F.leaky_relu(convolved(state, "model.0", images, 2, 1), 0.2)
    for place in (2, 5, 8, 11):
        x = F.leaky_relu(instance(convolved(state, f"model.{place}", x, 2, 1)), 0.2)
    return convolved(state, "conv_src", x, 1, 1)


def aligngan_joint(state: State, images: Tensor, maps: Tensor) -> Tensor:
    x = F.leaky_relu(convolved(state, "image_convs.0", images, 2, 1), 0.2)
    for place in (2, 5):
        x = F.leaky_relu(instance(convolved(state, f"image_convs.{place}", x, 2, 1)), 0.2)
    y = F.leaky_relu(convolved(state, "feature_convs.0", maps), 0.2)
    y = F.interpolate(y, size=(16, 16), mode="bilinear", align_corners=False)
    x = torch.cat([x, y], dim=1)
    for place in (0, 3):
        x = F.leaky_relu(instance(convolved(state, f"dis_convs.{place}", x, 2, 1)), 0.2)
    return convolved(state, "conv_src", x, 1, 1)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def aligngan_logits(state: State, vectors: Tensor) -> Tensor:
    x = norm(state, "classifier0.bottle.1", linear(state, "classifier0.bottle.0", vectors))
    return linear(state, "classifier0.classifier.0", F.leaky_relu(x, 0.1))


def jsia_style(state: State, images: Tensor) -> Tensor:
    """Images in [-1, 1]."""
    x = F.relu(convolved(state, "mod_spec_enc.model.0.conv", images, 1, 3, reflect=True))
    for layer in range(1, 5):
        x = F.relu(convolved(state, f"mod_spec_enc.model.{layer}.conv", x, 2, 1, reflect=True))
    return convolved(state, "mod_spec_enc.model.6", x.mean(dim=(2, 3), keepdim=True))[:, :, 0, 0]


def jsia_decoded(state: State, content: Tensor, style: Tensor) -> Tensor:
    """Images in [-1, 1]; of each norm's 512 numbers the first half is the shift, the second the scale."""
    x = F.relu(linear(state, "mlp.model.0.fc", style))
    x = linear(state, "mlp.model.2.fc", F.relu(linear(state, "mlp.model.1.fc", x)))
    shifts_and_scales = x.reshape(len(x), 4, 2, 256, 1, 1)
    maps = content
    for number in range(2):
        y = maps
        for layer in range(2):
            y = instance(convolved(state, f"dec.model.0.model.{number}.model.{layer}.conv", y, 1, 1, reflect=True))
            shift, scale = shifts_and_scales[:, 2 * number + layer].unbind(1)
            y = y * scale + shift
            y = F.relu(y) if layer == 0 else y
        maps = maps + y
    maps = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    maps = convolved(state, "dec.model.2.conv", maps, 1, 2, reflect=True)
    flat = maps.flatten(1)
    mean, deviation = flat.mean(1).view(-1, 1, 1, 1), flat.std(1).view(-1, 1, 1, 1)
    gain, bias = (state[f"dec.model.2.norm.{name}"].view(1, -1, 1, 1) for name in ("gamma", "beta"))
    maps = F.relu((maps - mean) / (deviation + 1e-5) * gain + bias)
    return torch.tanh(convolved(state, "dec.model.3.conv", maps, 1, 3, reflect=True))


def jsia_patches(state: State, images: Tensor) -> list[Tensor]:
    """Images in [-1, 1], at their size and at half of it."""
    outputs = []
    for scale in range(2):
        x = images
        for layer in range(4):
            x = F.leaky_relu(convolved(state, f"cnns.{scale}.{layer}.conv", x, 2, 1, reflect=True), 0.2)
        outputs.append(convolved(state, f"cnns.{scale}.4", x))
        images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
    return outputs


def graph_head(weight: Tensor, scores: Tensor, nodes: Tensor, labels: Tensor) -> Tensor:
    hidden = nodes @ weight
    count = len(nodes)
    output = torch.zeros(count, weight.shape[1], dtype=nodes.dtype)
    for i in range(count):
        neighbours = [j for j in range(count) if labels[j] == labels[i]]
        pairs = torch.stack([torch.cat([hidden[i], hidden[j]]) for j in neighbours])
        attention = torch.softmax(F.leaky_relu(pairs @ scores[:, 0], 0.2), dim=0)
        output[i] = sum(share * hidden[j] for share, j in zip(attention, neighbours, strict=True))
    return F.elu(output)


def ddag_graph(state: State, nodes: Tensor, labels: Tensor) -> Tensor:
    """Four heads side by side, and one more on them."""
    heads = []
    for head in range(4):
        heads.append(graph_head(state[f"attention_{head}.W"], state[f"attention_{head}.a"], nodes, labels))
    return graph_head(state["out_att.W"], state["out_att.a"], torch.cat(heads, dim=1), labels)
