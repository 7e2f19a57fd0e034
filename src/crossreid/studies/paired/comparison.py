"""Scores of one or two methods over their seeds, and paired tests between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crossreid.console import as_text, notice
from crossreid.errors import ConfigError, DataError
from crossreid.evaluation import RetrievalResult
from crossreid.evaluation.bootstrap import PairedDifference, identity_interval, paired_difference
from crossreid.evaluation.building import build_scorers, with_settled_draw
from crossreid.evaluation.results import IdentityScores
from crossreid.evaluation.scorers import PLAIN
from crossreid.runs.reading import Run
from crossreid.settings.foreign import CompareEmbeddingsConfig
from crossreid.settings.protocol import NO_PROTOCOL, ProtocolConfig
from crossreid.studies.paired.sources import (
    PairedSource,
    Place,
    ScoreKey,
    check_paired,
    is_run,
    read_sources,
    shown,
    tasks_of,
)
from crossreid.training.scoring import protocols_for, score_all


@dataclass(frozen=True, eq=False)
class Method:
    """One side of a comparison.

    Attributes:
        label: in tables.
        runs: what each of its S runs was named by.
        scores: of each run, by variant and protocol.
    """

    label: str
    runs: tuple[str, ...]
    scores: tuple[Mapping[ScoreKey, RetrievalResult], ...]

    def results(self, key: ScoreKey) -> list[RetrievalResult]:
        """Of all runs in one setting."""
        return [of_run[key] for of_run in self.scores]

    def identities(self, key: ScoreKey) -> list[IdentityScores]:
        """What each person contributes to the results of all runs in one setting."""
        return [result.identities for result in self.results(key)]

    def mean(self, key: ScoreKey, metric: str) -> float:
        """Over runs, of the mean over trials."""
        means = [result.metrics()[metric]["mean"] for result in self.results(key)]
        return float(np.mean(means))


def setting_name(setting: ScoreKey) -> str:
    """Protocol, after the variant where there is one."""
    variant, protocol = setting
    if variant:
        return f"{variant}/{protocol}"
    return protocol


@dataclass(frozen=True)
class PairedTest:
    """The difference of one metric in one setting.

    Attributes:
        variant: which of the methods' scorers; empty for their own.
        protocol: key.
        metric: ``rank1``, ``mAP`` or ``mINP``.
        first: mean of the first method, in [0, 1].
        second: of the second one.
        difference: the second less the first, with its interval.
    """

    variant: str
    protocol: str
    metric: str
    first: float
    second: float
    difference: PairedDifference

    @property
    def setting(self) -> str:
        """Protocol, after the variant where there is one."""
        return setting_name((self.variant, self.protocol))


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """One or two methods, scored on the same probes. It prints as its tables.

    Attributes:
        methods: the first and, where there is one, the second.
        settings: variants and protocols that all runs have.
        tests: of every setting and metric; empty for one method.
        intervals: (method's place, setting, metric) -> 95 % interval of the mean over persons.
        left_out: protocols that not all runs have.
        resamples: of persons and runs.
        seed: of the resamples.
        protocol: settings by which embeddings were scored; empty where all are runs.
    """

    methods: tuple[Method, ...]
    settings: tuple[ScoreKey, ...]
    tests: tuple[PairedTest, ...]
    intervals: Mapping[tuple[int, ScoreKey, str], tuple[float, float]]
    left_out: tuple[str, ...] = ()
    resamples: int = 10_000
    seed: int = 0
    protocol: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        from crossreid.studies.paired.rendering import tables  # noqa: PLC0415 - which needs this class

        return "\n".join(map(as_text, tables(self)))

    def to_records(self) -> list[dict[str, Any]]:
        """One plain record a test: differences and intervals in [-1, 1]."""
        records = []
        for test in self.tests:
            difference = test.difference
            low, high = difference.interval
            records.append(
                {
                    "setting": test.setting,
                    "metric": test.metric,
                    "first": test.first,
                    "second": test.second,
                    "difference": difference.value,
                    "low": low,
                    "high": high,
                    "p_value": difference.p_value,
                    "share_above": difference.share_above,
                    "persons": difference.persons,
                    "better": difference.better,
                    "worse": difference.worse,
                }
            )
        return records


def compare_sources(
    config: CompareEmbeddingsConfig, first: Sequence[Place], second: Sequence[Place] = ()
) -> PairedComparison:
    """Read, check, score and compare.

    Args:
        config: how; its ``first`` and ``second`` are not looked at.
        first: the runs of a method.
        second: of the other one; empty for none.

    Raises:
        ConfigError: nothing says how embeddings are scored.
        DataError: something cannot be read, or is not scored on the same probes.
    """
    protocol = _protocol(config, [*first, *second])
    sources = read_sources(config, (*first, *second))
    n_first = len(first)  # the sources of the second method stand behind those of the first
    _check_seeds(sources[:n_first])
    _check_seeds(sources[n_first:])
    # What is paired wrongly is refused before anything is scored, which may take long.
    tasks = [tasks_of(source, protocol) for source in sources]
    common, left_out = check_paired(sources, tasks)
    labels = _labels(config, sources, n_first)
    scores = [_scores(source, protocol, config) for source in sources]
    methods = [_method(labels[0], sources[:n_first], scores[:n_first])]
    if second:
        methods.append(_method(labels[1], sources[n_first:], scores[n_first:]))
    settings = _settings(scores, common)
    scored_by: dict[str, Any] = {}
    if protocol is not None:
        scored_by = {"name": protocol.name, **protocol.plain()}
    return PairedComparison(
        methods=tuple(methods),
        settings=settings,
        tests=_tests(methods, settings, config),
        intervals=_intervals(methods, settings, config),
        left_out=tuple(left_out),
        resamples=config.bootstrap,
        seed=config.seed,
        protocol=scored_by,
    )


def _protocol(config: CompareEmbeddingsConfig, places: Sequence[Place]) -> ProtocolConfig | None:
    """How embeddings are scored; None where all are runs, which are scored already."""
    to_score = [place for place in places if not is_run(place)]
    named = None
    if isinstance(config.protocol, ProtocolConfig):
        named = config.protocol
    if to_score and named is None:
        raise ConfigError(f"{shown(to_score[0])}: {NO_PROTOCOL}")
    if named is not None and not to_score:
        raise ConfigError(
            f"protocol={named.name} is for embeddings, and runs are scored already: leave it out, or name their "
            "embeddings.npz."
        )
    if named is not None:
        named = with_settled_draw(named)
    return named


def _check_seeds(sources: Sequence[PairedSource]) -> None:
    """Runs of one side differ in their seeds, and in nothing else.

    Raises:
        DataError: they do not.
    """
    first: Run | None = None
    source_of_seed: dict[int, str] = {}
    for source in sources:
        run = source.run
        if run is None:
            continue
        first = first or run
        if run.settings != first.settings:
            raise DataError(
                f"'{first.folder}' and '{run.folder}' are runs of different settings, and so not seeds of one method: name one "
                "of them as second."
            )
        if run.seed in source_of_seed:
            raise DataError(
                f"'{source_of_seed[run.seed]}' and '{source.name}' are both of seed {run.seed}: each counts once."
            )
        source_of_seed[run.seed] = source.name


def _labels(config: CompareEmbeddingsConfig, sources: Sequence[PairedSource], n_first: int) -> list[str]:
    """Names of both methods in tables: those given, else the first run's, told apart where they are the same."""
    if config.names is not None:
        return config.names
    labels = []
    for of_side in (sources[:n_first], sources[n_first:]):
        if of_side:
            labels.append(of_side[0].label)
    if len(set(labels)) < len(labels):  # both are called the same
        return [f"{labels[0]} (first)", f"{labels[1]} (second)"]
    return labels


def _scores(
    source: PairedSource, protocol: ProtocolConfig | None, config: CompareEmbeddingsConfig
) -> dict[ScoreKey, RetrievalResult]:
    if source.embeddings is None or protocol is None:
        return source.scores()
    protocols = protocols_for(source.embeddings, protocol)
    rows = score_all(
        source.label,
        source.embeddings,
        protocols,
        build_scorers(protocol),
        pairs=False,
        progress=config.progress,
    )
    scores: dict[ScoreKey, RetrievalResult] = {}
    for row in rows:
        for key, result in row.results.items():
            scores[row.variant, key] = result
    return scores


def _method(
    label: str, sources: Sequence[PairedSource], scores: Sequence[Mapping[ScoreKey, RetrievalResult]]
) -> Method:
    names = tuple(source.name for source in sources)
    return Method(label, names, tuple(scores))


def _settings(scores: Sequence[Mapping[ScoreKey, RetrievalResult]], common: Sequence[str]) -> tuple[ScoreKey, ...]:
    """Variants and protocols that all runs have, the methods' own scorers first."""
    shared = []
    for variant, key in scores[0]:
        if key in common and all((variant, key) in of_run for of_run in scores):
            shared.append((variant, key))
    if not shared:
        raise DataError("What is compared has no row in common: the runs' methods score by different scorers alone.")
    return tuple(shared)


def _tests(
    methods: Sequence[Method], settings: Sequence[ScoreKey], config: CompareEmbeddingsConfig
) -> tuple[PairedTest, ...]:
    if len(methods) < 2:
        return ()
    first, second = methods
    tests = []
    for setting in settings:
        one = first.identities(setting)
        other = second.identities(setting)
        for metric in config.metrics:
            try:
                difference = paired_difference(one, other, metric, resamples=config.bootstrap, seed=config.seed)
            except DataError as error:
                raise DataError(f"{setting[1]}: {error}") from error
            mean_first = first.mean(setting, metric)
            mean_second = second.mean(setting, metric)
            tests.append(PairedTest(*setting, metric, mean_first, mean_second, difference))
    return tuple(tests)


def _intervals(
    methods: Sequence[Method], settings: Sequence[ScoreKey], config: CompareEmbeddingsConfig
) -> dict[tuple[int, ScoreKey, str], tuple[float, float]]:
    """Of each method's own mean, over persons."""
    intervals = {}
    for place, method in enumerate(methods):
        for setting in settings:
            scores = method.identities(setting)
            for metric in config.metrics:
                intervals[place, setting, metric] = identity_interval(
                    scores, metric, resamples=config.bootstrap, seed=config.seed
                )
    return intervals


def tell_left_out(comparison: PairedComparison) -> None:
    """Say which protocols are not compared, and which scorers look at more than two images."""
    for key in comparison.left_out:
        notice(f"Left out: {key}, which not all of what is compared was scored by.")
    for setting in comparison.settings:
        labels: set[str] = set()
        for method in comparison.methods:
            labels.update(result.labels.inference for result in method.results(setting))
        if labels != {PLAIN}:
            listing = " and ".join(sorted(labels))
            notice(f"{setting[1]}: scored as {listing}, which is not comparable with plain numbers of others.")
