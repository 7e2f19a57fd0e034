"""Batches come in the sampler's order from any number of threads, gathered before they are asked for."""

from __future__ import annotations

import threading
from typing import NamedTuple

import pytest
import torch
from torch.utils.data import Dataset

from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.loader import AheadLoader, SideStream
from crossreid.settings.batches import StreamConfig

THREADS = [0, 1, 2, 5]


class Item(NamedTuple):
    values: torch.Tensor
    place: int


class Items(Dataset[Item]):
    """Notes what was gathered, and by which thread; the first ones take longest."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.gathered: list[int] = []
        self.by: set[str] = set()
        self.second_is_there = threading.Event()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> Item:
        if place >= self.count:
            raise IndexError(place)
        self.gathered.append(place)
        self.by.add(threading.current_thread().name)
        if place == 1:
            self.second_is_there.set()
        return Item(torch.full((2,), place), place)


@pytest.mark.parametrize("threads", THREADS)
def test_batches_come_in_order_and_each_once(threads: int) -> None:
    items = Items(9)
    loader = AheadLoader(items, threads=threads)
    assert len(loader) == 9
    for _ in range(2):  # a loader is gone through once an epoch
        assert [batch.place for batch in loader] == list(range(9))
    assert sorted(items.gathered) == sorted(2 * list(range(9)))


def test_the_next_batch_is_gathered_while_this_one_is_used() -> None:
    items = Items(3)
    batches = iter(AheadLoader(items, threads=1))
    assert next(batches).place == 0
    assert items.second_is_there.wait(timeout=30)  # nobody has asked for it
    assert all(name.startswith("batches") for name in items.by)


def test_without_threads_a_batch_is_gathered_when_it_is_asked_for() -> None:
    items = Items(3)
    batches = iter(AheadLoader(items))
    assert next(batches).place == 0
    assert items.gathered == [0]
    assert items.by == {threading.current_thread().name}


@pytest.mark.parametrize("threads", THREADS)
def test_no_more_is_gathered_than_one_batch_a_thread_and_one(threads: int) -> None:
    items = Items(50)
    batches = iter(AheadLoader(items, threads=threads))
    for place in range(3):
        next(batches)
        assert len(items.gathered) <= place + 1 + threads
    if threads:
        batches.close()  # as where training stops: what was not begun is not gathered
        assert len(items.gathered) < 10
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("threads", THREADS)
def test_what_fails_in_a_thread_is_raised_where_the_batch_is_asked_for(threads: int) -> None:
    class Broken(Items):
        def __getitem__(self, place: int) -> Item:
            if place == 2:
                raise OSError("the disk is gone")
            return super().__getitem__(place)

    places = []
    with pytest.raises(OSError, match="the disk is gone"):
        for batch in AheadLoader(Broken(5), threads=threads):
            places.append(batch.place)
    assert places == [0, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_training_and_evaluation_batches_are_those_without_threads(people, shared_folder, threads: int) -> None:
    def batches(count: int) -> tuple[list, list]:
        streams = {"identity": StreamConfig(3, 2, 32, 16), "gan": StreamConfig(2, 3, 32, 16)}
        data = ReIDDataModule(
            lambda: people, shared_folder / "cache", streams, 5, evaluation_batch=7, threads=count, progress=False
        )
        evaluation = [batch for loader in data.test_dataloader() for batch in loader]
        return list(data.train_dataloader()), evaluation

    (training, evaluation), (other_training, other_evaluation) = batches(0), batches(threads)
    assert len(training) == len(other_training) == 5
    for one, other in zip(training, other_training, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].iteration == other[name].iteration
            assert all(torch.equal(a, b) for a, b in zip(one[name][:3], other[name][:3], strict=True))
    for one, other in zip(evaluation, other_evaluation, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.rows, other.rows)


# ---------------------------------------------------------------- a stream of its own


class Stream:
    """In the place of a GPU's; notes what is asked of it."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def __enter__(self) -> None:
        self.notes.append(f"on {self.name}")

    def __exit__(self, *_: object) -> None:
        self.notes.append(f"off {self.name}")

    def wait_stream(self, other: Stream) -> None:
        self.notes.append(f"{self.name} waits for {other.name}")


def test_a_batch_is_copied_beside_the_computation_which_waits_for_the_copy_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes: list[str] = []
    compute = Stream("compute", notes)
    copy_to = torch.Tensor.to

    def noted_copy(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        assert non_blocking
        notes.append("copy")
        return copy_to(tensor, device)

    monkeypatch.setattr(torch.cuda, "Stream", lambda _: Stream("side", notes))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: compute)
    monkeypatch.setattr(torch.Tensor, "to", noted_copy)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda _, stream: notes.append(f"used by {stream.name}"))
    batch = {"identity": Item(torch.arange(3), 4), "gan": Item(torch.zeros(2), 5)}
    moved = SideStream(torch.device("cpu")).copy(batch)
    assert notes == [
        "on side",
        "copy",
        "copy",
        "off side",
        "compute waits for side",
        "used by compute",
        "used by compute",
    ]
    assert {name: item.place for name, item in moved.items()} == {"identity": 4, "gan": 5}
    assert moved["identity"].values.tolist() == [0, 1, 2]
