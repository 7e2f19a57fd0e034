"""cm-SSFT: graphs against explicit matrices, losses against loops, bounds of the adversaries, rows of the tables."""

import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from crossreid.data.batches import PairedBatch
from crossreid.errors import ConfigError
from crossreid.losses import euclidean_triplet
from crossreid.methods.cmssft.affinity import (
    GroupGraph,
    Nodes,
    affinity,
    dense_affinities,
    keep_largest,
    nearest,
    propagate,
)
from crossreid.methods.cmssft.config import CMSSFTConfig
from crossreid.methods.cmssft.losses import (
    across_modalities,
    projection_loss,
    reconstruction_loss,
    within_modality,
)
from crossreid.methods.cmssft.networks import (
    CMSSFTDecoder,
    Projections,
    TransferNetwork,
    TwoStreamExtractor,
)
from crossreid.nn.backbones import erasing_fill
from crossreid.nn.modality_discriminator import ModalityDiscriminator
from crossreid.settings.fields import from_plain
from crossreid.settings.networks import BackboneConfig
from methods_support import gradient_norms, make_batch

K = 3


def rows(count: int, dim: int = 6, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Features(NamedTuple):
    """Shared features H and specific features P of the images of one modality, (N, D) each."""

    shared: torch.Tensor
    specific: torch.Tensor


def graph(visible: int, infrared: int, dtype: torch.dtype = torch.float64) -> tuple[Features, Features]:
    """Features of both modalities."""
    return (
        Features(rows(visible, seed=1, dtype=dtype), rows(visible, seed=2, dtype=dtype)),
        Features(rows(infrared, seed=3, dtype=dtype), rows(infrared, seed=4, dtype=dtype)),
    )


# ---------------------------------------------------------------- explicit matrices, one entry at a time


def slow_affinity(a: torch.Tensor, b: torch.Tensor) -> float:
    """d(a, b), Eq. 7."""
    difference = a / a.norm() - b / b.norm()
    return 1 - 0.5 * float(difference.norm())


def slow_block(one: torch.Tensor, two: torch.Tensor, k: int) -> torch.Tensor:
    """T(A, k) of Eq. 8, A the affinities of all pairs (Eq. 6)."""
    block = torch.zeros(len(one), len(two), dtype=torch.float64)
    for i in range(len(one)):
        affinities = [slow_affinity(one[i], two[j]) for j in range(len(two))]
        most_alike_first = sorted(range(len(two)), key=lambda j: -affinities[j])
        for j in most_alike_first[:k]:
            block[i, j] = affinities[j]
    return block


def two_by_two(top: tuple[torch.Tensor, torch.Tensor], bottom: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """A matrix of four blocks."""
    return torch.cat([torch.cat(top, dim=1), torch.cat(bottom, dim=1)])


def slow_graph(visible: Features, infrared: Features, k: int) -> torch.Tensor:
    """A of Eq. 8: specific features inside a modality, shared ones across."""
    return two_by_two(
        (slow_block(visible.specific, visible.specific, k), slow_block(visible.shared, infrared.shared, k)),
        (slow_block(infrared.shared, visible.shared, k), slow_block(infrared.specific, infrared.specific, k)),
    )


def slow_propagation(a: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
    """D^-1/2 A D^-1/2 Z W of Eq. 10, ``projected`` being Z W."""
    degrees = a.sum(dim=1)  # d_ii
    d_to_minus_half = torch.diag(degrees**-0.5)
    return d_to_minus_half @ a @ d_to_minus_half @ projected


def nodes(features: Features, projected: torch.Tensor) -> Nodes:
    return Nodes(F.normalize(features.shared, dim=1), F.normalize(features.specific, dim=1), projected)


def test_affinity_of_equal_orthogonal_and_opposite_vectors() -> None:
    x, y = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    assert affinity(x, 3 * x).item() == pytest.approx(1)
    assert affinity(x, y).item() == pytest.approx(1 - math.sqrt(2) / 2)
    assert affinity(x, -x).item() == pytest.approx(0, abs=1e-6)


def test_the_graph_is_that_of_the_slow_double_loop_and_each_row_keeps_two_k() -> None:
    visible, infrared = graph(7, 5)
    dense = dense_affinities(visible, infrared, K)
    assert torch.allclose(dense, slow_graph(visible, infrared, K), atol=1e-12)
    assert ((dense > 0).sum(1) == 2 * K).all()
    assert torch.equal(dense.diagonal(), torch.ones(12, dtype=torch.float64))  # built-in self-loops
    assert not torch.allclose(dense, dense.T)


def test_a_block_with_fewer_columns_than_k_is_kept_whole() -> None:
    block = torch.rand(4, 2)
    assert torch.equal(keep_largest(block, 5), block)


def test_transfer_is_eq_10_on_padded_features() -> None:
    torch.manual_seed(0)
    network = TransferNetwork(6, 8, 3, segments=["shared", "specific"], k=K, neck="fc", neck_dim=5)
    visible, infrared = graph(7, 5, torch.float32)
    output = network({"visible": visible, "infrared": infrared})

    z_visible = torch.cat([visible.specific, visible.shared, torch.zeros(7, 6)], dim=1)  # Eq. 5: [P^R; H^R; 0]
    z_infrared = torch.cat([torch.zeros(5, 6), infrared.shared, infrared.specific], dim=1)  # [0; H^I; P^I]
    z = torch.cat([z_visible, z_infrared])  # Eq. 9
    w = torch.cat([network.weights[part].weight.T for part in ("visible", "shared", "infrared")])
    a = slow_graph(visible, infrared, K)
    z_tilde = F.relu(slow_propagation(a, (z @ w).double()))  # Eq. 10
    t = network.block.features(z_tilde.float())  # Eq. 11
    assert torch.allclose(output.feature, t, atol=1e-5)


@pytest.mark.parametrize("segments", [["shared"], ["specific"]])
def test_leaving_a_segment_out_changes_what_is_propagated_and_not_the_graph(segments: list[str]) -> None:
    network = TransferNetwork(6, 8, 3, segments=segments, k=K, neck="fc", neck_dim=5)
    shared = rows(4, dtype=torch.float32)
    specific = rows(4, seed=9, dtype=torch.float32)
    projected = network.project(shared, specific, "visible")
    if segments == ["shared"]:
        assert set(network.weights) == {"shared"}
        assert torch.allclose(projected, shared @ network.weights["shared"].weight.T)
    else:
        assert set(network.weights) == {"visible", "infrared"}
        assert torch.allclose(projected, specific @ network.weights["visible"].weight.T)


def test_gradients_of_the_graph_are_exact_and_finite_on_duplicates() -> None:
    visible, infrared = graph(4, 3)

    def spread(hv, pv, hi, pi):
        return propagate(dense_affinities((hv, pv), (hi, pi), 2), torch.cat([hv, hi]))

    inputs = [part.clone().requires_grad_() for part in (*visible, *infrared)]
    assert torch.autograd.gradcheck(spread, inputs)
    twice = [torch.cat([part[:2], part[:2]]).detach().requires_grad_() for part in inputs]
    spread(*twice).square().sum().backward()
    assert all(torch.isfinite(part.grad).all() for part in twice)


# ---------------------------------------------------------------- sparse and chunked


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("chunk", [4, 100])
def test_chunks_of_neighbours_propagate_as_the_dense_graph(dtype: torch.dtype, tolerance: float, chunk: int) -> None:
    gallery, queries = graph(23, 17, dtype)
    projected = rows(40, 9, seed=7, dtype=dtype)
    dense = propagate(dense_affinities(gallery, queries, 4), projected)
    others, probes = nodes(gallery, projected[:23]), nodes(queries, projected[23:])
    within = nearest(others.specific, others.specific, 4, same=True, chunk=chunk)
    group = GroupGraph(probes, others, within, 4, chunk=chunk)
    parts = [group.gallery(slice(start, start + chunk)) for start in range(0, 23, chunk)]
    sparse = torch.cat([*parts, group.queries()])
    assert float((sparse - dense).norm() / dense.norm()) < tolerance
    assert float((sparse - dense).abs().max() / dense.abs().max()) < tolerance


def slow_group(gallery: Features, queries: Features, projected: torch.Tensor, k: int) -> torch.Tensor:
    """Eq. 22 for one query, columns scaled by k / n for n < k of them: queries first, as the paper writes it."""
    scale = max(1.0, k / len(queries.shared))
    a_qq = slow_block(queries.specific, queries.specific, k)
    a_qg = slow_block(queries.shared, gallery.shared, k)
    a_gq = slow_block(gallery.shared, queries.shared, k)
    a_gg = slow_block(gallery.specific, gallery.specific, k)
    return slow_propagation(two_by_two((scale * a_qq, a_qg), (scale * a_gq, a_gg)), projected)


def whole(group: GroupGraph) -> list[torch.Tensor]:
    """Propagated queries and gallery of the group."""
    return [group.queries(), group.gallery(slice(None))]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_a_group_of_queries_is_eq_22_with_degrees_of_its_own(count: int) -> None:
    gallery, queries = graph(11, count)
    projected = rows(count + 11, 9, seed=7)
    expected = slow_group(gallery, queries, projected, 4)
    probes = nodes(queries, projected[:count])
    others = nodes(gallery, projected[count:])
    within = nearest(others.specific, others.specific, 4, same=True, chunk=5)
    group = GroupGraph(probes, others, within, 4, chunk=5)
    assert torch.allclose(torch.cat(whole(group)), expected, atol=1e-12)


def test_the_factor_k_of_eq_22_is_there() -> None:
    gallery, queries = graph(11, 1)
    a_qq = torch.ones(1, 1, dtype=torch.float64)
    a_qg = slow_block(queries.shared, gallery.shared, 4)
    a_gq = slow_block(gallery.shared, queries.shared, 4)
    a_gg = slow_block(gallery.specific, gallery.specific, 4)
    assert (a_gq > 0).all()  # a full column, no top-k
    projected = rows(12, 9, seed=7)
    without_factor = slow_propagation(two_by_two((a_qq, a_qg), (a_gq, a_gg)), projected)
    assert not torch.allclose(without_factor, slow_group(gallery, queries, projected, 4), atol=1e-3)


def test_images_equal_to_themselves_make_no_nan() -> None:
    one = torch.ones(4, 6, requires_grad=True)
    features = (one, one)
    network = TransferNetwork(6, 8, 3, segments=["shared", "specific"], k=K, neck="bnneck", neck_dim=5)
    output = network({"visible": features, "infrared": features})
    output.logits.square().sum().backward()
    assert torch.isfinite(output.feature).all()
    assert torch.isfinite(one.grad).all()
    unit = F.normalize(one.detach(), dim=1)
    found = nearest(unit, unit, K, same=True, chunk=2)
    assert torch.allclose(found.values, torch.ones_like(found.values), atol=1e-3)


# ---------------------------------------------------------------- losses


def slow_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Euclidean; at 0 without a gradient, where that of a square root is infinite."""
    squared = (a - b).square().sum()
    if squared == 0:
        return squared
    return squared.sqrt()


def slow_triplet(
    anchors: torch.Tensor, others: torch.Tensor, labels: torch.Tensor, other_labels: torch.Tensor, margin: float
) -> torch.Tensor:
    """One line of Eq. 3 or 4: the hardest positive and negative of each anchor i, mean over anchors."""
    total = torch.zeros((), dtype=anchors.dtype)
    for anchor, label in zip(anchors, labels, strict=True):
        positives = [slow_distance(anchor, other) for other in others[other_labels == label]]
        negatives = [slow_distance(anchor, other) for other in others[other_labels != label]]
        total = total + torch.clamp(margin + max(positives) - min(negatives), min=0)
    return total / len(anchors)


def test_triplets_are_those_of_the_slow_loop_gradients_included() -> None:
    pids = torch.tensor([0, 0, 1, 1, 2, 2])
    vectors = {"visible": rows(6, dtype=torch.float32), "infrared": rows(6, seed=5, dtype=torch.float32)}
    for loss, pairs in (
        (within_modality, [("visible", "visible"), ("infrared", "infrared")]),
        (across_modalities, [("visible", "infrared"), ("infrared", "visible")]),
    ):
        fast = {m: v.clone().requires_grad_() for m, v in vectors.items()}
        slow = {m: v.clone().requires_grad_() for m, v in vectors.items()}
        value = loss(fast, pids, 0.3)
        expected = sum(slow_triplet(slow[a], slow[b], pids, pids, 0.3) for a, b in pairs)
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
        value.backward()
        expected.backward()
        for m in vectors:
            assert torch.allclose(fast[m].grad, slow[m].grad, atol=1e-5)


def test_a_triplet_needs_both_and_survives_equal_images() -> None:
    same = torch.ones(4, 3, requires_grad=True)
    pids = torch.tensor([0, 0, 1, 1])
    loss = euclidean_triplet(same, same, pids, pids, 0.3)
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert torch.isfinite(same.grad).all()
    assert euclidean_triplet(same, same, pids * 0, pids * 0, 0.3).isnan()


def test_projection_error_is_one_without_theta_and_bounded_by_its_norm() -> None:
    unit = {m: F.normalize(rows(5, seed=s, dtype=torch.float32), dim=1) for s, m in enumerate(("visible", "infrared"))}
    shared = {m: F.normalize(rows(5, seed=s + 7, dtype=torch.float32), dim=1) for s, m in enumerate(unit)}
    theta = Projections(6)
    guesses = {m: theta(unit[m], m) for m in unit}
    assert projection_loss(guesses, shared).item() == pytest.approx(1, abs=1e-6)
    for matrix in theta.matrices.values():
        torch.nn.init.normal_(matrix.weight)
    guesses = {m: theta(unit[m], m) for m in unit}
    norm = max(float(torch.linalg.matrix_norm(m.weight.detach(), 2)) for m in theta.matrices.values())
    errors = [(guesses[m][i] - shared[m][i]).norm().item() for m in unit for i in range(5)]
    assert projection_loss(guesses, shared).item() == pytest.approx(sum(errors) / 10, rel=1e-5)
    assert max(errors) <= 1 + norm
    assert projection_loss(guesses, shared, clip=1.0).item() == pytest.approx(
        sum(min(e, 1) for e in errors) / 10, rel=1e-5
    )


def test_an_image_beyond_the_clip_has_no_gradient() -> None:
    guesses = {m: torch.tensor([[3.0, 0.0], [0.3, 0.0]], requires_grad=True) for m in ("visible", "infrared")}
    projection_loss(guesses, {m: torch.zeros(2, 2) for m in guesses}, clip=1.0).backward()
    for guess in guesses.values():
        assert torch.equal(guess.grad[0], torch.zeros(2))
        assert guess.grad[1].norm() > 0


def test_reconstruction_is_a_mean_in_normalised_pixels(make) -> None:
    module = make("model=cmssft").module
    white, black = torch.ones(2, 3, 32, 16), torch.zeros(2, 3, 32, 16)
    target, rebuilt = (module.extractor.normalise(images) for images in (white, black))
    loss = reconstruction_loss({"visible": rebuilt, "infrared": target}, {"visible": target, "infrared": target})
    expected = sum((1 / std) ** 2 for std in (0.229, 0.224, 0.225)) / 3 / 2  # one modality is perfect
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(module.extractor.to_images(target), white, atol=1e-6)


def test_the_weights_are_those_of_eq_18_to_20(make) -> None:
    harness = make("model=cmssft")
    weights: dict[str, dict[str, float]] = {}
    harness.module.record_losses = lambda player, losses: weights.update(
        {player: {name: weight for name, (_, weight) in losses.terms.items()}}
    )
    harness.step("joint", make_batch(harness.module))
    ids = {f"{part}_id_{m}": 0.5 for part in ("shared", "specific", "transferred") for m in ("visible", "infrared")}
    triplets = {"shared_triplet": 0.5, "specific_triplet": 0.5, "transferred_triplet": 0.25}
    assert weights["network"] == ids | triplets | {"reconstruction": 1.0, "modality": -0.2, "projection": -0.2}
    assert weights["discriminators"] == {"modality": 0.2, "projection": 0.2}


# ---------------------------------------------------------------- networks


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_paper_s_networks() -> None:
    backbone = BackboneConfig(weights="random", size=[288, 144])
    assert count(TwoStreamExtractor(backbone, specific=True)) == 69_079_168
    assert count(TwoStreamExtractor(backbone, specific=False)) == 2 * 1_444_928 + 22_063_104
    assert count(CMSSFTDecoder(4096)) == 9_882_307
    assert count(CMSSFTDecoder(4096, reduced=True)) == 854_787
    assert count(ModalityDiscriminator(2048, [1024, 512])) == 2_624_002  # biases included
    assert count(Projections(2048)) == 2 * 2048**2
    transfer = TransferNetwork(2048, 2048, 395, segments=["shared", "specific"], k=4, neck="bnneck", neck_dim=2048)
    assert count(transfer.weights) == 3 * 2048**2


def test_all_copies_of_a_part_start_equal_and_are_their_own() -> None:
    extractor = TwoStreamExtractor(BackboneConfig("resnet18", "random", [32, 16]), specific=True)
    for pair in (
        extractor.low.values(),
        extractor.specific.values(),
        (extractor.shared, extractor.specific["visible"]),
    ):
        one, two = pair
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.equal(a, b)
            assert a is not b


def test_a_decoder_enlarges_sixteen_times() -> None:
    maps = torch.rand(2, 4, 3, 2)
    assert CMSSFTDecoder(8, 2)(maps, maps).shape == (2, 3, 48, 32)


def test_maps_of_one_modality_are_those_of_the_pair_in_eval_mode(make) -> None:
    extractor = make("model=cmssft").module.eval().extractor
    visible, infrared = torch.rand(3, 3, 32, 16), torch.rand(3, 3, 32, 16)
    with torch.no_grad():
        for part in (extractor.low["infrared"], extractor.specific["infrared"]):  # all copies start equal
            for parameter in part.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        together = extractor(visible, infrared)
        for modality, images in (("visible", visible), ("infrared", infrared)):
            alone = extractor.maps(images, modality)
            assert torch.allclose(alone.shared, together[modality].shared, atol=1e-5)
            assert torch.allclose(alone.specific, together[modality].specific, atol=1e-5)
        crossed = extractor.maps(visible, "infrared")
        assert not torch.allclose(crossed.shared, together["visible"].shared, atol=1e-3)
        assert not torch.allclose(crossed.specific, together["visible"].specific, atol=1e-3)


# ---------------------------------------------------------------- what each loss trains

TERMS = {
    "shared_id_visible": "extractor.shared extractor.low.visible shared_block.classifier",
    "shared_id_infrared": "extractor.shared extractor.low.infrared",
    "shared_triplet": "extractor.shared extractor.low",
    "specific_id_visible": "extractor.specific.visible extractor.low.visible",
    "specific_id_infrared": "extractor.specific.infrared extractor.low.infrared",
    "specific_triplet": "extractor.specific",
    "transferred_id_visible": "transfer.weights extractor.specific.infrared extractor.shared",
    "transferred_id_infrared": "transfer.weights extractor.specific.visible extractor.shared",
    "transferred_triplet": "transfer.weights extractor.specific extractor.shared",
    "reconstruction": "decoders.visible decoders.infrared extractor.specific extractor.shared",
    "modality": "extractor.shared extractor.low",
    "projection": "extractor.specific.visible extractor.specific.infrared",
}


@pytest.mark.parametrize("term", TERMS)
def test_each_loss_of_the_network_reaches_what_it_should_train(make, term: str) -> None:
    harness = make("model=cmssft", "model.k=3", "model.streams.identity.images=3")
    harness.step("joint", make_batch(harness.module))  # Theta leaves zero
    norms = gradient_norms(harness, term, "network", TERMS[term], "joint")
    assert min(norms.values()) > 0


@pytest.mark.parametrize(("term", "network"), [("modality", "discriminator"), ("projection", "projections")])
def test_each_loss_of_the_adversaries_reaches_them(make, term: str, network: str) -> None:
    assert gradient_norms(make("model=cmssft"), term, "discriminators", network, "joint")[network] > 0


def test_the_projection_adversary_moves_only_specific_features_unless_told(make) -> None:
    def norm(*overrides: str) -> float:
        harness = make("model=cmssft", *overrides)
        harness.step("joint", make_batch(harness.module))
        return gradient_norms(harness, "projection", "network", "extractor.shared", "joint")["extractor.shared"]

    assert norm() == 0
    assert norm("model.projection_bounds.detach_shared=false") > 0


def test_the_network_maximises_what_the_adversaries_minimise(make) -> None:
    harness = make("model=cmssft", "model.reconstruction=0.0", "model.transfer=[]")
    module, batch = harness.module, make_batch(harness.module)
    for player in module.player_order:
        for group in module.player(player).param_groups:
            group["lr"] = 0.0  # both turns see the same networks
    for name in ("modality", "projection"):
        totals = {}
        module.record_losses = lambda player, losses, name=name, totals=totals: totals.update(
            {player: losses.terms[name][0].item() * losses.terms[name][1]}
        )
        harness.step("joint", batch)
        assert totals["network"] == pytest.approx(-totals["discriminators"], rel=1e-5)


def test_half_precision_keeps_graph_and_losses_in_float32(make) -> None:
    harness = make("model=cmssft")
    seen = []
    harness.module.transfer.block.register_forward_hook(lambda *call: seen.append(call[2].feature.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        harness.step("joint", make_batch(harness.module))
    assert seen == [torch.float32]
    assert all(value.dtype == torch.float32 and torch.isfinite(value) for value in harness.module.losses.values())


# ---------------------------------------------------------------- rows, images, embeddings

PARTS = ("specific_blocks", "discriminator", "projections", "decoders", "transfer")


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("shl", ""),
        ("spl", "specific_blocks"),
        ("spl_moa", "specific_blocks discriminator"),
        ("spl_moa_pa", "specific_blocks discriminator projections"),
        ("spl_moa_pa_re", "specific_blocks discriminator projections decoders"),
        ("sht_spt", "specific_blocks transfer"),
        ("sht_spt_moa", "specific_blocks discriminator transfer"),
        ("sht_spt_moa_pa", "specific_blocks discriminator projections transfer"),
        ("sht", " ".join(PARTS)),
        ("spt", " ".join(PARTS)),
        ("full", " ".join(PARTS)),
        ("shl_no_augmentation", ""),
        ("full_no_augmentation", " ".join(PARTS)),
    ],
)
def test_rows_have_the_parts_of_their_table(make, row: str, parts: str) -> None:
    module = make(f"experiment=cmssft/{row}").module
    assert {part for part in PARTS if hasattr(module, part)} == set(parts.split())
    bare = row.endswith("no_augmentation")
    assert (module.config.neck, module.config.erasing.probability) == (("fc", 0.0) if bare else ("bnneck", 0.5))
    expected = ["single_query", "all_queries"] if "transfer" in parts else []
    assert list(module.further_scorers(torch.device("cpu"))) == expected
    assert bool(module.scoring_parameters()) == ("transfer" in parts)


def test_embeddings_hold_unit_features_and_their_lengths(make) -> None:
    module = make("model=cmssft").module.eval()
    images = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        given = module.embed(images, "infrared")
        maps = module.extractor.maps(module.extractor.normalise(images), "infrared")
        shared = module.shared_block.features(maps.shared.mean((2, 3)))
        specific = module.specific_blocks["infrared"].features(maps.specific.mean((2, 3)))
    assert tuple(given) == module.feature_names == ("main", "specific", "lengths")
    assert torch.allclose(given["main"] * given["lengths"][:, :1], shared, atol=1e-4)
    assert torch.allclose(given["specific"] * given["lengths"][:, 1:], specific, atol=1e-4)
    assert torch.allclose(given["specific"].norm(dim=1), torch.ones(2), atol=1e-5)


def test_reconstructions_are_from_shared_only_specific_only_and_both(make) -> None:
    module = make("model=cmssft").module.eval()
    images = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        pictures = module.translate(images, images)
    parts = ("shared only", "specific only", "both")
    names = [n for m in ("visible", "infrared") for n in (f"real {m}", *(f"{m} {part}" for part in parts))]
    assert list(pictures) == names
    assert len({tuple(pictures[name].flatten().tolist()) for name in names[:4]}) == 4
    assert list(make("experiment=cmssft/spl").module.translate(images, images)) == ["real visible", "real infrared"]


def test_erased_parts_have_the_fill_of_bot_in_normalised_pixels(make) -> None:
    extractor = make("model=cmssft").module.extractor
    seen = extractor.normalise(erasing_fill().view(1, 3, 1, 1).expand(1, 3, 32, 16))
    assert torch.allclose(seen[0, :, 0, 0], torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-6)


def test_augmentation_is_a_function_of_seed_and_iteration(make) -> None:
    module = make("model=cmssft").module
    images = torch.rand(4, 3, 32, 16)
    batch = PairedBatch(images, images, torch.tensor([0, 0, 1, 1]), 0)
    one, two = module._augment(batch), module._augment(batch)
    assert torch.equal(one.visible, two.visible)
    assert not torch.equal(one.visible, one.infrared)
    module.iteration = 1
    assert not torch.equal(module._augment(batch).visible, one.visible)
    plain = make("model=cmssft", "model.erasing.probability=0.0", "model.crop_padding=0").module._augment(batch)
    assert torch.equal(plain.visible, images)


IMPOSSIBLE = [
    ({"neck": "gem"}, "model.neck is 'gem': choose from bnneck, fc"),
    ({"modality_generator": "confuse"}, "choose from minimax, uniform"),
    ({"transfer": ["shared", "shared"]}, "name each entry once"),
    ({"transfer": ["colour"]}, "choose from shared, specific"),
    ({"specific": False}, "need the specific streams"),
    ({"modality": -0.2}, "0 or more"),
    ({"k": 0}, "1 or more"),
    ({"single_query_pairs": -1}, "0 or more"),
    ({"backbone": {"size": [40, 16]}}, "multiples of 16"),
    ({"backbone": {"last_stride": 2}}, "last_stride 1"),
    ({"erasing": {"probability": 2}}, "model.erasing.probability is 2: choose 0 to 1"),
    ({"erasing": {"area": [0.5, 0.1]}}, "smallest, largest"),
    ({"erasing": {"ratio": [0, 1]}}, "above 0"),
]


@pytest.mark.parametrize(("settings", "message"), IMPOSSIBLE)
def test_impossible_settings_are_refused_in_one_sentence(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        from_plain(CMSSFTConfig, settings, "model").check()
    assert "\n" not in str(refusal.value)


def test_rates_fall_at_epochs_40_and_70_of_120(make) -> None:
    config = CMSSFTConfig(iterations_per_epoch=65)
    config.check()
    assert config.phase_lengths() == {"joint": 120 * 65}
    harness = make("model=cmssft", "model.epochs=3", "model.decay.after=[1.5,2.5]")  # of two iterations each
    module = harness.module
    batch = make_batch(module)
    rates = []
    for _ in range(6):
        rates.append(module.player("network").param_groups[0]["lr"])
        harness.step("joint", batch)
        for schedule in module.schedules.values():
            schedule.scheduler.step()
    assert set(module.schedules) == {"network", "discriminators"}
    assert rates == pytest.approx([3.5e-4] * 3 + [3.5e-5] * 2 + [3.5e-6])
