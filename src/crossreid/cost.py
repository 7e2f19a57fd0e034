"""Parameters at test time and milliseconds per image of every method, in one run (LbA, Table 2).

``python -m crossreid.cost``
``python -m crossreid.cost scale=small size=null runs=10``
"""

from __future__ import annotations

from pathlib import Path

from crossreid.console import console, notice
from crossreid.launch import run_command
from crossreid.settings.commands import CostConfig
from crossreid.settings.compose import Composed, typed


def main() -> None:
    """The command."""
    run_command("cost", cost)


def cost(composed: Composed) -> float:
    """Measure, show, keep; returns the number of methods."""
    config = typed(CostConfig, composed)
    from crossreid.runs.folder import write_json  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415
    from crossreid.studies.footprint import cost_table, measure_methods  # noqa: PLC0415

    chosen = {name: str(composed.choices[name]) for name in ("scale", "preset")}
    outputs = check_outputs("cost", config, {"output": [Path(config.output)]}, {}, also=chosen)
    measured = measure_methods(config, **chosen)
    with outputs.written():
        write_json(Path(config.output), measured.to_json(config))
    console.print(cost_table(measured, config))
    notice(f"Costs: {config.output}")
    return float(len(measured.costs))


if __name__ == "__main__":
    main()
