"""Examine a copy of a dataset: ``python -m crossreid.check data=sysu_mm01 data.root=/data/SYSU-MM01``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from rich.table import Table

from crossreid.command import run_command
from crossreid.config import CheckConfig, typed
from crossreid.console import console, notice
from crossreid.data.cache import available_cores
from crossreid.data.datasets import ReIDDataset
from crossreid.data.doctor import Examination, examine
from crossreid.datasets import DataConfig, data_config
from crossreid.errors import CrossReIDError
from crossreid.protocols import ProtocolSet, Scored, protocol_config
from crossreid.runs.folder import write_json
from crossreid.training.scoring import as_embeddings


def main() -> None:
    """The command."""
    run_command("check", check)


def check(cfg: DictConfig) -> None:
    """Print what was found; exit code 1 where something is wrong."""
    config = typed(CheckConfig, cfg)
    data = data_config(config.data)
    protocol = protocol_config(config.protocol)
    dataset, complaints = data.survey(progress=config.progress)
    sizes: dict[str, tuple[int, int]] = {}
    try:
        sizes = protocol_sizes(protocol.build(Scored.of(data, data, dataset)), dataset)
    except CrossReIDError as error:
        complaints = [*complaints, str(error)]
    found = examine(dataset, data.expected(), complaints, workers=available_cores(), progress=config.progress)
    show(found, sizes, data)
    if config.output:
        facts = {"dataset": data.name, "root": data.root, "healthy": found.healthy, "protocols": sizes}
        write_json(Path(config.output), facts | asdict(found))
        notice(f"Findings: {config.output}")
    if not found.healthy:
        sys.exit(1)


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


def show(found: Examination, sizes: Mapping[str, tuple[int, int]], data: DataConfig) -> None:
    """A table of counts, what the protocol makes of them, then the findings, a line each."""
    table = Table(title=f"{data.name} at {data.root}", title_justify="left")
    for heading in ("split", "camera", "ids", "expected", "images", "expected", ""):
        table.add_column(heading, justify="left" if heading in ("split", "") else "right")
    for row in found.counts:
        ids, images = (str(n) for n in row.expected) if row.expected else ("-", "-")
        mark = "" if row.expected is None else "ok" if row.right else "differs"
        style = "" if row.right else "red"
        table.add_row(
            row.split, str(row.camera), str(row.found.ids), ids, str(row.found.images), images, mark, style=style
        )
    console.print(table)
    for key, (probes, gallery) in sizes.items():
        console.print(f"{key}: {probes} probes, {gallery} gallery images", markup=False)
    for finding in found.findings:
        style = "red" if finding.severity == "error" else "yellow"
        console.print(f"{finding.severity} ({finding.kind}): {finding.message}", style=style, markup=False)
    errors = sum(finding.severity == "error" for finding in found.findings)
    warnings = len(found.findings) - errors
    console.print(f"{found.images} images opened, {errors} errors, {warnings} warnings.", markup=False)


if __name__ == "__main__":
    main()
