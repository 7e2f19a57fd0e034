"""Results as tables for a terminal: percent, mean ± sample standard deviation over trials, chance first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isnan

from rich.table import Table

from crossreid.console import unshortened
from crossreid.escaping import one_line
from crossreid.evaluation.array_files import Array
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
        chance = [_percent(first.chance.get(name)) for name in METRICS]
        table.add_row("chance", *_setting(first), "-", *chance, style="dim")
        for name, result in group:
            table.add_row(name, *_setting(result), result.labels.feature, *_cells(result))
        table.add_section()  # chance and rows of one protocol stand together
    return unshortened(table)


def pairs_table(
    scores: Mapping[str, PairingScore], title: str | None = None, left_out: Mapping[str, str] | None = None
) -> Table:
    """AlignGAN's Table 1: Rank-1, mAP and intra-class cosine similarity of the four modality pairings.

    Args:
        scores: pairing -> score.
        title: of the table.
        left_out: pairing that cannot be scored -> why; it has a column of dashes, and its reason stands below.
    """
    left_out = left_out or {}
    rules = {score.result.labels.exclusion for score in scores.values()}
    lines = []
    for rule in sorted(rules):
        lines.append(f"not counted: {rule}")
    for pairing, reason in left_out.items():
        lines.append(f"{pairing} cannot be scored: {reason}")
    # Rules and reasons may hold names of files: no line of theirs may break the table.
    caption = "\n".join(map(one_line, lines))
    table = Table(title=title, caption=caption, caption_justify="left", title_justify="left")
    table.add_column("query2gallery")
    for pairing in [*scores, *left_out]:
        table.add_column(pairing, justify="right", no_wrap=True)
    rows: dict[str, list[str]] = {
        "R1": [],
        "mAP": [],
        "chance R1 / mAP": [],
        "intra-class cosine similarity": [],
        "probes counted / skipped": [],
    }
    for score in scores.values():
        result = score.result
        rows["R1"].append(_percent(result.rank(1).mean()))
        rows["mAP"].append(_percent(result.mean_ap.mean()))
        rows["chance R1 / mAP"].append(f"{_percent(result.chance['rank1'])} / {_percent(result.chance['mAP'])}")
        rows["intra-class cosine similarity"].append(f"{score.similarity:.3f}")
        rows["probes counted / skipped"].append(f"{result.n_valid[0]} / {result.n_skipped[0]}")
    for heading, cells in rows.items():
        table.add_row(heading, *cells, *["-"] * len(left_out))
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
    cells = []
    for name in METRICS:
        summary = summaries[name]
        cells.append(percent_with_deviation(summary["mean"], summary["std"]))
    return cells


def percent_with_deviation(mean: float, deviation: float | None) -> str:
    """``50.00 ± 10.00`` of fractions; of a single value, which has no deviation, the value alone."""
    if deviation is None:
        return _percent(mean)
    return f"{_percent(mean)} ± {_percent(deviation)}"


def _percent(value: float | None) -> str:
    if value is None or isnan(value):
        return "-"
    return f"{100 * value:.2f}"


def _caption(rows: list[tuple[str, RetrievalResult]]) -> str:
    counts: list[str] = []
    for group in _by_protocol(rows).values():
        for _, result in group:
            counts.append(_counts(result))
    rules: list[str] = []
    repeats: set[str] = set()
    for _, result in rows:
        rules.append(f"Rank-k counts {result.labels.ranks}; not counted: {result.labels.exclusion}.")
        if result.trials > 1:
            repeats.add(f"{result.labels.repeats}s")
    lines = ["Percent."]
    if repeats:
        lines = [f"Percent, mean ± sample standard deviation over {' or '.join(sorted(repeats))}."]
    lines += dict.fromkeys(counts)  # each sentence once, in the order of the rows
    lines += dict.fromkeys(rules)
    near = []
    for name, result in rows:
        if result.near_chance:
            near.append(f"{name} ({result.protocol})")
    if near:
        lines.append(f"Near chance level: {', '.join(near)}.")
    return "\n".join(map(one_line, lines))


def _counts(result: RetrievalResult) -> str:
    repeats = f"{result.trials} {result.labels.repeats}"
    if result.trials != 1:
        repeats += "s"
    if result.labels.repeats == "split":  # the label says how many of the ten splits
        repeats = f"mean over {result.labels.draw}"
    return (
        f"{result.protocol}: {repeats}, {_span(result.n_valid)} probes counted, "
        f"{_span(result.n_skipped)} skipped, {_span(result.n_gallery)} gallery images."
    )


def _span(counts: Array) -> str:
    """Smallest and largest of (T,) numbers; one number where they are equal."""
    smallest = counts.min()
    largest = counts.max()
    if smallest == largest:
        return f"{smallest}"
    return f"{smallest} to {largest}"
