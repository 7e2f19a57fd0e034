"""Paired identity-balanced batches: which images belong to iteration i of a run.

A batch of a stream holds P identities x K visible images and the same P identities x K infrared images; row b of both
has one identity. One pass over the data is a shuffle of all identities, cut into groups of P x (number of ranks); what
does not fill the last group is left out of that pass, and the next pass shuffles anew (AlignGAN, official code). Batches
are a pure function of (seed, iteration): any iteration can be drawn without the ones before it, which is what makes a run
resumable, and ranks take disjoint slices of one group, which is what keeps their identities apart.

With ``sampling=independent`` each iteration shuffles anew, and images are drawn with replacement however many there are
(AGW, DDAG and LbA, official code).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from crossreid.data.records import MODALITIES, ImageRecord, Modality
from crossreid.errors import ConfigError, DataError
from crossreid.randomness import numpy_generator
from crossreid.settings.batches import StreamConfig

Rows = npt.NDArray[np.int64]


class StreamRows(NamedTuple):
    """The images of one stream in one iteration, each (P*K,), identity by identity."""

    visible: Rows
    infrared: Rows
    labels: Rows


class IterationRows(NamedTuple):
    """What to load for one iteration."""

    iteration: int
    streams: dict[str, StreamRows]


class IdentityIndex:
    """Which rows show which identity in which modality.

    Identities that lack a modality cannot be paired and are left out.

    Args:
        records: all images of the dataset.
        rows: (n,) the ones to train on.

    Attributes:
        pids: the identities in ascending order; an identity's place is its label.
        unpaired: identities that were left out.

    Raises:
        DataError: no identity has both modalities.
    """

    def __init__(self, records: Sequence[ImageRecord], rows: Rows) -> None:
        by_pid: dict[int, dict[Modality, list[int]]] = {}
        for row in rows:
            record = records[row]
            images = by_pid.setdefault(record.pid, {"visible": [], "infrared": []})
            images[record.modality].append(int(row))
        paired = [pid for pid, images in by_pid.items() if images["visible"] and images["infrared"]]
        self.pids = tuple(sorted(paired))
        self.unpaired = tuple(sorted(set(by_pid) - set(self.pids)))
        if not self.pids:
            raise DataError("No training identity has both visible and infrared images; check the dataset's cameras.")
        by_label: list[Mapping[Modality, Rows]] = []
        for pid in self.pids:
            rows_of_pid: dict[Modality, Rows] = {}
            for modality in MODALITIES:
                rows_of_pid[modality] = np.array(by_pid[pid][modality], dtype=np.int64)
            by_label.append(rows_of_pid)
        self.rows = tuple(by_label)

    def __len__(self) -> int:
        return len(self.pids)


class PairedIdentitySampler(Sampler[IterationRows]):
    """Yields what each iteration of an epoch loads.

    Args:
        index: identities and their rows.
        streams: name -> shape of the stream.
        iterations: iterations in one epoch, the exact ``len``, equal on all ranks.
        seed: the run's seed.
        rank: this process.
        world_size: number of processes.

    Raises:
        ConfigError: a stream asks for more identities than there are.
    """

    def __init__(
        self,
        index: IdentityIndex,
        streams: Mapping[str, StreamConfig],
        iterations: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        for name, stream in streams.items():
            if stream.identities * world_size > len(index):
                raise ConfigError(
                    f"The stream '{name}' asks for {stream.identities} identities on each of {world_size} "
                    f"process(es), but the training set has {len(index)} identities with both modalities: "
                    f"lower model.streams.{name}.identities."
                )
        self.index = index
        self.streams = dict(streams)
        self.iterations = iterations
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch: the next iterator starts at its first iteration or, once after
        :meth:`resume`, inside it."""
        first = epoch * self.iterations
        if not first <= self.start < first + self.iterations:
            self.start = first

    def resume(self, iteration: int) -> None:
        """Start the next iterator at ``iteration`` (counted from the beginning of the run)."""
        self.start = iteration

    def __len__(self) -> int:
        return self.iterations

    def __iter__(self) -> Iterator[IterationRows]:
        epoch_end = (self.start // self.iterations + 1) * self.iterations
        for iteration in range(self.start, epoch_end):
            yield self.draw(iteration)
        self.start = epoch_end

    def draw(self, iteration: int) -> IterationRows:
        """The rows of one iteration on this rank."""
        streams = {name: self._draw_stream(name, iteration) for name in self.streams}
        return IterationRows(iteration, streams)

    def _draw_stream(self, name: str, iteration: int) -> StreamRows:
        stream = self.streams[name]
        labels = self._group(name, stream, iteration)
        # a generator of its own for each stream, iteration and rank: none depends on what was drawn before
        generator = numpy_generator(self.seed, f"images/{name}", iteration, self.rank)
        rows: dict[Modality, Rows] = {}
        for modality in MODALITIES:
            choices = []
            for label in labels:
                own = self.index.rows[label][modality]
                repeats = stream.sampling == "independent" or len(own) < stream.images
                choices.append(generator.choice(own, size=stream.images, replace=repeats))
            rows[modality] = np.concatenate(choices)
        return StreamRows(rows["visible"], rows["infrared"], np.repeat(labels, stream.images))

    def _group(self, name: str, stream: StreamConfig, iteration: int) -> Rows:
        """Labels (P,) of this rank's identities."""
        group = stream.identities * self.world_size
        # which pass over all identities, and which group of it
        passed, place = divmod(iteration, len(self.index) // group)
        if stream.sampling == "independent":  # each iteration is the beginning of a pass
            passed = iteration
            place = 0
        # the rank is no part of the name: all ranks shuffle alike and take disjoint slices
        shuffled = numpy_generator(self.seed, f"identities/{name}", passed).permutation(len(self.index))
        start = place * group + self.rank * stream.identities
        return shuffled[start : start + stream.identities]
