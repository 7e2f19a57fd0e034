"""Gathering features over batches and processes: every image once, in the order of its dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Gathered:
    """All images once: ``rows, features = gathered``.

    A class of its own, and no tuple or dataclass: torchmetrics squeezes tensors of one element that it finds in those,
    and a set of one image must stay (1, D).

    Attributes:
        rows: (N,) places in the dataset, ascending.
        features: name -> (N, D) float32.
    """

    def __init__(self, rows: Tensor, features: dict[str, Tensor]) -> None:
        self.rows = rows
        self.features = features

    def __iter__(self) -> Iterator[Any]:
        yield self.rows
        yield self.features


class EmbeddingGatherer(Metric):
    """Collects features by the row of their image; a row that came twice is kept once.

    Under DDP a loader pads the last batches with images it has seen (7 items on 2 ranks are gathered as 8), so
    batches carry the dataset rows, and duplicates go after gathering. Ranks may hold different numbers of images, or
    none: states are flat, as torchmetrics gathers tensors of one number of dimensions only.

    Args:
        names: names of the features; each update must bring all of them.
        **kwargs: passed to :class:`torchmetrics.Metric`.

    Example:
        >>> gatherer = EmbeddingGatherer(["main"])
        >>> gatherer.update(torch.tensor([1, 0, 1]), {"main": torch.tensor([[1.0], [0.0], [1.0]])})
        >>> rows, features = gatherer.compute()
        >>> rows.tolist(), features["main"].tolist()
        ([0, 1], [[0.0], [1.0]])
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None

    def __init__(self, names: Sequence[str] = ("main",), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if "main" not in names or len(set(names)) != len(names):
            raise ValueError(f"names must be different and hold 'main', got {list(names)}")
        self.names = tuple(names)
        for state in ("rows", *self._states()):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, rows: Tensor, features: Mapping[str, Tensor]) -> None:
        """Add one batch: ``rows`` (B,) places in the dataset, ``features`` name -> (B, D)."""
        if set(features) != set(self.names):
            raise ValueError(f"expected the features {sorted(self.names)}, got {sorted(features)}")
        for name, feature in features.items():
            if feature.ndim != 2 or len(feature) != len(rows):
                raise ValueError(f"feature {name!r} should be ({len(rows)}, D), got {tuple(feature.shape)}")
        self._list("rows").append(rows.detach().long().flatten())
        for name, state in zip(self.names, self._states(), strict=True):
            self._list(state).append(features[name].detach().float().flatten())

    def compute(self) -> Gathered:
        """All images: ``rows`` (N,) ascending, each once, and ``features`` name -> (N, D) float32, on the device."""
        rows = self._flat("rows")  # (M,) with duplicates
        unique, inverse = torch.unique(rows, return_inverse=True)  # (N,), (M,)
        # the first of each: unique says which rows there are, not where
        positions = torch.arange(len(rows), device=rows.device)
        first = torch.full_like(unique, len(rows))
        first.scatter_reduce_(0, inverse, positions, reduce="amin")
        width = -1
        if not len(rows):  # of no rows at all it cannot be inferred
            width = 0
        features = {}
        for name, state in zip(self.names, self._states(), strict=True):
            matrix = self._flat(state).reshape(len(rows), width)
            features[name] = matrix[first]
        return Gathered(unique, features)

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather from all processes; a process without images takes part with empty tensors of the right type."""
        for state in ("rows", *self._states()):
            batches = getattr(self, state)
            if isinstance(batches, list) and not batches:
                batches.append(self._empty(state))
        super().sync(*args, **kwargs)

    def _states(self) -> list[str]:
        """Names of the states that hold the features, in the order of :attr:`names`, which need not be identifiers."""
        return [f"feature_{i}" for i in range(len(self.names))]

    def _list(self, state: str) -> list[Tensor]:
        batches: list[Tensor] = getattr(self, state)
        return batches

    def _flat(self, state: str) -> Tensor:
        """All batches of a state in one row; after gathering from processes a state is a tensor already."""
        batches = getattr(self, state)
        if isinstance(batches, list) and not batches:
            return self._empty(state)
        flat: Tensor = dim_zero_cat(batches)
        return flat

    def _empty(self, state: str) -> Tensor:
        dtype = torch.float32
        if state == "rows":
            dtype = torch.long
        return torch.empty(0, dtype=dtype, device=self.device)
