"""Checkpoints with bytes flipped, keys removed, types changed, tensors of other shapes and values, through ``load``."""

from __future__ import annotations

import io
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import crossreid
from crossreid.methods.base import CrossModalityModule
from crossreid.settings.compose import compose, run_config
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.loading import make_method, run_of
from fuzz.oracle import PLAIN, cases, damaged, ends_well, untouched
from fuzz.test_runs import places


def checkpoint_of(name: str) -> dict[str, Any]:
    """A whole checkpoint of a small method, with the settings of a run."""
    config = run_config(compose("train", [f"model={name}", "scale=smoke"]))
    module = make_method(config.model, 5, 0)
    checkpoint: dict[str, Any] = {
        "state_dict": module.state_dict(),
        "optimizer_states": [],
        "lr_schedulers": [],
        "loops": {},
        "callbacks": {},
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "2.6.6",
    }
    module.on_save_checkpoint(checkpoint)
    checkpoint["crossreid"]["config"] = config.to_plain()
    return checkpoint


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    """Of a method without weights, so that its file is small and all of it structure."""
    return checkpoint_of("hog")


@pytest.fixture(scope="module")
def large() -> dict[str, Any]:
    """Of a network."""
    return checkpoint_of("onestream")


def saved(checkpoint: Any) -> bytes:
    """As a file."""
    stream = io.BytesIO()
    torch.save(checkpoint, stream)
    return stream.getvalue()


def loaded(path: Path) -> CrossModalityModule[Any]:
    """Load it; what loads embeds nothing but finite numbers, and its settings are settings."""
    module = crossreid.load(path, device="cpu")
    module.config.check()
    for weight in module.state_dict().values():
        assert torch.isfinite(weight).all()
    return module


def check_file(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.ckpt"
        path.write_bytes(content)
        with untouched(Path(folder)):
            _, refused = ends_well(lambda: loaded(path))
            assert not refused or path.name in refused
            ends_well(lambda: run_of(read_checkpoint(path), path))


@cases(60)
@given(data=st.data())
def test_a_checkpoint_with_damaged_bytes_is_refused_in_a_sentence_or_loaded(
    small: dict[str, Any], data: st.DataObject
) -> None:
    check_file(data.draw(damaged(saved(small))))


TENSORS: st.SearchStrategy[Any] = st.sampled_from(
    [
        torch.zeros(0),
        torch.tensor(float("nan")),
        torch.full((3,), float("inf")),
        torch.zeros(2, 2, dtype=torch.int8),
        torch.zeros(2, dtype=torch.complex64),
        torch.zeros(1).expand(1000, 1000),
        torch.eye(3).to_sparse(),
    ]
)


@st.composite
def changed(draw: st.DrawFn, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint whose settings, counters or weights are others."""
    content = {key: dict(value) if isinstance(value, dict) else value for key, value in checkpoint.items()}
    content["crossreid"] = deepcopy(checkpoint["crossreid"])
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(["top", "crossreid", "crossreid", "config", "weights"]))
        ours = content.get("crossreid")
        if part == "top" or not isinstance(ours, dict):
            _change(draw, content, draw(st.sampled_from(sorted(content, key=str))), PLAIN)
        elif part == "crossreid":
            known = [place for place in places(ours) if place[0] != "config"]
            _change_at(draw, ours, known)
        elif part == "config":
            _change_at(draw, ours, [place for place in places(ours) if place[0] == "config"])
        elif isinstance(content.get("state_dict"), dict) and content["state_dict"]:
            weights = content["state_dict"]
            name = draw(st.sampled_from(sorted(weights, key=str)))
            _change(draw, weights, name, st.one_of(TENSORS, PLAIN, st.just(_not_finite(weights[name]))))
    return content


def _not_finite(weight: Any) -> Any:
    """A weight of the same shape that holds nan, where it can."""
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point() or not weight.numel():
        return None
    odd = weight.clone()
    odd.view(-1)[0] = float("nan")
    return odd


def _change_at(draw: st.DrawFn, content: Any, known: list[tuple[Any, ...]]) -> None:
    if not known:
        return
    *sections, name = draw(st.sampled_from(known))
    for part in sections:
        content = content[part]
    _change(draw, content, name, PLAIN)


def _change(draw: st.DrawFn, section: Any, name: Any, values: st.SearchStrategy[Any]) -> None:
    how = draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
    if how == "replace":
        section[name] = draw(values)
    elif how == "remove":
        del section[name]
    elif isinstance(section, dict):
        section[f"{name}x"] = section.pop(name)


@cases(80)
@given(data=st.data())
def test_a_checkpoint_of_other_content_is_refused_in_a_sentence_or_loaded(
    small: dict[str, Any], data: st.DataObject
) -> None:
    check_file(saved(data.draw(changed(small))))


@cases(12)
@given(data=st.data())
def test_a_network_of_other_content_is_refused_in_a_sentence_or_loaded(
    large: dict[str, Any], data: st.DataObject
) -> None:
    content = data.draw(changed(large))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.ckpt"
        torch.save(content, path)
        ends_well(lambda: loaded(path))
