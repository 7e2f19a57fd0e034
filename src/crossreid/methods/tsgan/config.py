"""Settings of TS-GAN: the defaults are what the paper prints, and what its relatives' code has where it prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import StreamConfig, streams
from crossreid.settings.fields import Settings, setting
from crossreid.settings.method import MethodConfig
from crossreid.settings.networks import BackboneConfig, upsampling
from crossreid.settings.optimization import AdamConfig

PHASES = ("teacher", "gan", "joint")
TEACHING = ("cross_domain", "real_ir", "fake_ir")


@dataclass
class TSGANGeneratorConfig(Settings):
    """G_I and G_R, as in CycleGAN."""

    channels: int = setting(64, "width after the first convolution", at_least=1, ceiling=16_384)
    blocks: int = setting(6, "residual blocks", at_least=0, ceiling=100)
    upsampling: str = upsampling()
    grey: bool = setting(False, "G_I makes one channel, which stands in all three, as in infrared images")


@dataclass
class TSGANDiscriminatorConfig(Settings):
    """All discriminators."""

    channels: int = setting(64, "width of the first layer", at_least=1, ceiling=16_384)
    patch_layers: int = setting(
        4,
        "convolutions of D_R and the ordinary D_I before their output; 4 look at patches of 70x70",
        at_least=1,
        ceiling=10,
    )
    image_layers: int = setting(
        4,
        "strided convolutions of the joint D_I's image branch; 4 meet the map at a sixteenth of the image",
        at_least=1,
        ceiling=10,
    )
    feature_channels: int = setting(
        128, "channels that the joint D_I reduces the feature map to", at_least=1, ceiling=16_384
    )


@dataclass
class TSGANScheduleConfig(Settings):
    """Learning rate of student or teacher: a linear warm-up, then a cut at each step (sec. IV-B)."""

    passes: int = setting(120, "equal parts that the phase is counted in", at_least=1, ceiling=1_000_000)
    warmup: int = setting(
        10, "until the full rate, rising every iteration", unit="passes", at_least=0, ceiling=1_000_000
    )
    start: float = setting(0.1, "share of the full rate at the first iteration", above=0, at_most=1)
    steps: list[int] = setting(
        [40, 70], "where the rate is cut", unit="passes", at_least=0, ceiling=1_000_000, ascending=True
    )
    factor: float = setting(0.3, "of a cut", above=0, at_most=1)

    def iterations(self, passes: int, length: int) -> int:
        """Passes as iterations of a phase of ``length`` iterations."""
        return round(passes * length / self.passes)

    def share(self, iteration: int, length: int) -> float:
        """Share of the full rate in an iteration, counted from 0, of a phase of ``length`` iterations."""
        warmup = self.iterations(self.warmup, length)
        rise = min(1.0, iteration / warmup) if warmup else 1.0
        cuts = sum(iteration >= self.iterations(step, length) for step in self.steps)
        return float((self.start + (1 - self.start) * rise) * self.factor**cuts)


@dataclass
class FallingAdamConfig(AdamConfig):
    """An Adam optimizer whose rate falls to 0 at the end of its phase."""

    constant: float = setting(
        0.5, "share of the joint phase before the rate falls, linearly, to 0 at its end", at_least=0, below=1
    )

    def share(self, iteration: int, length: int) -> float:
        """Share of the full rate in an iteration, counted from 0, of a phase of ``length`` iterations."""
        falling = (1 - self.constant) * length
        return min(1.0, max(0.0, (length - iteration) / falling))


@dataclass
class ReIDWeights(Settings):
    """Weights of the student's losses (Eq. 8)."""

    id: float = setting(3.0, "lambda_1, classification (Eq. 9)", at_least=0, ceiling=1e6)
    triplet: float = setting(1.0, "lambda_2, batch-hard triplets (Eq. 11)", at_least=0, ceiling=1e6)
    gan: float = setting(0.1, "lambda_3, maps that the joint discriminator accepts (Eq. 12)", at_least=0, ceiling=1e6)


@dataclass
class TeacherWeights(Settings):
    """Weights of the teacher's losses; the paper gives none."""

    id: float = setting(1.0, "classification", at_least=0, ceiling=1e6)
    triplet: float = setting(1.0, "batch-hard triplets", at_least=0, ceiling=1e6)


