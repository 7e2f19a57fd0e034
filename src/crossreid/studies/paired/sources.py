"""What is compared: runs with their scores, or embeddings that are to be scored; and whether both stand for the same task."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossreid.data.datasets.lists import some
from crossreid.errors import ConfigError, DataError, NothingToScoreError
from crossreid.evaluation import Cosine, Embeddings, RetrievalProtocol, RetrievalResult, load_foreign
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.embeddings import MODALITY_FROM, QUERY_MODALITY
from crossreid.evaluation.foreign import Reading
from crossreid.runs.reading import Run, read_run
from crossreid.settings.foreign import ForeignConfig
from crossreid.settings.protocol import ProtocolConfig
from crossreid.studies.comparison.scores import rules_of, scores_of
from crossreid.training.scoring import protocols_for

Place = str | Path | Embeddings
"""A run folder, a file or folder of embeddings, or embeddings."""
ScoreKey = tuple[str, str]
"""Variant (empty for the method's own scorer) and protocol."""
RULES = ("mode", "shots", "draw", "images not counted", "what ranks count")
"""What :func:`rules_of` lists."""


@dataclass(frozen=True, eq=False)
class PairedSource:
    """One run of a method.

    Attributes:
        name: what it was named by.
        label: of its method in tables.
        run: a run of ours, which has scores; None for embeddings.
        embeddings: that are to be scored; None for a run.
    """

    name: str
    label: str
    run: Run | None = None
    embeddings: Embeddings | None = None

    def scores(self) -> dict[ScoreKey, RetrievalResult]:
        """Those of a run, without the network before training."""
        assert self.run is not None, "embeddings have no scores yet"
        scores = {}
        for score in scores_of([self.run], untrained=False):
            scores[score.variant, score.result.protocol] = score.result
        return scores


def is_run(place: Place) -> bool:
    """A folder that a training wrote, with scores."""
    if isinstance(place, Embeddings):
        return False
    return (Path(place) / "run.json").is_file()


def shown(place: Place) -> str:
    """A place in a message."""
    if isinstance(place, Embeddings):
        return "a set of embeddings"
    return f"'{place}'"


def read_sources(config: ForeignConfig, places: Sequence[Place]) -> list[PairedSource]:
    """What each place holds; ``query_modality`` is of files with queries and gallery alone.

    Raises:
        ConfigError: one is a checkpoint, needs a package that is not installed, or ``query_modality`` is of none of them.
        DataError: a file, or the list of persons, cannot be read, is not finished, or holds nothing that can be scored.
    """
    reading = Reading.of(config, of_several=True)
    sources = [read_source(place, reading) for place in places]
    took = []  # those in memory were read before, by what was said then
    for place, source in zip(places, sources, strict=True):
        if not isinstance(place, Embeddings) and source.embeddings is not None:
            took.append(source.embeddings.about.get(MODALITY_FROM) == QUERY_MODALITY)
    if reading.query_modality is not None and not any(took):
        raise ConfigError(
            "query_modality is of files with queries and gallery, and nothing that is compared is one: leave it out."
        )
    return sources


def read_source(place: Place, reading: Reading) -> PairedSource:
    """What a place holds.

    Raises:
        ConfigError: it is a checkpoint, or needs a package that is not installed.
        DataError: it is damaged, not finished, or holds nothing that can be scored.
    """
    if isinstance(place, Embeddings):
        return PairedSource("embeddings", "embeddings", embeddings=place)
    path = Path(place)
    if path.suffix == ".ckpt":
        raise ConfigError(
            f"'{path}' is a checkpoint: name its run folder, or the .npz that crossreid.evaluate "
            f"checkpoint={shlex.quote(str(path))} save_embeddings=FILE.npz writes."
        )
    if is_run(place):
        run = read_run(path)
        if not run.finished:
            raise DataError(f"The run '{path}' is not finished (it is {run.status}), so that it has no scores.")
        return PairedSource(str(path), run.name, run=run)
    return PairedSource(str(path), path.stem, embeddings=load_foreign(path, reading))


@dataclass(frozen=True, eq=False)
class Task:
    """What one setting of a protocol asks of a source: whose probes, among which images.

    Attributes:
        rules: of :func:`rules_of`.
        probes: number of probes, the same in each trial.
        gallery: number of images in each trial's gallery.
        pids: (I,) identities of the probes, ascending.
        images: (M, 4) pid, camera, 1 for infrared, frame of every probe and gallery image, trial after trial; None for a run,
            whose results do not list them.
        dataset: a digest of a run's dataset; None for embeddings.
    """

    rules: Sequence[str]
    probes: int
    gallery: Sequence[int]
    pids: Array
    images: Array | None = None
    dataset: str | None = None


def tasks_of(source: PairedSource, protocol: ProtocolConfig | None) -> dict[str, Task]:
    """Protocol key -> task, of a run as it was scored, of embeddings as the settings ask; no feature is looked at.

    Raises:
        ConfigError: settings and embeddings do not go together; as every error here it names the source.
        DataError: the embeddings cannot be scored so.
    """
    if source.run is not None:
        return _tasks_of_run(source, source.run.dataset)
    assert source.embeddings is not None, "what is no run is embeddings"
    assert protocol is not None, "embeddings are scored by a protocol"
    try:
        return _tasks_of_embeddings(source.embeddings, protocol)
    except (ConfigError, DataError) as error:
        raise type(error)(f"{source.name}: {error}") from error


def _tasks_of_embeddings(embeddings: Embeddings, protocol: ProtocolConfig) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    protocols = protocols_for(embeddings, protocol)
    for asked in protocols.test:
        try:
            asked.check_matches(embeddings)
        except NothingToScoreError:
            # Settings of an optional set are left out where no probe has a true match.
            if not protocols.optional:
                raise
            continue
        tasks[asked.key] = _task(asked, embeddings)
    return tasks


def _tasks_of_run(source: PairedSource, dataset: str) -> dict[str, Task]:
    """By what a run recorded of its scores."""
    tasks: dict[str, Task] = {}
    # Variants of a method are scored on the same probes: of each protocol any of them tells the task.
    for (_, key), result in source.scores().items():
        tasks[key] = Task(
            rules=rules_of(result.labels),
            probes=result.n_probes,
            gallery=result.n_gallery.tolist(),
            pids=np.sort(result.identities.pids),
            dataset=dataset,
        )
    return tasks


def _task(protocol: RetrievalProtocol, embeddings: Embeddings) -> Task:
    each_image = np.stack([embeddings.pids, embeddings.camids, embeddings.infrared, embeddings.frames], axis=1)
    trials = protocol.tasks(embeddings)
    images = []
    probes = []
    galleries = []
    for trial in trials:
        images += [each_image[trial.probes], each_image[trial.gallery]]
        probes.append(trial.probes)
        galleries.append(len(trial.gallery))
    probes_of_all = np.concatenate(probes)
    return Task(
        rules=rules_of(protocol.labels(Cosine())),  # of any scorer: the rules do not depend on it
        probes=len(probes[0]),
        gallery=galleries,
        pids=np.unique(embeddings.pids[probes_of_all]),
        images=np.concatenate(images),
    )


def check_paired(sources: Sequence[PairedSource], tasks: Sequence[Mapping[str, Task]]) -> tuple[list[str], list[str]]:
    """Refuse sources that were not, or would not be, scored on the same probes and galleries.

    Args:
        sources: of both sides.
        tasks: of each of them.

    Returns:
        The protocol keys that all of them have, and those that only some have.

    Raises:
        DataError: what differs, in one sentence; or they have no protocol in common.
    """
    # A dictionary's keys: each protocol once, in the order of the sources.
    keys: dict[str, None] = {}
    for of_source in tasks:
        keys |= dict.fromkeys(of_source)
    common = []
    left_out = []
    for key in keys:
        if all(key in of_source for of_source in tasks):
            common.append(key)
        else:
            left_out.append(key)
    if not common:
        names = []
        for source, of_source in zip(sources, tasks, strict=True):
            names.append(f"{source.name}: {some(of_source) or 'nothing, since no probe has a true match'}")
        raise DataError(f"What is compared was not scored by one protocol ({'; '.join(names)}).")
    # Each beside the first: what equals it equals the others too.
    first = sources[0]
    for other, of_other in zip(sources[1:], tasks[1:], strict=True):
        for key in common:
            problem = _difference(tasks[0][key], of_other[key])
            if problem:
                raise DataError(
                    f"{key}: '{first.name}' and '{other.name}' are not scored on the same probes: {problem}."
                )
    return common, left_out


def _difference(one: Task, other: Task) -> str:
    """What sets two tasks apart, in words; empty where nothing does."""
    for name, ours, theirs in zip(RULES, one.rules, other.rules, strict=True):
        if ours != theirs:
            return f"{name} is '{ours}' in the first and '{theirs}' in the second"
    if not np.array_equal(one.pids, other.pids):
        pids_of_one = set(one.pids.tolist())
        pids_of_other = set(other.pids.tolist())
        only_one = sorted(pids_of_one - pids_of_other)
        only_other = sorted(pids_of_other - pids_of_one)
        return (
            f"{len(one.pids)} persons query in the first and {len(other.pids)} in the second, only there "
            f"{some(only_one) or 'nobody'} and {some(only_other) or 'nobody'}"
        )
    if one.dataset is not None and other.dataset is not None and one.dataset != other.dataset:
        return "the runs were scored on different datasets"
    return _difference_of_images(one, other)


def _difference_of_images(one: Task, other: Task) -> str:
    """The same of tasks with the same rules and persons."""
    if len(one.gallery) != len(other.gallery):
        return f"the first has {len(one.gallery)} trials and the second {len(other.gallery)}"
    if one.probes != other.probes:
        return f"the first has {one.probes} probes and the second {other.probes}"
    if list(one.gallery) != list(other.gallery):
        return "their galleries have different numbers of images"
    if one.images is None or other.images is None or np.array_equal(one.images, other.images):
        return ""
    differs = (one.images != other.images).any(axis=1)  # (M,)
    place = int(np.argmax(differs))  # the first that does
    ours = _image(one.images[place])
    theirs = _image(other.images[place])
    return f"an image differs (person, camera, infrared, frame: {ours} in the first and {theirs} in the second)"


def _image(row: Array) -> str:
    return " ".join(map(str, row.tolist()))
