"""Shared losses against hand-computed values, slow twins and a published library."""

import math

import pytest
import torch

from crossreid.losses import (
    binary_cross_entropy,
    euclidean_triplet,
    hardest_triplet,
    identity_loss,
    least_squares,
    modality_doubt,
    modality_loss,
    pixel_l1,
    random_triplet,
    triplet_weights,
    weighted_triplet,
)


def cosine(a, b) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


def euclidean(a, b) -> float:
    return float((a - b).norm())


def measure(anchor, label, others, other_labels, distance):
    """Distances of one anchor to its positives and to its negatives."""
    positives = []
    negatives = []
    for other, other_label in zip(others, other_labels, strict=True):
        if other_label == label:
            positives.append(distance(anchor, other))
        else:
            negatives.append(distance(anchor, other))
    return positives, negatives


def slow_hardest_triplet(anchors, others, labels, other_labels, margin: float) -> float:
    """AlignGAN, Eq. 3, one anchor at a time: [m - D(a, p) + D(a, n)]+ with D a similarity and the hardest p and n."""
    losses = []
    for anchor, label in zip(anchors, labels, strict=True):
        positives, negatives = measure(anchor, label, others, other_labels, cosine)
        hardest_positive = min(positives)
        hardest_negative = max(negatives)
        losses.append(max(0.0, margin - hardest_positive + hardest_negative))
    return sum(losses) / len(losses)


def slow_euclidean_triplet(anchors, others, labels, other_labels, margin: float) -> float:
    """Hermans et al., one anchor at a time: [m + max over p of D(a, p) - min over n of D(a, n)]+ with D a distance."""
    losses = []
    for anchor, label in zip(anchors, labels, strict=True):
        positives, negatives = measure(anchor, label, others, other_labels, euclidean)
        losses.append(max(0.0, margin + max(positives) - min(negatives)))
    return sum(losses) / len(losses)


def slow_weighted_triplet(vectors, labels) -> float:
    """AGW, Eq. 10 and 11, one anchor at a time; an anchor is no positive of itself."""
    losses = []
    for i in range(len(vectors)):
        rest = [k for k in range(len(vectors)) if k != i]
        positives, negatives = measure(vectors[i], labels[i], vectors[rest], labels[rest], euclidean)
        # Eq. 11: w_p = exp(d_p) / sum of exp(d_p), w_n = exp(-d_n) / sum of exp(-d_n); both fractions are shortened by
        # their largest term, as exp(1000) is no number
        w_p = [math.exp(d - max(positives)) for d in positives]
        w_n = [math.exp(min(negatives) - d) for d in negatives]
        to_positives = sum(w * d for w, d in zip(w_p, positives, strict=True)) / sum(w_p)
        to_negatives = sum(w * d for w, d in zip(w_n, negatives, strict=True)) / sum(w_n)
        gap = to_positives - to_negatives
        # Eq. 10: log(1 + exp(gap)), again without a large exponent
        losses.append(max(gap, 0.0) + math.log1p(math.exp(-abs(gap))))
    return sum(losses) / len(losses)


