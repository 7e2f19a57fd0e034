"""Small things that several tests import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from crossreid.settings.store import register

ROOT = Path(__file__).resolve().parents[1]
PROTOCOLS = ROOT.parent / "shared" / "protocols"
"""The real datasets' split lists, where they lie beside the project."""


@dataclass
class Finished:
    """What a command left."""

    code: int
    output: str


def choices(group: str) -> list[str]:
    """All choices of a group, those of its subfolders too: files, and what is registered from code."""
    register()
    folder = ROOT / "conf" / group
    names = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")}
    return sorted(names | set(_stored(group)))


def _stored(group: str) -> list[str]:
    node: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        node = node.get(part, {})
    names = []
    for name in node:
        if name.endswith(".yaml"):
            names.append(name.removesuffix(".yaml"))
        else:
            names += [f"{name}/{inner}" for inner in _stored(f"{group}/{name}")]
    return names


def newest_run(folder: Path) -> Path:
    """The run folder written last below ``folder``."""
    return max(folder.rglob("run.json"), key=lambda path: path.stat().st_mtime).parent


def smoke_settings(people_root: Path, shared_folder: Path) -> list[str]:
    """Settings under which the real command takes seconds."""
    return [
        "scale=smoke",
        f"data.root={people_root}",
        f"data.cache={shared_folder / 'cache'}",
        "trainer=cpu",
        "report.figures=false",
        "protocol.trials=2",
    ]
