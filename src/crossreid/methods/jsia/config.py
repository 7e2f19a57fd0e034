"""Settings of JSIA-ReID; the presets fill in what the journal paper prints or what the AAAI code has."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossreid.errors import ConfigError
from crossreid.methods.base import MethodConfig
from crossreid.nn.backbones import BackboneConfig
from crossreid.nn.feature_generator import DecayConfig

SET_LEVEL = ("shared", "separate", "adversarial")
LOCAL_REGIONS = ("none", "paired", "unpaired")
DIVERGENCES = ("printed", "symmetric")
CYCLE_STYLES = ("original", "reencoded")
UNSEEN_TARGETS = ("predicted", "one_hot")
UNSEEN_DIRECTIONS = ("target_first", "printed")
VARIATION_NORMS = ("mean", "plain")
NORMS = ("eval", "train")
TEST_FEATURES = ("pooled", "neck")


@dataclass
class EncoderConfig:
    """E_sl, and E_i.

    Attributes:
        gray: images are turned grey inside (authors' code).
        stem_relu: ReLU after the first convolution; the authors' code lacks it.
    """

    gray: bool = True
    stem_relu: bool = True


@dataclass
class GeneratorConfig:
    """Style encoders and decoders.

    Attributes:
        style_channels: width of a style encoder's first convolution; the later ones have twice and four times that.
        style_halvings: strided convolutions of a style encoder.
        style: length of the style vector.
        blocks: AdaIN residual blocks of a decoder.
        upsamplings: x2 steps of a decoder: generated images have 2^upsamplings / 4 of the encoder's size.
        hidden: width of the layers that turn a style into AdaIN parameters.
    """

    style_channels: int = 32
    style_halvings: int = 2
    style: int = 128
    blocks: int = 4
    upsamplings: int = 2
    hidden: int = 256


@dataclass
class DiscriminatorConfig:
    """Multi-scale discriminators, one a modality.

    Attributes:
        channels: width of the first layer, doubled by each further one.
        layers: strided convolutions at each scale.
        scales: each scale sees the image at half the size of the one before.
    """

    channels: int = 32
    layers: int = 4
    scales: int = 2


@dataclass
class VariationConfig:
    """V (sec. 3.2); the paper gives neither layers nor sizes nor weights.

    Attributes:
        channels: width of its convolutions.
        halvings: strided convolutions between map and latent.
        latent: channels of the latent; its height and width are the map's / 2^halvings.
        norms: ``mean`` reduces Eq. 10 to means (L1 of the map, squares of u and tau - 1); ``plain`` takes the norms as
            printed, per image.
        detach: V does not train the shared encoder.
        reconstruction: weight of the map's reconstruction.
        mean: weight of the penalty on u.
        deviation: weight of the penalty on tau - 1.
    """

    channels: int = 256
    halvings: int = 3
    latent: int = 32
    norms: str = "mean"
    detach: bool = True
    reconstruction: float = 1.0
    mean: float = 0.01
    deviation: float = 0.01


@dataclass
class UnseenConfig:
    """Images of unseen identities (Eq. 14, 15).

    Attributes:
        target: mix of the two images' ``predicted`` probabilities, or of their ``one_hot`` labels.
        direction: ``target_first`` is KL(target || prediction); ``printed`` is Eq. 15's KL(prediction || target).
    """

    target: str = "predicted"
    direction: str = "target_first"


@dataclass
class AdamConfig:
    """An Adam optimizer.

    Attributes:
        lr: learning rate.
        betas: decay rates.
        weight_decay: L2 weight.
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0


@dataclass
class GenerationWeights:
    """Weights of the generation module (Eq. 8), each on the sum of both modalities.

    Attributes:
        image: reconstruction of images (Eq. 4), on L1 means.
        cycle: there and back (Eq. 5), on L1 means.
        content: the content of a fake is the content it was made from (authors' code only).
        style: the style of a fake is the style it was made from (authors' code only).
        gan: adversarial (Eq. 7).
    """

    image: float = 1.0
    cycle: float = 10.0
    content: float = 0.0
    style: float = 0.0
    gan: float = 1.0


@dataclass
class JSIAConfig(MethodConfig):
    """Settings of JSIA-ReID and its ablation rows.

    Attributes:
        reid_optimizer: of E_sl, E_i, E_il and the classifiers.
        gan_optimizer: of style encoders, decoders, V and discriminators.
        set_level: E_sl is E_i (``shared``); a network of its own (``separate``: no SL); or one of its own that a modality
            discriminator aligns (``adversarial``: degraded SL).
        instance_level: KL between the predictions of paired images (IL, Eq. 11).
        local_regions: KL between stripes (LR, Eq. 12) of ``paired`` images, of ``unpaired`` real ones, or ``none``.
        unseen_ids: V, and images of mixed identities (UI).
        parts: n, horizontal stripes.
        lambda_il: weight of Eq. 11.
        lambda_lr: weight of Eq. 12.
        lambda_ui: weight of Eq. 15.
        local_id: weight of the classification of real images by the stripes' classifiers.
        lambda_modality: weight of the modality GAN where ``set_level`` is ``adversarial``.
        smoothing: label smoothing of the classification, in [0, 1).
        margin: of the triplets, in Euclidean distance.
        divergence: ``printed`` is Eq. 11's KL(infrared member || visible member); ``symmetric`` both directions summed.
        cycle_style: the way back takes the ``original`` style, or the one ``reencoded`` from the fake (Eq. 6).
        norms_in_generation: batch norms of the fixed E_i in the phase ``generation``.
        update_norms_on_gan_batches: batch-norm averages of the re-ID path follow the stream ``gan`` too.
        test_feature: V as ``pooled``, or after the classifier's batch norm (``neck``).
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    variation: VariationConfig = field(default_factory=VariationConfig)
    unseen: UnseenConfig = field(default_factory=UnseenConfig)
    reid_optimizer: AdamConfig = field(default_factory=AdamConfig)
    gan_optimizer: AdamConfig = field(default_factory=AdamConfig)
    decay: DecayConfig = field(default_factory=DecayConfig)
    generation: GenerationWeights = field(default_factory=GenerationWeights)
    set_level: str = "shared"
    instance_level: bool = True
    local_regions: str = "paired"
    unseen_ids: bool = True
    parts: int = 4
    lambda_il: float = 0.1
    lambda_lr: float = 0.1
    lambda_ui: float = 0.1
    local_id: float = 1.0
    lambda_modality: float = 0.1
    smoothing: float = 0.0
    margin: float = 0.3
    divergence: str = "printed"
    cycle_style: str = "original"
    norms_in_generation: str = "eval"
    update_norms_on_gan_batches: bool = False
    test_feature: str = "pooled"

    def check(self) -> None:
        """Raise :class:`ConfigError` in one sentence when settings cannot work together."""
        super().check()
        self.backbone.check()
        if list(self.phases) != ["generation", "joint"] or not self.phases["joint"]:
            raise ConfigError("JSIA's phases are generation and joint, and joint needs iterations: set model.phases.")
        if set(self.streams) != {"identity", "gan"}:
            raise ConfigError(f"JSIA's streams are identity and gan, not {', '.join(self.streams)}.")
        self._check_choices()
        self._check_weights()
        self._check_modules()
        self._check_sizes()

    def _check_choices(self) -> None:
        choices = {
            "set_level": (self.set_level, SET_LEVEL),
            "local_regions": (self.local_regions, LOCAL_REGIONS),
            "divergence": (self.divergence, DIVERGENCES),
            "cycle_style": (self.cycle_style, CYCLE_STYLES),
            "unseen.target": (self.unseen.target, UNSEEN_TARGETS),
            "unseen.direction": (self.unseen.direction, UNSEEN_DIRECTIONS),
            "variation.norms": (self.variation.norms, VARIATION_NORMS),
            "norms_in_generation": (self.norms_in_generation, NORMS),
            "test_feature": (self.test_feature, TEST_FEATURES),
        }
        for key, (value, allowed) in choices.items():
            if value not in allowed:
                raise ConfigError(f"model.{key} is '{value}': choose from {', '.join(allowed)}.")
        if (self.unseen.target, self.unseen.direction) == ("one_hot", "printed"):
            raise ConfigError(
                "model.unseen.direction=printed divides by the target's probabilities, which are 0 with "
                "model.unseen.target=one_hot: change one of them."
            )

    def _check_weights(self) -> None:
        weights = {
            "lambda_il": (self.lambda_il, self.instance_level, "instance_level=false"),
            "lambda_lr": (self.lambda_lr, self.local_regions != "none", "local_regions=none"),
            "lambda_ui": (self.lambda_ui, self.unseen_ids, "unseen_ids=false"),
            "lambda_modality": (self.lambda_modality, self.set_level == "adversarial", "set_level=separate"),
        }
        for key, (weight, on, switch) in weights.items():
            if on and weight <= 0:
                raise ConfigError(f"model.{key} is {weight}: give a weight above 0, or set model.{switch}.")
        if not 0 <= self.smoothing < 1 or self.margin < 0:
            raise ConfigError("model.smoothing lies in [0, 1), and model.margin is 0 or more.")

    def _check_modules(self) -> None:
        """Weights of which some may be 0, of what makes images and maps, and beside the identity losses."""
        generation, variation = self.generation, self.variation
        never_negative = {
            "lambda_modality": self.lambda_modality,
            "local_id": self.local_id,
            **{f"generation.{key}": weight for key, weight in vars(generation).items()},
            **{f"variation.{key}": getattr(variation, key) for key in ("reconstruction", "mean", "deviation")},
        }
        for key, weight in never_negative.items():
            if weight < 0:
                raise ConfigError(f"model.{key} is {weight}: a weight is 0 or more.")
        if not max(generation.image, generation.cycle, generation.gan):
            raise ConfigError(
                "model.generation has image, cycle and gan at 0, so nothing teaches the decoders to make images: give one of "
                "them a weight above 0."
            )
        if self.unseen_ids and not max(variation.reconstruction, variation.mean, variation.deviation):
            raise ConfigError(
                "model.variation has reconstruction, mean and deviation at 0, so V learns nothing: give one of them a weight "
                "above 0, or set model.unseen_ids=false."
            )

    def _check_sizes(self) -> None:
        size, (height, width), ups = self.backbone.size, self.streams["gan"].size, self.generator.upsamplings
        if [height * 4, width * 4] != [side << ups for side in size]:
            raise ConfigError(
                f"Decoders make images of {(size[0] << ups) // 4}x{(size[1] << ups) // 4} (model.backbone.size / 4, doubled "
                f"{ups} times), but model.streams.gan has {height}x{width}: change one of them."
            )
        if self.unseen_ids and any((side // 4) % (1 << self.variation.halvings) for side in size):
            raise ConfigError(
                f"V halves maps of {size[0] // 4}x{size[1] // 4} model.variation.halvings={self.variation.halvings} times, "
                "which they do not allow: lower it."
            )
        disc = self.discriminators
        if min(height, width) >> (disc.scales + disc.layers - 2) < 2 or min(disc.scales, disc.layers) < 1:
            raise ConfigError(
                f"{disc.layers} layers at {disc.scales} scales are too many for images of {height}x{width}: lower "
                "model.discriminators, or raise the size of model.streams.gan."
            )
        if min(height, width) >> (self.generator.style_halvings - 1) < 2 or self.generator.style_halvings < 1:
            raise ConfigError(
                f"model.generator.style_halvings={self.generator.style_halvings} is too many for images of {height}x{width}."
            )
        rows = size[0] // (16 * self.backbone.last_stride)
        if not 1 <= self.parts <= rows:
            raise ConfigError(
                f"model.parts={self.parts} stripes do not fit a map of {rows} rows: lower it, or raise model.backbone.size."
            )
