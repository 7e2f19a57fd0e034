"""The folder of one run: config, versions, history, checkpoints, results, figures."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from crossreid.console import notice
from crossreid.errors import ConfigError, CrossReIDError, DataError, OverBudgetError
from crossreid.files import check_folder, unwritable, write_atomically
from crossreid.invocation import command_line
from crossreid.runs.aside import keep, leftovers, let_go, put_back, set_aside, tidy
from crossreid.runs.lock import LOCK, give_up, refuse_owned, take
from crossreid.settings.conversion import current
from crossreid.settings.run import FORMAT, differences, identity_of, without
from crossreid.untrusted import read_json, read_yaml
from crossreid.version import __version__

LAST = "last.ckpt"
BEST = "best.ckpt"  # on the validation identities
_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf", "wandb", "numpy")
CONFIG = "config.yaml"


@dataclass(frozen=True)
class RunFolder:
    """Where one run writes.

    Attributes:
        path: the folder.
        checkpoint: what to resume from, if anything.
        stale: an unfinished run without a checkpoint lies there, and makes way for this one.
        fresh: its name was made up from the time, so that another one does as well.
    """

    path: Path
    checkpoint: Path | None = None
    stale: bool = False
    fresh: bool = False

    @property
    def figures(self) -> Path:
        """Folder of PNGs."""
        return self.path / "figures"

    @property
    def finished(self) -> bool:
        """A run lies there that was trained and scored."""
        path = self.path / "run.json"
        return path.is_file() and read_json(path).get("status") == "finished"

    def note(self, **facts: Any) -> dict[str, Any]:
        """Add facts to run.json; returns all of them."""
        path = self.path / "run.json"
        all_facts: dict[str, Any] = {}
        if path.is_file():
            all_facts = read_json(path)
        all_facts |= facts
        write_json(path, all_facts)
        return all_facts

    def note_problem(self, error: BaseException, *, interrupted: bool) -> None:
        """Say in run.json, if there is one, what ended the run: in one sentence, after the type where it is a bug's.

        A finished run that was gone on with is put back as it was, and stays finished.
        """
        if put_back(self.path) or not (self.path / "run.json").is_file():
            return
        status = "failed"
        if isinstance(error, OverBudgetError):
            status = "over budget"
        elif interrupted:
            status = "interrupted"
        message = " ".join(str(error).split())
        if not isinstance(error, CrossReIDError):
            message = f"{type(error).__name__}: {message}"
        try:
            self.note(status=status, problem=message[:500])
        except CrossReIDError as further:  # the first error is what a person must hear of; the disk may be full
            notice(f"run.json does not say how the run ended: {further}")


def write_json(path: Path, content: object) -> None:
    """Write JSON, whole or not at all."""
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, lambda stream: stream.write(text.encode()))


def fingerprint(config: Mapping[str, Any]) -> str:
    """A digest of the settings that decide what a run computes."""
    return _digest(identity_of(config))


def fingerprint_without_protocol(config: Mapping[str, Any]) -> str:
    """What :func:`fingerprint` was while the protocol was no part of any run."""
    return _digest(without(identity_of(config), ("protocol",)))


def _digest(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def read_config(folder: Path) -> dict[str, Any]:
    """The settings that a run folder keeps, in today's format.

    Raises:
        DataError: config.yaml is missing, damaged, or no settings of a run.
    """
    return current_config(raw_config(folder), folder)


def raw_config(folder: Path) -> dict[str, Any]:
    """What config.yaml of a run folder says, as it stands there: nothing in it is resolved.

    Raises:
        DataError: it is missing or damaged.
    """
    return read_yaml(folder / CONFIG)


def current_config(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings of a run folder in today's format.

    Raises:
        DataError: they are no settings of a run.
    """
    try:
        return current(raw)
    except ConfigError as error:
        raise DataError(f"'{folder / CONFIG}': {error}") from error


