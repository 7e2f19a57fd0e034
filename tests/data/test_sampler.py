"""The paired identity sampler: pairing, balance, exact length, ranks, resumption."""

from pathlib import Path

import numpy as np
import pytest

from crossreid.data.records import ImageRecord
from crossreid.data.sampler import IdentityIndex, PairedIdentitySampler
from crossreid.errors import ConfigError, DataError
from crossreid.settings.batches import StreamConfig


def make_records(people: int = 12, each: int = 5, unpaired: int = 0) -> list[ImageRecord]:
    records: list[ImageRecord] = []
    for pid in range(1, people + 1):
        for modality, camid in (("visible", 1), ("infrared", 3)):
            if modality == "infrared" and pid <= unpaired:
                continue
            for frame in range(each):
                records.append(
                    ImageRecord(Path(f"{camid}/{pid}/{frame}.jpg"), pid * 10, camid, modality, frame, len(records))
                )
    return records


def make_sampler(
    streams: dict[str, StreamConfig], *, rank: int = 0, world: int = 1, iterations: int = 7, people: int = 12
):
    records = make_records(people)
    index = IdentityIndex(records, np.arange(len(records)))
    return records, PairedIdentitySampler(index, streams, iterations, seed=3, rank=rank, world_size=world)


STREAMS = {"identity": StreamConfig(4, 3, 8, 8), "gan": StreamConfig(2, 2, 8, 8)}


def test_rows_of_both_modalities_share_identities_and_are_laid_out_by_identity() -> None:
    records, sampler = make_sampler(STREAMS)
    for item in sampler:
        for name, stream in STREAMS.items():
            rows = item.streams[name]
            for b, label in enumerate(rows.labels):
                visible, infrared = records[rows.visible[b]], records[rows.infrared[b]]
                assert visible.pid == infrared.pid == sampler.index.pids[label]
                assert (visible.modality, infrared.modality) == ("visible", "infrared")
            groups = rows.labels.reshape(stream.identities, stream.images)
            assert (groups == groups[:, :1]).all()
            assert len(set(groups[:, 0])) == stream.identities
            assert len(set(rows.visible)) == len(rows.visible)  # enough images: no repeats


def test_length_is_exact_and_a_pass_shows_every_identity_once() -> None:
    _, sampler = make_sampler({"identity": StreamConfig(4, 1, 8, 8)}, iterations=6)
    items = list(sampler)
    assert len(items) == len(sampler) == 6
    for start in (0, 3):  # 12 identities / 4 a batch = 3 batches a pass
        seen = np.concatenate([item.streams["identity"].labels for item in items[start : start + 3]])
        assert sorted(seen) == list(range(12))


def test_epochs_differ_and_repeat_exactly() -> None:
    _, first = make_sampler(STREAMS)
    _, second = make_sampler(STREAMS)
    epochs = []
    for epoch in (0, 1):
        for sampler in (first, second):
            sampler.set_epoch(epoch)
        a, b = list(first), list(second)
        assert all((x.streams["gan"].visible == y.streams["gan"].visible).all() for x, y in zip(a, b, strict=True))
        epochs.append(np.concatenate([x.streams["gan"].visible for x in a]))
    assert (epochs[0] != epochs[1]).any()


def test_ranks_have_equal_lengths_and_disjoint_identities() -> None:
    samplers = [make_sampler(STREAMS, rank=rank, world=2)[1] for rank in (0, 1)]
    for one, two in zip(*samplers, strict=True):
        for name in STREAMS:
            assert not set(one.streams[name].labels) & set(two.streams[name].labels)


def test_resuming_inside_an_epoch_yields_the_rest_of_it() -> None:
    _, whole = make_sampler(STREAMS)
    whole.set_epoch(2)
    expected = list(whole)
    _, resumed = make_sampler(STREAMS)
    resumed.resume(2 * 7 + 3)
    resumed.set_epoch(2)
    rest = list(resumed)
    assert [item.iteration for item in rest] == [item.iteration for item in expected[3:]]
    for a, b in zip(rest, expected[3:], strict=True):
        assert (a.streams["identity"].infrared == b.streams["identity"].infrared).all()
    resumed.set_epoch(3)
    assert [item.iteration for item in resumed] == list(range(21, 28))


def test_fewer_images_than_asked_are_repeated() -> None:
    records = make_records(people=3, each=2)
    index = IdentityIndex(records, np.arange(len(records)))
    sampler = PairedIdentitySampler(index, {"identity": StreamConfig(2, 5, 8, 8)}, 1, seed=0)
    assert len(next(iter(sampler)).streams["identity"].visible) == 10


def test_more_identities_than_there_are_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        ConfigError, match=r"asks for 8 identities on each of 2 .* has 12 .* lower model.streams.identity"
    ):
        make_sampler({"identity": StreamConfig(8, 2, 8, 8)}, world=2)


def test_identities_with_one_modality_are_left_out_and_named() -> None:
    records = make_records(people=5, unpaired=2)
    index = IdentityIndex(records, np.arange(len(records)))
    assert (index.pids, index.unpaired) == ((30, 40, 50), (10, 20))
    only_visible = np.array([r.row for r in records if r.modality == "visible"])
    with pytest.raises(DataError, match="both visible and infrared"):
        IdentityIndex(records, only_visible)


def test_independent_batches_repeat_images_and_leave_identities_to_chance() -> None:
    """As in the code of AGW: each batch has different identities, and 3 of 5 images with replacement."""
    stream = StreamConfig(4, 3, 8, 8, sampling="independent")
    _, sampler = make_sampler({"identity": stream}, iterations=400)
    identities = np.zeros(12)
    repeated = total = 0
    in_a_pass = []
    for item in sampler:
        rows = item.streams["identity"]
        labels = rows.labels.reshape(4, 3)[:, 0]
        assert len(set(labels)) == 4
        identities[labels] += 1
        in_a_pass.append(set(labels))
        for images in rows.visible.reshape(4, 3):
            repeated += len(set(images)) < 3
            total += 1
    assert identities / 400 == pytest.approx(np.full(12, 4 / 12), abs=0.08)
    assert repeated / total == pytest.approx(1 - 4 / 5 * 3 / 5, abs=0.05)
    passes = [set().union(*in_a_pass[start : start + 3]) for start in range(0, 399, 3)]
    assert min(len(seen) for seen in passes) < 12  # three batches are no pass over the twelve


def test_independent_batches_are_drawn_by_their_number_and_apart_on_ranks() -> None:
    stream = {"identity": StreamConfig(4, 3, 8, 8, sampling="independent")}
    _, whole = make_sampler(stream)
    assert (
        whole.draw(5).streams["identity"].visible.tolist()
        == make_sampler(stream)[1].draw(5).streams["identity"].visible.tolist()
    )
    ranks = [make_sampler(stream, rank=rank, world=2)[1] for rank in range(2)]
    for iteration in range(20):
        first, second = (set(rank.draw(iteration).streams["identity"].labels) for rank in ranks)
        assert not first & second
