"""A loader whose batches are gathered in background threads while earlier ones are trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

BatchT = TypeVar("BatchT", covariant=True)  # noqa: PLC0105 - DataLoader is covariant, and other names here do not say it


class AheadLoader(DataLoader[BatchT]):
    """Whole batches of a dataset, in the sampler's order whatever the number of threads.

    Threads and no processes: a batch is one copy out of a memory map, during which Python's lock is free, and nothing has to
    be sent from one process to another. What a batch holds follows from the sampler's item alone, so that batches are the same
    for any number of threads, and a run goes on without a state of the loader.

    Args:
        dataset: the sampler's item -> a batch: a NamedTuple, or a dict of them.
        sampler: items in order; None for the dataset's own.
        threads: that gather batches; 0 for none, each batch is then gathered when it is asked for.
        pin: put batches into page-locked memory, from which a GPU copies without waiting.
    """

    def __init__(
        self, dataset: Dataset[BatchT], *, sampler: Sampler[Any] | None = None, threads: int = 0, pin: bool = False
    ) -> None:
        super().__init__(dataset, batch_size=None, sampler=sampler)
        self.threads = threads
        self.pin = pin

    def __iter__(self) -> Any:
        if not self.threads:
            return map(self._gather, self.sampler)
        return self._ahead()

    def _ahead(self) -> Iterator[BatchT]:
        """One batch a thread and one more are gathered, or wait to be taken."""
        waiting: deque[Future[BatchT]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="batches")
        try:
            for item in self.sampler:
                waiting.append(pool.submit(self._gather, item))
                if len(waiting) > self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _gather(self, item: Any) -> BatchT:
        batch = self.dataset[item]
        if self.pin:
            batch = pinned(batch)
        return batch


class SideStream:
    """Copies batches to a GPU on a stream of its own: beside what the GPU still computes, and not behind it.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def copy(self, batch: Any) -> Any:
        """A batch in page-locked memory -> the same on the GPU; what is computed from here on waits for the copy alone."""
        copies: list[Tensor] = []

        def copied(tensor: Tensor) -> Tensor:
            copies.append(tensor.to(self.device, non_blocking=True))
            return copies[-1]

        with torch.cuda.stream(self.stream):
            moved = with_tensors(batch, copied)
        consumer = torch.cuda.current_stream(self.device)
        consumer.wait_stream(self.stream)
        for tensor in copies:
            # or the allocator would hand the memory to the next copy while the consumer still reads it
            tensor.record_stream(consumer)
        return moved


def pinned(batch: Any) -> Any:
    """A batch with its tensors in page-locked memory: a NamedTuple, or a dict of them."""
    return with_tensors(batch, Tensor.pin_memory)


def with_tensors(batch: Any, changed: Callable[[Tensor], Tensor]) -> Any:
    """A batch with what ``changed`` makes of each of its tensors: a NamedTuple, or a dict of them."""
    if isinstance(batch, dict):
        return {name: with_tensors(part, changed) for name, part in batch.items()}
    values = {}
    for name, value in batch._asdict().items():
        if isinstance(value, Tensor):
            values[name] = changed(value)
    return batch._replace(**values)
