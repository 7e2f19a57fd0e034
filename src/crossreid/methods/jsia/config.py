"""Settings of JSIA-ReID: the defaults are what the journal paper prints, and our choice where it prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.batches import StreamConfig, streams
from crossreid.settings.fields import Settings, setting
from crossreid.settings.method import MethodConfig
from crossreid.settings.networks import BackboneConfig, test_norm
from crossreid.settings.optimization import AdamConfig, DecayConfig

PHASES = ("generation", "joint")
ALIGNED = ("paired", "unpaired")
"""Values of ``local_regions`` with LR."""


@dataclass
class JSIAEncoderConfig(Settings):
    """E_sl, and E_i."""

    gray: bool = setting(True, "E_sl turns images grey inside (authors' code)")
    stem_relu: bool = setting(True, "ReLU after the first convolution; the authors' code lacks it")


@dataclass
class JSIAGeneratorConfig(Settings):
    """Style encoders and decoders (sec. 4.2)."""

    style_channels: int = setting(
        32,
        "width of a style encoder's first convolution; the later ones have twice and four times that",
        at_least=1,
        ceiling=16_384,
    )
    style_halvings: int = setting(2, "strided convolutions of a style encoder", at_least=1, ceiling=10)
    style: int = setting(128, "length of the style vector", at_least=1, ceiling=16_384)
    blocks: int = setting(4, "AdaIN residual blocks of a decoder", at_least=0, ceiling=100)
    upsamplings: int = setting(
        2,
        "x2 steps of a decoder: generated images have 2^upsamplings / 4 of the encoder's size",
        at_least=0,
        ceiling=10,
    )
    hidden: int = setting(
        256, "width of the layers that turn a style into AdaIN parameters", at_least=1, ceiling=16_384
    )


@dataclass
class JSIADiscriminatorConfig(Settings):
    """Multi-scale discriminators, one a modality."""

    channels: int = setting(32, "width of the first layer, doubled by each further one", at_least=1, ceiling=16_384)
    layers: int = setting(4, "strided convolutions at each scale", at_least=1, ceiling=10)
    scales: int = setting(2, "each scale sees the image at half the size of the one before", at_least=1, ceiling=10)


@dataclass
class VariationConfig(Settings):
    """V (sec. 3.2); the paper gives neither layers nor sizes nor weights."""

    channels: int = setting(256, "width of its convolutions", at_least=1, ceiling=16_384)
    halvings: int = setting(3, "strided convolutions between map and latent", at_least=1, ceiling=10)
    latent: int = setting(
        32, "channels of the latent; its height and width are the map's / 2^halvings", at_least=1, ceiling=16_384
    )
    norms: str = setting(
        "mean",
        "Eq. 10 as means (mean: L1 of the map, squares of u and tau - 1) or as the printed norms of each image (plain)",
        choices=("mean", "plain"),
    )
    detach: bool = setting(True, "V does not train the shared encoder")
    reconstruction: float = setting(1.0, "weight of the map's reconstruction", at_least=0, ceiling=1e6)
    mean: float = setting(0.01, "weight of the penalty on u", at_least=0, ceiling=1e6)
    deviation: float = setting(0.01, "weight of the penalty on tau - 1", at_least=0, ceiling=1e6)


@dataclass
class UnseenConfig(Settings):
    """Images of unseen identities (Eq. 14, 15)."""

    target: str = setting(
        "predicted",
        "mix of the two images' predicted probabilities, or of their one_hot labels",
        choices=("predicted", "one_hot"),
    )
    direction: str = setting(
        "target_first",
        "KL(target || prediction) (target_first), or Eq. 15's KL(prediction || target) (printed)",
        choices=("target_first", "printed"),
    )

    def check_together(self, place: str) -> None:
        """KL(prediction || target) wants a target without zeros."""
        if self.target == "one_hot" and self.direction == "printed":
            raise ConfigError(
                f"{place}.direction=printed divides by the target's probabilities, which are 0 with "
                f"{place}.target=one_hot: change one of them."
            )


@dataclass
class GenerationWeights(Settings):
    """Weights of the generation module (Eq. 8; numbers of the AAAI paper), each on the sum of both modalities."""

    image: float = setting(1.0, "images from their own content and style (Eq. 4), on L1 means", at_least=0, ceiling=1e6)
    cycle: float = setting(10.0, "there and back (Eq. 5), on L1 means", at_least=0, ceiling=1e6)
    content: float = setting(
        0.0, "the content of a fake is the content it was made from (authors' code only)", at_least=0, ceiling=1e6
    )
    style: float = setting(
        0.0, "the style of a fake is the style it was made from (authors' code only)", at_least=0, ceiling=1e6
    )
    gan: float = setting(1.0, "fooling the discriminators (Eq. 7)", at_least=0, ceiling=1e6)

    def check_together(self, place: str) -> None:
        """Something teaches the decoders."""
        if not max(self.image, self.cycle, self.gan):
            raise ConfigError(
                f"{place} has image, cycle and gan at 0, so nothing teaches the decoders to make images: give one of them a "
                "weight above 0."
            )


@dataclass
class JSIAConfig(MethodConfig):
    """Settings of JSIA-ReID and its ablation rows."""

    name: ClassVar[str] = "jsia"
    module: ClassVar[str] = "crossreid.methods.jsia.module:JSIA"
    resnet_because: ClassVar[str] = "has stem and first stage apart from the others"
    recomputable: ClassVar[tuple[str, ...]] = ("encoder", "generators")
    stream_names: ClassVar[tuple[str, ...]] = ("identity", "gan")

    # `identity` for re-ID: 16 persons, 4 + 4 images (sec. 4.2); `gan` for generation, alignment and mixing: one batch and one
    # size for everything
    streams: dict[str, StreamConfig] = streams(identity=(16, 4, 256, 128), gan=(16, 4, 256, 128))
    recompute: list[str] = setting(
        ["generators"],
        "parts that keep their inputs alone for the backward pass, as for every method; of 50 GiB in bfloat16 13 are left",
        distinct=True,
    )
    phases: dict[str, int] = setting(
        {"generation": 20000, "joint": 10000},
        "length of the generation module's pre-training and of joint training: 100 and 50 epochs of the code's 200 "
        "iterations",
        unit="iterations",
        at_least=0,
        ceiling=1_000_000_000,
    )
    iterations_per_epoch: int | None = setting(
        200, "iterations in an epoch of the trainer", at_least=1, ceiling=1_000_000
    )
    backbone: BackboneConfig = setting(
        BackboneConfig(size=[256, 128]),
        "a ResNet whose stem and stage 1 are E_sl, stages 2 to 4 E_il; images are resized before E_sl",
    )
    encoder: JSIAEncoderConfig = setting(JSIAEncoderConfig(), "E_sl, and E_i")
    generator: JSIAGeneratorConfig = setting(JSIAGeneratorConfig(), "style encoders and decoders")
    discriminators: JSIADiscriminatorConfig = setting(JSIADiscriminatorConfig(), "one a modality")
    variation: VariationConfig = setting(VariationConfig(), "V (sec. 3.2)")
    unseen: UnseenConfig = setting(UnseenConfig(), "images of mixed identities (Eq. 14, 15)")
    reid_optimizer: AdamConfig = setting(
        AdamConfig(betas=[0.5, 0.999]), "of E_sl, E_i, E_il and the classifiers (sec. 4.2: one Adam for everything)"
    )
    gan_optimizer: AdamConfig = setting(
        AdamConfig(betas=[0.5, 0.999]), "of style encoders, decoders, V and discriminators"
    )
    decay: DecayConfig = setting(DecayConfig(after=6000), "of all learning rates, in iterations of the phase joint")
    generation: GenerationWeights = setting(GenerationWeights(), "weights of the generation module (Eq. 8)")
    set_level: str = setting(
        "shared",
        "E_sl is E_i (shared, SL); a network of its own (separate: no SL); or one of its own that a modality discriminator "
        "aligns (adversarial: degraded SL)",
        choices=("shared", "separate", "adversarial"),
    )
    instance_level: bool = setting(True, "KL between the predictions of paired images (IL, Eq. 11)")
    local_regions: str = setting(
        "paired",
        "KL between stripes (LR, Eq. 12) of paired images, of unpaired real ones (degraded LR), or none; classified: stripes "
        "have classifiers, as with LR, and nothing is aligned",
        choices=("none", "paired", "unpaired", "classified"),
    )
    unseen_ids: bool = setting(True, "images of mixed identities (UI, Eq. 15), and V, which mixes them")
    parts: int = setting(4, "n, horizontal stripes of LR", at_least=1, ceiling=100)
    lambda_il: float = setting(0.1, "weight of IL (Eq. 11); best in the AAAI paper's Fig. 5", at_least=0, ceiling=1e6)
    lambda_lr: float = setting(0.1, "weight of LR (Eq. 12)", at_least=0, ceiling=1e6)
    lambda_ui: float = setting(0.1, "weight of UI (Eq. 15)", at_least=0, ceiling=1e6)
    local_id: float = setting(
        1.0, "weight of the classification of real images by the stripes' classifiers", at_least=0, ceiling=1e6
    )
    lambda_modality: float = setting(
        0.1, "weight of the modality GAN with set_level=adversarial", at_least=0, ceiling=1e6
    )
    smoothing: float = setting(
        0.0, "label smoothing of the classification (Eq. 13: plain cross-entropy)", at_least=0, below=1
    )
    margin: float = setting(0.3, "of the triplets, in Euclidean distance", at_least=0, ceiling=1000)
    divergence: str = setting(
        "printed",
        "Eq. 11's KL(infrared member || visible member) (printed), or both directions summed (symmetric); official: the latter "
        "with 1e-8 in quotient and logarithm, as in the authors' code",
        choices=("printed", "symmetric", "official"),
    )
    alignment_order: str = setting(
        "reals_first",
        "order of the forwards of Eq. 11 and 12, which batch-norm averages follow: both real images and then both fakes, or "
        "alternating, each real image and then its fake (the authors' code)",
        choices=("reals_first", "alternating"),
    )
    cycle_style: str = setting(
        "original",
        "the way back takes the original style, or the one reencoded from the fake (Eq. 6)",
        choices=("original", "reencoded"),
    )
    norms_in_generation: str = setting(
        "eval", "mode of the batch norms of the fixed E_i in the phase generation", choices=("eval", "train")
    )
    update_norms_on_gan_batches: bool = setting(
        False, "batch-norm averages of the re-ID path follow the stream gan too"
    )
    test_feature: str = setting(
        "pooled", "V as pooled (Eq. 17), or after the classifier's batch norm (neck)", choices=("pooled", "neck")
    )
    test_norm: str = test_norm()

    def phase_lengths(self) -> dict[str, int]:
        """``phases``."""
        return dict(self.phases)

    def check_together(self, place: str) -> None:
        """Phases are these two, what is on has a weight, and the networks allow images of these sizes."""
        super().check_together(place)
        if tuple(self.phases) != PHASES or not self.phases["joint"]:
            raise ConfigError(
                f"JSIA's phases are generation and joint, and joint needs iterations: set {place}.phases."
            )
        self._check_weights(place)
        self._check_generated_size(place)
        self._check_layers(place)

    def _check_weights(self, place: str) -> None:
        """What is switched on is trained."""
        self._require_weight(place, "lambda_il", self.instance_level, "instance_level=false")
        self._require_weight(place, "lambda_lr", self.local_regions in ALIGNED, "local_regions=none")
        self._require_weight(place, "lambda_ui", self.unseen_ids, "unseen_ids=false")
        self._require_weight(place, "lambda_modality", self.set_level == "adversarial", "set_level=separate")
        variation = self.variation
        if self.unseen_ids and not max(variation.reconstruction, variation.mean, variation.deviation):
            raise ConfigError(
                f"{place}.variation has reconstruction, mean and deviation at 0, so V learns nothing: give one of them a "
                f"weight above 0, or set {place}.unseen_ids=false."
            )

    def _require_weight(self, place: str, key: str, on: bool, switch: str) -> None:
        weight = getattr(self, key)
        if on and not weight:
            raise ConfigError(f"{place}.{key} is {weight}: give a weight above 0, or set {place}.{switch}.")

    def _check_generated_size(self, place: str) -> None:
        """What decoders make of E_sl's maps, at a quarter of the image, has the size of the stream ``gan``."""
        height, width = self.backbone.size
        enlargement = 1 << self.generator.upsamplings
        stream = self.streams["gan"]
        # four times both sides: a size that is no multiple of 4 is none that the decoders make
        if stream.height * 4 != height * enlargement or stream.width * 4 != width * enlargement:
            raise ConfigError(
                f"Decoders make images of {height * enlargement // 4}x{width * enlargement // 4} "
                f"({place}.backbone.size / 4, doubled "
                f"{self.generator.upsamplings} times), but {place}.streams.gan has {stream.height}x{stream.width}: change one "
                "of them."
            )

    def _check_layers(self, place: str) -> None:
        """Strided convolutions and stripes have something left to look at."""
        height, width = self.backbone.size
        map_height = height // 4
        map_width = width // 4
        latent_step = 1 << self.variation.halvings  # places of a map to one place of V's latent
        if self.unseen_ids and (map_height % latent_step or map_width % latent_step):
            raise ConfigError(
                f"V halves maps of {map_height}x{map_width} {place}.variation.halvings={self.variation.halvings} times, "
                "which they do not allow: lower it."
            )
        stream = self.streams["gan"]
        shorter = min(stream.height, stream.width)
        layers = self.discriminators.layers
        scales = self.discriminators.scales
        if shorter >> (scales + layers - 2) < 2:
            raise ConfigError(
                f"{layers} layers at {scales} scales are too many for images of {stream.height}x{stream.width}: lower "
                f"{place}.discriminators, or raise the size of {place}.streams.gan."
            )
        halvings = self.generator.style_halvings
        if shorter >> (halvings - 1) < 2:
            raise ConfigError(
                f"{place}.generator.style_halvings={halvings} is too many for images of {stream.height}x{stream.width}."
            )
        rows = height // (16 * self.backbone.last_stride)
        if self.parts > rows:
            raise ConfigError(
                f"{place}.parts={self.parts} stripes do not fit a map of {rows} rows: lower it, or raise "
                f"{place}.backbone.size."
            )
