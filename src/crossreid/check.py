"""Examine a copy of a dataset: ``python -m crossreid.check data=sysu_mm01 data.root=/data/SYSU-MM01``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from crossreid.console import notice
from crossreid.launch import run_command
from crossreid.settings.commands import CheckConfig
from crossreid.settings.compose import Composed, typed


def main() -> None:
    """The command."""
    run_command("check", check)


def check(composed: Composed) -> None:
    """Print what was found; exit code 1 where something is wrong."""
    config = typed(CheckConfig, composed)
    from crossreid.runs.folder import write_json  # noqa: PLC0415 - numpy and torch behind the first checks
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415
    from crossreid.studies.examination import examine_dataset, show  # noqa: PLC0415

    files = []
    if config.output:
        files.append(Path(config.output))
    outputs = check_outputs("check", config, {"output": files}, {"data.root": [config.data.folder]})
    examined = examine_dataset(config.data, config.protocol, progress=config.progress)
    show(examined, config.data)
    findings = examined.findings
    if config.output:
        skipped = [part._asdict() | {"example": str(part.example)} for part in findings.skipped]
        content = {
            "dataset": config.data.name,
            "root": str(config.data.folder),
            "healthy": findings.healthy,
            "protocols": examined.sizes,
            **asdict(findings),
            "skipped": skipped,
        }
        with outputs.written():
            write_json(Path(config.output), content)
        notice(f"Findings: {config.output}")
    if not findings.healthy:
        sys.exit(1)


if __name__ == "__main__":
    main()
