"""DEEN's parts once more, place by place in float64 NumPy: slow, and without a line in common with the package."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Weights = dict[str, Array]


def convolve(image: Array, kernel: Array, bias: Array | None, dilation: int, padding: int, stride: int = 1) -> Array:
    """One image (c, y, x) and a kernel (o, c, k, k) -> (o, y', x'), by loops."""
    outputs, _, size, _ = kernel.shape
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    reach = dilation * (size - 1)
    height = (padded.shape[1] - reach - 1) // stride + 1
    width = (padded.shape[2] - reach - 1) // stride + 1
    result = np.zeros((outputs, height, width))
    for o in range(outputs):
        for y in range(height):
            for x in range(width):
                for i in range(size):
                    for j in range(size):
                        pixel = padded[:, stride * y + dilation * i, stride * x + dilation * j]
                        result[o, y, x] += kernel[o, :, i, j] @ pixel
        if bias is not None:
            result[o] += bias[o]
    return result


def point_convolution(image: Array, weights: Weights, name: str, stride: int = 1) -> Array:
    return convolve(image, weights[f"{name}.weight"], weights[f"{name}.bias"], 1, 0, stride)


def branch(image: Array, weights: Weights) -> Array:
    """x_b of one image (c, y, x)."""
    total = np.zeros((weights["dilated.0.weight"].shape[0], *image.shape[1:]))
    for place, dilation in enumerate((1, 2, 3)):
        total = total + convolve(image, weights[f"dilated.{place}.weight"], None, dilation, dilation)
    return point_convolution(np.maximum(total / 3, 0.0), weights, "merge")


def normalised(maps: list[Array], scale: Array, shift: Array) -> list[Array]:
    """Batch norm in training of images (c, y, x)."""
    results = [np.empty_like(image) for image in maps]
    for channel in range(len(scale)):
        values = np.concatenate([image[channel].ravel() for image in maps])
        mean = values.sum() / len(values)
        variance = ((values - mean) ** 2).sum() / len(values)
        for image, result in zip(maps, results, strict=True):
            result[channel] = scale[channel] * (image[channel] - mean) / np.sqrt(variance + 1e-5) + shift[channel]
    return results


def softmaxed(values: Array) -> Array:
    exponentials = np.exp(values)
    return exponentials / exponentials.sum()


def channel_part(highs: list[Array], lows: list[Array], weights: Weights, stride: int, affinity: str) -> list[Array]:
    """Z of a batch."""
    before_norm = []
    for high, low in zip(highs, lows, strict=True):
        q = point_convolution(high, weights, "theta")
        k = point_convolution(low, weights, "phi", stride)
        g = point_convolution(low, weights, "g")
        channels = len(g)
        mixed = np.zeros_like(g)
        for a in range(channels):
            products = np.array([(q[a] * k[b]).sum() for b in range(channels)])
            shares = softmaxed(products) if affinity == "softmax" else products / channels
            for b in range(channels):
                mixed[a] += shares[b] * g[b]
        before_norm.append(point_convolution(mixed, weights, "out", stride))
    added = normalised(before_norm, weights["norm.weight"], weights["norm.bias"])
    return [high + one for high, one in zip(highs, added, strict=True)]


def tokens_of(maps: Array, halves: bool) -> list[Array]:
    """Vectors of positions, or of pairs of a position in the first half and one in the second: channel by channel."""
    channels = len(maps)
    flat = maps.reshape(channels, -1)
    count = flat.shape[1]
    if not halves:
        return [flat[:, place] for place in range(count)]
    tokens = []
    for place in range(count // 2):
        vector = []
        for channel in range(channels):
            vector += [flat[channel, place], flat[channel, place + count // 2]]
        tokens.append(np.array(vector))
    return tokens


def map_of(tokens: list[Array], shape: tuple[int, int], halves: bool) -> Array:
    """The way back of :func:`tokens_of`."""
    count = shape[0] * shape[1]
    channels = len(tokens[0]) // 2 if halves else len(tokens[0])
    flat = np.zeros((channels, count))
    for place, token in enumerate(tokens):
        for channel in range(channels):
            if halves:
                flat[channel, place] = token[2 * channel]
                flat[channel, place + count // 2] = token[2 * channel + 1]
            else:
                flat[channel, place] = token[channel]
    return flat.reshape(channels, *shape)


def spatial_part(zs: list[Array], lows: list[Array], weights: Weights, halves: bool, affinity: str) -> list[Array]:
    """Out of a batch."""
    before_norm = []
    for z, low in zip(zs, lows, strict=True):
        queries = tokens_of(point_convolution(z, weights, "theta"), halves)
        keys = tokens_of(point_convolution(low, weights, "phi"), halves)
        values = tokens_of(point_convolution(low, weights, "g"), halves)
        gathered = []
        for query in queries:
            products = np.array([query @ key for key in keys])
            shares = softmaxed(products) if affinity == "softmax" else products / len(keys)
            gathered.append(sum(share * value for share, value in zip(shares, values, strict=True)))
        before_norm.append(point_convolution(map_of(gathered, z.shape[1:], halves), weights, "out"))
    added = normalised(before_norm, weights["norm.weight"], weights["norm.bias"])
    return [z + one for z, one in zip(zs, added, strict=True)]


def distance(one: Array, other: Array) -> float:
    return float(np.sqrt(((one - other) ** 2).sum()))


def centre_of(vectors: Array, labels: list[int], person: int) -> Array:
    return np.mean([vectors[row] for row, label in enumerate(labels) if label == person], axis=0)


def hinge(values: list[float]) -> float:
    return sum(max(value, 0.0) for value in values) / len(values)


def pair_mining(
    own: tuple[Array, Array], new: tuple[Array, Array], labels: list[int], margin: float, form: str
) -> float:
    """CPM of one branch; visible and infrared vectors of own and new embeddings, rows of ``labels`` each."""
    persons = sorted(set(labels))
    total = 0.0
    for here, there in ((0, 1), (1, 0)):
        v = {j: centre_of(own[here], labels, j) for j in persons}
        n = {j: centre_of(own[there], labels, j) for j in persons}
        w = {j: centre_of(new[here], labels, j) for j in persons}  # v'
        first, second, third, printed = [], [], [], []
        for j in persons:
            p, q = distance(n[j], w[j]), distance(v[j], w[j])
            near_new = min(distance(w[j], w[k]) for k in persons if k != j)
            near_own = min(distance(v[j], v[k]) for k in persons if k != j)
            first.append(margin + p - q)
            second.append(margin + p - near_new)
            third.append(margin + p - near_own)
            printed.append(margin + p - q - near_own)
        if form == "code":
            total += (hinge(first) + 0.5 * hinge(second) + 0.5 * hinge(third)) / 2
        else:
            total += hinge(printed)
    return total


def orthogonal(one: Array, other: Array) -> float:
    """Of two branches."""
    count = len(one)
    return sum(float(one[i] @ other[i]) for i in range(count)) / (3 * count)
