"""A method's path from uint8 images to embeddings as an exported program of torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind
from torch.nn import functional

from crossreid.data.records import Modality
from crossreid.data.transforms import to_float
from crossreid.methods.base import CrossModalityModule

_EXAMPLES = 2
"""Images that are traced with: with one, its dimension would be taken for a constant."""
_HYPOT: Any = torch.ops.aten.hypot.default


class ModalityPath(nn.Module):
    """What a method does at test time with images of one modality.

    Args:
        method: in eval mode.
        modality: of the images.
        axes: (D, d) that embeddings are projected on; None for the method's own.
    """

    axes: Tensor | None

    def __init__(self, method: CrossModalityModule[Any], modality: Modality, axes: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("axes", axes)
        self.method = method
        self.modality = modality

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB (B, H, W, 3) uint8 -> ``main`` (B, D) or (B, d) float32, L2-normalised."""
        images = to_float(pixels.permute(0, 3, 1, 2))
        main = self.method.embed(images, self.modality)["main"]
        if self.axes is not None:
            main = functional.normalize(main @ self.axes)
        return main


def traced(
    method: CrossModalityModule[Any], modality: Modality, size: tuple[int, int], axes: Tensor | None = None
) -> ExportedProgram:
    """The path of a modality for any number of images of a height and width, with the weights that it uses and no others."""
    path = ModalityPath(method, modality, axes).eval()
    pixels = torch.zeros(_EXAMPLES, *size, 3, dtype=torch.uint8)
    with torch.no_grad():
        program = torch.export.export(path, (pixels,), dynamic_shapes=({0: Dim("batch")},))
    if any(node.target is _HYPOT for node in program.graph.nodes):  # HOG's, which ONNX lacks
        program = program.run_decompositions({_HYPOT: _hypot})
    _drop_unused(program)
    return program


def alike(one: ExportedProgram, other: ExportedProgram) -> bool:
    """Two programs of one method do the same with the same weights: the modality plays no part."""
    one_weights = [spec.target for spec in one.graph_signature.input_specs]
    other_weights = [spec.target for spec in other.graph_signature.input_specs]
    return one_weights == other_weights and one.graph_module.code == other.graph_module.code


def _hypot(one: Tensor, other: Tensor) -> Tensor:
    """sqrt(a^2 + b^2) of operations that ONNX has."""
    return (one.square() + other.square()).sqrt()


def _drop_unused(program: ExportedProgram) -> None:
    """Take weights out that the path does not use: discriminators, classifiers, the other modality's layers."""
    # Weights are inputs of the graph, in the order in which the signature describes them.
    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    kept = []
    for spec, node in zip(program.graph_signature.input_specs, inputs, strict=True):
        if node.users or spec.kind is InputKind.USER_INPUT:
            kept.append(spec)
            continue
        program.graph.erase_node(node)
        program.state_dict.pop(spec.target, None)
        program.constants.pop(spec.target, None)
    program.graph_signature.input_specs[:] = kept
    program.graph_module.recompile()
    program.example_inputs = None
