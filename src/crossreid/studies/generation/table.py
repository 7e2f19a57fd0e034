"""Table 4 of JSIA-ReID: a row for each generator, and what differs from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.table import Table
from torch import Tensor

from crossreid.console import console
from crossreid.errors import ConfigError
from crossreid.settings.commands import ImageQualityConfig
from crossreid.studies.generation.consistency import Consistency, identity_distance
from crossreid.studies.generation.pairs import GeneratedImages, ImagePair
from crossreid.studies.generation.study import INCEPTION, Judge, Study

REAL = "real visible and infrared of one person"
COLUMNS = {
    "identity_real": "MD, from real",
    "identity_latent": "MD, from latent",
    "distribution_real": "FID, from real",
    "distribution_latent": "FID, from latent",
}


@dataclass(frozen=True)
class GeneratorTable:
    """What the table holds.

    Attributes:
        rows: generator -> its consistency; :data:`REAL` is the yardstick.
        notes: what differs from the paper.
        images: generator -> the images that were scored.
        real: the real images that they were made from.
    """

    rows: Mapping[str, Consistency]
    notes: list[str]
    images: Mapping[str, GeneratedImages]
    real: ImagePair

    def pictures(self, persons: int, per_person: int) -> dict[str, Tensor]:
        """Fig. 6: some persons, what is real and what each generator has made of it; rows (B, 3, H, W) in [0, 1]."""
        rows = {"real visible": self.real.visible, "real infrared": self.real.infrared}
        for name, (fakes, _) in self.images.items():
            rows[f"{name} infrared"] = fakes.infrared
            rows[f"{name} visible"] = fakes.visible
        count = persons * per_person
        return {name: images[:count].cpu() for name, images in rows.items()}


def check_packages(config: ImageQualityConfig) -> None:
    """Raise :class:`ConfigError` for packages that are asked for and not installed."""
    if config.fid == "inception" and find_spec("torch_fidelity") is None:
        raise ConfigError("fid=inception needs torch-fidelity: pip install torch-fidelity, or choose fid=judge.")
    weights = config.judge.weights
    if weights not in (None, "random", "imagenet") and not Path(weights).is_file():
        raise ConfigError(f"There is no weights file '{weights}': set judge.weights to 'imagenet', 'random' or a file.")
    if config.figure and find_spec("matplotlib") is None:
        raise ConfigError("The figure needs matplotlib: pip install 'crossreid[viz]', or set figure=false.")


def compare_generators(config: ImageQualityConfig) -> GeneratorTable:
    """Train the generators and the judge, make images of test persons, score them.

    Raises:
        CrossReIDError: in one sentence, what went wrong.
    """
    check_packages(config)
    study = Study.open(config)
    judge = study.judge()
    real = study.real_images()
    images: dict[str, GeneratedImages] = {}
    rows: dict[str, Consistency] = {}
    for name, generator in study.generators().items():
        images[name] = study.make(generator, real)
        rows[name] = study.score(images[name], judge, real)
    # The yardstick: how far apart real images of one person are.
    rows[REAL] = Consistency(identity_real=identity_distance(judge.features, real.visible, real.infrared))
    return GeneratorTable(rows, _notes(config, study, judge, len(real.visible)), images, real)


def _notes(config: ImageQualityConfig, study: Study, judge: Judge, images: int) -> list[str]:
    """What differs from the paper."""
    stream = study.settings.streams["gan"]
    layer = f"{INCEPTION} Inception features"
    if config.fid == "judge":
        layer = f"that network's {judge.features.num_features} features"
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


def show(generators: GeneratorTable) -> None:
    """Print the table and its notes."""
    table = Table(title="Identity and distribution consistency (smaller is better)")
    table.add_column("generator")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for name, row in generators.rows.items():
        cells = []
        for key in COLUMNS:
            value = getattr(row, key)
            if value is None:
                cells.append("-")
            else:
                cells.append(f"{value:.3f}")
        table.add_row(name, *cells)
    console.print(table)
    for note in generators.notes:
        console.print(note)
