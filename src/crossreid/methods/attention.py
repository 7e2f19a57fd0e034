"""Where in an image a method sees another one: Grad-CAM of their similarity, on its last feature maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crossreid.data.records import Modality
from crossreid.data.transforms import to_float
from crossreid.methods.base import CrossModalityModule
from crossreid.nn.grad_cam import grad_cam


def similarity_heat(
    method: CrossModalityModule[Any], pixels: npt.NDArray[np.uint8], modality: Modality, other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32] | None:
    """How much each place of an image raises its cosine similarity to another one.

    Args:
        method: in eval mode.
        pixels: (H, W, 3) of the method's size.
        modality: of the image.
        other: (D,) unit vector of the other image.

    Returns:
        (H, W) in [0, 1]; None of a method without feature maps (HOG).
    """
    images = to_float(torch.from_numpy(pixels.copy())[None].permute(0, 3, 1, 2).to(method.device))
    with torch.enable_grad(), _last_maps(method) as recorded:
        images.requires_grad_(True)  # parameters may be frozen
        features = method.embed(images, modality)["main"]  # (1, D), a unit vector: the score is a cosine
        maps = recorded.last()
        if maps is None:
            return None
        score = (features[0] * torch.from_numpy(other).to(features)).sum()
        (gradients,) = torch.autograd.grad(score, maps)
    height, width = pixels.shape[:2]
    heat = grad_cam(maps.detach().float(), gradients.float(), (height, width))
    return np.asarray(heat.mean(dim=0).cpu().numpy())  # of a network that makes several maps of an image, their mean


Shown: TypeAlias = "tuple[npt.NDArray[np.uint8], Modality, npt.NDArray[np.float32]]"
"""An image: pixels (H, W, 3), modality, its embedding (D,)."""


def shared_heat(
    method: CrossModalityModule[Any], one: Shown, other: Shown
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """What makes each of two images like the other one, see :func:`similarity_heat`; None of a method without maps."""
    first = similarity_heat(method, one[0], one[1], other[2])
    second = similarity_heat(method, other[0], other[1], one[2])
    if first is None or second is None:
        return None
    return first, second


class _RecordedMaps:
    """Feature maps in the order in which layers gave them."""

    def __init__(self) -> None:
        self.maps: list[tuple[nn.Module, Tensor]] = []

    def record(self, layer: nn.Module, _: object, output: object) -> None:
        """A hook of a layer."""
        # A map of one place shows nothing, and one without a gradient leads to no score.
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1 and output.requires_grad:
            self.maps.append((layer, output))

    def last(self) -> Tensor | None:
        """Those of the layer that came last; where it ran twice (mirror images), of the image as it is."""
        if not self.maps:
            return None
        last_layer = self.maps[-1][0]
        for layer, output in self.maps:
            if layer is last_layer:
                return output
        return None


@contextmanager
def _last_maps(method: nn.Module) -> Iterator[_RecordedMaps]:
    """Inside, the feature maps of all layers are recorded."""
    recorded = _RecordedMaps()
    hooks = [layer.register_forward_hook(recorded.record) for layer in method.modules() if layer is not method]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()
