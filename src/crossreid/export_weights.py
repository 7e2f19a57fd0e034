"""Write weights as a public code saves them, so that it can read them.

``python -m crossreid.export_weights checkpoint=RUN output=sysu_agw_ours.t``; in Python :func:`crossreid.export_weights`, as
which this module can be called too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from crossreid.console import notice
from crossreid.launch import CallableCommand, run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.importing import ExportWeightsConfig


def main() -> None:
    """The command."""
    run_command("export_weights", export_weights)


def export_weights(composed: Composed) -> None:
    """Write the checkpoint that is named in its public layout."""
    config = typed(ExportWeightsConfig, composed)
    refuse_optimiser("export_weights")
    from crossreid.importing import writer  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at  # noqa: PLC0415

    path = checkpoint_at(config.checkpoint)
    output = Path(config.output)
    read = {"checkpoint": [path]}
    layout = writer.layout_for(path, config.source)
    if layout.pattern:
        outputs = check_outputs("export_weights", config, {}, read, folders={"output": output})
    else:
        outputs = check_outputs("export_weights", config, {"output": [output]}, read)
    with outputs.written():
        writer.export_weights(path, output, config.source)
    notice(f"Written for the code of {layout.title}: {output}")


sys.modules[__name__].__class__ = CallableCommand


if __name__ == "__main__":
    main()
