"""A workspace and a report in Weights & Biases over the runs of a project.

``python -m crossreid.dashboard project=crossreid entity=my-team``
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from crossreid.console import notice
from crossreid.errors import ConfigError
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.commands import DashboardConfig
from crossreid.settings.compose import Composed, typed


def main() -> None:
    """The command."""
    run_command("dashboard", dashboard)


def dashboard(composed: Composed) -> None:
    """Build both, and send them or write what would be sent."""
    config = typed(DashboardConfig, composed)
    refuse_optimiser("dashboard")
    if find_spec("wandb_workspaces") is None:
        raise ConfigError("crossreid.dashboard needs wandb-workspaces: pip install 'crossreid[dashboard]'.")
    from crossreid.runs.folder import write_json  # noqa: PLC0415 - behind the first checks
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415
    from crossreid.studies.wandb_dashboard import as_json, report, send, workspace  # noqa: PLC0415

    if config.output is not None:
        output = Path(config.output)
        outputs = check_outputs("dashboard", config, {"output": [output]}, {})
        entity = config.entity or "your-team"
        with outputs.written():
            write_json(output, as_json(workspace(config, entity), report(config, entity)))
        notice(f"What would be sent: {output}")
        return
    for what, address in send(config).items():
        notice(f"{what}: {address}")


if __name__ == "__main__":
    main()
