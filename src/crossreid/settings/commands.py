"""Settings of the commands besides ``crossreid.train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError
from crossreid.settings.calibration import CalibrateConfig
from crossreid.settings.exporting import ExportConfig
from crossreid.settings.extraction import ExtractConfig
from crossreid.settings.fields import LARGEST_SEED, REQUIRED, Settings, setting
from crossreid.settings.figures import CorrespondenceConfig
from crossreid.settings.foreign import CompareEmbeddingsConfig, ForeignConfig
from crossreid.settings.galleries import IndexConfig, SearchConfig
from crossreid.settings.importing import ExportWeightsConfig, ImportWeightsConfig
from crossreid.settings.protocol import NO_PROTOCOL, TrainedProtocolConfig
from crossreid.settings.run import ReportConfig, TrainerConfig
from crossreid.settings.web import DemoConfig, ServeConfig

GENERATORS = {"cyclegan": "CycleGAN", "stargan": "StarGAN", "vae": "VAE"}
"""Generators that JSIA-ReID's Table 4 compares with: setting -> name."""
FIGURE_NAMES = (
    "pictures",
    "correspondences",
    "ranked_lists",
    "activation",
    "tsne",
    "pca",
    "similarities",
    "cameras",
    "cmc",
    "learning",
)
"""Figures of a trained method."""
_PERSONS = 7
"""In figures with a marker shape for each."""
METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")


@dataclass
class ScoringConfig(Settings):
    """What commands that score a checkpoint have in common."""

    people: Any = setting(None, "sizes of the embedded sets, chosen by people=NAME")
    plugins: list[str] = setting([], "packages to import first, for methods and datasets of one's own", distinct=True)
    data: Any = setting(REQUIRED, "the dataset; trained: the one of training")
    protocol: Any = setting(REQUIRED, "how it is scored; auto: as in training")
    trainer: TrainerConfig = setting(TrainerConfig(), "where it runs")


@dataclass
class EvaluateConfig(ForeignConfig, ScoringConfig):
    """Everything ``crossreid.evaluate`` is told; exactly one of ``checkpoint`` and ``embeddings``."""

    checkpoint: str | None = setting(None, "a checkpoint of crossreid.train; it knows its method, data and settings")
    embeddings: str | None = setting(
        None,
        "features from anywhere: an .npz, .mat or .parquet of features (N, D), pids, camids (1-based), frames (0-based), an "
        ".npy with a list beside it, or a folder of such files or of those of public codes",
    )
    output: str | None = setting(
        None,
        "the JSON to write; null: NAME.evaluation.json beside what is scored, numbered where others wrote it",
    )
    save_embeddings: str | None = setting(None, "an .npz to keep the embeddings in")
    report: ReportConfig = setting(ReportConfig(), "what is scored and drawn")

    def check_together(self, place: str) -> None:
        """One thing is scored."""
        if (self.checkpoint is None) == (self.embeddings is None):
            raise ConfigError("Name what to score: either checkpoint=FILE.ckpt or embeddings=FILE.npz.")
        if self.embeddings and isinstance(self.protocol, TrainedProtocolConfig):
            raise ConfigError(NO_PROTOCOL)
        if self.checkpoint and (self.query_modality or self.test_ids):
            raise ConfigError("query_modality and test_ids go with embeddings=: a checkpoint's dataset says both.")


@dataclass
class CheckConfig(Settings):
    """Everything ``crossreid.check`` is told."""

    output: str | None = setting(None, "a JSON file for the findings")
    progress: bool = setting(True, "show a progress bar")
    people: Any = setting(None, "sizes of the embedded sets, chosen by people=NAME")
    plugins: list[str] = setting([], "packages to import first, for datasets of one's own", distinct=True)
    data: Any = setting(REQUIRED, "the dataset")
    protocol: Any = setting(REQUIRED, "whose probes and galleries are counted")


@dataclass
class AuxiliaryConfig(ScoringConfig):
    """Everything ``crossreid.auxiliary`` is told."""

    checkpoint: str = setting(REQUIRED, "a checkpoint of crossreid.train model=cmssft")
    sizes: list[int] = setting(
        [1, 4, 10, 50, 100, 200, 300, 500, 1000, 2000],
        "queries in a group; sizes above all queries are left out, all are added",
        at_least=1,
        ceiling=1_000_000_000,
        filled=True,
    )
    output: str | None = setting(
        None,
        "the JSON to write; null: NAME.auxiliary.json beside the checkpoint, numbered where others wrote it",
    )
    figure: bool = setting(True, "draw a PNG beside the JSON")


