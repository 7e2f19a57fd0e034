"""AlignGAN: losses by hand, gradients, phases, switches of the ablation rows."""

import pytest
import torch

from crossreid.data.batches import PairedBatch
from crossreid.errors import ConfigError
from crossreid.methods.aligngan.losses import acceptance, joint_rejection, rejection, shuffle_within_identity
from crossreid.nn.joint_discriminator import ImageMapPair
from methods_support import gradient_norms, make_batch


def sums(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """A discriminator that can be computed by hand: mean of the image plus mean of the map."""
    return images.mean(dim=(1, 2, 3)) + maps.mean(dim=(1, 2, 3))


def constant(value: float, rows: int = 4) -> torch.Tensor:
    return torch.full((rows, 1, 2, 2), value)


# ---------------------------------------------------------------- losses


def test_acceptance_by_hand_is_the_mean_over_the_pairs() -> None:
    pairs = [ImageMapPair(constant(0.5), constant(0.25)), ImageMapPair(constant(1.0), constant(1.0))]
    assert acceptance(sums, pairs).item() == pytest.approx(((0.75 - 1) ** 2 + (2 - 1) ** 2) / 2)
    assert acceptance(sums, [ImageMapPair(constant(0.5), constant(0.5))]).item() == 0.0


def test_joint_rejection_by_hand() -> None:
    real = ImageMapPair(
        torch.tensor([0.0, 0.1, 0.2, 0.3]).view(4, 1, 1, 1), torch.tensor([0.4, 0.5, 0.6, 0.7]).view(4, 1, 1, 1)
    )
    fake = ImageMapPair(
        torch.tensor([0.9, 0.8, 0.7, 0.6]).view(4, 1, 1, 1), torch.tensor([0.3, 0.2, 0.1, 0.0]).view(4, 1, 1, 1)
    )
    ri, rm, fi, fm = (t.flatten() for t in (*real, *fake))
    rolled = ri[[2, 3, 0, 1]]  # K = 2: every map meets an image of another identity
    others = [((a + b) ** 2).mean() for a, b in ((rolled, rm), (ri, fm), (fi, rm), (fi, fm))]
    expected = 0.5 * (((ri + rm - 1) ** 2).mean() + sum(others) / 4)
    assert joint_rejection(sums, real, fake, 2).item() == pytest.approx(expected.item())


def test_a_perfect_discriminator_has_no_loss() -> None:
    assert rejection(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)).item() == 0.0
    labels = torch.tensor([1.0, 1.0, 2.0, 2.0]).view(4, 1, 1, 1)

    def perfect(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        return (images == maps).float()  # real images and maps carry the identity, fakes a negative number

    assert joint_rejection(perfect, ImageMapPair(labels, labels), ImageMapPair(-labels, -labels * 3), 2).item() == 0.0


def test_only_the_discriminator_learns_from_its_loss() -> None:
    weight = torch.ones((), requires_grad=True)
    made = [torch.rand(4, 1, 2, 2, requires_grad=True) for _ in range(4)]
    joint_rejection(lambda x, m: weight * sums(x, m), ImageMapPair(*made[:2]), ImageMapPair(*made[2:]), 2).backward()
    assert weight.grad.abs() > 0
    assert all(tensor.grad is None for tensor in made)


def test_shuffling_stays_inside_the_identity_and_leaves_no_row_in_place() -> None:
    maps = torch.arange(12.0).view(12, 1)
    for seed in range(5):
        torch.manual_seed(seed)
        shuffled = shuffle_within_identity(maps, 4)
        assert (shuffled != maps).all()
        assert sorted(shuffled.flatten().tolist()) == maps.flatten().tolist()
        assert ((shuffled // 4) == (maps // 4)).all()


# ---------------------------------------------------------------- what each loss trains


GAN_TERMS = {
    "gan_visible": "to_visible",
    "gan_infrared": "to_infrared",
    "cycle": "to_infrared to_visible",
    "id_fake": "to_infrared",
    "triplet_fake": "to_infrared",
    "triplet_real": "to_infrared",
    "identity_mapping": "to_infrared to_visible",
}
FEATURE_TERMS = {name: "feature.encoder" for name in ("id_fake", "id_real", "triplet_fake", "triplet_real", "gan")}


@pytest.mark.parametrize("term", GAN_TERMS)
@pytest.mark.parametrize("phase", ["pixel", "joint"])
def test_each_pixel_loss_reaches_what_it_should_train(make, term: str, phase: str) -> None:
    harness = make("model=aligngan", "preset=official")  # has the identity mapping too
    norms = gradient_norms(harness, term, "pixel", GAN_TERMS[term], phase)
    assert norms
    assert min(norms.values()) > 0


@pytest.mark.parametrize("term", ["id_visible", "id_infrared", "triplet_visible", "triplet_infrared"])
def test_each_loss_of_the_baseline_reaches_the_encoder(make, term: str) -> None:
    norms = gradient_norms(make("model=baseline"), term, "feature", "feature.encoder", "joint")
    assert norms["feature.encoder"] > 0


@pytest.mark.parametrize("term", FEATURE_TERMS)
def test_each_feature_loss_reaches_the_encoder(make, term: str) -> None:
    norms = gradient_norms(make("model=aligngan"), term, "feature", "feature.encoder", "joint")
    assert norms["feature.encoder"] > 0


@pytest.mark.parametrize(
    ("row", "player", "term", "network", "phase"),
    [
        ("full", "feature", "id_real", "feature.encoder", "feature"),
        ("full", "feature", "triplet_real", "feature.encoder", "feature"),
        ("full", "visible_discriminator", "visible", "warmup_visible", "pixel"),
        ("full", "joint_discriminator", "infrared", "warmup_infrared", "pixel"),
        ("full", "pixel", "gan_infrared", "to_infrared", "joint"),
        ("full", "joint_discriminator", "joint", "discriminator_joint", "joint"),
        ("full", "visible_discriminator", "visible", "discriminator_visible", "joint"),
        ("aligngan_minus", "joint_discriminator", "feature", "discriminator_feature", "joint"),
        ("aligngan_minus", "joint_discriminator", "infrared", "discriminator_infrared", "joint"),
        ("featalign", "joint_discriminator", "feature", "discriminator_feature", "joint"),
    ],
)
def test_each_loss_of_the_rows_reaches_what_it_should_train(
    make, row: str, player: str, term: str, network: str, phase: str
) -> None:
    norms = gradient_norms(make(f"experiment=aligngan/{row}"), term, player, network, phase)
    assert norms[network] > 0


# ---------------------------------------------------------------- phases


def networks_changed(harness, phase: str) -> set[str]:
    before = harness.snapshot()
    harness.step(phase, make_batch(harness.module))
    return {name.split(".")[0] for name in harness.changed(before)}


def test_phases_train_what_table_a26_says(make) -> None:
    harness = make("model=aligngan")
    assert networks_changed(harness, "feature") == {"feature"}
    assert networks_changed(harness, "pixel") == {"to_infrared", "to_visible", "warmup_visible", "warmup_infrared"}
    assert networks_changed(harness, "joint") == {
        "feature",
        "to_infrared",
        "to_visible",
        "discriminator_visible",
        "discriminator_joint",
    }


@pytest.mark.parametrize("updates", [False, True])
def test_batch_norm_averages_follow_the_pixel_step_only_when_asked(make, updates: bool) -> None:
    harness = make("model=aligngan", f"model.update_norms_in_pixel_step={str(updates).lower()}")
    before = harness.snapshot("buffers")
    harness.step("pixel", make_batch(harness.module))
    changed = harness.changed(before, "buffers")
    assert bool(changed) == updates
    assert all(name.startswith("feature.") for name in changed)


@pytest.mark.parametrize("fresh", [True, False])
def test_the_joint_phase_starts_with_fresh_discriminators_or_carries_one_over(make, fresh: bool) -> None:
    harness = make("model=aligngan", f"model.reinitialise_discriminators={str(fresh).lower()}")
    module = harness.module
    initial = {name: value.clone() for name, value in module.discriminator_visible.state_dict().items()}
    harness.step("pixel", make_batch(module))
    module.begin_phase("joint")
    expected = initial if fresh else module.warmup_visible.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in module.discriminator_visible.state_dict().items())


def test_learning_rates_fall_inside_the_joint_phase_only(make) -> None:
    harness = make("model=aligngan", "model.phases={feature: 2, pixel: 2, joint: 4}", "model.decay.after=2")
    module = harness.module
    module.log_every = 10**9
    module.iteration = 1  # iteration 0 is logged, which needs a running trainer
    rates = []
    for _ in range(7):
        module.training_step(make_batch(module))
        rates.append(module.player("pixel").param_groups[0]["lr"])
        module.on_train_batch_end(None, {}, 0)
    assert rates == pytest.approx([2e-4] * 5 + [2e-5] * 2)


# ---------------------------------------------------------------- rows and switches


def test_rows_lack_the_parts_that_they_switch_off(make) -> None:
    featalign = make("experiment=aligngan/featalign").module
    assert {n.split(".")[0] for n, _ in featalign.named_parameters()} == {"feature", "discriminator_feature"}
    assert list(featalign.config.active_phases()) == ["feature", "joint"]
    minus = make("experiment=aligngan/aligngan_minus").module
    assert hasattr(minus, "discriminator_feature")
    assert hasattr(minus, "discriminator_infrared")
    assert not hasattr(minus, "discriminator_joint")
    basel = make("experiment=aligngan/basel").module
    assert {n.split(".")[0] for n, _ in basel.named_parameters()} == {"feature"}


def test_pixalign_has_no_feature_alignment(make) -> None:
    harness = make("experiment=aligngan/pixalign")
    harness.step("joint", make_batch(harness.module))
    assert "feature/gan" not in harness.module.losses
    full = make("experiment=aligngan/full")
    full.step("joint", make_batch(full.module))
    assert "feature/gan" in full.module.losses


def test_presets_differ_where_paper_and_code_do(make) -> None:
    paper, official = make("preset=paper").module.config, make("preset=official").module.config
    assert (paper.pixel.id, official.pixel.id) == (1.0, 0.1)
    assert (paper.pixel.identity_mapping, official.pixel.identity_mapping) == (0.0, 2.5)
    assert (paper.heads.order, official.heads.order) == ("paper", "official")
    assert (paper.real_pairs, official.real_pairs) == ("same_identity", "instance")
    assert official.generator.running_stats
    assert not paper.flip_test
    assert (len(paper.pixel_gan_pairs), len(official.pixel_gan_pairs)) == (2, 1)


def test_visible_images_are_translated_before_they_are_embedded(make) -> None:
    module = make("model=aligngan").module.eval()
    images = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        direct = module.embed(images, "infrared")["main"]
        visible = module.embed(images, "visible")["main"]
        translated = module.embed(module.to_infrared(images), "infrared")["main"]
    assert torch.equal(visible, translated)
    assert not torch.allclose(visible, direct, atol=1e-4)


def test_flip_averaging_makes_embeddings_mirror_invariant(make) -> None:
    module = make("model=aligngan", "model.flip_test=true").module.eval()
    images = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        one, two = module.embed(images, "infrared")["main"], module.embed(images.flip(-1), "infrared")["main"]
    assert torch.allclose(one, two, atol=1e-5)


def test_the_grid_shows_real_visible_fake_infrared_real_infrared(make) -> None:
    images = torch.rand(2, 3, 32, 16)
    rows = make("model=aligngan").module.eval().translate(images, images)
    assert list(rows) == ["real visible", "fake infrared", "real infrared"]
    assert list(make("experiment=aligngan/featalign").module.translate(images, images)) == [
        "real visible",
        "real infrared",
    ]


def test_cycle_loss_is_in_the_range_of_the_paper(make) -> None:
    harness = make("model=aligngan")
    module = harness.module
    module.to_infrared = torch.nn.Identity()
    module.to_visible = torch.nn.Identity()
    losses = []
    module.record_losses = lambda player, terms: losses.append((player, terms))
    module.to_visible.register_forward_hook(lambda *_: torch.zeros(4, 3, 32, 16))  # black: -1 in the GAN's range
    white = torch.ones(4, 3, 32, 16)
    batch = PairedBatch(white, white, torch.tensor([0, 0, 1, 1]), 0)
    module.iteration = module.config.phases["feature"]
    module.turn = _no_step.__get__(module)
    module._pixel_turn(batch)
    # Gp'(Gp(white)) is black: 2 in [-1, 1]; Gp(Gp'(white)) is black too: 2
    assert losses[0][1].terms["cycle"][0].item() == pytest.approx(4.0)
    assert losses[0][1].terms["cycle"][1] == 10.0


def _no_step(self, name: str):
    from contextlib import contextmanager

    from crossreid.methods.players import Losses

    @contextmanager
    def run():
        losses = Losses()
        yield losses
        self.record_losses(name, losses)

    return run()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.discriminator=triple"], "model.discriminator is 'triple': choose from joint, separate, feature"),
        (["model.discriminator=feature"], "go together"),
        (
            ["model.pixel_gan_pairs=[]"],
            "model.pixel_gan_pairs needs at least one entry: choose from fake_real, fake_fake",
        ),
        (["model.streams.gan.width=18"], "multiples of 4"),
        (["model.streams.gan.identities=1"], "model.streams.gan.identities is 1: choose 2 or more"),
        (["model.discriminators.joint_layers=4"], "which 32x16 does not allow"),
        (["model.phases.joint=3"], "not a multiple of model.iterations_per_epoch=2"),
        (["+model.phases.warmup=2"], "phases are feature, pixel and joint, not feature, pixel, joint, warmup"),
        (["~model.streams.gan"], "model.streams of aligngan are identity, gan, not identity"),
        (["model.streams.gan.images=1"], "same_identity needs at least 2"),
        (["model.heads.order=papr"], "model.heads.order is 'papr': choose from paper, official"),
        (["model.backbone.last_stride=3"], "model.backbone.last_stride is '3': choose from 1, 2"),
        (["model.backbone.size=[96]"], "give 2 entries .height and width"),
        (["model.feature_optimizer.kind=rmsprop"], "model.feature_optimizer.kind is 'rmsprop': choose from sgd, adam"),
        (["model.flip=7"], "model.flip is 7.0: choose 0 to 1"),
        (["model.streams.identity.width=8", "model.streams.identity.height=8"], "which 8x8 does not allow"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(make, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make("model=aligngan", *overrides)


def test_fake_infrared_can_be_grey_and_fake_visible_stays_in_colour(make) -> None:
    harness = make("model=aligngan", "model.generator={grey: true, upsampling: resize}")
    module = harness.module
    images = torch.rand(2, 3, 32, 16)
    with torch.no_grad():
        fake = module.to_infrared(images)
        visible = module.to_visible(images)
    assert torch.equal(fake, fake[:, :1].expand_as(fake))
    assert not torch.allclose(visible, visible[:, :1].expand_as(visible), atol=1e-4)
    kinds = {type(layer) for network in (module.to_infrared, module.to_visible) for layer in network.modules()}
    assert torch.nn.Upsample in kinds
    assert torch.nn.ConvTranspose2d not in kinds
    assert {"to_infrared", "to_visible"} <= networks_changed(harness, "joint")
