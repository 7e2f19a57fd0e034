"""TS-GAN: losses by hand, gradients, the frozen teacher, phases and schedules, the rows of Tables II and III."""

import math
from pathlib import Path

import pytest
import torch

from crossreid.data.batches import PairedBatch
from crossreid.errors import ConfigError
from crossreid.losses import binary_cross_entropy, euclidean_triplet, identity_loss, least_squares
from crossreid.methods.tsgan.config import FallingAdamConfig, TSGANConfig, TSGANScheduleConfig
from crossreid.methods.tsgan.losses import fake_pairs, joint_acceptance, joint_rejection, teaching_distance
from crossreid.methods.tsgan.module import TSGAN
from crossreid.methods.tsgan.networks import ReIDNetwork
from crossreid.nn.joint_discriminator import ImageMapPair
from crossreid.settings.batches import StreamConfig
from crossreid.settings.networks import BackboneConfig
from methods_support import compose_model, gradient_norms, make_batch


def sums(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """A discriminator that can be computed by hand: mean of the image plus mean of the map."""
    return images.mean(dim=(1, 2, 3)) + maps.mean(dim=(1, 2, 3))


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


REAL = ImageMapPair(column(0.1, 0.2), column(0.3, 0.5))
FAKE = ImageMapPair(column(-0.4, 0.6), column(0.7, -0.8))
KINDS = [(-0.4 + 0.7, 0.6 - 0.8), (-0.4 + 0.3, 0.6 + 0.5), (0.1 + 0.7, 0.2 - 0.8)]
"""Logits of the pairs of Eq. 5: (X', f'), (X', f), (X, f')."""


# ---------------------------------------------------------------- losses


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3.0)])  # probabilities of being real: 1/2 and 3/4
    assert binary_cross_entropy(logits, 1.0).item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert binary_cross_entropy(logits, 0.0).item() == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)
    assert binary_cross_entropy(torch.tensor([200.0]), 0.0).item() == pytest.approx(200.0)  # logits, so no overflow


def test_the_three_kinds_of_fake_pairs() -> None:
    found = [sums(*pair).tolist() for pair in fake_pairs(REAL, FAKE)]
    assert found == [pytest.approx(kind) for kind in KINDS]


def test_the_joint_discriminators_loss_by_hand() -> None:
    refused = sum(logit**2 for kind in KINDS for logit in kind) / 6
    accepted = ((0.4 - 1) ** 2 + (0.7 - 1) ** 2) / 2
    assert joint_rejection(least_squares, sums, REAL, FAKE).item() == pytest.approx(accepted + refused)
    soft = sum(math.log1p(math.exp(logit)) for kind in KINDS for logit in kind) / 6
    soft += (math.log1p(math.exp(-0.4)) + math.log1p(math.exp(-0.7))) / 2
    assert joint_rejection(binary_cross_entropy, sums, REAL, FAKE).item() == pytest.approx(soft, rel=1e-6)


def test_the_students_gan_loss_by_hand() -> None:
    expected = sum(math.log1p(math.exp(-logit)) for kind in KINDS for logit in kind) / 6
    assert joint_acceptance(binary_cross_entropy, sums, REAL, FAKE).item() == pytest.approx(expected, rel=1e-6)


def test_who_learns_from_pairs() -> None:
    weight = torch.ones((), requires_grad=True)
    parts = [torch.rand(2, 1, 2, 2, requires_grad=True) for _ in range(4)]
    real, fake = ImageMapPair(*parts[:2]), ImageMapPair(*parts[2:])
    joint_rejection(binary_cross_entropy, lambda x, m: weight * sums(x, m), real, fake).backward()
    assert weight.grad.abs() > 0
    assert all(part.grad is None for part in parts)
    joint_acceptance(binary_cross_entropy, sums, real, fake).backward()
    assert real.images.grad is None
    assert fake.images.grad is None
    assert min(real.maps.grad.norm(), fake.maps.grad.norm()) > 0


