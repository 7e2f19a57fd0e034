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
from crossreid.data.doctor import examine
from crossreid.data.findings import Examination
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
    # A set that the protocol cannot score is a finding like others, and no end of the examination.
    try:
        protocols = build_protocols(protocol, Scored.of(data, data, dataset))
        sizes = protocol_sizes(protocols, dataset)
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
    # Probes and galleries follow from persons, cameras and modalities, so that any features will do.
    no_features = np.zeros((len(rows), 1), dtype=np.float32)
    embeddings = as_embeddings(dataset, rows, {"main": no_features})
    sizes = {}
    for protocol in protocols.test:
        protocol.check(embeddings)
        probes = protocol.queries(embeddings)
        gallery = protocol.gallery(embeddings, 0)
        sizes[protocol.key] = (len(probes), len(gallery))
    return sizes


def show(examined: ExaminedDataset, data: DataConfig) -> None:
    """Tables of counts, of names and of what was left out, what the protocol makes of it, then the findings, a line each."""
    console.print(_table_of_counts(examined.findings, f"{data.name} at {data.folder}"))
    show_names(examined.findings)
    for key, (probes, gallery) in examined.sizes.items():
        console.print(f"{key}: {probes} probes, {gallery} gallery images")
    for use in examined.findings.ranges:
        low, high, black, white = use.grey
        console.print(
            f"{use.images} {use.modality} images are deeper than 8 bits: values from {low:g} to {high:g}, of which {black:g} "
            f"becomes black and {white:g} white"
        )
    errors = 0
    warnings = 0
    for finding in examined.findings.findings:
        line = f"{finding.severity} ({finding.kind}): {finding.message}"
        if finding.severity == "error":
            errors += 1
            console.print(line, style="red")
        else:
            warnings += 1
            console.print(line, style="yellow")
    console.print(f"{examined.findings.images} images opened, {errors} errors, {warnings} warnings.")


def _table_of_counts(findings: Examination, title: str) -> Table:
    """Identities and images of every split and camera, beside what is expected; red where they differ."""
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    for heading in ("camera", "ids", "expected", "images", "expected"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in findings.counts:
        expected_ids = "-"
        expected_images = "-"
        mark = ""
        style = ""
        if row.expected is not None:
            expected_ids = str(row.expected.ids)
            expected_images = str(row.expected.images)
            mark = "ok"
        if not row.right:
            mark = "differs"
            style = "red"
        ids = str(row.found.ids)
        images = str(row.found.images)
        table.add_row(row.split, str(row.camera), ids, expected_ids, images, expected_images, mark, style=style)
    return table


def show_names(findings: Examination) -> None:
    """What was understood of the files' names, with examples, and what was left out."""
    for pattern in findings.names:
        table = Table(title=f"{pattern.images} images named as {pattern.pattern}", title_justify="left")
        for heading in ("file", "split", "person", "camera", "modality"):
            table.add_column(heading, overflow="fold")
        for example in pattern.examples:
            person = str(example.pid)
            split = str(example.split)
            if example.role == "distractor":
                person = "distractor"
            elif example.role != "any":
                split = f"{example.split} ({example.role})"
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