@dataclass
class VisualizeConfig(ScoringConfig):
    """Everything ``crossreid.visualize`` is told."""

    checkpoint: str = setting(REQUIRED, "a run folder, or a checkpoint of crossreid.train")
    images: str | None = setting(
        None,
        "one's own images, whose persons nobody needs to know: a folder, a glob, a list or a manifest; null: the dataset",
    )
    modality: str | None = setting(
        None,
        "of images=; auto: grey ones are infrared; null: a column modality or a folder visible or infrared says it",
        choices=("visible", "infrared", "auto"),
    )
    figures: list[str] | None = setting(
        None,
        "which figures; list: say which the method has; null: all that it has",
        choices=(*FIGURE_NAMES, "list"),
        filled=True,
        distinct=True,
    )
    queries: str = setting("even", "probes of ranked lists and activation maps", choices=("even", "worst", "best"))
    count: int = setting(6, "ranked lists, and pairs of activation maps", at_least=1, at_most=100)
    persons: int = setting(_PERSONS, "persons in t-SNE and PCA, one marker shape each", at_least=1, at_most=10)
    training: bool = setting(True, "training persons beside test persons, where a figure can show both")
    correspondences: CorrespondenceConfig = setting(CorrespondenceConfig(), "matches between two images (LbA)")
    output: str | None = setting(
        None, "folder of the PNGs; null: figures_NAME beside the checkpoint, numbered where others wrote it"
    )

    def check_together(self, place: str) -> None:
        """The modality is said of images of one's own, and nothing of them that only a dataset knows."""
        if self.images is None:
            if self.modality is not None:
                raise ConfigError("modality goes with images=: a dataset says its own.")
            return
        if self.queries != "even":
            raise ConfigError(f"queries={self.queries} needs to know whom images show: leave it out with images=.")
        if self.persons != _PERSONS:
            raise ConfigError(f"persons={self.persons} needs to know whom images show: leave it out with images=.")
        if not self.training:
            raise ConfigError(
                "training=false leaves a dataset's training persons out, and images= has none: leave it out."
            )


@dataclass
class CostConfig(Settings):
    """Everything ``crossreid.cost`` is told."""

    models: list[str] | None = setting(None, "names of methods; null: all", filled=True, distinct=True)
    people: Any = setting(None, "follows from the scale; no image of theirs is needed")
    plugins: list[str] = setting([], "packages to import first, for methods of one's own", distinct=True)
    backbones: list[str] = setting(
        [],
        "encoders that each of models is measured with, by model.backbone.name; none: each one's own",
        distinct=True,
    )
    last_stride: int | None = setting(
        None, "stride of the last stage of backbones; null: each method's own", choices=(1, 2)
    )
    size: list[int] | None = setting(
        [288, 144],
        "height and width of the images of every method and inside its network; null: each one's own",
        unit="pixels",
        length=2,
        at_least=1,
        ceiling=4096,
    )
    batches: list[int] = setting([1, 64], "images at a time", at_least=1, ceiling=100_000, filled=True, distinct=True)
    warmup: int = setting(10, "runs that are not timed", at_least=0, ceiling=1_000_000)
    runs: int = setting(50, "timed runs, averaged", at_least=1, ceiling=1_000_000)
    accelerator: str = setting("auto", "where to measure", choices=("auto", "cpu", "gpu"))
    keep_memory: bool = setting(True, "keep freed memory instead of giving it back (glibc only)")
    output: str = setting("cost.json", "the JSON to write")

    def check_together(self, place: str) -> None:
        """The stride is that of encoders which are named."""
        if self.last_stride is not None and not self.backbones:
            raise ConfigError(
                f"last_stride={self.last_stride} is of backbones, and none are named: name some, or leave it out."
            )


@dataclass
class ComparisonConfig(Settings):
    """Everything ``crossreid.report`` is told."""

    runs: Any = setting(REQUIRED, "a folder that holds run folders at any depth, or a list of them")
    output: str | None = setting(
        None,
        "folder of comparison.html, .md, .csv, .json and .png; null: report/ inside the first of runs,"
        " numbered where others wrote it",
    )
    metrics: list[str] = setting(
        ["rank1", "mAP", "mINP"],
        "columns; the first one is also shown by seed",
        choices=METRICS,
        filled=True,
        distinct=True,
    )
    seeds: list[int] | None = setting(
        None,
        "that every row should have; null: all that were seen, or that a sweep was told to run",
        filled=True,
        at_least=0,
        ceiling=LARGEST_SEED,
    )
    rows: list[str] | None = setting(
        None, "names of runs that should be there, such as [lba/full, jsia/full]; null: as seeds", filled=True
    )
    untrained: bool = setting(False, "rows of the networks before training too")
    bootstrap: int = setting(2000, "resamples of persons for the 95 % intervals", at_least=100, ceiling=1_000_000)
    seed: int = setting(0, "of the resamples", at_least=0, ceiling=LARGEST_SEED)
    figure: bool = setting(True, "draw comparison.png")

    def folders(self) -> list[Path]:
        """``runs`` as paths.

        Raises:
            ConfigError: it names none.
        """
        names = self.runs
        if not isinstance(names, list):
            names = [names]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ConfigError("runs is a folder or a list of folders that hold runs, such as runs=multirun/comparison.")
        return list(map(Path, names))


