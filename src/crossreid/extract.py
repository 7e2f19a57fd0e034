"""Embed images of one's own with a trained model.

``python -m crossreid.extract checkpoint=RUN images=day/ modality=visible output=day.npz``
"""

from __future__ import annotations

from pathlib import Path

from crossreid.console import notice
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.extraction import ExtractConfig


def main() -> None:
    """The command."""
    run_command("extract", extract)


def extract(composed: Composed) -> None:
    """Embed the images that are named, and write the embeddings."""
    config = typed(ExtractConfig, composed)
    refuse_optimiser("extract")
    from crossreid.extraction.extractor import make_extractor  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.extraction.storage import check_storable, storage_files  # noqa: PLC0415
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at  # noqa: PLC0415

    output = Path(config.output)
    check_storable(output)
    path = checkpoint_at(config.checkpoint)
    read = {"checkpoint": [path], "images": [Path(config.images)]}
    outputs = check_outputs("extract", config, {"output": storage_files(output)}, read)
    extractor = make_extractor(path, config)
    with outputs.written():
        embeddings = extractor.to_file(config.images, output, config.modality, tracks=config.tracks, shard=config.shard)
    width = embeddings.features["main"].shape[1]
    notice(f"Embeddings: {output} ({len(embeddings)} x {width}, model {extractor.about['model'][:12]})")


if __name__ == "__main__":
    main()
