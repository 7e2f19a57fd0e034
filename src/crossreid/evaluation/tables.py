"""Results as tables for a terminal: percent, mean ± population standard deviation over trials, chance first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isnan

from rich.table import Table

from crossreid.console import unshortened
from crossreid.evaluation.modality_pairs import PairingScore
from crossreid.evaluation.results import RetrievalResult

METRICS = {"rank1": "R1", "rank5": "R5", "rank10": "R10", "rank20": "R20", "mAP": "mAP", "mINP": "mINP"}


def results_table(rows: Iterable[tuple[str, RetrievalResult]], title: str | None = None) -> Table:
    """One row a (name, result), in the order given, under a chance row for each protocol.

    The caption tells trials, exclusion rule, and counted and skipped probes of every protocol; a result whose mean
    Rank-1 is below twice chance is named there as near chance level.
    """
    rows = list(rows)
    table = Table(title=title, caption=_caption(rows), caption_justify="left", title_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in ("mode", "shots", "draw", "feature"):
        table.add_column(heading)
    for heading in METRICS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for group in _by_protocol(rows).values():
        first = group[0][1]
        table.add_row(
            "chance", *_setting(first), "-", *(_percent(first.chance.get(name)) for name in METRICS), style="dim"
        )
        for i, (name, result) in enumerate(group):
            last = i == len(group) - 1
            table.add_row(name, *_setting(result), result.labels.feature, *_cells(result), end_section=last)
    return unshortened(table)


def pairs_table(scores: Mapping[str, PairingScore], title: str | None = None) -> Table:
    """AlignGAN's Table 1: Rank-1, mAP and intra-class cosine similarity of the four modality pairings."""
    caption = "; ".join(sorted({f"not counted: {score.result.labels.exclusion}" for score in scores.values()}))
    table = Table(title=title, caption=caption, caption_justify="left", title_justify="left")
    table.add_column("query2gallery")
    for pairing in scores:
        table.add_column(pairing, justify="right", no_wrap=True)
    results = [score.result for score in scores.values()]
    table.add_row("R1", *(_percent(result.rank(1).mean()) for result in results))
    table.add_row("mAP", *(_percent(result.mean_ap.mean()) for result in results))
    table.add_row("chance R1 / mAP", *(f"{_percent(r.chance['rank1'])} / {_percent(r.chance['mAP'])}" for r in results))
    table.add_row("intra-class cosine similarity", *(f"{score.similarity:.3f}" for score in scores.values()))
    table.add_row("probes counted / skipped", *(f"{r.n_valid[0]} / {r.n_skipped[0]}" for r in results))
    return unshortened(table)


def _by_protocol(rows: list[tuple[str, RetrievalResult]]) -> dict[str, list[tuple[str, RetrievalResult]]]:
    groups: dict[str, list[tuple[str, RetrievalResult]]] = {}
    for name, result in rows:
        groups.setdefault(result.protocol, []).append((name, result))
    return groups


def _setting(result: RetrievalResult) -> tuple[str, str, str]:
    return result.labels.mode, result.labels.shots, result.labels.draw


def _cells(result: RetrievalResult) -> list[str]:
    summaries = result.metrics()
    return [f"{100 * summaries[name]['mean']:.2f} ± {100 * summaries[name]['std']:.2f}" for name in METRICS]


def _percent(value: float | None) -> str:
    return "-" if value is None or isnan(value) else f"{100 * value:.2f}"


def _caption(rows: list[tuple[str, RetrievalResult]]) -> str:
    lines = ["Percent, mean ± standard deviation over trials."]
    for group in _by_protocol(rows).values():
        for told in dict.fromkeys(_counts(result) for _, result in group):
            lines.append(told)
    lines += [
        f"Rank-k counts {r}; not counted: {e}."
        for r, e in dict.fromkeys((result.labels.ranks, result.labels.exclusion) for _, result in rows)
    ]
    for name, result in rows:
        if result.near_chance:
            lines.append(f"{name} ({result.protocol}): near chance level.")
    return "\n".join(lines)


def _counts(result: RetrievalResult) -> str:
    def span(counts: Iterable[int]) -> str:
        values = sorted(set(counts))
        return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"

    trials = "1 trial" if result.trials == 1 else f"{result.trials} trials"
    return (
        f"{result.protocol}: {trials}, {span(result.n_valid.tolist())} probes counted, "
        f"{span(result.n_skipped.tolist())} skipped, {span(result.n_gallery.tolist())} gallery images."
    )