def test_teaching_distances_by_hand() -> None:
    student = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]], [[[0.0, 0.0]], [[1.0, 0.0]]]])  # 2 images, 2 channels, 1x2
    squares = torch.tensor([[1.0 + 9.0, 4.0 + 25.0], [1.0, 0.0]])  # by image and position, at a teacher of zeros
    teacher = torch.zeros_like(student)
    assert teaching_distance(student, teacher, "channel_sum").item() == pytest.approx(squares.mean().item())
    assert teaching_distance(student, teacher, "sample_sum").item() == pytest.approx(squares.sum(1).mean().item())
    assert teaching_distance(student, teacher, "mean").item() == pytest.approx(squares.sum().item() / 8)
    teacher.requires_grad_()
    student.requires_grad_()
    teaching_distance(student, teacher, "channel_sum").backward()
    assert teacher.grad is None
    assert torch.allclose(student.grad, 2 * student.detach() / 4)


def test_label_smoothing_is_equation_10() -> None:
    logits, n, epsilon = torch.tensor([[1.0, -2.0, 0.5]]), 3, 0.1
    soft = torch.full((n,), epsilon / n)
    soft[2] = 1 - (n - 1) / n * epsilon
    assert soft.sum().item() == pytest.approx(1.0)
    expected = -(soft * logits.log_softmax(1)[0]).sum().item()
    assert identity_loss(logits, torch.tensor([2]), epsilon).item() == pytest.approx(expected)


def test_batch_hard_triplets_by_hand() -> None:
    vectors, pids = torch.tensor([[0.0], [1.0], [1.2], [4.0]]), torch.tensor([0, 0, 1, 1])
    # farthest positive, nearest negative: (1, 1.2), (1, 0.2), (2.8, 0.2), (2.8, 3)
    expected = (0.3 + 1 - 1.2 + 0.3 + 1 - 0.2 + 0.3 + 2.8 - 0.2 + 0.3 + 2.8 - 3) / 4
    assert euclidean_triplet(vectors, vectors, pids, pids, 0.3).item() == pytest.approx(expected, rel=1e-5)
    twins = torch.zeros(4, 1, requires_grad=True)
    euclidean_triplet(twins, twins, pids, pids, 0.3).backward()
    assert torch.isfinite(twins.grad).all()


# ---------------------------------------------------------------- networks


def test_former_and_latter_encoder_are_one_resnet50() -> None:
    network = ReIDNetwork(BackboneConfig(weights="random", size=[64, 32]), 7, "bnneck").eval()
    assert sum(p.numel() for part in (network.former, network.latter) for p in part.parameters()) == 23_508_032
    seen = network(torch.rand(2, 3, 64, 32))
    assert (seen.middle.shape, seen.map.shape) == ((2, 1024, 4, 2), (2, 2048, 4, 2))
    assert torch.equal(seen.vector, seen.map.mean((2, 3)))
    assert seen.logits.shape == (2, 7)


@pytest.mark.parametrize("neck", ["bnneck", "none"])
def test_the_neck_stands_between_vector_and_classifier(neck: str) -> None:
    network = ReIDNetwork(BackboneConfig("resnet18", "random", [32, 16]), 7, neck).train()
    seen = network(torch.rand(4, 3, 32, 16))
    expected = seen.vector
    if neck == "bnneck":
        expected = (expected - expected.mean(0)) / (expected.var(0, correction=0) + 1e-5).sqrt()
    assert torch.allclose(seen.logits, expected @ network.classifier.weight.T, atol=1e-5)


# ---------------------------------------------------------------- what each loss trains


