"""How many unlabelled queries cm-SSFT's transfer needs (Lu et al., CVPR 2020, Fig. 4): scores over the size of a group.

``python -m crossreid.auxiliary checkpoint=outputs/.../last.ckpt``
"""

from __future__ import annotations

from crossreid.console import console, notice
from crossreid.launch import run_command
from crossreid.optimiser import refuse_optimiser
from crossreid.settings.commands import AuxiliaryConfig
from crossreid.settings.compose import Composed, typed


def main() -> None:
    """The command."""
    run_command("auxiliary", auxiliary)


def auxiliary(composed: Composed) -> float:
    """Score, show, keep and draw the curve; returns Rank-1 with all queries."""
    config = typed(AuxiliaryConfig, composed)
    refuse_optimiser("auxiliary")
    from crossreid.evaluation import results_table  # noqa: PLC0415 - torch is imported behind the first checks
    from crossreid.runs.folder import write_json  # noqa: PLC0415
    from crossreid.runs.outputs import check_outputs, origin_of, output_path  # noqa: PLC0415
    from crossreid.studies.auxiliary_set import auxiliary_curve_of  # noqa: PLC0415
    from crossreid.training.environment import check_figures  # noqa: PLC0415
    from crossreid.training.loading import checkpoint_at  # noqa: PLC0415

    check_figures(config.figure)
    path = checkpoint_at(config.checkpoint)
    inputs = {"checkpoint": [path]}
    origin = origin_of("auxiliary", config, inputs)
    output = output_path(config.output, path.with_name(f"{path.stem}.auxiliary.json"), origin)
    files = {"output": [output]}
    if config.figure:
        files["figure"] = [output.with_suffix(".png")]
    outputs = check_outputs("auxiliary", config, files, inputs)
    curve = auxiliary_curve_of(config)
    if curve.shown_here:
        with outputs.written():
            write_json(output, curve.to_json())
        console.print(results_table(curve.rows(), f"{curve.name}: size of the auxiliary set"))
        notice(f"Results: {output}")
        if config.figure:
            from crossreid.visualization import auxiliary_curve, save  # noqa: PLC0415 - extra `viz`

            figure = auxiliary_curve(curve.points, curve.untransferred)
            notice(f"Figure: {save(figure, output.with_suffix('.png'))}")
    return float(curve.with_all_queries.rank(1).mean())


if __name__ == "__main__":
    main()
