"""Settings of embeddings from anywhere: what their files do not say, and ``crossreid.compare_embeddings``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossreid.errors import ConfigError
from crossreid.settings.fields import LARGEST_SEED, REQUIRED, Settings, setting

PAIRED_METRICS = ("rank1", "mAP", "mINP")


@dataclass
class ForeignConfig(Settings):
    """What files of embeddings do not say themselves."""

    query_modality: str | None = setting(
        None,
        "of files with queries and gallery: the queries' modality, the gallery has the other one; null: by the cameras of "
        "SYSU-MM01",
        choices=("visible", "infrared"),
    )
    test_ids: str | None = setting(
        None,
        "a list of the persons to score (test_id.txt, test_id.mat), where embeddings hold others too; null: all",
    )


@dataclass
class CompareEmbeddingsConfig(ForeignConfig):
    """Everything ``crossreid.compare_embeddings`` is told."""

    first: Any = setting(
        REQUIRED, "a run folder, a file or folder of embeddings from anywhere, or a list of them: a method's seeds"
    )
    second: Any = setting(None, "likewise of another method, on the same images; null: first is scored alone")
    names: list[str] | None = setting(
        None, "of first and second in tables; null: the runs' own, else the files'", filled=True, distinct=True
    )
    protocol: Any = setting(
        REQUIRED, "how embeddings are scored; auto: all are runs, and as their trainings scored them"
    )
    metrics: list[str] = setting(
        ["rank1", "mAP"], "whose difference is tested", choices=PAIRED_METRICS, filled=True, distinct=True
    )
    bootstrap: int = setting(
        10_000, "resamples of persons and seeds for the 95 % intervals", at_least=100, ceiling=1_000_000
    )
    seed: int = setting(0, "of the resamples", at_least=0, ceiling=LARGEST_SEED)
    progress: bool = setting(True, "show progress bars")
    output: str | None = setting(
        None,
        "folder of comparison.json, comparison.md, scores.csv and differences.csv; null: NAME_compared beside the first of "
        "first, numbered where others wrote it",
    )

    def check_together(self, place: str) -> None:
        """Both sides name something, once."""
        first = sources_of("first", self.first)
        second: list[str] = []
        sides = 1
        if self.second is not None:
            second = sources_of("second", self.second)
            sides = 2
        for name in first:
            if name in second:
                raise ConfigError(f"'{name}' is named by first and second: a method does not differ from itself.")
        if self.names is not None and len(self.names) != sides:
            raise ConfigError(
                f"names has {len(self.names)} of them: give one for first and one for second, where it is there."
            )


def sources_of(key: str, value: object) -> list[str]:
    """The paths that ``first`` or ``second`` names.

    Raises:
        ConfigError: it names none, or one twice.
    """
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{key} is a run folder, a file of embeddings or a list of them, such as {key}=theirs.npz.")
    if len(set(names)) < len(names):
        raise ConfigError(f"{key} names the same place twice: each seed counts once.")
    return list(names)
