"""Settings of AGW and its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossreid.settings.fields import setting
from crossreid.settings.method import RecognitionConfig


@dataclass
class AGWConfig(RecognitionConfig):
    """Settings of AGW; the defaults are the paper's (Ye et al., TPAMI 2021)."""

    name: ClassVar[str] = "agw"
    module: ClassVar[str] = "crossreid.methods.agw.module:AGW"
    resnet_because: ClassVar[str] = "has a stem for each modality and blocks inside two stages"

    non_local: list[int] = setting(
        [2, 3],
        "non-local blocks at the ends of residual stages 2 and 3, each behind a block of its own",
        length=2,
        at_least=0,
        ceiling=100,
    )
    triplet: str = setting(
        "weighted",
        "the ranking loss: the weighted regularised triplet, or the same on the squared gap (CAJ's authors' code)",
        choices=("weighted", "squared"),
    )
    triplet_masking: str = setting(
        "left_out",
        "what the softmax over positives or negatives makes of other pairs: leaves them out (as printed), or takes their "
        "distance for 0 (the authors' code)",
        choices=("left_out", "zero"),
    )
    non_local_width: int | None = setting(
        None, "inner channels of a non-local block; null: half of what comes in", at_least=1, ceiling=16_384
    )
