"""Settings of TS-GAN; the presets fill in what the paper leaves open."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from crossreid.data.records import MODALITIES
from crossreid.errors import ConfigError
from crossreid.methods.base import MethodConfig
from crossreid.methods.tsgan.losses import GAN_LOSSES, REDUCTIONS
from crossreid.methods.tsgan.networks import NECKS
from crossreid.nn.backbones import BackboneConfig

PHASES = ("teacher", "gan", "joint")
DISCRIMINATORS = ("joint", "ordinary")
MAPS = ("layer4", "layer3")
TEACHING = ("cross_domain", "real_ir", "fake_ir")


@dataclass
class GeneratorConfig:
    """G_I and G_R, as in CycleGAN.

    Attributes:
        channels: width after the first convolution.
        blocks: residual blocks.
    """

    channels: int = 64
    blocks: int = 6


@dataclass
class DiscriminatorConfig:
    """All discriminators.

    Attributes:
        channels: width of the first layer.
        patch_layers: convolutions of D_R and the ordinary D_I before their output; 4 look at 70x70 patches.
        image_layers: strided convolutions of the joint D_I's image branch; 4 meet the map at a sixteenth of the image.
        feature_channels: channels that the joint D_I reduces the feature map to.
    """

    channels: int = 64
    patch_layers: int = 4
    image_layers: int = 4
    feature_channels: int = 128


@dataclass
class ReIDOptimizerConfig:
    """Adam of student and teacher (sec. IV-B).

    Attributes:
        lr: learning rate.
        weight_decay: L2 weight, of biases too.
    """

    lr: float = 3.5e-4
    weight_decay: float = 5e-4

    def make(self, network: nn.Module) -> Adam:
        """The optimizer of one network."""
        return Adam(network.parameters(), lr=self.lr, weight_decay=self.weight_decay)


@dataclass
class ReIDScheduleConfig:
    """Learning rates of student or teacher: a linear warm-up, then a cut at each step (sec. IV-B).

    Attributes:
        warmup: iterations of the phase until the full rate.
        start: share of the full rate at the first iteration.
        steps: iterations of the phase at which the rate is cut.
        factor: of a cut.
    """

    warmup: int = 6960
    start: float = 0.1
    steps: list[int] = field(default_factory=lambda: [27840, 48720])
    factor: float = 0.3

    def check(self) -> None:
        """Raise :class:`ConfigError` for iterations and factors that cannot be."""
        if self.warmup < 0 or not 0 < self.start <= 1 or self.factor <= 0 or min([1, *self.steps]) < 0:
            raise ConfigError(
                "A schedule of TS-GAN takes 0 or more iterations of warm-up from a share in (0, 1], steps and a factor "
                f"above 0, not {self.warmup}, {self.start}, {self.steps} and {self.factor}."
            )

    def share(self, iteration: int) -> float:
        """Share of the full rate in an iteration of the phase, counted from 0."""
        rise = min(1.0, iteration / self.warmup) if self.warmup else 1.0
        return float((self.start + (1 - self.start) * rise) * self.factor ** sum(iteration >= s for s in self.steps))

    def scheduler(self, optimizer: Optimizer) -> LambdaLR:
        """A schedule to be stepped once an iteration of its phase."""
        return LambdaLR(optimizer, self.share)


@dataclass
class GanOptimizerConfig:
    """Adam of generators and discriminators.

    Attributes:
        lr: learning rate.
        betas: Adam's decay rates.
        constant: share of the joint phase before the rate falls, linearly, to 0 at its end.
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    constant: float = 0.5

    def make(self, *networks: nn.Module) -> Adam:
        """The optimizer of one player."""
        parameters = [p for network in networks for p in network.parameters()]
        return Adam(parameters, lr=self.lr, betas=(self.betas[0], self.betas[1]))

    def scheduler(self, optimizer: Optimizer, iterations: int) -> LambdaLR:
        """A schedule to be stepped once an iteration of the joint phase of ``iterations``."""
        falling = (1 - self.constant) * iterations
        return LambdaLR(optimizer, lambda iteration: min(1.0, max(0.0, (iterations - iteration) / falling)))


@dataclass
class ReIDWeights:
    """Weights of the student's losses (Eq. 8).

    Attributes:
        id: lambda_1, classification (Eq. 9).
        triplet: lambda_2, batch-hard triplets (Eq. 11).
        gan: lambda_3, maps that the joint discriminator accepts (Eq. 12).
    """

    id: float = 3.0
    triplet: float = 1.0
    gan: float = 0.1


@dataclass
class TeacherWeights:
    """Weights of the teacher's losses.

    Attributes:
        id: classification.
        triplet: batch-hard triplets.
    """

    id: float = 1.0
    triplet: float = 1.0


@dataclass
class TeachingConfig:
    """The teacher-student losses (Eq. 13 to 16).

    Attributes:
        losses: ``cross_domain`` (Eq. 15), ``real_ir`` (Eq. 13), ``fake_ir`` (Eq. 14); none for no teacher.
        cross_domain: alpha_c, weight of the first.
        same_domain: alpha_s, weight of each of the others.
        reduction: ``channel_sum``, ``sample_sum`` or ``mean``.
    """

    losses: list[str] = field(default_factory=lambda: list(TEACHING))
    cross_domain: float = 0.006
    same_domain: float = 0.003
    reduction: str = "channel_sum"

    def weight(self, name: str) -> float:
        """Weight of one of the losses."""
        return self.cross_domain if name == "cross_domain" else self.same_domain


