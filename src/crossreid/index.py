"""A gallery of embedded images: add to it, look at it, remove from it, build its index.

``python -m crossreid.index add gallery=street.gallery checkpoint=RUN images=day/ modality=visible``
``python -m crossreid.index info gallery=street.gallery``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from crossreid.console import console, notice, unshortened
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.galleries import IndexConfig
from crossreid.settings.overrides import with_action

if TYPE_CHECKING:
    from crossreid.galleries import Gallery


def main() -> None:
    """The command."""
    sys.argv[1:] = with_action(sys.argv[1:])
    run_command("index", index)


def index(composed: Composed) -> None:
    """Do what is asked for with a gallery."""
    config = typed(IndexConfig, composed)
    refuse_optimiser("index")
    from crossreid.extraction.extractor import make_extractor  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.extraction.storage import load_extracted  # noqa: PLC0415
    from crossreid.galleries import Gallery  # noqa: PLC0415
    from crossreid.galleries.gallery import require_gallery  # noqa: PLC0415

    if config.action == "add" and config.checkpoint is not None:
        extractor = make_extractor(config.checkpoint, config)
        gallery = Gallery.open(config.gallery, model=extractor)  # refuses another model's before anything is embedded
        embeddings = extractor(config.images or "", config.modality, tracks=config.tracks)
        _say_added(gallery, gallery.add(embeddings, config.on_duplicate))
        _take_calibration(gallery, config.checkpoint)
        return
    if config.action != "add":
        require_gallery(config.gallery)
    if config.export is not None:
        _export(config, Path(config.export))
        return
    gallery = Gallery.open(config.gallery)
    if config.action == "add":
        embeddings = load_extracted(config.embeddings or "")
        _say_added(gallery, gallery.add(embeddings, config.on_duplicate))
    elif config.action == "remove":
        removed = gallery.remove(config.ids, config.filter)
        notice(f"Removed {removed} images; {len(gallery)} are left.")
    elif config.action == "build":
        show(gallery.build())
    else:
        show(gallery.info())


def _export(config: IndexConfig, export: Path) -> None:
    """Write what a gallery holds, and print what it is."""
    from crossreid.extraction.storage import check_storable, storage_files  # noqa: PLC0415 - behind the first checks
    from crossreid.galleries import Gallery  # noqa: PLC0415
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415

    check_storable(export)
    read = {"gallery": [Path(config.gallery)]}
    outputs = check_outputs("index", config, {"export": storage_files(export)}, read)
    gallery = Gallery.open(config.gallery)
    with outputs.written():
        notice(f"Embeddings: {gallery.export(export)}")
    show(gallery.info())


def _take_calibration(gallery: Gallery, checkpoint: str) -> None:
    """Let a gallery that has no calibration keep the one that lies beside its model."""
    from crossreid.galleries.judging import fitting_calibration  # noqa: PLC0415 - behind the first checks

    if gallery.calibration() is None:
        calibration = fitting_calibration(gallery, checkpoint)
        if calibration is not None:
            gallery.keep_calibration(calibration)
            notice(f"The gallery keeps the calibration beside '{checkpoint}'.")


def _say_added(gallery: Gallery, added: Any) -> None:
    notice(
        f"Added {added.added} images ({added.skipped} were there already, {added.replaced} replaced); the gallery has "
        f"{len(gallery)}."
    )


def show(info: dict[str, Any]) -> None:
    """Print what a gallery is."""
    table = Table(title="Gallery")
    table.add_column("what")
    table.add_column("value")
    for name, value in info.items():
        shown = str(value)
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {part}" for key, part in value.items())
        table.add_row(name, shown or "none")
    console.print(unshortened(table))


if __name__ == "__main__":
    main()
