"""Files of public codes with bytes changed, and with values of any kind in them, through the reader of imports."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossreid.importing.public_files import PublicFiles, persons_in, read_files
from crossreid.importing.sources import LAYOUTS
from fuzz.oracle import PLAIN, cases, damaged, ends_well

LBA = LAYOUTS["lba"]


def content() -> dict[str, Any]:
    net = {"classifier.weight": torch.rand(3, 8), "bottleneck.num_batches_tracked": torch.tensor(4)}
    return {"net": net, "cmc": np.linspace(0, 1, 5), "mAP": np.float64(0.5), "epoch": 3}


def saved(value: Any, *, new: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=new)
    return stream.getvalue()


def read(raw: bytes) -> PublicFiles:
    """What is read is tensors, and numbers beside them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.t"
        path.write_bytes(raw)
        files = read_files(LBA, path)
        persons_in(LBA, files)
    assert all(isinstance(value, Tensor) for value in files.states[0].values())
    return files


@cases(60)
@given(data=st.data(), new=st.booleans())
def test_changed_bytes_are_a_sentence_or_a_file(data: st.DataObject, *, new: bool) -> None:
    raw = data.draw(damaged(saved(content(), new=new)))
    ends_well(lambda: read(raw))


@cases(40)
@given(value=PLAIN, place=st.sampled_from(["", "net", "classifier.weight", "cmc"]), new=st.booleans())
def test_values_of_any_kind_are_a_sentence_or_a_file(value: Any, place: str, *, new: bool) -> None:
    whole: Any = content()
    if not place:
        whole = value
    elif place in whole:
        whole[place] = value
    else:
        whole["net"][place] = value
    ends_well(lambda: read(saved(whole, new=new)))


def test_an_unchanged_file_is_read() -> None:
    for new in (True, False):
        files, sentence = ends_well(lambda new=new: read(saved(content(), new=new)))
        assert not sentence
        assert files.beside["epoch"] == 3
        assert persons_in(LBA, files) == 3