@pytest.mark.parametrize(
    ("row", "player", "term", "networks", "phase"),
    [
        ("jd_all_ts", "teacher", "id", "teacher.former teacher.latter", "teacher"),
        ("jd_all_ts", "teacher", "triplet", "teacher.former teacher.latter", "teacher"),
        ("teacher_rgb", "teacher", "id", "teacher.former", "teacher"),
        ("jd_all_ts", "generator", "gan_infrared", "to_infrared", "gan"),
        ("jd_all_ts", "generator", "gan_infrared", "to_infrared", "joint"),
        ("jd_all_ts", "generator", "gan_visible", "to_visible", "joint"),
        ("jd_all_ts", "generator", "cycle", "to_infrared to_visible", "joint"),
        ("jd_all_ts", "student", "id", "student.former student.latter student.classifier", "joint"),
        ("jd_all_ts", "student", "triplet", "student.former student.latter", "joint"),
        ("jd_all_ts", "student", "gan", "student.former student.latter", "joint"),
        ("jd_all_ts", "student", "cross_domain", "student.former", "joint"),
        ("jd_all_ts", "student", "real_ir", "student.former", "joint"),
        ("jd_all_ts", "student", "fake_ir", "student.former", "joint"),
        ("jd_all_ts", "discriminator", "joint", "discriminator_joint", "joint"),
        ("jd_all_ts", "discriminator", "visible", "discriminator_visible", "joint"),
        ("jd_all_ts", "discriminator", "infrared", "discriminator_infrared", "gan"),
        ("od_all_ts", "generator", "gan_infrared", "to_infrared", "joint"),
        ("od_all_ts", "discriminator", "infrared", "discriminator_infrared", "joint"),
        ("backbone", "student", "id", "student.former", "joint"),
        ("backbone", "student", "triplet", "student.former", "joint"),
    ],
)
def test_each_loss_reaches_what_it_should_train(
    make, row: str, player: str, term: str, networks: str, phase: str
) -> None:
    harness = make(f"experiment=tsgan/{row}", "model.margin=50")  # no triplet is easy
    norms = gradient_norms(harness, term, player, networks, phase)
    assert set(norms) == set(networks.split())
    assert min(norms.values()) > 0


@pytest.mark.parametrize("term", ["cross_domain", "real_ir", "fake_ir"])
def test_teacher_student_losses_do_not_reach_the_latter_encoder(make, term: str) -> None:
    norms = gradient_norms(make("model=tsgan"), term, "student", "student.latter student.classifier", "joint")
    assert set(norms.values()) == {0.0}


@pytest.mark.parametrize(("shown", "reaches"), [("layer4", True), ("layer3", False)])
def test_the_joint_discriminator_is_shown_the_map_that_is_asked_for(make, shown: str, reaches: bool) -> None:
    norms = gradient_norms(make("model=tsgan", f"model.map_for_d={shown}"), "gan", "student", "student.latter", "joint")
    assert (norms["student.latter"] > 0) == reaches


# ---------------------------------------------------------------- the joint phase


def test_the_terms_are_those_of_the_equations(make) -> None:
    harness = make("model=tsgan")
    module, recorded = harness.module, {}
    record = module.record_losses
    module.record_losses = lambda player, losses: (recorded.update({player: losses}), record(player, losses))
    harness.step("joint", make_batch(module))
    weights = {
        player: {name: weight for name, (_, weight) in losses.terms.items()} for player, losses in recorded.items()
    }
    assert weights == {
        "generator": {"gan_infrared": 1.0, "gan_visible": 1.0, "cycle": 10.0},
        "student": {
            "id": 3.0,
            "triplet": 1.0,
            "gan": 0.1,
            "cross_domain": 0.006,
            "real_ir": 0.003,
            "fake_ir": 0.003,
            "ts_ratio": 0.0,
        },
        "discriminator": {"visible": 1.0, "joint": 1.0},
    }
    assert list(weights) == ["generator", "student", "discriminator"]  # Algorithm 1
    values = {name: float(value.detach()) for name, (value, _) in recorded["student"].terms.items()}
    guided = 0.006 * values["cross_domain"] + 0.003 * (values["real_ir"] + values["fake_ir"])
    own = 3 * values["id"] + values["triplet"] + 0.1 * values["gan"]
    assert values["ts_ratio"] == pytest.approx(guided / own, rel=1e-4)
    assert module.losses["student/ts_gradient"] > 0
    assert module.losses["student/reid_gradient"] > 0


def test_logged_gradients_are_those_of_each_loss_alone(make) -> None:
    harness = make("model=tsgan")
    gradients: dict[str, float] = {}
    for name, weights in {
        "both": [],
        "ts": ["model.reid={id: 1e-9, triplet: 0, gan: 0}"],
        "reid": ["model.teaching.cross_domain=0", "model.teaching.same_domain=0"],
    }.items():
        harness = make("model=tsgan", *weights)
        harness.step("joint", make_batch(harness.module))
        losses = harness.module.losses
        gradients |= {f"{name} {key[8:]}": float(losses[key]) for key in losses if key.endswith("gradient")}
    assert gradients["both ts_gradient"] == pytest.approx(gradients["ts ts_gradient"], rel=1e-4)
    assert gradients["both reid_gradient"] == pytest.approx(gradients["reid reid_gradient"], rel=1e-3)
    assert gradients["reid ts_gradient"] == 0.0


