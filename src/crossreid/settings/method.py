"""Settings that every method has, and those that the field's baselines share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from crossreid.errors import ConfigError
from crossreid.settings.batches import ErasingConfig, ExchangeConfig, StreamConfig, streams
from crossreid.settings.fields import Settings, setting
from crossreid.settings.networks import BackboneConfig
from crossreid.settings.optimization import EpochScheduleConfig, FeatureOptimizerConfig


@dataclass
class MethodConfig(Settings):
    """Settings that every method has.

    Class attributes that a method's settings give:
        name: the method's registered name, such as ``lba``.
        module: import path of its LightningModule, such as ``crossreid.methods.lba.module:LbA``.
        family: a set of methods that share settings for a scale, such as ``recognition``; empty for none.
        stream_names: the training streams that it needs.
        trains: False for what has nothing to learn, and no phases.
        recomputable: the parts that ``recompute`` may name.
        resnet_because: why its ``backbone`` is a ResNet and no other encoder, behind its name; empty where any will do.
        conf_folder: folder of config files that a method outside this package brings along, such as
            ``model_scale/toy/small.yaml``; empty for none.
        settled: a scale or preset without settings of its own, such as ``preset=official`` -> why the method's own
            settings are what is meant by it.
    """

    name: ClassVar[str] = ""
    module: ClassVar[str] = ""
    family: ClassVar[str] = ""
    stream_names: ClassVar[tuple[str, ...]] = ("identity",)
    trains: ClassVar[bool] = True
    recomputable: ClassVar[tuple[str, ...]] = ("encoder",)
    resnet_because: ClassVar[str] = ""
    conf_folder: ClassVar[str] = ""
    settled: ClassVar[Mapping[str, str]] = {}

    streams: dict[str, StreamConfig] = streams(identity=(8, 4, 288, 144))
    iterations_per_epoch: int | None = setting(
        None,
        "iterations in an epoch; null: as many as it takes to see as many images as there are for training, of the "
        "modality that has more",
        at_least=1,
        ceiling=1_000_000,
    )
    clip_norm: float = setting(0.0, "largest gradient norm of a player, 0 for no clipping", at_least=0, ceiling=1e6)
    flip: float = setting(0.5, "probability of mirroring a training image", at_least=0, at_most=1)
    channel_exchange: float = setting(
        0.0,
        "probability of copying one channel of a visible training image to all three (CAJ)",
        at_least=0,
        at_most=1,
    )
    recompute: list[str] = setting(
        [],
        "parts that keep their inputs alone for the backward pass and compute the rest again there (activation "
        "checkpointing): less memory, more time, the same results; encoder, and generators where a method has them",
        distinct=True,
    )

    def phase_lengths(self) -> dict[str, int]:
        """All phases with their lengths in iterations, in order; 0 for one that is left out.

        Raises:
            ConfigError: ``iterations_per_epoch`` is not known yet.
        """
        return {}

    @property
    def epochs_of_training(self) -> int | None:
        """Epochs of all phases together; None where only the dataset says it."""
        if self.iterations_per_epoch is None:
            return None
        return self.iterations // self.iterations_per_epoch

    def active_phases(self) -> dict[str, int]:
        """Phases that this variant has, with their lengths in iterations, in order."""
        return {name: length for name, length in self.phase_lengths().items() if length}

    @property
    def iterations(self) -> int:
        """Iterations of all phases together."""
        return sum(self.active_phases().values())

    def known_epoch(self) -> int:
        """``iterations_per_epoch``, once it is known.

        Raises:
            ConfigError: it is not.
        """
        if self.iterations_per_epoch is None:
            raise ConfigError(
                "model.iterations_per_epoch is not known before the dataset is: give a number, or let the data module "
                "say it."
            )
        return self.iterations_per_epoch

    def with_epoch(self, iterations: int) -> Self:
        """These settings with ``iterations_per_epoch`` known: as they say it, else this number."""
        if self.iterations_per_epoch is not None:
            return self
        return replace(self, iterations_per_epoch=iterations)

    def check(self, place: str = "model") -> None:
        """As :meth:`Settings.check`, at ``model``."""
        super().check(place)

    def why_resnet(self) -> str:
        """:attr:`resnet_because`, or why these settings of a method that takes any encoder want a ResNet."""
        return self.resnet_because

    def check_together(self, place: str) -> None:
        """Streams and parts are the method's, and phases fill whole epochs."""
        if set(self.streams) != set(self.stream_names):
            needed = ", ".join(self.stream_names)
            given = ", ".join(self.streams) or "none"
            raise ConfigError(f"{place}.streams of {self.name} are {needed}, not {given}.")
        for part in self.recompute:
            if part not in self.recomputable:
                known = ", ".join(self.recomputable) or "none"
                raise ConfigError(
                    f"{place}.recompute names '{part}': parts of {self.name} that can be recomputed: {known}."
                )
        if self.iterations_per_epoch is not None:
            self.check_phases(place)

    def check_phases(self, place: str) -> None:
        """Raise :class:`ConfigError` where there is nothing to train, or an epoch would be cut short."""
        if not self.trains:
            return
        if self.iterations <= 0:
            raise ConfigError(f"The phases of {self.name} need iterations, not {self.phase_lengths()}.")
        if self.iterations % self.known_epoch():
            raise ConfigError(
                f"The phases of {self.name} sum to {self.iterations} iterations, which is not a multiple of "
                f"{place}.iterations_per_epoch={self.iterations_per_epoch}: change one of them."
            )


