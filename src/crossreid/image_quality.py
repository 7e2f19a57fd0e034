"""JSIA-ReID's Table 4: how consistent generated images are with persons and with real images.

``python -m crossreid.image_quality checkpoint=outputs/.../last.ckpt``

Trains CycleGAN, StarGAN and a VAE on the checkpoint's own training images, and a re-ID network on real images to measure
distances with, then scores the fakes of test persons. What differs from the paper is printed beneath the table.
"""

from __future__ import annotations

from dataclasses import asdict

from crossreid.console import notice
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.commands import ImageQualityConfig
from crossreid.settings.compose import Composed, typed


def main() -> None:
    """The command."""
    run_command("image_quality", image_quality)


def image_quality(composed: Composed) -> float:
    """Train, score, show, write; returns JSIA's MD from real images."""
    config = typed(ImageQualityConfig, composed)
    refuse_optimiser("image_quality")
    from crossreid.runs.folder import write_json  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.runs.outputs import check_outputs, origin_of, output_path  # noqa: PLC0415
    from crossreid.studies.generation.table import REAL, check_packages, compare_generators, show  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at  # noqa: PLC0415

    check_packages(config)
    path = checkpoint_at(config.checkpoint)
    inputs = {"checkpoint": [path]}
    if config.judge.checkpoint:
        inputs["judge.checkpoint"] = [checkpoint_at(config.judge.checkpoint)]
    origin = origin_of("image_quality", config, inputs)
    folder = output_path(config.output, path.parent / "image_quality", origin, within="image_quality.json")
    files = [folder / "image_quality.json"]
    if config.figure:
        files.append(folder / "image_quality.png")
    outputs = check_outputs("image_quality", config, {"output": files}, inputs)
    table = compare_generators(config)
    rows = {name: asdict(row) for name, row in table.rows.items()}
    rows["real"] = rows.pop(REAL)
    settings = config.plain() | {"data": config.data.plain()}
    with outputs.written():
        write_json(folder / "image_quality.json", {"rows": rows, "notes": table.notes, "config": settings})
    show(table)
    if config.figure:
        from crossreid.visualization import picture_grid, save  # noqa: PLC0415 - extra `viz`

        save(
            picture_grid(table.pictures(persons=3, per_person=config.images), config.images),
            folder / "image_quality.png",
        )
    notice(f"Table and images: {folder}")
    value = table.rows["JSIA-ReID"].identity_real
    assert value is not None
    return value


if __name__ == "__main__":
    main()