def test_each_teacher_student_loss_compares_the_maps_that_it_names(make) -> None:
    harness = make("model=tsgan", "model.teaching.reduction=mean", "model.crop_padding=0")
    module = harness.module
    module.student.former = torch.nn.Identity()
    module.student.latter = torch.nn.Conv2d(3, 512, 1)
    module.teacher.former = torch.nn.Identity()  # now every map is the normalised image
    batch = make_batch(module)["identity"]
    with torch.no_grad():
        fake = module.to_infrared(batch.visible)
        seen = {name: module.student.prepare(x) for name, x in (("v", batch.visible), ("f", fake))}
    module.to_infrared.requires_grad_(False)
    losses = _losses_of_student_turn(module, batch, fake)
    assert losses["real_ir"].item() == 0.0
    assert losses["fake_ir"].item() == 0.0
    assert losses["cross_domain"].item() == pytest.approx((seen["v"] - seen["f"]).square().mean().item(), rel=1e-5)


def _losses_of_student_turn(module, batch: PairedBatch, fake: torch.Tensor) -> dict[str, torch.Tensor]:
    """The terms of a student turn whose middle maps ask for gradients though nothing of the former encoder learns."""
    from crossreid.methods.players import Losses

    losses = Losses()
    losses.add("own", torch.ones(()))
    images = {"visible": batch.visible, "infrared": batch.infrared, "fake": fake}
    middle = module.student.middle(torch.cat(list(images.values()))).requires_grad_()
    module._add_teaching(losses, images, middle)
    return {name: value for name, (value, _) in losses.terms.items()}


def test_the_students_batch_norms_see_each_iteration_once(make) -> None:
    harness = make("model=tsgan")
    harness.step("joint", make_batch(harness.module))
    counters = {value.item() for name, value in harness.module.student.named_buffers() if name.endswith("tracked")}
    assert counters == {1}


def test_only_student_statistics_change_in_the_joint_phase(make) -> None:
    harness = make("model=tsgan")
    before = harness.snapshot("buffers")
    harness.step("joint", make_batch(harness.module))
    changed = harness.changed(before, "buffers")
    assert changed
    assert all(name.startswith("student.") for name in changed)


# ---------------------------------------------------------------- the teacher


def test_the_teacher_learns_in_its_phase_and_is_frozen_behind_it(make) -> None:
    harness = make("model=tsgan")
    module = harness.module
    before = harness.snapshot() | harness.snapshot("buffers")
    harness.step("teacher", make_batch(module))
    learned = harness.changed({k: v for k, v in before.items() if k in dict(module.named_parameters())})
    assert learned
    assert all(name.startswith("teacher.") for name in learned)
    assert module.teacher.training
    taught = {name: value.clone() for name, value in module.teacher.state_dict().items()}
    for phase in ("gan", "joint"):
        harness.step(phase, make_batch(module))
        module.eval()
        module.train()  # as around a validation loop
        assert not any(part.training for part in module.teacher.modules())
        assert not any(parameter.requires_grad for parameter in module.teacher.parameters())
    assert all(torch.equal(value, taught[name]) for name, value in module.teacher.state_dict().items())


def test_the_teacher_is_frozen_where_its_phase_ends_and_where_a_run_goes_on(make) -> None:
    for hook in ("begin_phase", "on_train_start"):
        module = make("model=tsgan").module.train()
        assert module.teacher.training
        module.iteration = 2
        module.begin_phase("gan") if hook == "begin_phase" else module.on_train_start()
        assert not module.teacher.training
        assert module.student.training
        assert not next(module.teacher.parameters()).requires_grad


