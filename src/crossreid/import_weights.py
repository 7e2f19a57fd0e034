"""Make a checkpoint of weights that a public code trained.

``python -m crossreid.import_weights source=agw file=sysu_agw_best.t output=weights/agw``; in Python
:func:`crossreid.import_weights`, as which this module can be called too.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from crossreid.console import notice
from crossreid.launch import CallableCommand, run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.importing import ImportWeightsConfig


def main() -> None:
    """The command."""
    run_command("import_weights", import_weights)


def import_weights(composed: Composed) -> None:
    """Import the file that is named, and say what became of its tensors."""
    config = typed(ImportWeightsConfig, composed)
    refuse_optimiser("import_weights")
    from crossreid.importing import importer  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.runs.outputs import check_outputs  # noqa: PLC0415

    output = Path(config.output)
    read = {"file": [Path(config.file)]}
    outputs = check_outputs("import_weights", config, {}, read, folders={"output": output})
    with outputs.written():
        importer.import_weights(config.source, config.file, output, dataset=config.dataset, split=config.split)
    notice(f"Imported: {output}, which every command takes as checkpoint={shlex.quote(str(output))}")


sys.modules[__name__].__class__ = CallableCommand


if __name__ == "__main__":
    main()
