"""Settings of ``crossreid.export``."""

from __future__ import annotations

from dataclasses import dataclass

from crossreid.settings.fields import REQUIRED, Settings, setting

FORMATS = ("onnx", "torch")


@dataclass
class ExportConfig(Settings):
    """Everything ``crossreid.export`` is told."""

    checkpoint: str = setting(REQUIRED, "a run folder, or a .ckpt that training wrote")
    output: str = setting(REQUIRED, "the folder to write: the programs, and model.json that says all of them")
    format: str = setting("onnx", "onnx, or torch for programs of torch.export (.pt2)", choices=FORMATS)
    grey_range: list[float] | None = setting(
        None,
        "values of deep grey images that become black and white; null: as in training",
        at_least=-(2**31),
        at_most=2**32 - 1,
        length=2,
        ascending=True,
    )
    plugins: list[str] = setting([], "packages to import first, for methods of one's own", distinct=True)