@pytest.mark.slow
def test_a_whole_run_leaves_the_teacher_bit_identical(run_here, smoke_args: list[str], tmp_path: Path) -> None:
    arguments = [*smoke_args, "selection=validation", "report.untrained=false", "run_dir=run"]
    arguments.append("trainer.phase_checkpoints=true")
    finished = run_here("train", "model=tsgan", *arguments, "model.epochs={teacher: 1, gan: 1, joint: 2}")
    assert finished.code == 0, finished.output
    assert "teacher_ir2ir" in finished.output
    states = {
        name: torch.load(tmp_path / "run" / f"{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("teacher", "gan", "last")
    }
    of_teacher = [name for name in states["last"] if name.startswith("teacher.")]
    assert any("running_mean" in name for name in of_teacher)
    for name in of_teacher:
        assert torch.equal(states["teacher"][name], states["last"][name]), name
    student = [name for name in states["last"] if name.startswith("student.")]
    assert not all(torch.equal(states["gan"][name], states["last"][name]) for name in student)


def test_table_iii_trains_the_teacher_that_the_full_model_has(make) -> None:
    alone, whole = make("experiment=tsgan/teacher_ir"), make("experiment=tsgan/jd_all_ts")
    for harness in (alone, whole):
        harness.step("teacher", make_batch(harness.module))
    state = whole.module.teacher.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in alone.module.teacher.state_dict().items())
    visible = make("experiment=tsgan/teacher_rgb")
    visible.step("teacher", make_batch(visible.module))
    assert any(not torch.equal(value, state[name]) for name, value in visible.module.teacher.state_dict().items())


# ---------------------------------------------------------------- test time


def test_retrieval_uses_the_student_alone(make) -> None:
    module = make("model=tsgan").module.eval()
    images = torch.rand(2, 3, 32, 16)
    expected = torch.nn.functional.normalize(module.student.vectors(images), dim=1)
    for name in (
        "teacher",
        "to_infrared",
        "to_visible",
        "discriminator_visible",
        "discriminator_infrared",
        "discriminator_joint",
    ):
        delattr(module, name)
    with torch.no_grad():
        for modality in ("visible", "infrared"):
            assert torch.equal(module.embed(images, modality)["main"], expected)


def test_the_report_has_the_teachers_features_and_pairings(make) -> None:
    images = torch.rand(2, 3, 32, 16)
    whole = make("model=tsgan").module.eval()
    with torch.no_grad():
        features = whole.report_features(images, "infrared")
        expected = torch.nn.functional.normalize(whole.teacher.vectors(images), dim=1)
    assert torch.equal(features["teacher"], expected)
    assert whole.feature_names == ("main", "teacher")
    assert list(whole.reported_pairs()) == ["teacher_ir2ir", "teacher_ir2ir_any_camera"]
    alone = make("experiment=tsgan/teacher_rgb").module
    assert alone.report_features(images, "visible") == {}
    assert {name: pair.pairing for name, pair in alone.reported_pairs().items()} == {"rgb2rgb_any_camera": "rgb2rgb"}
    backbone = make("experiment=tsgan/backbone").module
    assert backbone.report_features(images, "visible") == backbone.reported_pairs() == {}


def test_the_grid_shows_both_directions(make) -> None:
    images = torch.rand(2, 3, 32, 16)
    rows = make("model=tsgan").module.eval().translate(images, images)
    assert list(rows) == ["real visible", "fake infrared", "real infrared", "fake visible"]
    assert list(make("experiment=tsgan/backbone").module.translate(images, images)) == ["real visible", "real infrared"]


# ---------------------------------------------------------------- schedules, rows, settings


def test_warm_up_and_cuts_of_the_paper() -> None:
    schedule = TSGANScheduleConfig()
    epoch = 696
    length = 120 * epoch
    shares = {e: schedule.share(e * epoch, length) for e in (0, 5, 10, 39, 40, 69, 70, 119)}
    assert shares == pytest.approx({0: 0.1, 5: 0.55, 10: 1, 39: 1, 40: 0.3, 69: 0.3, 70: 0.09, 119: 0.09})
    assert TSGANScheduleConfig(warmup=0, steps=[]).share(0, length) == 1.0


@pytest.mark.parametrize(
    ("iterations_per_epoch", "epochs", "phase", "expected"),
    [
        (696, {}, "joint", [6960, 27840, 48720]),
        (696, {}, "teacher", [3770, 15080, 26390]),  # 120 passes in 65 epochs
        (65, {"teacher": 120}, "teacher", [650, 2600, 4550]),  # RegDB
    ],
)
def test_passes_are_equal_parts_of_a_phase(
    iterations_per_epoch: int, epochs: dict[str, int], phase: str, expected: list[int]
) -> None:
    config = TSGANConfig(iterations_per_epoch=iterations_per_epoch)
    config.epochs |= epochs
    config.check()
    schedule = config.teacher_schedule if phase == "teacher" else config.schedule
    length = config.phase_lengths()[phase]
    passes = [schedule.warmup, *schedule.steps]
    assert [schedule.iterations(number, length) for number in passes] == expected


