"""What a group looks at in Weights & Biases: a workspace of panels and a report, from the keys that runs send.

Nothing here reaches a server before :meth:`Workspace.save` or :meth:`Report.save` is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossreid.errors import ConfigError, reason_of
from crossreid.settings.commands import DashboardConfig
from crossreid.settings.registry import method_class, method_names, method_settings

ITERATION = "iteration"
PICTURES = ("pictures/translation", "figures/ranked_lists", "figures/activation", "figures/tsne")


def players_of(config: DashboardConfig) -> list[str]:
    """Those that are named, or those of all methods here."""
    if config.players is not None:
        return config.players
    # A dictionary's keys: each player once, in the order of the methods.
    players: dict[str, None] = {}
    for name in method_names():
        settings = method_settings(name)()
        players.update(dict.fromkeys(method_class(settings).OPTIMIZERS))
    return list(players)


def workspace(config: DashboardConfig, entity: str) -> Any:
    """A workspace whose runs are grouped by method: scores, then validation, losses by player, pictures."""
    import wandb_workspaces.workspaces as ws  # noqa: PLC0415 - extra `dashboard`

    sections = [
        ws.Section(name="Scores of the test, percent", panels=_score_panels(config.protocols), is_open=True),
        ws.Section(name="Validation", panels=[_validation_panel()], is_open=True),
        ws.Section(name="Losses by player", panels=_loss_panels(config)),
        ws.Section(name="Learning rates", panels=[_line("Learning rates", r"^lr/.*")]),
        ws.Section(name="Pictures", panels=[_pictures()]),
    ]
    return ws.Workspace(
        entity=entity,
        project=config.project,
        name=config.name,
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=ITERATION),
        runset_settings=ws.RunsetSettings(groupby=[ws.Metric("Group")]),
        auto_generate_panels=False,
    )


def report(config: DashboardConfig, entity: str) -> Any:
    """A report that can be sent: what is compared, scores beside chance, curves, pictures."""
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415 - extra `dashboard`

    runs = wr.Runset(entity=entity, project=config.project, groupby=["Group"])
    blocks = [
        wr.P(
            "Means over the runs of each method, in percent. Chance is that of a random ranking of the same gallery; the table "
            "'scores' of each run holds it beside the network before training and what papers print on the real images."
        ),
        wr.H1("Scores of the test"),
        wr.PanelGrid(runsets=[runs], panels=_score_panels(config.protocols)),
        wr.H1("Validation"),
        wr.PanelGrid(runsets=[runs], panels=[_validation_panel()]),
        wr.H1("Losses by player"),
        wr.PanelGrid(runsets=[runs], panels=_loss_panels(config)),
        wr.H1("What the methods make of images"),
        wr.PanelGrid(runsets=[runs], panels=[_pictures()]),
    ]
    return wr.Report(
        project=config.project,
        entity=entity,
        title=config.name,
        description="Visible-infrared person re-identification, by crossreid.",
        blocks=blocks,
    )


def _score_panels(protocols: Sequence[str]) -> list[Any]:
    """For each protocol Rank-1 and mAP of every method, and chance."""
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415

    panels: list[Any] = []
    for protocol in protocols:
        for metric, name in (("rank1", "Rank-1"), ("mAP", "mAP")):
            score = wr.SummaryMetric(f"test/{protocol}/{metric}")
            chance = wr.SummaryMetric(f"chance/{protocol}/{metric}")
            panels.append(wr.BarPlot(title=f"{name}, {protocol}, percent", metrics=[score, chance]))
    return panels


def _line(title: str, pattern: str) -> Any:
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415

    return wr.LinePlot(title=title, x=ITERATION, metric_regex=pattern)


def _loss_panels(config: DashboardConfig) -> list[Any]:
    """One a player; losses are sent as ``train/PLAYER/LOSS``."""
    panels = []
    for player in players_of(config):
        panels.append(_line(f"Losses of {player}", rf"^train/{player}/.*"))
    return panels


def _validation_panel() -> Any:
    return _line("mAP of the validation persons", r"^validation/.*/mAP$")


def _pictures() -> Any:
    import wandb_workspaces.reports.v2 as wr  # noqa: PLC0415

    return wr.MediaBrowser(title="Pictures and figures", media_keys=list(PICTURES))


def as_json(own: Any, shared: Any) -> dict[str, Any]:
    """What would be sent, as plain values; of the report the texts and panels, since the server adds the rest."""
    blocks = []
    for block in shared.blocks:
        if hasattr(block, "panels"):  # a grid of panels; anything else is text
            blocks.append({"panels": list(map(_plain, block.panels))})
        else:
            blocks.append({"text": block.text})
    return {"workspace": _plain(own), "report": {"title": shared.title, "project": shared.project, "blocks": blocks}}


def _plain(part: Any) -> dict[str, Any]:
    content: dict[str, Any] = part._to_model().model_dump(by_alias=True, exclude_none=True, mode="json")
    return content


def send(config: DashboardConfig) -> dict[str, str]:
    """Save both on the server; returns what was saved and its address.

    Raises:
        ConfigError: W&B cannot be reached, or knows no account here.
    """
    import wandb  # noqa: PLC0415

    try:
        api = wandb.Api(timeout=30)
        entity = config.entity or str(api.default_entity)
        own = workspace(config, entity)
        own.save()
        shared = report(config, entity)
        shared.save()
    except Exception as error:  # of W&B, of what it sends with, of pydantic: all of them mean that nothing was saved
        raise ConfigError(
            f"W&B takes no dashboard ({type(error).__name__}: {reason_of(error)}): run `wandb login`, or say "
            "output=FILE.json to see what would be sent."
        ) from error
    return {"Workspace": own.url, "Report": shared.url}