def two_sets(seed: int, anchors: int = 12, others: int = 9):
    """Vectors of three identities: anchors (N, 6), others (M, 6), and their labels."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(anchors, 6, generator=generator),
        torch.randn(others, 6, generator=generator),
        torch.arange(anchors) % 3,
        torch.arange(others) % 3,
    )


@pytest.mark.parametrize("margin", [0.3, 1.0])
def test_triplet_equals_its_slow_twin(margin: float) -> None:
    sets = two_sets(0)
    expected = slow_hardest_triplet(*sets, margin)
    assert hardest_triplet(*sets, margin).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("margin", [0.3, 3.0])
def test_distance_triplet_equals_its_slow_twin(margin: float) -> None:
    sets = two_sets(4)
    expected = slow_euclidean_triplet(*sets, margin)
    assert euclidean_triplet(*sets, margin).item() == pytest.approx(expected, abs=1e-5)


def test_drawn_triplets_are_on_average_those_of_all_pairs() -> None:
    anchors, others, labels, other_labels = two_sets(7)
    margin = 0.5
    expected = []
    for anchor, label in zip(anchors, labels, strict=True):
        positives, negatives = measure(anchor, label, others, other_labels, euclidean)
        losses = [max(0.0, margin + p - n) for p in positives for n in negatives]
        expected.append(sum(losses) / len(losses))
    generator = torch.Generator().manual_seed(0)
    draws = [random_triplet(anchors, others, labels, other_labels, margin, generator).item() for _ in range(4000)]
    deviation = torch.tensor(draws).std().item()
    assert deviation > 0.01
    assert sum(draws) / len(draws) == pytest.approx(sum(expected) / len(expected), abs=4 * deviation / 4000**0.5)


def test_drawn_triplets_without_a_choice_are_the_hardest() -> None:
    anchors, others, labels, other_labels = two_sets(8, 2, 2)
    generator = torch.Generator().manual_seed(0)
    drawn = random_triplet(anchors, others, labels, other_labels, 3.0, generator)
    assert drawn.item() == euclidean_triplet(anchors, others, labels, other_labels, 3.0).item()
    assert random_triplet(anchors, others, labels, torch.zeros(2, dtype=torch.long), 3.0, generator).isnan()


def test_triplet_equals_batch_hard_mining_of_pytorch_metric_learning() -> None:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner
    from pytorch_metric_learning.reducers import MeanReducer

    anchors, others, _, _ = two_sets(1, 8, 8)
    labels = torch.arange(8) // 2
    miner = BatchHardMiner(distance=CosineSimilarity())
    oracle = TripletMarginLoss(margin=1.0, distance=CosineSimilarity(), reducer=MeanReducer())
    triplets = miner(anchors, labels, others, labels.clone())  # the same object would mean the same set
    expected = oracle(anchors, labels, triplets, others, labels.clone())
    assert hardest_triplet(anchors, others, labels, labels, 1.0).item() == pytest.approx(expected.item(), abs=1e-5)


def test_distance_triplet_by_hand_and_its_sign() -> None:
    anchors = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    others = torch.tensor([[3.0, 4.0], [0.0, 2.0], [10.0, 0.0]])
    labels = torch.tensor([0, 1])
    other_labels = torch.tensor([0, 0, 1])
    # first anchor: farthest positive 5, nearest negative 10; second: positive 0, nearest negative sqrt(49 + 16)
    loss = euclidean_triplet(anchors, others, labels, other_labels, 6.0)
    assert loss.item() == pytest.approx((6 + 5 - 10) / 2 + 0.0)
    nearer = euclidean_triplet(anchors, others * torch.tensor([1.0, 0.5]), labels, other_labels, 6.0)
    assert nearer.item() < loss.item()
    assert euclidean_triplet(anchors, others, labels, torch.zeros(3, dtype=torch.long), 6.0).isnan()


def test_distance_triplet_equals_batch_hard_mining_of_pytorch_metric_learning() -> None:
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner
    from pytorch_metric_learning.reducers import MeanReducer

    anchors, others, _, _ = two_sets(2, 8, 8)
    anchors.requires_grad_()
    labels = torch.arange(8) // 2
    distance = LpDistance(normalize_embeddings=False)
    miner = BatchHardMiner(distance=distance)
    triplets = miner(anchors, labels, others, labels.clone())
    oracle = TripletMarginLoss(margin=0.3, distance=distance, reducer=MeanReducer())
    expected = oracle(anchors, labels, triplets, others, labels.clone())
    loss = euclidean_triplet(anchors, others, labels, labels, 0.3)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    assert anchors.grad.norm() > 0


def test_identical_vectors_have_a_finite_gradient() -> None:
    vectors = torch.zeros(4, 3, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    loss = euclidean_triplet(vectors, vectors * 2, labels, labels, 0.3)
    assert loss.item() == pytest.approx(0.3)
    loss.backward()
    assert torch.isfinite(vectors.grad).all()


def test_triplet_by_hand_and_its_sign() -> None:
    labels = torch.tensor([0, 1])
    apart = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert hardest_triplet(apart, apart, labels, labels, 1.0).item() == 0.0  # gap 2 >= margin
    orthogonal = torch.eye(2)
    assert hardest_triplet(orthogonal, orthogonal, labels, labels, 1.0).item() == pytest.approx(0.0)
    assert hardest_triplet(orthogonal, orthogonal, labels, labels, 1.5).item() == pytest.approx(0.5)
    same = torch.ones(2, 2)
    assert hardest_triplet(same, same, labels, labels, 1.0).item() == pytest.approx(1.0)
    swapped = hardest_triplet(apart, apart.flip(0), labels, labels, 1.0).item()
    assert swapped == pytest.approx(3.0)  # its largest value: positives opposite, negatives equal


def test_triplet_falls_when_identities_move_apart() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    values = []
    one = torch.tensor([1.0, 0.0])
    for angle in (0.1, 0.6, 1.2, math.pi / 2):
        two = torch.tensor([math.cos(angle), math.sin(angle)])
        x = torch.stack([one, one, two, two])
        values.append(hardest_triplet(x, x, labels, labels, 1.0).item())
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1] + 0.9


def test_a_triplet_without_positives_or_negatives_is_nan_which_stops_a_training() -> None:
    x = torch.randn(4, 3)
    one, two = torch.zeros(4), torch.ones(4)
    for labels, others in ((one, one), (one, two)):
        assert hardest_triplet(x, x, labels, others).isnan()
        assert euclidean_triplet(x, x, labels, others, 0.3).isnan()


def test_least_squares() -> None:
    logits = torch.tensor([[[[1.0, 3.0]]]])
    assert least_squares(logits, 1.0).item() == ((1 - 1) ** 2 + (3 - 1) ** 2) / 2
    assert least_squares(logits, 0.0).item() == (1**2 + 3**2) / 2
    assert least_squares(torch.ones(2, 1, 4, 4), 1.0).item() == 0.0
    assert least_squares(torch.ones(2, dtype=torch.bfloat16), 0.0).dtype == torch.float32


def test_binary_cross_entropy_is_minus_the_logarithm_of_the_right_probability() -> None:
    logits = torch.tensor([[0.5, -2.0]])
    real = [1 / (1 + math.exp(-logit)) for logit in (0.5, -2.0)]  # D(x)
    as_real = -(math.log(real[0]) + math.log(real[1])) / 2
    as_fake = -(math.log(1 - real[0]) + math.log(1 - real[1])) / 2
    assert binary_cross_entropy(logits, 1.0).item() == pytest.approx(as_real)
    assert binary_cross_entropy(logits, 0.0).item() == pytest.approx(as_fake)
    assert binary_cross_entropy(logits.bfloat16(), 1.0).dtype == torch.float32


def test_losses_stay_in_float32_under_autocast() -> None:
    x = torch.randn(4, 8)
    labels = torch.tensor([0, 0, 1, 1])
    layer = torch.nn.Linear(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x)
        assert half.dtype == torch.bfloat16
        for loss in (
            hardest_triplet(half, half, labels, labels),
            least_squares(half, 1.0),
            identity_loss(half, labels),
            pixel_l1(half, half * 0.5),
        ):
            assert loss.dtype == torch.float32
    expected = hardest_triplet(half.float(), half.float(), labels, labels)
    assert hardest_triplet(half, half, labels, labels).item() == pytest.approx(expected.item(), abs=1e-6)


def test_identity_loss() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert identity_loss(logits, torch.tensor([0, 1])).item() == pytest.approx(expected)
    assert identity_loss(100 * torch.eye(3), torch.arange(3)).item() == pytest.approx(0.0, abs=1e-6)


def test_pixel_l1_is_measured_in_the_range_of_the_networks() -> None:
    black, white = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    assert pixel_l1(black, white).item() == 2.0  # -1 against 1
    assert pixel_l1(white, white).item() == 0.0
    assert pixel_l1(white * 0.75, white * 0.5).item() == pytest.approx(0.5)


def test_modality_losses_by_hand() -> None:
    visible = torch.tensor([[2.0, 0.0]])
    infrared = torch.tensor([[1.0, 4.0]])
    # -log softmax of the right column: log(1 + exp(wrong - right))
    loss_visible = math.log(1 + math.exp(0 - 2))
    loss_infrared = math.log(1 + math.exp(1 - 4))
    expected = (loss_visible + loss_infrared) / 2
    assert modality_loss(visible, infrared).item() == pytest.approx(expected, rel=1e-5)
    assert modality_loss(visible.repeat(5, 1), infrared).item() == pytest.approx(expected, rel=1e-5)  # both count alike
    assert modality_loss(infrared, visible) > modality_loss(visible, infrared)

    # against (0.5, 0.5): half of the right column's term, half of the wrong one's, which is 2 or 3 more
    doubt_visible = (loss_visible + loss_visible + 2) / 2
    doubt_infrared = (loss_infrared + loss_infrared + 3) / 2
    doubt = (doubt_visible + doubt_infrared) / 2
    assert modality_doubt(visible, infrared).item() == pytest.approx(doubt, rel=1e-5)
    assert modality_doubt(torch.zeros(3, 2), torch.zeros(2, 2)).item() == pytest.approx(math.log(2))
    assert modality_doubt(visible, infrared) > math.log(2)


def test_modality_losses_reach_both_modalities() -> None:
    for loss in (modality_loss, modality_doubt):
        visible = torch.randn(3, 2, requires_grad=True)
        infrared = torch.randn(3, 2, requires_grad=True)
        loss(visible, infrared).backward()
        assert visible.grad.norm() > 0, loss
        assert infrared.grad.norm() > 0, loss


@pytest.mark.parametrize("scale", [1e-3, 1.0, 25.0, 1e3])
def test_weighted_triplet_equals_a_loop_and_its_weights_sum_to_1_at_any_distance(scale):
    torch.manual_seed(3)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    vectors = scale * torch.randn(8, 5, dtype=torch.float64)
    expected = slow_weighted_triplet(vectors, labels)
    assert float(weighted_triplet(vectors, labels)) == pytest.approx(expected, rel=1e-4)
    for weights in triplet_weights(vectors, labels):
        torch.testing.assert_close(weights.sum(1), torch.ones(8))


def test_weighted_triplet_is_finite_and_teaches_at_equal_and_at_distant_vectors():
    labels = torch.tensor([0, 0, 1, 1])
    for vectors in (torch.zeros(4, 3), 1e4 * torch.randn(4, 3)):
        vectors.requires_grad_()
        loss = weighted_triplet(vectors, labels)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(vectors.grad).all()
    close = torch.randn(4, 3).requires_grad_()
    weighted_triplet(close, labels).backward()
    assert float(close.grad.norm()) > 0


def test_weighted_triplet_without_positives_or_negatives_is_nan():
    for labels in ([0, 1, 1, 2], [0, 0, 0, 0]):
        assert weighted_triplet(torch.randn(4, 3), torch.tensor(labels)).isnan()