@pytest.mark.true_width
def test_a_method_can_be_used_before_its_phases_are_known() -> None:
    config = TSGANConfig(backbone=BackboneConfig("resnet18", "random", [32, 16]))
    module = TSGAN(config, 5).eval()
    assert module.config.iterations_per_epoch is None
    with torch.no_grad():
        assert module.embed(torch.rand(2, 3, 32, 16), "visible")["main"].shape == (2, 512)
    assert module.train().teacher.training


def test_gan_rates_fall_to_nothing_over_the_last_half() -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    config = FallingAdamConfig()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda iteration: config.share(iteration, 8))
    rates = []
    for _ in range(9):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_schedules_count_inside_their_phases(make) -> None:
    harness = make(
        "model=tsgan",
        "model.epochs={teacher: 3, gan: 2, joint: 5}",
        "model.iterations_per_epoch=1",
        "model.teacher_schedule={passes: 3, warmup: 0, steps: [1], factor: 0.5}",
        "model.schedule={passes: 5, warmup: 2, start: 0.5, steps: [3], factor: 0.1}",
        "model.optimizer.lr=1e-3",
        "model.gan_optimizer={lr: 1e-3, constant: 0.6}",
    )
    module = harness.module
    module.log_every = 10**9
    module.iteration = 1  # iteration 0 is logged, which needs a running trainer
    rates: dict[str, list[float]] = {name: [] for name in module.player_order}
    for _ in range(9):
        for name, held in rates.items():
            held.append(1e3 * module.player(name).param_groups[0]["lr"])
        module.train()
        module.training_step(make_batch(module))
        module.on_train_batch_end(None, {}, 0)
    assert rates["teacher"] == pytest.approx([1, *[0.5] * 8])  # starts at iteration 1
    assert rates["student"] == pytest.approx([*[0.5] * 5, 0.75, 1.0, 0.1, 0.1])
    assert rates["generator"] == rates["discriminator"] == pytest.approx([1] * 8 + [0.5])


def test_rows_lack_the_parts_that_they_switch_off(make) -> None:
    def parts(row: str, *more: str) -> set[str]:
        return {name.split(".")[0] for name, _ in make(f"experiment=tsgan/{row}", *more).module.named_parameters()}

    generation = {"to_infrared", "to_visible", "discriminator_visible"}
    assert parts("backbone") == {"student"}
    assert parts("od_single_ts") == parts("od_all_ts") == {"teacher", "student", "discriminator_infrared"} | generation
    assert parts("jd_all_ts") == {"teacher", "student", "discriminator_infrared", "discriminator_joint"} | generation
    strict = "model.epochs={teacher: 1, gan: 0, joint: 1}"
    assert parts("jd_all_ts", strict) == {"teacher", "student", "discriminator_joint"} | generation
    assert parts("teacher_ir") == parts("teacher_rgb") == {"teacher"}
    phases = {
        row: list(make(f"experiment=tsgan/{row}").module.config.active_phases())
        for row in ("backbone", "od_single_ts", "teacher_ir")
    }
    assert phases == {"backbone": ["joint"], "od_single_ts": ["teacher", "gan", "joint"], "teacher_ir": ["teacher"]}


@pytest.mark.parametrize(
    ("row", "terms"),
    [
        ("backbone", {"id", "triplet"}),
        ("od_single_ts", {"id", "triplet", "cross_domain", "ts_ratio", "ts_gradient", "reid_gradient"}),
        (
            "od_all_ts",
            {"id", "triplet", "cross_domain", "real_ir", "fake_ir", "ts_ratio", "ts_gradient", "reid_gradient"},
        ),
    ],
)
def test_rows_train_their_students_on_the_terms_of_table_ii(make, row: str, terms: set[str]) -> None:
    harness = make(f"experiment=tsgan/{row}")
    harness.step("joint", make_batch(harness.module))
    assert {name.split("/")[1] for name in harness.module.losses if name.startswith("student/")} == terms


