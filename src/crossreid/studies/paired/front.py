"""Comparing what is named, in Python and for the command; and the files that the command writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossreid.errors import ConfigError
from crossreid.evaluation import Embeddings
from crossreid.evaluation.foreign import foreign_files
from crossreid.files import write_atomically
from crossreid.invocation import command_line
from crossreid.runs.folder import git_revision, package_versions, write_json
from crossreid.runs.outputs import Outputs, check_outputs, origin_of, output_path
from crossreid.settings.compose import compose, typed
from crossreid.settings.foreign import CompareEmbeddingsConfig, sources_of
from crossreid.settings.overrides import as_overrides
from crossreid.studies.paired.comparison import Method, PairedComparison, compare_sources
from crossreid.studies.paired.rendering import difference_lines, markdown, score_lines, statements
from crossreid.studies.paired.sources import Place, ScoreKey

_JSON = "comparison.json"


def compare_embeddings(
    first: Place | Sequence[Place],
    second: Place | Sequence[Place] | None = None,
    *,
    protocol: str | None = None,
    output: str | Path | None = None,
    **settings: Any,
) -> PairedComparison:
    """Score one or two methods on the same probes, and test whether the difference would outlive other persons and seeds.

    Args:
        first: a finished run's folder, a file or folder of embeddings as :func:`~crossreid.evaluation.load_foreign` reads it,
            or embeddings; or a list of them, the seeds of one method.
        second: likewise of another method.
        protocol: how embeddings are scored, such as ``sysu_mm01``; None where all are runs, which are scored already.
        output: a folder to write; None for none.
        settings: of ``crossreid.compare_embeddings``, such as ``names=["ours", "theirs"]``, ``metrics=["mAP"]``,
            ``bootstrap=2000``; those inside groups as ``**{"protocol.permutations": "rand_perm_cam.mat"}``.

    Returns:
        The comparison: it prints as tables; its tests have the difference, its 95 % interval and p-value.

    Raises:
        ConfigError: a setting cannot be, or nothing says how embeddings are scored.
        DataError: something cannot be read, or the two are not scored on the same persons, probes and trials.

    Example:
        >>> crossreid.compare_embeddings("ours.npz", "theirs.mat", protocol="sysu_mm01")  # doctest: +SKIP
        >>> crossreid.compare_embeddings(["a/seed0", "a/seed1"], ["b/seed0", "b/seed1"])  # doctest: +SKIP
    """
    places = {"first": _as_list(first), "second": []}
    if second is not None:
        places["second"] = _as_list(second)
    # Settings are text, as on a command line; embeddings in memory stand there under a word.
    given = dict(settings)
    for key, of_side in places.items():
        if of_side:
            given[key] = [_word(key, number, place) for number, place in enumerate(of_side)]
    if protocol is not None:
        given["protocol"] = protocol
    if output is not None:
        given["output"] = str(output)
    config = typed(CompareEmbeddingsConfig, compose("compare_embeddings", as_overrides(given)))
    if output is None:
        return compare_sources(config, places["first"], places["second"])
    outputs = outputs_of(config)  # before the work, so that a place that takes no files costs none
    comparison = compare_sources(config, places["first"], places["second"])
    keep(comparison, outputs)
    return comparison


def _as_list(places: Place | Sequence[Place]) -> list[Place]:
    every: list[Any] = [places]
    if isinstance(places, Iterable) and not isinstance(places, str):
        every = list(places)
    for place in every:
        if not isinstance(place, str | Path | Embeddings):
            raise ConfigError(
                "compare_embeddings takes the folder of a run, a file or folder of embeddings, crossreid.evaluation.Embeddings "
                f"or a list of these; {type(place).__name__} is none: features need persons and cameras beside them."
            )
    return every


def _word(key: str, number: int, place: Place) -> str:
    """What stands for a place in settings."""
    if isinstance(place, Embeddings):
        return f"{key} {number + 1}, in memory"
    return str(place)


def comparison_of(config: CompareEmbeddingsConfig) -> PairedComparison:
    """The comparison that a command's settings ask for; raises as :func:`compare_embeddings`."""
    first = sources_of("first", config.first)
    if config.second is None:
        return compare_sources(config, first)
    return compare_sources(config, first, sources_of("second", config.second))


def outputs_of(config: CompareEmbeddingsConfig) -> Outputs:
    """The folder that a command writes, checked before any work.

    Raises:
        ConfigError: something else is there, or an input.
        WriteError: the place takes no files.
    """
    inputs = _inputs_of(config)
    origin = origin_of("compare_embeddings", config, inputs)
    first = Path(sources_of("first", config.first)[0])
    beside = first.with_name(f"{first.stem}_compared")
    folder = output_path(config.output, beside, origin, within=_JSON)
    names = [_JSON, "comparison.md", "scores.csv"]
    if config.second is not None:
        names.append("differences.csv")
    return check_outputs("compare_embeddings", config, {"output": [folder / name for name in names]}, inputs)


def _inputs_of(config: CompareEmbeddingsConfig) -> dict[str, list[Path]]:
    """Setting -> the files that it names, none of which may be written over."""
    inputs: dict[str, list[Path]] = {}
    for key in ("first", "second"):
        value = getattr(config, key)
        if value is not None:
            inputs[key] = []
            for name in sources_of(key, value):
                inputs[key] += foreign_files(Path(name))
    if config.test_ids:
        inputs["test_ids"] = [Path(config.test_ids)]
    permutations = getattr(config.protocol, "permutations", None)  # which only some protocols have
    if permutations:
        inputs["protocol.permutations"] = [Path(permutations)]
    return inputs


def keep(comparison: PairedComparison, outputs: Outputs) -> Path:
    """Write a comparison; returns the folder."""
    folder = outputs.paths["output"][0].parent
    texts = {"comparison.md": markdown(comparison), "scores.csv": score_lines(comparison)}
    if comparison.tests:
        texts["differences.csv"] = difference_lines(comparison)
    with outputs.written():
        for name, text in texts.items():
            _write(folder / name, text)
        write_json(folder / _JSON, to_json(comparison))
    return folder


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda stream: stream.write(text.encode()))


def to_json(comparison: PairedComparison) -> dict[str, Any]:
    """Everything as plain values: scores with what was counted, tests, and how they came about."""
    methods = []
    for place, method in enumerate(comparison.methods):
        intervals = []
        for (of_method, (variant, key), metric), (low, high) in comparison.intervals.items():
            if of_method == place:
                intervals.append({"variant": variant, "protocol": key, "metric": metric, "low": low, "high": high})
        runs = _runs_json(method, comparison.settings)
        methods.append({"label": method.label, "runs": runs, "intervals": intervals})
    said = []
    if comparison.tests:
        said = statements(comparison)
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "git": git_revision(),
        "versions": package_versions(),
        "bootstrap": {"resamples": comparison.resamples, "seed": comparison.seed, "level": 0.95},
        "protocol": dict(comparison.protocol),
        "methods": methods,
        "tests": comparison.to_records(),
        "statements": said,
        "left_out": list(comparison.left_out),
    }


def _runs_json(method: Method, settings: Sequence[ScoreKey]) -> list[dict[str, Any]]:
    """A method's runs, each with its results in every setting."""
    runs = []
    for name, scores in zip(method.runs, method.scores, strict=True):
        results = []
        for variant, key in settings:
            results.append({"variant": variant, **scores[variant, key].to_json()})
        runs.append({"name": name, "results": results})
    return runs