@dataclass
class DashboardConfig(Settings):
    """Everything ``crossreid.dashboard`` is told."""

    project: str = setting("crossreid", "W&B project, as logger.project of the runs")
    entity: str | None = setting(None, "W&B user or team; null: your default")
    name: str = setting("crossreid: methods side by side", "of the workspace and the report")
    protocols: list[str] = setting(
        ["sysu_mm01/all/single", "sysu_mm01/indoor/single"],
        "keys whose scores are shown, as tables print them",
        filled=True,
        distinct=True,
    )
    players: list[str] | None = setting(None, "whose losses are shown; null: all of the methods here", distinct=True)
    plugins: list[str] = setting([], "packages to import first, for methods of one's own", distinct=True)
    output: str | None = setting(None, "write what would be sent into this JSON, and send nothing")


@dataclass
class GeneratorSizes(Settings):
    """Widths and depths of the compared generators, and their Adam."""

    channels: int = setting(
        16, "width of generators and discriminators after the first convolution", at_least=1, ceiling=16_384
    )
    blocks: int = setting(2, "residual blocks of CycleGAN's and StarGAN's generators", at_least=1, ceiling=100)
    layers: int = setting(3, "strided convolutions of discriminators and of the VAE", at_least=1, ceiling=10)
    latent: int = setting(64, "length of the VAE's latent vector", at_least=1, ceiling=16_384)
    lr: float = setting(1e-3, "Adam's learning rate", above=0, ceiling=100)


@dataclass
class JudgeConfig(Settings):
    """The fixed re-ID network whose features distances are taken in."""

    checkpoint: str | None = setting(
        None, "a checkpoint of crossreid.train, any method, another run; null: train one on real images"
    )
    weights: str | None = setting(
        None, "what that training starts from: imagenet, random, a state-dict file; null: as the run did"
    )
    iterations: int = setting(300, "of that training", at_least=1, ceiling=1_000_000_000)
    lr: float = setting(7e-4, "its Adam's learning rate", above=0, ceiling=100)


@dataclass
class ImageQualityConfig(Settings):
    """Everything ``crossreid.image_quality`` is told."""

    checkpoint: str = setting(REQUIRED, "a checkpoint of crossreid.train model=jsia; its data and image size are used")
    output: str | None = setting(
        None,
        "folder of image_quality.json and .png; null: image_quality beside the checkpoint,"
        " numbered where others wrote it",
    )
    plugins: list[str] = setting([], "packages to import first, for methods and datasets of one's own", distinct=True)
    data: Any = setting(REQUIRED, "where the dataset lies now")
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    keep_memory: bool = setting(True, "keep freed memory instead of giving it back (glibc only)")
    seed: int = setting(0, "of weights, batches, mixtures", at_least=0, ceiling=LARGEST_SEED)
    progress: bool = setting(True, "show progress")
    figure: bool = setting(True, "draw the grid of images (needs matplotlib)")
    baselines: list[str] = setting(
        list(GENERATORS),
        "generators to train on the same images and compare with",
        choices=tuple(GENERATORS),
        distinct=True,
    )
    iterations: int = setting(300, "of training, each", at_least=1, ceiling=1_000_000_000)
    generator: GeneratorSizes = setting(GeneratorSizes(), "their sizes")
    judge: JudgeConfig = setting(JudgeConfig(), "the fixed re-ID network")
    images: int = setting(5, "pairs a test person to score", at_least=1, ceiling=10_000)
    fid: str = setting(
        "judge", "features of the FID; inception needs torch-fidelity and a download", choices=("judge", "inception")
    )


COMMANDS: dict[str, type[Settings]] = {
    "evaluate": EvaluateConfig,
    "check": CheckConfig,
    "auxiliary": AuxiliaryConfig,
    "visualize": VisualizeConfig,
    "cost": CostConfig,
    "report": ComparisonConfig,
    "image_quality": ImageQualityConfig,
    "dashboard": DashboardConfig,
    "extract": ExtractConfig,
    "index": IndexConfig,
    "search": SearchConfig,
    "compare_embeddings": CompareEmbeddingsConfig,
    "calibrate": CalibrateConfig,
    "export": ExportConfig,
    "import_weights": ImportWeightsConfig,
    "export_weights": ExportWeightsConfig,
    "serve": ServeConfig,
    "demo": DemoConfig,
}
"""Command -> its settings; those of ``train`` are :class:`~crossreid.settings.run.TrainConfig`."""
