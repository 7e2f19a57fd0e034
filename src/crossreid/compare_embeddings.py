"""Compare two methods, ours or anybody's, on the same probes, with a paired test over persons and seeds.

``python -m crossreid.compare_embeddings first=ours.npz second=theirs.mat protocol=sysu_mm01``; in Python
:func:`crossreid.compare_embeddings`, as which this module can be called too.
"""

from __future__ import annotations

import sys

from crossreid.console import console, notice
from crossreid.launch import CallableCommand, run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.compose import Composed, typed
from crossreid.settings.foreign import CompareEmbeddingsConfig


def main() -> None:
    """The command."""
    run_command("compare_embeddings", compare_embeddings)


def compare_embeddings(composed: Composed) -> None:
    """Score, compare, show, keep."""
    config = typed(CompareEmbeddingsConfig, composed)
    refuse_optimiser("compare_embeddings")
    from crossreid.studies.paired import front, rendering  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.studies.paired.comparison import tell_left_out  # noqa: PLC0415

    outputs = front.outputs_of(config)
    comparison = front.comparison_of(config)
    for table in rendering.tables(comparison):
        console.print(table)
    tell_left_out(comparison)
    notice(f"Comparison: {front.keep(comparison, outputs)}")


sys.modules[__name__].__class__ = CallableCommand


if __name__ == "__main__":
    main()
