"""JSIA-ReID's Table 4: how consistent generated images are with persons and with real images.

``python -m crossreid.image_quality checkpoint=outputs/.../last.ckpt``

Trains CycleGAN, StarGAN and a VAE on the checkpoint's own training images, and a re-ID network on real images to measure
distances with, then scores the fakes of test persons. What differs from the paper is printed beneath the table.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from crossreid.command import run_command
from crossreid.config import typed
from crossreid.console import console, notice
from crossreid.runs.folder import write_json
from crossreid.studies.generation.consistency import Consistency, identity_distance
from crossreid.studies.generation.pairs import ImagePair, Made
from crossreid.studies.generation.settings import ImageQualityConfig
from crossreid.studies.generation.study import INCEPTION, Judge, Study

COLUMNS = {
    "identity_real": "MD, from real",
    "identity_latent": "MD, from latent",
    "distribution_real": "FID, from real",
    "distribution_latent": "FID, from latent",
}


def main() -> None:
    """The command."""
    run_command("image_quality", image_quality)


def image_quality(cfg: DictConfig) -> float:
    """Train, score, show, write; returns JSIA's MD from real images."""
    config = typed(ImageQualityConfig, cfg)
    config.check()
    study = Study.open(config)
    judge = study.judge()
    real = study.real_images()
    made = {name: study.make(generator, real) for name, generator in study.generators().items()}
    rows = {name: study.score(images, judge, real) for name, images in made.items()}
    yardstick = Consistency(identity_real=identity_distance(judge.features, real.visible, real.infrared))
    notes = _notes(config, study, judge, len(real.visible))
    _show({**rows, "real visible and infrared of one person": yardstick}, notes)
    folder = Path(config.output) if config.output else Path(config.checkpoint).parent / "image_quality"
    results = {name: asdict(row) for name, row in rows.items()} | {"real": asdict(yardstick)}
    write_json(folder / "image_quality.json", {"rows": results, "notes": notes, "config": asdict(config)})
    if config.figure:
        _draw(folder / "image_quality.png", made, real, config.images)
    notice(f"Table and images: {folder}")
    value = rows["JSIA-ReID"].identity_real
    assert value is not None
    return value


def _notes(config: ImageQualityConfig, study: Study, judge: Judge, images: int) -> list[str]:
    """What differs from the paper."""
    stream, width = study.settings.streams["gan"], judge.features.num_features
    layer = f"that network's {width} features" if config.fid == "judge" else f"{INCEPTION} Inception features"
    return [
        f"{images} visible and {images} infrared images of test persons at {stream.height}x{stream.width}; the paper does not "
        "say which.",
        f"MD: mean distance of L2-normalised features of a re-ID network {judge.origin}, both directions; the paper names "
        "none.",
        f"Images are made in batches of {study.persons} persons with {config.images} pairs each (the last may differ), and "
        f"JSIA-ReID's batch norms go by such a batch, as in training by {stream.identities} persons with {stream.images}.",
        f"FID: on {layer}, mean of both modalities; the paper names no layer and no number of images. Values hold only "
        "within one table.",
        f"CycleGAN, StarGAN and VAE: small, {config.iterations} iterations on the same training images; StarGAN with least "
        "squares in the place of its Wasserstein loss; the VAE is told the modality.",
        "From latent: the latent means of two persons' visible images, mixed with a ratio from U(0, 1), made into both "
        "modalities.",
        "Published, SYSU-MM01 (MD real / latent, FID real / latent): CycleGAN 0.52 / -, 9.9 / -; StarGAN 0.55 / -, 9.5 / -; "
        "VAE 0.64 / 0.69, 9.6 / 8.9; JSIA-ReID 0.41 / 0.56, 7.5 / 8.2.",
    ]


def _show(rows: dict[str, Consistency], notes: list[str]) -> None:
    table = Table(title="Identity and distribution consistency (smaller is better)")
    table.add_column("generator")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for name, row in rows.items():
        values = (getattr(row, key) for key in COLUMNS)
        table.add_row(name, *("-" if value is None else f"{value:.3f}" for value in values))
    console.print(table)
    for note in notes:
        console.print(note, markup=False)


def _draw(path: Path, made: dict[str, Made], real: ImagePair, per_person: int) -> None:
    """Fig. 6: three persons, what is real and what each generator has made of it, from the images that were scored."""
    from crossreid.visualization import picture_grid, save  # noqa: PLC0415 - extra `viz`

    rows = {"real visible": real.visible, "real infrared": real.infrared}
    for name, (fakes, _) in made.items():
        rows |= {f"{name} infrared": fakes.infrared, f"{name} visible": fakes.visible}
    save(picture_grid({name: images[: 3 * per_person].cpu() for name, images in rows.items()}, per_person), path)


if __name__ == "__main__":
    main()
