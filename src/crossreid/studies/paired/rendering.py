"""A paired comparison in words, as tables for a terminal, as Markdown and as lines of CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.table import Table

from crossreid.console import unshortened
from crossreid.escaping import for_csv, for_markdown, one_line
from crossreid.evaluation import RetrievalResult, results_table
from crossreid.evaluation.tables import METRICS
from crossreid.studies.paired.comparison import Method, PairedComparison, PairedTest, setting_name

_DECIMALS = 4


def tables(comparison: PairedComparison) -> list[Table]:
    """Every run's scores beside chance and, of two methods, the tests."""
    shown = [results_table(_rows(comparison), "Scores")]
    if comparison.tests:
        first, second = comparison.methods
        table = Table(
            title=f"{second.label} less {first.label}, on the same probes",
            title_justify="left",
            caption="\n".join(map(one_line, statements(comparison))),
            caption_justify="left",
        )
        protocol, *others = test_headings(comparison)
        table.add_column(protocol, no_wrap=True)
        for heading in others:
            table.add_column(heading, justify="right", no_wrap=True)
        for test in comparison.tests:
            table.add_row(*test_cells(test))
        shown.append(unshortened(table))
    return shown


def _rows(comparison: PairedComparison) -> list[tuple[str, RetrievalResult]]:
    """Runs as a table shows them: setting by setting."""
    rows = []
    for setting in comparison.settings:
        variant, _ = setting
        for method in comparison.methods:
            for name, result in zip(run_names(method), method.results(setting), strict=True):
                label = name
                if variant:
                    label = f"{name}/{variant}"
                rows.append((label, result))
    return rows


def run_names(method: Method) -> list[str]:
    """Names of a method's runs in tables: the method's own, with the end of its path where there are several."""
    if len(method.runs) == 1:
        return [method.label]
    names = []
    for place, run in enumerate(method.runs, start=1):  # numbered, as ends of paths may be the same
        names.append(f"{method.label} [{place}: {Path(run).name}]")
    return names


def test_headings(comparison: PairedComparison) -> list[str]:
    """Of the table of tests."""
    first, second = comparison.methods
    return ["protocol", "metric", first.label, second.label, "difference", "95 %", "p", "better / worse"]


def test_cells(test: PairedTest) -> list[str]:
    """A test under :func:`test_headings`, in percent."""
    difference = test.difference
    low, high = difference.interval
    return [
        test.setting,
        METRICS[test.metric],
        f"{100 * test.first:.2f}",
        f"{100 * test.second:.2f}",
        f"{100 * difference.value:+.2f}",
        f"[{100 * low:+.2f}, {100 * high:+.2f}]",
        f"{difference.p_value:.4f}",
        f"{difference.better} / {difference.worse} of {difference.persons}",
    ]


def statements(comparison: PairedComparison) -> list[str]:
    """What is paired, and what the tests do not tell; a sentence each."""
    first, second = comparison.methods
    sentences = [
        f"Percent points. 95 % and p: {comparison.resamples} resamples (seed {comparison.seed}) of the persons that query, "
        "each with all probes of theirs and the same for both methods, so that what makes a person hard for both cancels out; "
        "galleries stay as they are. Better / worse: persons whose probes fare so under the second method.",
        "p: two-sided, twice the share of resamples on the other side of 0; of several tests together it is not corrected.",
    ]
    for method in (first, second):
        runs = len(method.runs)
        if runs == 1:
            sentences.append(
                f"{method.label} is a single run: how much its training depends on chance is not in the interval, and another "
                "seed may turn the sign."
            )
        else:
            # Drawing n of n runs with replacement, the variance of their mean comes out (n - 1) / n of what it is.
            share = (1 - 1 / runs) ** 0.5
            sentences.append(
                f"{method.label}: its {runs} runs are drawn too, independently of the other method's; of so few, chance of "
                f"training is underestimated ({share:.2f} of its standard deviation)."
            )
    sentences.append(
        "It speaks of other persons before these cameras: not of other cameras or datasets, of longer training, or of why the "
        "methods differ."
    )
    return sentences


def markdown(comparison: PairedComparison) -> str:
    """The whole comparison."""
    lines = ["# Comparison of embeddings", ""]
    for method in comparison.methods:
        lines.append(f"- {for_markdown(method.label)}: {for_markdown(', '.join(method.runs))}")
    lines.append("")
    if comparison.tests:
        lines += ["## Paired tests", ""]
        lines += _markdown_table(test_headings(comparison), map(test_cells, comparison.tests))
        for sentence in statements(comparison):
            lines.append(f"- {for_markdown(sentence)}")
        lines.append("")
    lines += ["## Scores", ""]
    lines += _markdown_table(["protocol", "run", *METRICS.values()], _score_cells(comparison))
    for key in comparison.left_out:
        lines.append(f"- Left out, since not all have it: {for_markdown(key)}")
    return "\n".join(lines).rstrip("\n") + "\n"


def _score_cells(comparison: PairedComparison) -> list[list[str]]:
    rows = []
    for name, result in _rows(comparison):
        summaries = result.metrics()
        means = [f"{100 * summaries[metric]['mean']:.2f}" for metric in METRICS]
        rows.append([result.protocol, name, *means])
    return rows


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = ["---"] * len(head)
    lines = []
    for cells in (head, rule, *rows):
        lines.append(f"| {' | '.join(map(for_markdown, cells))} |")
    return [*lines, ""]


def score_lines(comparison: PairedComparison) -> str:
    """CSV: one line a run and setting, with the interval of its method's mean; percent."""
    head = ["setting", "method", "run", *METRICS]
    metrics = sorted({metric for _, _, metric in comparison.intervals})
    for metric in metrics:
        head += [f"{metric} of the method, 95 % low", f"{metric} of the method, 95 % high"]
    lines: list[list[object]] = [[*head]]
    for setting in comparison.settings:
        name = setting_name(setting)
        for place, method in enumerate(comparison.methods):
            # An interval is of the mean over a method's runs, so that all of their lines have the same.
            ends: list[object] = []
            for metric in metrics:
                low, high = comparison.intervals[place, setting, metric]
                ends += [_percent(low), _percent(high)]
            for run, result in zip(method.runs, method.results(setting), strict=True):
                summaries = result.metrics()
                means = [_percent(summaries[metric]["mean"]) for metric in METRICS]
                lines.append([name, method.label, run, *means, *ends])
    return _csv(lines)


def difference_lines(comparison: PairedComparison) -> str:
    """CSV: one line a test; scores and differences in percent."""
    records = comparison.to_records()
    lines: list[list[object]] = [list(records[0])]  # all have the same keys
    for record in records:
        for name in ("first", "second", "difference", "low", "high"):
            record[name] = _percent(record[name])
        lines.append(list(record.values()))
    return _csv(lines)


def _percent(value: float) -> float:
    return round(100 * value, _DECIMALS)


def _csv(lines: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for cells in lines:
        writer.writerow([for_csv(cell) for cell in cells])
    return stream.getvalue()
