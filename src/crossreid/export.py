"""Write a trained model as ONNX files or programs of torch.export.

``python -m crossreid.export checkpoint=RUN output=street.onnx``; in Python :func:`crossreid.export`, as which this
module can be called too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossreid.console import notice
from crossreid.launch import CallableCommand, run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.exporting import ExportConfig


def main() -> None:
    """The command."""
    run_command("export", export)


def export(composed: Composed) -> None:
    """Export the checkpoint that is named, and say how near the programs are to PyTorch."""
    config = typed(ExportConfig, composed)
    refuse_optimiser("export")
    from crossreid.exporting import exporter  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.extraction.exported import SIDECAR  # noqa: PLC0415
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at  # noqa: PLC0415
    from crossreid.untrusted import read_json  # noqa: PLC0415

    exporter.check_packages(config.format)
    path = checkpoint_at(config.checkpoint)
    output = Path(config.output)
    inputs = {"checkpoint": [path]}
    if config.images is not None:
        inputs["images"] = [Path(config.images)]
    outputs = check_outputs("export", config, {}, inputs, folders={"output": output})
    with outputs.written():
        exporter.export(
            path,
            output,
            config.format,
            precision=config.precision,
            dimensions=config.dimensions,
            images=config.images,
            modality=config.modality,
            grey_range=config.range_of_grey(),
        )
    content = read_json(output / SIDECAR)
    for modality, file in content["files"].items():
        size = file["bytes"] / 2**20
        how_near = f"within {file['largest_difference']:.1e} of PyTorch"
        if config.precision == "int8":
            how_near += " before it came to 8 bits"
        notice(f"{modality}: {output / file['name']} ({size:.1f} MiB, {how_near})")
    if "cost" in content:
        notice(_in_words(content["cost"]))
        notice(
            "Its embeddings do not go with those of the whole model: add a gallery's images anew, and calibrate again."
        )
    if content["data"]["licence"]:
        notice(f"Trained on {content['data']['name']}: {content['data']['licence']}")


def _in_words(cost: Mapping[str, Any]) -> str:
    """What a smaller export costs, in one line."""
    parts = [f"{100 * cost['nearest_kept']:.1f} % keep their nearest image"]
    if cost["cosine"] is not None:
        parts.append(f"mean cosine to float32 {cost['cosine']:.4f}")
    if "mAP" in cost:
        for name, label in (("rank1", "Rank-1"), ("mAP", "mAP")):
            before, after = cost[name]
            parts.append(f"{label} {100 * before:.1f} -> {100 * after:.1f}")
    return f"On {cost['images']} images that nothing was fitted on: {', '.join(parts)}."


sys.modules[__name__].__class__ = CallableCommand


if __name__ == "__main__":
    main()