@dataclass
class TeachingConfig(Settings):
    """The teacher-student losses (Eq. 13 to 16)."""

    losses: list[str] = setting(
        list(TEACHING),
        "cross_domain (Eq. 15), real_ir (Eq. 13), fake_ir (Eq. 14); [] for no teacher",
        choices=TEACHING,
        distinct=True,
    )
    cross_domain: float = setting(0.006, "alpha_c, weight of the first", at_least=0, ceiling=1e6)
    same_domain: float = setting(0.003, "alpha_s, weight of each of the others", at_least=0, ceiling=1e6)
    reduction: str = setting(
        "channel_sum",
        "of the squared distance of two maps: over the channels at a position, mean over positions and images "
        "(channel_sum); over a map, mean over images (sample_sum, the formula to the letter); or mean over everything (mean)",
        choices=("channel_sum", "sample_sum", "mean"),
    )

    def weight(self, name: str) -> float:
        """Weight of one of the losses."""
        return self.cross_domain if name == "cross_domain" else self.same_domain


@dataclass
class TSGANConfig(MethodConfig):
    """Settings of TS-GAN and the rows of its Tables II and III."""

    name: ClassVar[str] = "tsgan"
    module: ClassVar[str] = "crossreid.methods.tsgan.module:TSGAN"
    resnet_because: ClassVar[str] = "compares maps of two stages"
    recomputable: ClassVar[tuple[str, ...]] = ("encoder", "generators")

    streams: dict[str, StreamConfig] = streams(identity=(8, 4, 256, 128))
    epochs: dict[str, float] = setting(
        {"teacher": 65, "gan": 0, "joint": 120},
        "length of the teacher's phase (SYSU-MM01 has fewer infrared images than visible ones, and shows them some 120 times "
        "in 65 epochs), of the generators' warm-up (0: Algorithm 1 from the first iteration), and of Algorithm 1",
        unit="epochs",
        at_least=0,
        ceiling=100_000,
    )
    crop_padding: int = setting(
        10, "black around an image before a random crop, 0 for none", unit="pixels", at_least=0, ceiling=1000
    )
    backbone: BackboneConfig = setting(BackboneConfig(size=[256, 128]), "of student and teacher")
    neck: str = setting(
        "bnneck",
        "between V and the classifier: a batch norm (bnneck), or nothing (none)",
        choices=("bnneck", "none"),
    )
    optimizer: AdamConfig = setting(
        AdamConfig(lr=3.5e-4, betas=[0.9, 0.999], weight_decay=5e-4),
        "Adam of student and teacher, one each (sec. IV-B); its weight decay is that of biases too",
    )
    schedule: TSGANScheduleConfig = setting(
        TSGANScheduleConfig(), "of the student's rate, in the phase joint: passes 10, 40, 70 of 120 as printed"
    )
    teacher_schedule: TSGANScheduleConfig = setting(
        TSGANScheduleConfig(start=0.01, factor=0.1), "of the teacher's rate, in the phase teacher"
    )
    generation: bool = setting(True, "fake images and what belongs to them (off: the row Backbone)")
    generator: TSGANGeneratorConfig = setting(TSGANGeneratorConfig(), "G_I and G_R")
    discriminator: str = setting(
        "joint",
        "D_I judges images with feature maps (joint) or images alone (ordinary)",
        choices=("joint", "ordinary"),
    )
    discriminators: TSGANDiscriminatorConfig = setting(TSGANDiscriminatorConfig(), "all discriminators")
    map_for_d: str = setting(
        "layer4",
        "the student's map that the joint D_I is shown: of the latter (layer4) or the former (layer3) encoder",
        choices=("layer4", "layer3"),
    )
    gan_optimizer: FallingAdamConfig = setting(
        FallingAdamConfig(betas=[0.5, 0.999]), "Adam of generators and discriminators"
    )
    gan_loss: str = setting(
        "bce",
        "cross-entropy, non-saturating (bce: Eq. 1 to 4 and 12 have logarithms), or least squares (lsgan)",
        choices=("bce", "lsgan"),
    )
    reid: ReIDWeights = setting(ReIDWeights(), "weights of the student's losses (Eq. 8)")
    teacher: TeacherWeights = setting(TeacherWeights(), "weights of the teacher's losses")
    teaching: TeachingConfig = setting(TeachingConfig(), "teacher-student losses (Eq. 13 to 16)")
    cycle: float = setting(10.0, "omega, weight of cycle consistency (Eq. 7), on L1 means", at_least=0, ceiling=1e6)
    label_smoothing: float = setting(0.1, "epsilon (Eq. 10)", at_least=0, below=1)
    margin: float = setting(0.3, "of the triplets, in Euclidean distance", at_least=0, ceiling=1000)
    single_modality: str | None = setting(
        None,
        "Table III: train the teacher's network alone, on infrared or visible images, and score it; null: the whole method",
        choices=("visible", "infrared"),
    )

    test_feature: str = setting(
        "pooled",
        "what retrieval compares: V as pooled (the paper), or after the neck's batch norm",
        choices=("pooled", "neck"),
    )

    @property
    def has_student(self) -> bool:
        """There is a student, and not the network of Table III alone."""
        return self.single_modality is None

    @property
    def has_teacher(self) -> bool:
        """There is a teacher, which a single-modality network is too."""
        return bool(self.teaching.losses) or not self.has_student

    @property
    def generates(self) -> bool:
        """There are generators and discriminators."""
        return self.generation and self.has_student

    @property
    def active_epochs(self) -> dict[str, float]:
        """Lengths of the phases that this row has, in epochs: a row has the phases of its parts."""
        needed = {"teacher": self.has_teacher, "gan": self.generates, "joint": self.has_student}
        return {phase: epochs for phase, epochs in self.epochs.items() if epochs and needed[phase]}

    @property
    def epochs_of_training(self) -> int:
        """Epochs of all phases together."""
        return round(sum(self.active_epochs.values()))

    def phase_lengths(self) -> dict[str, int]:
        """``epochs`` as iterations."""
        epoch = self.known_epoch()
        return {phase: round(epochs * epoch) for phase, epochs in self.epochs.items()}

    def active_phases(self) -> dict[str, int]:
        """``active_epochs`` as iterations."""
        lengths = self.phase_lengths()
        return {phase: lengths[phase] for phase in self.active_epochs}

    def check_together(self, place: str) -> None:
        """Phases are these three, every part has something to learn from, and the networks allow images of this size."""
        if tuple(self.epochs) != PHASES:  # before anything looks phases up by name
            raise ConfigError(f"TS-GAN's phases are {', '.join(PHASES)}, not {', '.join(self.epochs)}.")
        super().check_together(place)
        if self.has_teacher and not self.epochs["teacher"]:
            raise ConfigError(f"An untrained teacher has nothing to teach: give {place}.epochs.teacher epochs.")
        if self.has_student and not self.epochs["joint"]:
            raise ConfigError(f"The student is trained in the joint phase: give {place}.epochs.joint epochs.")
        if self.test_feature == "neck" and self.neck == "none":
            raise ConfigError(f"{place}.test_feature=neck needs a neck: set {place}.neck=bnneck.")
        self._check_losses(place)
        if self.generates:
            self._check_sizes(place)

    def _check_losses(self, place: str) -> None:
        without_fakes = {"real_ir"}
        if not self.generation and not set(self.teaching.losses) <= without_fakes:
            raise ConfigError(
                f"The losses cross_domain and fake_ir need fake images: set {place}.generation=true or "
                f"{place}.teaching.losses to [] or [real_ir]."
            )
        student_learns = self.reid.id or self.reid.triplet
        teacher_learns = self.teacher.id or self.teacher.triplet
        if not student_learns or not teacher_learns:
            raise ConfigError(
                f"Student and teacher learn identities: give {place}.reid and {place}.teacher an id or triplet."
            )

    def _check_sizes(self, place: str) -> None:
        stream = self.streams["identity"]
        layers = self.discriminators
        if stream.height % 4 or stream.width % 4:
            raise ConfigError("TS-GAN's generators halve images twice: height and width must be multiples of 4.")
        least = max(3 << (layers.patch_layers - 1), 2 << layers.image_layers)
        if min(stream.height, stream.width) < least:
            raise ConfigError(
                f"The discriminators need images of at least {least} pixels a side, which {stream.height}x{stream.width} "
                f"are not: raise the size of {place}.streams.identity or lower the layers of {place}.discriminators."
            )