@dataclass
class TSGANConfig(MethodConfig):
    """Settings of TS-GAN and the rows of its Tables II and III.

    Attributes:
        crop_padding: pixels of black around an image before a random crop, 0 for none.
        backbone: student and teacher.
        neck: ``bnneck``, or ``none``: V straight into the classifier.
        optimizer: Adam of student and teacher, one each.
        schedule: of the student's learning rate, in iterations of the phase ``joint``.
        teacher_schedule: of the teacher's, in iterations of the phase ``teacher``.
        generation: fake images and what belongs to them; off in the row Backbone.
        discriminator: D_I judges images with feature maps (``joint``) or images alone (``ordinary``).
        map_for_d: the student's map that the joint D_I is shown: ``layer4`` (latter encoder) or ``layer3`` (former).
        gan_loss: ``bce`` (cross-entropy, non-saturating) or ``lsgan`` (least squares).
        reid: weights of the student's losses.
        teacher: weights of the teacher's losses.
        teaching: the teacher-student losses.
        cycle: omega, weight of cycle consistency (Eq. 7), on L1 means.
        label_smoothing: epsilon (Eq. 10), in [0, 1).
        margin: of the triplets, in Euclidean distance.
        single_modality: Table III: train the teacher's network alone, on ``infrared`` or ``visible`` images, and score it.
    """

    crop_padding: int = 10
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    neck: str = "bnneck"
    optimizer: ReIDOptimizerConfig = field(default_factory=ReIDOptimizerConfig)
    schedule: ReIDScheduleConfig = field(default_factory=ReIDScheduleConfig)
    teacher_schedule: ReIDScheduleConfig = field(default_factory=ReIDScheduleConfig)
    generation: bool = True
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: str = "joint"
    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    map_for_d: str = "layer4"
    gan_optimizer: GanOptimizerConfig = field(default_factory=GanOptimizerConfig)
    gan_loss: str = "bce"
    reid: ReIDWeights = field(default_factory=ReIDWeights)
    teacher: TeacherWeights = field(default_factory=TeacherWeights)
    teaching: TeachingConfig = field(default_factory=TeachingConfig)
    cycle: float = 10.0
    label_smoothing: float = 0.1
    margin: float = 0.3
    single_modality: str | None = None

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

    def active_phases(self) -> dict[str, int]:
        """A row has the phases of its parts."""
        has = {"teacher": self.has_teacher, "gan": self.generates, "joint": self.has_student}
        return {name: length for name, length in super().active_phases().items() if has[name]}

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        if tuple(self.phases) != PHASES:
            raise ConfigError(f"TS-GAN's phases are {', '.join(PHASES)}, not {', '.join(self.phases)}.")
        super().check()
        self.backbone.check()
        self.schedule.check()
        self.teacher_schedule.check()
        if set(self.streams) != {"identity"}:
            raise ConfigError(f"TS-GAN has one stream, identity, not {', '.join(self.streams)}.")
        self._check_choices()
        self._check_numbers()
        if self.has_teacher and not self.phases["teacher"]:
            raise ConfigError("An untrained teacher has nothing to teach: give model.phases.teacher iterations.")
        if self.has_student and not self.phases["joint"]:
            raise ConfigError("The student is trained in the joint phase: give model.phases.joint iterations.")
        if not self.generation and set(self.teaching.losses) - {"real_ir"}:
            raise ConfigError(
                "The losses cross_domain and fake_ir need fake images: set model.generation=true or "
                "model.teaching.losses to [] or [real_ir]."
            )
        if self.generates:
            self._check_sizes()

    def _check_choices(self) -> None:
        for key, value, allowed in (
            ("neck", self.neck, NECKS),
            ("discriminator", self.discriminator, DISCRIMINATORS),
            ("map_for_d", self.map_for_d, MAPS),
            ("gan_loss", self.gan_loss, tuple(GAN_LOSSES)),
            ("teaching.reduction", self.teaching.reduction, REDUCTIONS),
            ("single_modality", self.single_modality, (None, *MODALITIES)),
        ):
            if value not in allowed:
                choices = ", ".join("null" if choice is None else choice for choice in allowed)
                raise ConfigError(f"model.{key} is '{value}': choose from {choices}.")
        if len(set(self.teaching.losses)) < len(self.teaching.losses) or not set(self.teaching.losses) <= set(TEACHING):
            raise ConfigError(f"model.teaching.losses lists {', '.join(TEACHING)}, each at most once.")

    def _check_numbers(self) -> None:
        weights = [*vars(self.reid).values(), *vars(self.teacher).values(), self.cycle, self.margin, self.crop_padding]
        if min(*weights, self.teaching.cross_domain, self.teaching.same_domain) < 0:
            raise ConfigError("The weights, model.margin and model.crop_padding of TS-GAN are 0 or more.")
        if not (self.reid.id or self.reid.triplet) or not (self.teacher.id or self.teacher.triplet):
            raise ConfigError(
                "Student and teacher learn identities: give model.reid and model.teacher an id or triplet."
            )
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.gan_optimizer.constant < 1:
            raise ConfigError("model.label_smoothing and model.gan_optimizer.constant are in [0, 1).")

    def _check_sizes(self) -> None:
        stream, layers = self.streams["identity"], self.discriminators
        if stream.height % 4 or stream.width % 4:
            raise ConfigError("TS-GAN's generators halve images twice: height and width must be multiples of 4.")
        least = max(3 << (layers.patch_layers - 1), 2 << layers.image_layers)
        if min(stream.height, stream.width) < least:
            raise ConfigError(
                f"The discriminators need images of at least {least} pixels a side, which {stream.height}x{stream.width} "
                "are not: raise the size of model.streams.identity or lower the layers of model.discriminators."
            )
