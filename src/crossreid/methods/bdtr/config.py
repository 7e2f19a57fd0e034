"""Settings of BDTR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.errors import ConfigError
from crossreid.settings.fields import setting
from crossreid.settings.method import RankingConfig
from crossreid.settings.networks import BackboneConfig


@dataclass
class BDTRConfig(RankingConfig):
    """Settings of BDTR; what is the paper's and what is ours stands in this folder's README."""

    name: ClassVar[str] = "bdtr"
    module: ClassVar[str] = "crossreid.methods.bdtr.module:BDTR"
    resnet_because: ClassVar[str] = "has a stem for each modality"

    backbone: BackboneConfig = setting(BackboneConfig(last_stride=2), "the encoder")
    specific_stages: int = setting(
        0, "residual stages with a copy for each modality besides the stem", choices=(0, 1, 2)
    )
    margin: float = setting(
        0.5, "of top-ranking across modalities, in distance of unit vectors", at_least=0, ceiling=1000
    )
    margin_intra: float = setting(
        0.1, "of top-ranking inside a modality, in distance of unit vectors", at_least=0, ceiling=1000
    )
    intra_positive: str = setting(
        "across",
        "what ranking inside a modality compares: the nearest negative there with the positive of the other modality (across) "
        "or of the same (within); or the negative that is nearest across modalities with the margin alone (bound, the "
        "authors' code)",
        choices=("across", "within", "bound"),
    )
    w_cross: float = setting(1.0, "weight of top-ranking across modalities, 0 to leave it out", at_least=0, ceiling=1e6)
    w_intra: float = setting(1.0, "weight of top-ranking inside a modality, 0 to leave it out", at_least=0, ceiling=1e6)

    def check_together(self, place: str) -> None:
        """Positives of an image's own modality need a second image of its person there."""
        super().check_together(place)
        if self.intra_positive == "within" and self.w_intra and self.streams["identity"].images < 2:
            raise ConfigError(f"{place}.intra_positive=within needs {place}.streams.identity.images of 2 or more.")
