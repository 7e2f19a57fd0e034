"""What single figures show."""

from __future__ import annotations

from dataclasses import dataclass

from crossreid.errors import ConfigError
from crossreid.settings.fields import Settings, setting

VISIBLE_TO_INFRARED = "visible_to_infrared"
INFRARED_TO_VISIBLE = "infrared_to_visible"


@dataclass
class CorrespondenceConfig(Settings):
    """Dense correspondences between two images (LbA, Fig. 1, 4 and 5); the paper states neither layer nor direction."""

    pair: list[str] | None = setting(
        None,
        "a visible and an infrared image of the dataset, by their paths below its folder; null: one pair of each of five test "
        "persons",
        length=2,
    )
    layer: int = setting(4, "residual stage whose maps are matched: 3 (the paper's conv4) or 4 (conv5)", choices=(3, 4))
    direction: str = setting(
        VISIBLE_TO_INFRARED,
        "whose positions look for their most similar one in the other image",
        choices=(VISIBLE_TO_INFRARED, INFRARED_TO_VISIBLE),
    )
    mutual: bool = setting(False, "only matches that are each other's best in both directions")
    order: str = setting(
        "probability",
        "which matches come first: by matching probability (Eq. 2, the paper), or by cosine similarity (Eq. 1)",
        choices=("probability", "cosine"),
    )
    count: int = setting(20, "matches drawn for each pair, at most", at_least=1, at_most=1000)

    def changed(self) -> list[str]:
        """Names of the settings that are not at their defaults."""
        own = CorrespondenceConfig().plain()
        return [name for name, value in self.plain().items() if value != own[name]]

    def check_asked(self, figures: list[str] | None, method: str, has_figure: bool) -> None:
        """Raise :class:`ConfigError` where a setting says something of a figure that is not drawn.

        Args:
            figures: that are asked for; None for all that the method has.
            method: the method's name.
            has_figure: it has correspondences.
        """
        changed = self.changed()
        if not changed:
            return
        keys = ", ".join(f"correspondences.{name}" for name in changed)
        if not has_figure:
            raise ConfigError(f"{method} has no correspondences between images, as LbA has: leave {keys} out.")
        if figures is not None and "correspondences" not in figures:
            raise ConfigError(f"{keys} is of the figure correspondences: add it to figures, or leave the setting out.")
