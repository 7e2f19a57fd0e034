"""What is compared: runs with their scores, or embeddings that are to be scored; and whether both stand for the same task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossreid.data.datasets.lists import some
from crossreid.errors import ConfigError, DataError, NothingToScoreError
from crossreid.evaluation import Cosine, Embeddings, RetrievalProtocol, RetrievalResult, load_foreign
from crossreid.evaluation.array_files import Array
from crossreid.evaluation.foreign import Reading
from crossreid.runs.reading import Run, read_run
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
        return {
            (score.variant, score.result.protocol): score.result for score in scores_of([self.run], untrained=False)
        }


def is_run(place: Place) -> bool:
    """A folder that a training wrote, with scores."""
    return not isinstance(place, Embeddings) and (Path(place) / "run.json").is_file()


def shown(place: Place) -> str:
    """A place in a message."""
    return "a set of embeddings" if isinstance(place, Embeddings) else f"'{place}'"


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
            f"'{path}' is a checkpoint: name its run folder, or the .npz that crossreid.evaluate checkpoint={path} "
            "save_embeddings=FILE.npz writes."
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
        DataError: the embeddings cannot be scored so.
    """
    tasks: dict[str, Task] = {}
    if source.run is not None:
        for (_, key), result in source.scores().items():
            pids = np.sort(result.identities.pids)
            gallery = result.n_gallery.tolist()
            tasks[key] = Task(rules_of(result.labels), result.n_probes, gallery, pids, dataset=source.run.dataset)
        return tasks
    assert source.embeddings is not None, "what is no run is embeddings"
    assert protocol is not None, "embeddings are scored by a protocol"
    protocols = protocols_for(source.embeddings, protocol)
    for asked in protocols.test:
        try:
            asked.check_matches(source.embeddings)
        except NothingToScoreError:
            if not protocols.optional:
                raise
            continue
        tasks[asked.key] = _task(asked, source.embeddings)
    return tasks


def _task(protocol: RetrievalProtocol, embeddings: Embeddings) -> Task:
    each_image = np.stack([embeddings.pids, embeddings.camids, embeddings.infrared, embeddings.frames], axis=1)
    trials = protocol.tasks(embeddings)
    images = []
    for trial in trials:
        images += [each_image[trial.probes], each_image[trial.gallery]]
    probes = np.concatenate([trial.probes for trial in trials])
    return Task(
        rules=rules_of(protocol.labels(Cosine())),
        probes=len(trials[0].probes),
        gallery=[len(trial.gallery) for trial in trials],
        pids=np.unique(embeddings.pids[probes]),
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
    keys: dict[str, None] = {}
    for of_source in tasks:
        keys |= dict.fromkeys(of_source)
    common = [key for key in keys if all(key in of_source for of_source in tasks)]
    if not common:
        listing = "; ".join(f"{source.name}: {some(of)}" for source, of in zip(sources, tasks, strict=True))
        raise DataError(f"What is compared was not scored by one protocol ({listing}).")
    first, *others = sources
    for other, of_other in zip(others, tasks[1:], strict=True):
        for key in common:
            problem = _difference(tasks[0][key], of_other[key])
            if problem:
                raise DataError(
                    f"{key}: '{first.name}' and '{other.name}' are not scored on the same probes: {problem}."
                )
    return common, [key for key in keys if key not in common]


def _difference(one: Task, other: Task) -> str:
    """What sets two tasks apart, in words; empty where nothing does."""
    for name, ours, theirs in zip(RULES, one.rules, other.rules, strict=True):
        if ours != theirs:
            return f"{name} is '{ours}' in the first and '{theirs}' in the second"
    if not np.array_equal(one.pids, other.pids):
        only_one = sorted(set(one.pids.tolist()) - set(other.pids.tolist()))
        only_other = sorted(set(other.pids.tolist()) - set(one.pids.tolist()))
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
    place = int(np.argmax((one.images != other.images).any(axis=1)))
    ours, theirs = _image(one.images[place]), _image(other.images[place])
    return f"an image differs (person, camera, infrared, frame: {ours} in the first and {theirs} in the second)"


def _image(row: Array) -> str:
    return " ".join(map(str, row.tolist()))