def test_presets_differ_where_the_paper_is_silent(make) -> None:
    paper = compose_model("model=tsgan", "scale=paper").plain()
    relatives = compose_model("model=tsgan", "scale=paper", "preset=official").plain()
    assert (paper["gan_loss"], relatives["gan_loss"]) == ("bce", "lsgan")
    assert (paper["epochs"]["gan"], relatives["epochs"]["gan"]) == (0, 5)
    assert {key for key in paper if paper[key] != relatives[key]} == {"gan_loss", "epochs"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["~model.epochs.gan"], "phases are teacher, gan, joint, not teacher, joint"),
        (["model.epochs={teacher: 0, gan: 1, joint: 1}"], "give model.epochs.teacher epochs"),
        (["model.epochs={teacher: 1, gan: 1, joint: 0}"], "give model.epochs.joint epochs"),
        (["model.neck=gem"], "model.neck is 'gem': choose from bnneck, none"),
        (["model.discriminator=separate"], "choose from joint, ordinary"),
        (["model.map_for_d=layer2"], "choose from layer4, layer3"),
        (["model.gan_loss=hinge"], "choose from bce, lsgan"),
        (["model.teaching.reduction=sum"], "choose from channel_sum, sample_sum, mean"),
        (["model.teaching.losses=[cd]"], "model.teaching.losses is 'cd': choose from cross_domain, real_ir, fake_ir"),
        (["model.teaching.losses=[fake_ir,fake_ir]"], "name each entry once"),
        (["model.generation=false"], "need fake images"),
        (["model.single_modality=thermal"], "choose from visible, infrared"),
        (["model.streams.identity.width=18"], "multiples of 4"),
        (["model.discriminators.patch_layers=5"], "at least 48 pixels a side, which 32x16 are not"),
        (["model.label_smoothing=1"], "model.label_smoothing is 1.0: choose 0 or more and below 1"),
        (["model.gan_optimizer.constant=1"], "model.gan_optimizer.constant is 1.0: choose 0 or more and below 1"),
        (["model.cycle=-1"], "model.cycle is -1.0: choose 0 or more"),
        (["model.reid={id: 0, triplet: 0}"], "give model.reid and model.teacher an id or triplet"),
        (["model.schedule.start=0"], "model.schedule.start is 0.0: choose above 0 and 1 or less"),
    ],
)
def test_wrong_settings_are_named_in_one_sentence(make, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make("model=tsgan", *overrides)
    assert "\n" not in str(caught.value)


def test_there_is_one_stream() -> None:
    config = TSGANConfig()
    config.streams["gan"] = StreamConfig(identities=2, images=2, height=32, width=16)
    with pytest.raises(ConfigError, match=r"model\.streams of tsgan are identity, not identity, gan"):
        config.check()


def test_fake_infrared_can_be_grey_and_fake_visible_stays_in_colour(make) -> None:
    harness = make("model=tsgan", "model.generator={grey: true, upsampling: resize}")
    module = harness.module
    images = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        rows = module.translate(images, images)
    fake = rows["fake infrared"]
    assert torch.equal(fake, fake[:, :1].expand_as(fake))
    visible = rows["fake visible"]
    assert not torch.allclose(visible, visible[:, :1].expand_as(visible), atol=1e-4)
    before = harness.snapshot()
    harness.step("joint", make_batch(module))
    changed = harness.changed(before)
    for generator in ("to_infrared", "to_visible"):
        assert any(name.startswith(generator) for name in changed)


def test_retrieval_may_compare_v_after_the_neck(make) -> None:
    images = torch.rand(2, 3, 32, 16)
    for feature in ("pooled", "neck"):
        module = make("model=tsgan", f"model.test_feature={feature}").module.eval()
        torch.nn.init.uniform_(module.student.neck.running_mean)
        torch.nn.init.uniform_(module.teacher.neck.running_mean)
        with torch.no_grad():
            gathered = module.features_to_gather(images, "visible")
            for name, network in (("main", module.student), ("teacher", module.teacher)):
                vectors = network.latter(network.middle(images)).mean(dim=(2, 3))
                wanted = vectors if feature == "pooled" else network.neck(vectors)
                assert torch.allclose(gathered[name], torch.nn.functional.normalize(wanted, dim=1), atol=1e-5)
    with pytest.raises(ConfigError, match="needs a neck"):
        make("model=tsgan", "model.test_feature=neck", "model.neck=none")