@dataclass
class EpochsConfig(MethodConfig):
    """Settings of a method that is trained for some epochs in one phase, ``joint``."""

    epochs: int = setting(81, "length of training", unit="epochs", at_least=1, ceiling=100_000)

    def phase_lengths(self) -> dict[str, int]:
        """``joint``."""
        return {"joint": self.epochs * self.known_epoch()}

    @property
    def epochs_of_training(self) -> int:
        """``epochs``."""
        return self.epochs


@dataclass
class RecognitionConfig(EpochsConfig):
    """Settings of a baseline: one network, classification, perhaps a ranking loss."""

    family: ClassVar[str] = "recognition"

    backbone: BackboneConfig = setting(BackboneConfig(), "the encoder")
    optimizer: FeatureOptimizerConfig = setting(
        FeatureOptimizerConfig(), "one rate for the encoder, one (head_lr) for all else"
    )
    schedule: EpochScheduleConfig = setting(EpochScheduleConfig(), "of the learning rates, by epoch")
    crop_padding: int = setting(
        10, "black around an image before a random crop, 0 for none", unit="pixels", at_least=0, ceiling=1000
    )
    erasing: ErasingConfig = setting(
        ErasingConfig(probability=0.0, ratio=[0.3, 3.33]), "random erasing of training images"
    )
    exchanged_view: bool = setting(
        False, "train on a second copy of each visible image with one channel in all three (CAJ's joint learning)"
    )
    exchange: ExchangeConfig = setting(ExchangeConfig(), "how that copy is made")
    label_smoothing: float = setting(0.0, "of the classification loss", at_least=0, below=1)
    flip_test: bool = setting(False, "embed the image and its mirror image, and add")

    def check_together(self, place: str) -> None:
        """The exchanged view is there where something is said of it, and two mirrorings are independent only if a coin's."""
        super().check_together(place)
        defaults = ExchangeConfig().plain()
        changed = [name for name, value in self.exchange.plain().items() if value != defaults[name]]
        if changed and not self.exchanged_view:
            raise ConfigError(
                f"{place}.exchange.{changed[0]} is of the exchanged view, which {place}.exchanged_view=false leaves out: set "
                f"{place}.exchanged_view=true, or leave {place}.exchange at its defaults."
            )
        if self.exchanged_view and self.exchange.independent and self.flip not in (0, 0.5):
            raise ConfigError(
                f"{place}.exchange.independent mirrors the second view once more, which is a draw of its own only where "
                f"{place}.flip is 0 or 0.5, not {self.flip}."
            )


@dataclass
class RankingConfig(RecognitionConfig):
    """Settings of a baseline with a ranking loss."""

    margin: float = setting(0.3, "of the ranking loss", at_least=0, ceiling=1000)


@dataclass
class ClassificationConfig(RecognitionConfig):
    """Settings of a baseline that learns by classification alone."""

    neck: str = setting(
        "none",
        "between pooled vector and classifier: none, or bnneck, a batch norm whose output retrieval then compares",
        choices=("none", "bnneck"),
    )
