"""A loader whose batches are gathered in background threads while earlier ones are trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

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
        return pinned(batch) if self.pin else batch


def pinned(batch: Any) -> Any:
    """A batch with its tensors in page-locked memory: a NamedTuple, or a dict of them."""
    if isinstance(batch, dict):
        return {name: pinned(part) for name, part in batch.items()}
    changed = {}
    for name, value in batch._asdict().items():
        if isinstance(value, Tensor):
            changed[name] = value.pin_memory()
    return batch._replace(**changed)
