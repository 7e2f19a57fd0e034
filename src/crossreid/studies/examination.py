"""What a copy of a dataset holds, and what a protocol makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from crossreid.console import console
from crossreid.data.cache import available_cores, damaged_caches
from crossreid.data.datasets import ReIDDataset
from crossreid.data.datasets.sources import open_source
from crossreid.data.doctor import Examination, examine
from crossreid.errors import CrossReIDError
from crossreid.evaluation.building import ProtocolSet, Scored, build_protocols
from crossreid.settings.data import DataConfig
from crossreid.settings.protocol import ProtocolConfig
from crossreid.training.scoring import as_embeddings


@dataclass(frozen=True)
class ExaminedDataset:
    """A dataset's findings and what a protocol makes of it.

    Attributes:
        findings: counts, and what is wrong.
        sizes: protocol key -> probes and gallery images of its first trial.
    """

    findings: Examination
    sizes: Mapping[str, tuple[int, int]]


def examine_dataset(data: DataConfig, protocol: ProtocolConfig, *, progress: bool) -> ExaminedDataset:
    """Open every image, count, and see what the protocol makes of the test split.

    Raises:
        DataError: nothing can be read.
    """
    source = open_source(data)
    dataset, complaints = source.survey(progress=progress)
    sizes: dict[str, tuple[int, int]] = {}
    try:
        sizes = protocol_sizes(build_protocols(protocol, Scored.of(data, data, dataset)), dataset)
    except CrossReIDError as error:
        complaints = [*complaints, str(error)]
    findings = examine(
        dataset,
        source.expected(),
        complaints,
        decoding=data.decoding,
        damaged_caches=damaged_caches(dataset.root, data.cache_folder),
        workers=available_cores(),
        progress=progress,
    )
    return ExaminedDataset(findings, sizes)


def protocol_sizes(protocols: ProtocolSet, dataset: ReIDDataset) -> dict[str, tuple[int, int]]:
    """Protocol key -> probes and gallery images of its first trial.

    Raises:
        DataError: the protocol cannot score this set.
    """
    rows = dataset.rows("test")
    embeddings = as_embeddings(dataset, rows, {"main": np.zeros((len(rows), 1), dtype=np.float32)})
    sizes = {}
    for protocol in protocols.test:
        protocol.check(embeddings)
        sizes[protocol.key] = len(protocol.queries(embeddings)), len(protocol.gallery(embeddings, 0))
    return sizes


def show(examined: ExaminedDataset, data: DataConfig) -> None:
    """Tables of counts, of names and of what was left out, what the protocol makes of it, then the findings, a line each."""
    table = Table(title=f"{data.name} at {data.folder}", title_justify="left")
    for heading in ("split", "camera", "ids", "expected", "images", "expected", ""):
        table.add_column(heading, justify="left" if heading in ("split", "") else "right")
    for row in examined.findings.counts:
        ids, images, mark = "-", "-", ""
        if row.expected is not None:
            ids, images = str(row.expected.ids), str(row.expected.images)
            mark = "ok" if row.right else "differs"
        style = "" if row.right else "red"
        table.add_row(
            row.split, str(row.camera), str(row.found.ids), ids, str(row.found.images), images, mark, style=style
        )
    console.print(table)
    show_names(examined.findings)
    for key, (probes, gallery) in examined.sizes.items():
        console.print(f"{key}: {probes} probes, {gallery} gallery images")
    for use in examined.findings.ranges:
        low, high, black, white = use.grey
        console.print(
            f"{use.images} {use.modality} images are deeper than 8 bits: values from {low:g} to {high:g}, of which {black:g} "
            f"becomes black and {white:g} white"
        )
    findings = examined.findings.findings
    for finding in findings:
        style = "red" if finding.severity == "error" else "yellow"
        console.print(f"{finding.severity} ({finding.kind}): {finding.message}", style=style)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    console.print(f"{examined.findings.images} images opened, {errors} errors, {warnings} warnings.")


def show_names(findings: Examination) -> None:
    """What was understood of the files' names, with examples, and what was left out."""
    for read in findings.names:
        table = Table(title=f"{read.images} images named as {read.pattern}", title_justify="left")
        for heading in ("file", "split", "person", "camera", "modality"):
            table.add_column(heading, overflow="fold")
        for example in read.examples:
            person = "distractor" if example.role == "distractor" else str(example.pid)
            split = example.split if example.role in ("any", "distractor") else f"{example.split} ({example.role})"
            table.add_row(example.file, split, person, str(example.camera), example.modality)
        console.print(table)
    if not findings.skipped:
        return
    table = Table(title="Not read", title_justify="left")
    table.add_column("reason")
    table.add_column("files", justify="right")
    table.add_column("such as", overflow="fold")
    for part in findings.skipped:
        table.add_row(part.reason, str(part.files), str(part.example))
    console.print(table)
