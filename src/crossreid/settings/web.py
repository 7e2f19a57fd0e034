"""Settings of ``crossreid.serve`` and ``crossreid.demo``."""

from __future__ import annotations

from dataclasses import dataclass

from crossreid.errors import ConfigError
from crossreid.settings.extraction import EmbeddingConfig
from crossreid.settings.fields import REQUIRED, setting
from crossreid.settings.galleries import GALLERY

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""


@dataclass
class WebConfig(EmbeddingConfig):
    """What the page and the endpoint have in common."""

    queries: str | None = setting(
        None, "images to pick from on the page: a folder, glob, list or manifest, as for crossreid.extract"
    )
    queries_modality: str | None = setting(
        "auto", "of these images, as for crossreid.extract", choices=("visible", "infrared", "auto")
    )
    calibration: str | None = setting(
        None,
        "what crossreid.calibrate wrote; null: what the gallery keeps, else calibration.json in the checkpoint's run",
    )
    false_match_rate: float | None = setting(
        None,
        "share of pairs of two persons that match all the same; null: the smallest that is calibrated",
        above=0,
        at_most=0.5,
    )
    host: str = setting("127.0.0.1", "the address to listen at; 0.0.0.0 lets other machines in")
    port: int = setting(8000, "the port to listen at; 0 for a free one", at_least=0, at_most=65535)
    names: list[str] = setting(
        [], "names by which other machines call this one, such as [search.lab.org]", distinct=True
    )
    show_names: bool = setting(False, "show paths of images, and filter by them")
    largest_list: int = setting(200, "images that one search may ask for", at_least=1, at_most=10_000)
    upload_mib: int = setting(10, "largest request", unit="MiB", at_least=1, at_most=1024)
    upload_pixels: int = setting(
        16_000_000, "largest picture that is taken", unit="pixels", at_least=1024, at_most=64_000_000
    )
    working: int = setting(2, "requests that are worked on at once", at_least=1, at_most=256)
    waiting: int = setting(
        16, "requests that may wait for these; further ones are refused with code 503", at_least=0, at_most=10_000
    )

    def check_together(self, place: str) -> None:
        """Other machines are let in by the names that they call this one by."""
        if self.host not in LOOPBACK and not self.names:
            raise ConfigError(
                f"host={self.host} lets other machines in: say names=[...] too, by which they call this one."
            )


@dataclass
class ServeConfig(WebConfig):
    """Everything ``crossreid.serve`` is told."""

    gallery: str = setting(REQUIRED, GALLERY)
    checkpoint: str = setting(
        REQUIRED, "a run folder, .ckpt or exported model that embeds queries; that of the gallery"
    )


@dataclass
class DemoConfig(WebConfig):
    """Everything ``crossreid.demo`` is told."""

    gallery: str | None = setting(None, f"{GALLERY}; null: the embedded people's day images")
    checkpoint: str | None = setting(
        None, "a run folder, .ckpt or exported model; that of the gallery; null: outputs/demo, which make demo trains"
    )
    browser: bool = setting(False, "open the page in a browser")

    def check_together(self, place: str) -> None:
        """A gallery of one's own names its model."""
        super().check_together(place)
        if self.gallery is not None and self.checkpoint is None:
            raise ConfigError("Name the model that the gallery is of too: checkpoint=RUN.")