def differences_from(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Keys in which the run in a folder differs from these settings; none where it is a run of them.

    Raises:
        DataError: the folder's settings cannot be read.
    """
    there = read_config(folder)
    try:
        return differences(identity_of(config), identity_of(there))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"'{folder / CONFIG}' holds no settings of a run ({type(error).__name__}).") from error


def scored_checkpoint(folder: Path) -> Path:
    """Where the weights of a run lie that its scores are of: ``best.ckpt`` where validation chooses them, else ``last.ckpt``.

    A folder without settings is no run's, and has weights that nobody chose. The file need not be there yet.

    Raises:
        DataError: the settings are damaged.
    """
    if not (folder / CONFIG).is_file():
        return folder / LAST
    selection = raw_config(folder).get("selection")
    if isinstance(selection, Mapping) and selection.get("name") == "validation":
        return folder / BEST
    return folder / LAST


@contextmanager
def owned(run: RunFolder, *, overwrite: bool) -> Iterator[RunFolder]:
    """Inside, this process owns the folder of a run; what a killed one left there is cleaned up first.

    Args:
        run: as :func:`~crossreid.runs.choosing.open_run` chose it.
        overwrite: a run that is there already may be replaced.

    Yields:
        The same, in a folder of another name where the chosen one was fresh and somebody else took it meanwhile.

    Raises:
        OwnedError: another process writes there.
        ConfigError: a run has come to lie there meanwhile.
        WriteError: nothing can be written there.
    """
    check_folder(run.path, "output_root" if run.fresh else "run_dir")
    # folders that this run makes, innermost first; those in which nothing came to lie go again
    missing = [folder for folder in (run.path, *run.path.parents) if not folder.exists()]
    if run.fresh:
        run = replace(run, path=_make_fresh(run.path))
        missing = [run.path, *missing[1:]]
    else:
        run.path.mkdir(parents=True, exist_ok=True)
    try:
        take(run.path)
        tidy(run.path)  # only an owner may: another process could be writing there
        if run.checkpoint is None and not run.stale:
            check_free(run.path, overwrite, mine=True)
        yield run
    finally:
        give_up(run.path)
        _remove_empty(missing)


def recover(folder: Path) -> None:
    """Clean up a run folder that a killed process left, if nobody writes there.

    Raises:
        OwnedError: somebody does, or may do so.
    """
    refuse_owned(folder)
    if not folder.is_dir() or not leftovers(folder):
        return
    take(folder)
    try:
        tidy(folder)
    finally:
        give_up(folder)


def _make_fresh(wanted: Path) -> Path:
    """Make a folder of that name, or with a number behind it where one is there: two runs may start in one second."""
    path = wanted
    number = 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            path = wanted.with_name(f"{wanted.name}_{number}")
        except OSError as error:
            raise unwritable(path, error) from error
        else:
            return path


def _remove_empty(folders: Sequence[Path]) -> None:
    """Of folders that were made, innermost first, remove those in which nothing came to lie."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # something lies in it
            return


def start_run(run: RunFolder, config: dict[str, Any], *, overwrite: bool) -> None:
    """Write config and versions; on rank 0 only, and only after every check has passed.

    A run that is replaced goes when this one's first files are there. Of a finished run that is gone on with, everything is
    kept until :func:`finish_run`.
    """
    there = (run.path / "run.json").is_file()
    # gone on with, replaced, or new: which of them, was decided when the folder was chosen
    if run.checkpoint is not None:
        if run.finished:
            keep(run.path)
        else:
            _write_start(run, config)
    elif there and (overwrite or run.stale):
        with set_aside(run.path):
            _write_start(run, config)
    else:
        run.path.mkdir(parents=True, exist_ok=True)
        _write_start(run, config)


def finish_run(run: RunFolder, config: dict[str, Any], **facts: Any) -> None:
    """Say in run.json that the run is finished; what was kept of an earlier end of it goes.

    Args:
        run: it.
        config: the whole config as plain values.
        facts: what else to note.
    """
    if run.finished:  # one that was gone on with: its start was not written over
        _write_start(run, config)
    run.note(status="finished", finished=now(), problem=None, **facts)
    let_go(run.path)


def _write_start(run: RunFolder, config: dict[str, Any]) -> None:
    """config.yaml and run.json of a run that begins or goes on."""
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    write_atomically(run.path / CONFIG, lambda stream: stream.write(text.encode()))
    beginning = "resumed" if run.checkpoint else "started"  # when a run started stays known as it goes on
    run.note(
        **{beginning: now()},
        status="running",
        problem=None,
        format=FORMAT,
        choices=config["choices"],
        fingerprint=fingerprint(config),
        seed=config["seed"],
        command=command_line(),
        git=git_revision(),
        python=platform.python_version(),
        versions=package_versions(),
    )


def runs_below(root: Path) -> list[Path]:
    """Every folder with a run.json below a folder, sorted; not what a run keeps aside in hidden folders of its own."""
    folders = []
    for path in root.rglob("run.json"):
        if not path.parent.name.startswith("."):
            folders.append(path.parent)
    return sorted(folders)


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide numbers, and of this one."""
    versions = {"crossreid": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # a source tree that is run without installing everything
            versions[name] = "not installed"
    return versions


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_revision() -> str | None:
    """Revision of the repository that the package runs from, with ``-dirty`` for uncommitted changes; null elsewhere."""
    top = Path(__file__).resolve().parents[3]
    if not (top / "pyproject.toml").is_file():
        return None  # an installed wheel, perhaps inside another repository
    command = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return None
    return git.stdout.strip() or None


def check_free(folder: Path, overwrite: bool, *, mine: bool = False) -> None:
    """Refuse a folder in which a run cannot start.

    Args:
        folder: it; it need not be there.
        overwrite: a run that lies there may be replaced.
        mine: the folder is known to be this process's.

    Raises:
        OwnedError: another process writes there.
        ConfigError: it is a file, or something lies in it.
    """
    if not mine:
        refuse_owned(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"run_dir '{folder}' is a file: choose a folder.")
    if not folder.is_dir():
        return
    names = {path.name for path in folder.iterdir()}
    if names <= {LOCK, *leftovers(folder)}:
        return
    if not (folder / "run.json").is_file():
        raise ConfigError(f"run_dir '{folder}' is a folder with other things in it: choose an empty or new one.")
    if not overwrite:
        raise ConfigError(
            f"run_dir '{folder}' holds a run already: set resume={shlex.quote(str(folder))} to go on, overwrite=true to "
            "replace it, or another run_dir."
        )


def first_three(sentences: Sequence[str]) -> str:
    """The first three of several differences, and how many more there are."""
    parts = list(sentences[:3])
    if len(sentences) > 3:
        parts.append(f"and {len(sentences) - 3} more")
    return "; ".join(parts)
