"""JSIA-ReID: losses by hand, who learns from what, phases, switches of the ablation rows."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from crossreid.errors import ConfigError
from crossreid.methods.jsia.alignment import add_alignment
from crossreid.methods.jsia.config import (
    JSIADiscriminatorConfig,
    JSIAEncoderConfig,
    JSIAGeneratorConfig,
    VariationConfig,
)
from crossreid.methods.jsia.generation import (
    AdaptiveBlock,
    Latent,
    MultiScaleDiscriminator,
    Pair,
    SampleNorm,
    StyledDecoder,
    StyleEncoder,
    VariationModule,
    adaptive_instance_norm,
)
from crossreid.methods.jsia.losses import (
    acceptance,
    alignment,
    divergence,
    feature_l1,
    mix,
    modality_confusion,
    modality_discrimination,
    pair_divergence,
    rejection,
    unseen_divergence,
    variation_terms,
)
from crossreid.methods.jsia.networks import InstanceEncoder, Recognition, SetLevelEncoder
from crossreid.methods.players import Losses
from crossreid.nn.backbones import ResNetEncoder
from crossreid.settings.networks import BackboneConfig
from methods_support import Harness, compose_model, make_batch
from support import ROOT

ROWS = ("none", "sl", "il", "sl_il", "sl_il_lr", "full", "degraded_sl", "degraded_lr", "sl_il_local")
OFFICIAL_GENERATOR = JSIAGeneratorConfig(style_halvings=4, blocks=2, upsamplings=1)


def logits_of(*probabilities: float) -> torch.Tensor:
    """Logits (1, classes) whose softmax is given, shifted so that nothing relies on their sum."""
    return torch.tensor([probabilities]).log() + 3.0


# ---------------------------------------------------------------- losses


def test_adversarial_losses_by_hand_are_sums_over_scales() -> None:
    real = [torch.full((2, 1, 4, 2), 0.5), torch.full((2, 1, 2, 1), 1.0)]
    fake = [torch.full((2, 1, 4, 2), 0.2), torch.full((2, 1, 2, 1), -1.0)]
    assert acceptance(fake).item() == pytest.approx(0.8**2 + 2.0**2)
    assert rejection(real, fake).item() == pytest.approx(0.5**2 + 0.0 + 0.2**2 + 1.0)
    assert rejection([torch.ones(2, 1, 3, 3)], [torch.zeros(2, 1, 3, 3)]).item() == 0.0


def test_modality_losses_by_hand() -> None:
    visible, infrared = torch.tensor([[0.5], [1.0]]), torch.tensor([[0.0], [0.5]])
    assert modality_confusion(visible, infrared).item() == pytest.approx(0.125 + 0.125)
    assert modality_discrimination(visible, infrared).item() == pytest.approx(0.125 + 0.125)
    assert modality_discrimination(torch.ones(2, 1), torch.zeros(2, 1)).item() == 0.0


def test_feature_l1_by_hand_trains_both_sides() -> None:
    one, two = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([4.0, 2.5], requires_grad=True)
    loss = feature_l1(one, two)
    assert loss.item() == pytest.approx((3.0 + 0.5) / 2)
    loss.backward()
    assert one.grad.tolist() == [-0.5, -0.5]
    assert two.grad.tolist() == [0.5, 0.5]


def test_divergence_by_hand() -> None:
    p, q = logits_of(0.5, 0.5), logits_of(0.25, 0.75)
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert divergence(p, q).item() == pytest.approx(expected, rel=1e-5)
    assert divergence(p.repeat(3, 1), q.repeat(3, 1)).item() == pytest.approx(expected, rel=1e-5)  # mean over the batch
    assert divergence(p, p + 7).item() == pytest.approx(0.0, abs=1e-6)
    half = divergence(p.half() * 0 + torch.tensor([[0.0, 30.0]]).half(), p.half())
    assert half.dtype == torch.float32
    assert torch.isfinite(half)


def test_pairs_diverge_from_infrared_to_visible() -> None:
    infrared = logits_of(0.5, 0.5)
    visible = logits_of(0.25, 0.75)
    forth = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)  # KL(infrared || visible)
    back = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert pair_divergence(infrared, visible, "printed").item() == pytest.approx(forth, rel=1e-5)
    assert pair_divergence(infrared, visible, "symmetric").item() == pytest.approx(forth + back, rel=1e-5)


@pytest.mark.parametrize("kind", ["printed", "symmetric"])
def test_only_the_fake_side_of_a_pair_is_trained(kind: str) -> None:
    real = [logits_of(0.5, 0.5).requires_grad_(), logits_of(0.6, 0.4).requires_grad_()]  # visible, infrared
    fake = [logits_of(0.25, 0.75).requires_grad_(), logits_of(0.9, 0.1).requires_grad_()]
    alignment([[real[0]], [real[1]]], [[fake[0]], [fake[1]]], kind).backward()
    for logits in real:
        assert logits.grad is None
    for logits in fake:
        assert logits.grad.norm() > 0


def test_alignment_is_eq_12_with_two_stripes() -> None:
    a, b, c = logits_of(0.5, 0.5), logits_of(0.25, 0.75), logits_of(0.9, 0.1)
    x_rgb, x_ir = [a, a], [b, c]
    x_ir2rgb, x_rgb2ir = [c, b], [a, b]
    first_line = (divergence(x_ir[0], x_ir2rgb[0]) + divergence(x_ir[1], x_ir2rgb[1])) / 2
    second_line = (divergence(x_rgb2ir[0], x_rgb[0]) + divergence(x_rgb2ir[1], x_rgb[1])) / 2
    loss = alignment([x_rgb, x_ir], [x_ir2rgb, x_rgb2ir], "printed")
    assert loss.item() == pytest.approx((first_line + second_line).item(), rel=1e-5)


def test_variation_terms_by_hand() -> None:
    maps = torch.zeros(2, 1, 2, 2)
    reconstruction = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    u = torch.tensor([[[[3.0, 4.0]]], [[[0.0, 0.0]]]])
    tau = torch.tensor([[[[1.0, 1.0]]], [[[4.0, 5.0]]]])
    latent = Latent(u, tau)
    mean = variation_terms(maps, reconstruction, latent, "mean")
    assert [term.item() for term in mean] == pytest.approx([2.0, 25 / 4, 25 / 4])
    plain = variation_terms(maps, reconstruction, latent, "plain")  # L1 4 and 12, |u| 5 and 0, |tau - 1| 0 and 5
    assert [term.item() for term in plain] == pytest.approx([8.0, 2.5, 2.5])


@pytest.mark.parametrize("norms", ["mean", "plain"])
def test_every_variation_term_trains_v_from_its_first_step(norms: str) -> None:
    torch.manual_seed(0)
    network = VariationModule(4, VariationConfig(channels=8, halvings=2, latent=2))
    maps = torch.rand(2, 4, 8, 4)
    for index, part in enumerate(("decoder", "to_mean", "to_deviation")):
        network.zero_grad()
        latent = network.encode(maps)
        variation_terms(maps, network.decode(latent.sample()), latent, norms)[index].backward()
        gradients = [p.grad.norm() for p in network.get_submodule(part).parameters() if p.grad is not None]
        assert sum(gradients) > 0


def test_mixing_at_0_and_1_returns_the_two_ends() -> None:
    one, two = torch.rand(3, 4, 2, 2), torch.rand(3, 4, 2, 2)
    assert torch.equal(mix(one, two, torch.ones(3)), one)
    assert torch.equal(mix(one, two, torch.zeros(3)), two)
    ratio = torch.tensor([0.0, 0.25, 1.0])
    assert torch.allclose(mix(one, two, ratio)[1], 0.25 * one[1] + 0.75 * two[1])


def test_unseen_divergence_by_hand() -> None:
    logits, target = logits_of(0.25, 0.75), torch.tensor([[0.5, 0.5]])
    forth = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    back = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert unseen_divergence(logits, target, "target_first").item() == pytest.approx(forth, rel=1e-5)
    assert unseen_divergence(logits, target, "printed").item() == pytest.approx(back, rel=1e-5)
    one_hot = torch.tensor([[0.0, 1.0]])
    assert unseen_divergence(logits, one_hot, "target_first").item() == pytest.approx(-math.log(0.75), rel=1e-5)


# ---------------------------------------------------------------- networks


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_published_parameter_counts() -> None:
    backbone = BackboneConfig(weights="random", size=[256, 128])
    assert parameters(SetLevelEncoder(backbone, JSIAEncoderConfig())) == 225_344
    instance = InstanceEncoder(backbone, 395, 0)
    assert parameters(instance.body) == 23_282_688
    assert parameters(instance.classifier) == 811_008
    assert parameters(StyleEncoder(OFFICIAL_GENERATOR)) == 760_779 - 50_955  # without the unused classifier
    decoder = StyledDecoder(256, OFFICIAL_GENERATOR)
    assert parameters(decoder.adain) == 625_152
    assert parameters(decoder) == 3_198_723 + 625_152
    assert parameters(MultiScaleDiscriminator(JSIADiscriminatorConfig())) == 1_380_802


@pytest.mark.true_width
@pytest.mark.parametrize(("size", "upsamplings"), [((128, 64), 1), ((256, 128), 2)])
def test_images_of_both_published_sizes(size: tuple[int, int], upsamplings: int) -> None:
    config = JSIAGeneratorConfig(
        style_channels=4, style_halvings=4, style=8, blocks=1, upsamplings=upsamplings, hidden=8
    )
    encoder = SetLevelEncoder(BackboneConfig("resnet18", "random", [256, 128]), JSIAEncoderConfig())
    images = torch.rand(2, 3, *size)
    maps = encoder(images)
    assert maps.shape == (2, 64, 64, 32)
    assert maps.min() >= 0
    fake = StyledDecoder(64, config)(maps, StyleEncoder(config)(images))
    assert fake.shape == images.shape
    assert 0 <= fake.min() <= fake.max() <= 1
    first, second = MultiScaleDiscriminator(JSIADiscriminatorConfig(channels=2))(images)
    assert first.shape == (2, 1, size[0] // 16, size[1] // 16)
    assert second.shape == (2, 1, size[0] // 32, size[1] // 32)
    latent = VariationModule(64, VariationConfig(channels=4, latent=3)).encode(maps)
    assert latent.mean.shape == latent.deviation.shape == (2, 3, 8, 4)


def test_adaptive_instance_norm_by_hand() -> None:
    maps = torch.tensor([1.0, 3.0, 10.0, 10.0]).view(1, 2, 1, 2)
    out = adaptive_instance_norm(maps, torch.tensor([[0.5, 2.0]]), torch.tensor([[2.0, 5.0]]))
    assert out.flatten().tolist() == pytest.approx([-1.5, 2.5, 2.0, 2.0], abs=1e-3)


def test_decoders_are_reentrant() -> None:
    torch.manual_seed(0)
    decoder = StyledDecoder(8, JSIAGeneratorConfig(style=4, blocks=2, upsamplings=1, hidden=8))
    content, one, two = torch.rand(2, 8, 4, 4), torch.randn(2, 4), torch.randn(2, 4)
    first = decoder(content, one)
    other = decoder(content, two)
    assert not torch.allclose(first, other)
    assert torch.equal(decoder(content, one), first)
    first.sum().backward()  # the second call did not touch the first one's graph
    leaves = {name for name, value in vars(decoder).items() if isinstance(value, torch.Tensor)}
    leaves |= {n for block in decoder.blocks for n, v in vars(block).items() if isinstance(v, torch.Tensor)}
    assert not leaves
    halves = torch.cat([decoder(content[:1], one[:1]), decoder(content[1:], one[1:])])
    assert torch.allclose(halves, first, atol=1e-5)


def test_an_adaptive_block_with_no_gain_and_bias_passes_its_input_on() -> None:
    block, x = AdaptiveBlock(3), torch.rand(2, 3, 4, 4)
    assert torch.equal(block(x, torch.zeros(2, 4, 3)), x)


def test_sample_norm_by_hand_and_with_one_sample() -> None:
    norm = SampleNorm(2)
    torch.nn.init.ones_(norm.gain)
    x = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 2, 1, 2)
    deviation = x.std()  # unbiased
    assert torch.allclose(norm(x), (x - 3.0) / (deviation + 1e-5))
    batch = torch.rand(3, 2, 4, 4)
    assert torch.allclose(norm(batch)[1:2], norm(batch[1:2]), atol=1e-6)


def test_encoders_together_are_the_resnet() -> None:
    backbone = BackboneConfig("resnet18", "random", [64, 32])
    images = torch.rand(2, 3, 64, 32)
    torch.manual_seed(0)
    whole = ResNetEncoder(backbone).eval()
    torch.manual_seed(0)
    first = SetLevelEncoder(backbone, JSIAEncoderConfig(gray=False)).eval()
    torch.manual_seed(0)
    second = InstanceEncoder(backbone, 5, 0).eval()
    assert torch.allclose(second.vectors(first(images)), whole(images).mean(dim=(2, 3)), atol=1e-6)


def test_gray_input_and_the_missing_relu_are_the_authors() -> None:
    backbone = BackboneConfig("resnet18", "random", [64, 32])
    encoder = SetLevelEncoder(backbone, JSIAEncoderConfig(gray=True)).eval()
    seen = []
    encoder.body[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    encoder(torch.full((1, 3, 64, 32), 0.5))
    assert seen[0].shape == (1, 3, 64, 32)
    expected = sum(
        w * (0.5 - m) / s
        for w, m, s in zip((0.2989, 0.587, 0.114), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    )
    assert seen[0].min().item() == pytest.approx(expected, rel=1e-5) == seen[0].max().item()
    assert expected == pytest.approx(0.18, abs=0.005)
    kinds = [type(layer).__name__ for layer in encoder.body]
    bare = [type(layer).__name__ for layer in SetLevelEncoder(backbone, JSIAEncoderConfig(stem_relu=False)).body]
    assert (kinds[2], bare[2]) == ("ReLU", "MaxPool2d")


@pytest.mark.true_width
def test_stripes_see_only_their_rows() -> None:
    torch.manual_seed(0)
    encoder = InstanceEncoder(BackboneConfig("resnet18", "random", [64, 32]), 5, 2).eval()
    encoder.body = torch.nn.Identity()
    maps = torch.rand(1, 512, 4, 2)
    changed = maps.clone()
    changed[:, :, 2:] += 1.0
    before, after = encoder(maps).local, encoder(changed).local
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])
    assert torch.allclose(before[0], encoder.local[0](maps[:, :, :2].mean(dim=(2, 3))), atol=1e-6)


# ---------------------------------------------------------------- who learns from what

GENERATOR = {"set_level", "generation"}
REID = {"set_level", "instance"}
# loss -> networks that its gradient reaches; networks that it trains in the joint phase; in the phase generation
OWNERSHIP = {
    "generator/content": (GENERATOR, {"generation"}, {"generation"}),
    "generator/style": (GENERATOR, {"generation"}, {"generation"}),
    "set_level+generator/image": (GENERATOR, GENERATOR, {"generation"}),
    "set_level+generator/cycle": (GENERATOR, GENERATOR, {"generation"}),
    "set_level+generator/gan_visible": ({*GENERATOR, "discriminator_visible"}, GENERATOR, {"generation"}),
    "set_level+generator/gan_infrared": ({*GENERATOR, "discriminator_infrared"}, GENERATOR, {"generation"}),
    "discriminator/visible": ({"discriminator_visible"}, {"discriminator_visible"}, {"discriminator_visible"}),
    "discriminator/infrared": ({"discriminator_infrared"}, {"discriminator_infrared"}, {"discriminator_infrared"}),
    "variation/reconstruction": ({"variation"}, {"variation"}, {"variation"}),
    "variation/mean": ({"variation"}, {"variation"}, {"variation"}),
    "variation/deviation": ({"variation"}, {"variation"}, {"variation"}),
    "set_level+instance/id": (REID, REID, None),
    "set_level+instance/triplet": (REID, REID, None),
    "set_level+instance/local_id": (REID, REID, None),
    "set_level+instance/il": (REID, REID, None),
    "set_level+instance/lr": (REID, REID, None),
    "set_level+instance/ui": (REID, REID, None),
}
ALL_TERMS = ("model.generation={content: 1.0, style: 1.0}", "model.margin=30.0")  # no hinge at its zero


def train_on(harness: Harness, phase: str, term: str) -> tuple[set[str], set[str]]:
    """One step on one term alone: networks that its gradient reaches, networks that change."""
    module = harness.module
    simultaneous = module.simultaneous
    group, kind = term.split("/")
    reached: set[str] = set()
    named = dict(module.named_parameters())

    def only(moves) -> None:
        for losses, owners, _ in list(moves):
            for name, (value, weight) in losses.terms.items():
                if (group, kind) != ("+".join(owners), name):
                    continue
                asking = {n: p for n, p in named.items() if p.requires_grad}
                found = torch.autograd.grad(value, list(asking.values()), retain_graph=True, allow_unused=True)
                norms = {n: g.norm() for n, g in zip(asking, found, strict=True) if g is not None}
                reached.update(name.split(".")[0] for name, norm in norms.items() if norm > 0)
                simultaneous([(Losses({name: (value, weight)}), owners)])

    module.simultaneous = only
    before = harness.snapshot()
    harness.step(phase, make_batch(module))
    return reached, {name.split(".")[0] for name in harness.changed(before)}


@pytest.mark.parametrize("term", OWNERSHIP)
def test_joint_ownership_row_by_row(make, term: str) -> None:
    reaches, trains, _ = OWNERSHIP[term]
    assert train_on(make("model=jsia", *ALL_TERMS), "joint", term) == (reaches, trains)


@pytest.mark.parametrize("term", [term for term, row in OWNERSHIP.items() if row[2]])
def test_ownership_in_the_generation_phase_leaves_the_encoder_alone(make, term: str) -> None:
    trains = OWNERSHIP[term][2]
    reached, changed = train_on(make("model=jsia", *ALL_TERMS), "generation", term.replace("set_level+", ""))
    assert changed == trains
    assert "set_level" not in reached  # E_i asks for no gradient there, and yet passes it on


def test_all_terms_of_both_phases_are_in_the_table(make) -> None:
    harness = make("model=jsia", *ALL_TERMS)
    harness.module.log_every = 1  # ratios are computed where they are logged
    harness.step("generation", make_batch(harness.module))
    harness.step("joint", make_batch(harness.module))
    expected = set(OWNERSHIP) | {t.replace("set_level+", "") for t, row in OWNERSHIP.items() if row[2]}
    ratios = {"gradient/il", "gradient/lr", "gradient/ui"}
    watched = {"generator/mean_image", "set_level+generator/mean_image"}  # weight 0, as those of other persons
    watched |= {f"set_level+instance/{term}_others" for term in ("il", "lr", "ui")}
    assert set(harness.module.losses) == expected | ratios | watched
    assert all(harness.module.losses[name] > 0 for name in ratios)


def test_what_il_is_for_other_persons(make) -> None:
    """Pairs that agree, persons that do not: IL is 0, and beside it stands the divergence of different persons."""
    module = make("model=jsia").module
    each, people = module.config.streams["gan"].images, module.config.streams["gan"].identities
    logits = (10 * torch.eye(people)).repeat_interleave(each, 0).requires_grad_()
    losses = Losses()
    recognition = Recognition(logits, logits, [logits])
    both = (recognition, recognition)
    add_alignment(losses, module.config, real=both, fake=both)
    rest = math.exp(10) + people - 1
    between = 10 * (math.exp(10) - 1) / rest  # KL of two such predictions of different persons
    assert losses.terms["il"][0].item() == pytest.approx(0.0, abs=1e-6)
    assert losses.terms["il_others"][0].item() == pytest.approx(2 * between, rel=1e-4)
    assert losses.terms["il_others"][1] == 0.0
    assert not losses.terms["il_others"][0].requires_grad


def test_v_trains_the_encoder_only_when_asked(make) -> None:
    harness = make("model=jsia", "model.variation.detach=false")
    reached, changed = train_on(harness, "joint", "variation+set_level/reconstruction")
    assert reached == changed == {"variation", "set_level"}


def test_modality_alignment_of_the_degraded_row(make) -> None:
    row = "experiment=jsia/degraded_sl"
    encoder = train_on(make(row), "joint", "set_level+instance/modality")
    assert encoder == ({"set_level", "discriminator_modality"}, {"set_level"})
    assert train_on(make(row), "joint", "discriminator/modality") == (
        {"discriminator_modality"},
        {"discriminator_modality"},
    )


def test_updates_are_simultaneous(make) -> None:
    """The joint step equals one in which every loss is computed before anything moves."""
    harness = make("model=jsia", *ALL_TERMS)
    module = harness.module
    kept = []
    simultaneous = module.simultaneous
    module.simultaneous = lambda moves: (kept.extend(moves), simultaneous(kept))
    before = harness.snapshot()
    harness.step("joint", make_batch(module))
    assert len(kept) == 5
    after = harness.snapshot()
    for name, value in before.items():
        dict(module.named_parameters())[name].data.copy_(value)
    twin = make("model=jsia", *ALL_TERMS).module
    twin.simultaneous = lambda moves: kept.append(list(moves))
    twin.iteration = module.iteration
    twin.train()
    torch.manual_seed(0)
    twin.training_step(make_batch(twin))
    gradients: dict[str, torch.Tensor] = {}
    names = {id(p): n for n, p in twin.named_parameters()}
    for losses, owners, _ in kept[-1]:
        owned = [p for owner in owners for p in twin.owned(owner)]
        found = torch.autograd.grad(losses.total(), owned, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(owned, found, strict=True):
            if gradient is not None:
                gradients[names[id(parameter)]] = gradients.get(names[id(parameter)], 0) + gradient
    for player in twin.player_order:
        for parameter in twin.owned(player):
            parameter.grad = gradients.get(names[id(parameter)])
        twin.player(player).step()
    for name, parameter in twin.named_parameters():
        assert torch.allclose(parameter, after[name], atol=1e-6), name


# ---------------------------------------------------------------- batch norms, phases


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_fixed_encoder_keeps_or_follows_its_averages(make, mode: str) -> None:
    harness = make("model=jsia", f"model.norms_in_generation={mode}")
    before = harness.snapshot("buffers")
    harness.step("generation", make_batch(harness.module))
    changed = harness.changed(before, "buffers")
    assert bool(changed) == (mode == "train")
    assert all(name.startswith("set_level.") for name in changed)
    assert harness.module.set_level.training


@pytest.mark.parametrize("follows", [False, True])
def test_averages_follow_gan_batches_only_when_asked(make, follows: bool) -> None:
    harness = make("model=jsia", f"model.update_norms_on_gan_batches={str(follows).lower()}")
    module = harness.module
    norm = module.set_level.body[1]
    harness.step("joint", make_batch(module))
    assert int(norm.num_batches_tracked) == (2 + 10 if follows else 2)  # 4 generation, 4 alignment, 2 mixed


def test_learning_rates_fall_inside_the_joint_phase_only(make) -> None:
    harness = make("model=jsia", "model.phases={generation: 2, joint: 4}", "model.decay.after=2")
    module = harness.module
    module.log_every = 10**9
    module.iteration = 1  # iteration 0 is logged, which needs a running trainer
    rates = []
    for _ in range(5):
        module.training_step(make_batch(module))
        rates.append(module.player("generator").param_groups[0]["lr"])
        module.on_train_batch_end(None, {}, 0)
    assert rates == pytest.approx([2e-4] * 3 + [2e-5] * 2)


# ---------------------------------------------------------------- rows and switches


def parts_of(module: torch.nn.Module) -> set[str]:
    """Which parts have parameters; the stripes' classifiers by themselves."""
    names = {name for name, _ in module.named_parameters()}
    return {n.split(".")[0] for n in names} | {"local" for n in names if n.startswith("instance.local")}


COMMON = {"set_level", "instance", "generation", "discriminator_visible", "discriminator_infrared"}
ROW_PARTS = {
    "none": {"own_content"},
    "sl": set(),
    "il": {"own_content"},
    "sl_il": set(),
    "sl_il_lr": {"local"},
    "full": {"local", "variation"},
    "degraded_sl": {"local", "variation", "own_content", "discriminator_modality"},
    "degraded_lr": {"local", "variation"},
    "sl_il_local": {"local"},
}
ROW_TERMS = {
    "none": set(),
    "sl": set(),
    "il": {"il"},
    "sl_il": {"il"},
    "sl_il_lr": {"il", "lr", "local_id"},
    "full": {"il", "lr", "local_id", "ui"},
    "degraded_sl": {"il", "lr", "local_id", "ui", "modality"},
    "degraded_lr": {"il", "lr", "local_id", "ui"},
    "sl_il_local": {"il", "local_id"},
}


@pytest.mark.parametrize("preset", ["paper", "official"])
@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_the_parts_and_losses_that_it_names_and_no_others(make, row: str, preset: str) -> None:
    harness = make(f"experiment=jsia/{row}", f"preset={preset}")
    module = harness.module
    assert parts_of(module) == COMMON | ROW_PARTS[row]
    harness.step("joint", make_batch(module))
    reid = {name.split("/")[1] for name in module.losses if name.startswith("set_level+instance/")}
    others = {f"{term}_others" for term in ROW_TERMS[row] & {"il", "lr", "ui"}}  # logged beside them
    assert reid == {"id", "triplet"} | others | ROW_TERMS[row]
    assert ("variation" in module.player_order) == ("variation" in ROW_PARTS[row])


@pytest.mark.parametrize("row", ["none", "il", "degraded_sl"])
def test_without_set_level_alignment_images_do_not_train_the_re_id_encoder(make, row: str) -> None:
    reached, changed = train_on(make(f"experiment=jsia/{row}"), "joint", "set_level+generator/cycle")
    assert reached == changed == {"own_content", "generation"}
    reached, changed = train_on(make(f"experiment=jsia/{row}"), "joint", "set_level+instance/id")
    assert reached == changed == {"set_level", "instance"}


def test_degraded_local_regions_align_real_images_in_both_directions(make) -> None:
    harness = make("experiment=jsia/degraded_lr")
    module = harness.module
    images_in_order = []
    recognise = module._recognise

    def spy(images, modality):
        images_in_order.append(images)
        return recognise(images, modality)

    module._recognise = spy
    batch = make_batch(module)["gan"]
    harness.step("joint", make_batch(module))
    assert torch.equal(images_in_order[0], batch.visible)
    assert torch.equal(images_in_order[1], batch.infrared)
    assert train_on(make("experiment=jsia/degraded_lr"), "joint", "set_level+instance/lr") == (REID, REID)


def test_alignment_losses_leave_the_generator_alone(make) -> None:
    for row in ROWS[2:]:
        for term in ROW_TERMS[row] - {"modality"}:
            harness = make(f"experiment=jsia/{row}")
            reached, _ = train_on(harness, "joint", f"set_level+instance/{term}")
            assert reached == REID, (row, term)
            assert harness.module.config.instance_level == ("il" in ROW_TERMS[row])


def test_presets_differ_where_paper_and_code_do(make) -> None:
    paper, official = (
        make("model=jsia", "preset=paper").module.config,
        make("model=jsia", "preset=official").module.config,
    )
    assert (paper.lambda_il, official.lambda_il) == (0.1, 0.01)
    assert (paper.divergence, official.divergence) == ("printed", "official")
    assert (paper.generation.image, official.generation.image) == (1.0, 10.0)
    assert (paper.generation.content, official.generation.content) == (0.0, 1.0)
    assert (paper.encoder.stem_relu, official.encoder.stem_relu) == (True, False)
    assert paper.encoder.gray
    assert official.encoder.gray
    assert (paper.smoothing, official.smoothing) == (0.0, 0.1)
    assert (paper.unseen_ids, official.unseen_ids) == (True, False)
    assert (paper.local_regions, official.local_regions) == ("paired", "none")
    assert official.reid_optimizer.lr == 4.5e-4
    assert (paper.test_feature, official.test_feature) == ("pooled", "neck")


def test_both_modalities_take_the_same_path(make) -> None:
    images = torch.rand(3, 3, 64, 32)
    for feature in ("pooled", "neck"):
        module = make("model=jsia", f"model.test_feature={feature}").module
        torch.nn.init.uniform_(module.instance.classifier.norm.running_mean)
        module.eval()
        with torch.no_grad():
            one, two = (module.embed(images, modality)["main"] for modality in ("visible", "infrared"))
            vectors = module.instance.vectors(module.set_level(images))
            after = module.instance.classifier.norm(vectors)
        assert torch.equal(one, two)
        assert torch.allclose(one, F.normalize(vectors if feature == "pooled" else after, dim=1), atol=1e-6)


def test_mixed_images_at_0_and_1_are_the_two_ends(make) -> None:
    module = make("model=jsia").module.eval()
    batch = make_batch(module)["gan"]
    with torch.no_grad():
        made = module.generation(module._contents, Pair(batch.visible, batch.infrared))
        own = module.mix(made.contents, made.styles, torch.ones(4), 2)
        other = module.mix(made.contents, made.styles, torch.zeros(4), 2)
        half = module.mix(made.contents, made.styles, torch.full((4,), 0.5), 2)
    rebuilt = module.variation.decode(module.variation.encode(made.contents.visible).mean)
    expected = module.generation.decode_visible(rebuilt, made.styles.visible)
    assert torch.allclose(own.visible, expected, atol=1e-5)
    assert torch.allclose(other.visible, expected.roll(2, 0), atol=1e-5)
    assert not torch.allclose(half.visible, own.visible, atol=1e-4)


def test_mixed_partners_are_other_people(make) -> None:
    module = make("model=jsia", "model.streams.gan.identities=3").module
    batch = make_batch(module)
    shifts = []
    mixing = module.mix
    module.mix = lambda contents, styles, ratio, shift: shifts.append(shift) or mixing(contents, styles, ratio, shift)
    module.iteration = module.config.phases["generation"]
    for seed in range(6):
        torch.manual_seed(seed)
        module.training_step(batch)
    pids = batch["gan"].pids
    assert all((pids != pids.roll(shift)).all() for shift in shifts)
    assert len(set(shifts)) == 2


def test_the_grid_shows_fakes_and_interpolations_between_two_people(make) -> None:
    images, infrared = torch.rand(6, 3, 64, 32), torch.rand(6, 3, 64, 32)
    rows = make("model=jsia").module.eval().translate(images, infrared)
    names = ["real visible", "real infrared", "fake infrared", "fake visible"]
    assert list(rows)[:4] == names
    assert list(rows)[4:] == [*(f"mix, {share}% own" for share in (100, 75, 50, 25, 0)), "real, mixed in"]
    assert {row.shape for row in rows.values()} == {images.shape}
    assert torch.equal(rows["real, mixed in"], images.roll(3, 0))
    assert torch.allclose(rows["mix, 0% own"], rows["mix, 100% own"].roll(3, 0), atol=1e-5)
    assert list(make("experiment=jsia/sl_il").module.eval().translate(images, infrared)) == names


def test_the_way_back_takes_the_style_that_is_asked_for(make) -> None:
    for style in ("original", "reencoded"):
        module = make("model=jsia", f"model.cycle_style={style}").module.eval()
        batch = make_batch(module)["gan"]
        with torch.no_grad():
            made = module.generation(module._contents, Pair(batch.visible, batch.infrared))
            back = module.generation.styles(made.fakes) if style == "reencoded" else made.styles
            expected = module.generation.decode_visible(made.fake_contents.infrared, back.visible)
        assert torch.equal(made.cycles.visible, expected)


WEIGHTS = {
    "set_level+generator/image": "generation.image",
    "set_level+generator/cycle": "generation.cycle",
    "set_level+generator/gan_visible": "generation.gan",
    "set_level+generator/gan_infrared": "generation.gan",
    "generator/content": "generation.content",
    "generator/style": "generation.style",
    "variation/reconstruction": "variation.reconstruction",
    "variation/mean": "variation.mean",
    "variation/deviation": "variation.deviation",
    "set_level+instance/il": "lambda_il",
    "set_level+instance/lr": "lambda_lr",
    "set_level+instance/ui": "lambda_ui",
    "set_level+instance/local_id": "local_id",
    "set_level+instance/modality": "lambda_modality",
}
NOT_WEIGHTED = {
    **dict.fromkeys(("set_level+instance/id", "set_level+instance/triplet"), 1.0),
    **dict.fromkeys(("discriminator/visible", "discriminator/infrared", "discriminator/modality"), 1.0),
    **dict.fromkeys((f"set_level+instance/{term}_others" for term in ("il", "lr", "ui")), 0.0),
    "set_level+generator/mean_image": 0.0,
}


def test_each_weight_is_that_of_its_own_term(make) -> None:
    """Every weight has a value of its own; the row with a modality GAN has all terms."""
    keys = sorted(set(WEIGHTS.values()))
    values = {key: 2.0 + index for index, key in enumerate(keys)}
    module = make("experiment=jsia/degraded_sl", *(f"model.{key}={value}" for key, value in values.items())).module
    moves: list = []
    module.simultaneous = moves.extend
    Harness(module).step("joint", make_batch(module))
    found = {f"{'+'.join(o)}/{name}": weight for losses, o, _ in moves for name, (_, weight) in losses.terms.items()}
    assert found == {term: values[key] for term, key in WEIGHTS.items()} | NOT_WEIGHTED
    for losses, _, _ in moves:
        expected = sum(weight * value.item() for value, weight in losses.terms.values())
        assert losses.total().item() == pytest.approx(expected, rel=1e-5)


VARIATION_TERMS = {"variation/reconstruction", "variation/mean", "variation/deviation"}
# option -> the terms whose value it changes; all others stay as they are
OPTIONS = {
    "unseen.target=one_hot": {"set_level+instance/ui", "set_level+instance/ui_others"},
    "unseen.direction=printed": {"set_level+instance/ui", "set_level+instance/ui_others"},
    "variation.norms=plain": VARIATION_TERMS,
    "divergence=symmetric": {f"set_level+instance/{t}" for t in ("il", "il_others", "lr", "lr_others")},
    "cycle_style=reencoded": {"set_level+generator/cycle"},
    "smoothing=0.1": {"set_level+instance/id", "set_level+instance/local_id"},
    "margin=30.0": {"set_level+instance/triplet"},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_open_points_change_their_own_terms_and_no_others(make, option: str) -> None:
    seen = []
    for settings in ([], [f"model.{option}"]):
        harness = make("model=jsia", *settings)
        module = harness.module
        for classify in (module.instance.classifier, *module.instance.local):  # predictions that say something
            classify.fc.weight.data.mul_(300.0)
        for encode in (module.generation.style_visible, module.generation.style_infrared):  # styles that are seen
            encode.fc.weight.data.mul_(300.0)
        module.log_every = 10**9  # ratios of gradients have their own test
        module.config.phases["generation"] = 1  # iteration 0 would be logged
        harness.step("joint", make_batch(module))
        seen.append(module.losses)
    before, after = seen
    assert set(before) == set(after)
    assert all(torch.isfinite(value) for value in after.values())
    assert {name for name in before if not torch.equal(before[name], after[name])} == OPTIONS[option]
    for name in OPTIONS[option]:
        assert abs(after[name] - before[name]) > 1e-3 * before[name], name


@pytest.mark.parametrize("rows", [{"last_stride": 2, "parts": "1,3"}, {"last_stride": 1, "parts": "1,2,3,6"}])
def test_the_numbers_of_stripes_that_are_documented_go_at_small(rows: dict) -> None:
    stride, parts = rows["last_stride"], rows["parts"]
    setting = "model.backbone.last_stride=1 " if stride == 1 else ""
    command = f"python -m crossreid.train -m experiment=jsia/full {setting}model.parts={parts}"
    assert command in (ROOT / "conf" / "sweep" / "jsia" / "parts.yaml").read_text(encoding="utf-8")
    readme = (ROOT / "src" / "crossreid" / "methods" / "jsia" / "README.md").read_text(encoding="utf-8")
    assert f"model.parts={parts}" in readme
    settings = ["scale=small", "experiment=jsia/full", f"model.backbone.last_stride={stride}"]
    for number in parts.split(","):
        config = compose_model(*settings, f"model.parts={number}")
        height = config.backbone.size[0] // (16 * config.backbone.last_stride)
        assert height % config.parts == 0
    with pytest.raises(ConfigError, match=f"do not fit a map of {height} rows"):
        compose_model(*settings, "model.parts=8")


def test_the_stripes_of_the_scales_divide_the_rows() -> None:
    for scale, rows in (("paper", 16), ("small", 3), ("smoke", 4)):
        config = compose_model(f"scale={scale}", "model=jsia")
        images = torch.rand(1, 3, *config.backbone.size)
        with torch.no_grad():
            encoder = SetLevelEncoder(replace(config.backbone, name="resnet18", weights="random"), JSIAEncoderConfig())
            instance = InstanceEncoder(replace(config.backbone, name="resnet18", weights="random"), 2, 0)
            assert instance.body(encoder(images)).shape[2] == rows
        assert rows % config.parts == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.set_level=partly"], "model.set_level is 'partly': choose from shared, separate, adversarial"),
        (["model.local_regions=some"], "choose from none, paired, unpaired, classified"),
        (["model.unseen={target: one_hot, direction: printed}"], "change one of them"),
        (["model.lambda_il=0"], "or set model.instance_level=false"),
        (["model.lambda_lr=0"], "or set model.local_regions=none"),
        (["model.lambda_ui=0"], "or set model.unseen_ids=false"),
        (["model.set_level=adversarial", "model.lambda_modality=0"], "above 0, or set model.set_level=separate"),
        (["model.lambda_ui=-1"], "model.lambda_ui is -1.0: choose 0 or more"),
        (["model.lambda_modality=-1"], "model.lambda_modality is -1.0: choose 0 or more"),
        (["model.local_id=-1"], "model.local_id is -1.0: choose 0 or more"),
        (["model.generation.image=-1"], "model.generation.image is -1.0: choose 0 or more"),
        (["model.generation.cycle=-1"], "model.generation.cycle is -1.0"),
        (["model.generation.content=-1"], "model.generation.content is -1.0"),
        (["model.generation.style=-1"], "model.generation.style is -1.0"),
        (["model.generation.gan=-1"], "model.generation.gan is -1.0"),
        (["model.variation.reconstruction=-1"], "model.variation.reconstruction is -1.0"),
        (["model.variation.mean=-1"], "model.variation.mean is -1.0"),
        (["model.variation.deviation=-1"], "model.variation.deviation is -1.0"),
        (["model.generation={image: 0, cycle: 0, gan: 0, content: 1}"], "nothing teaches the decoders to make images"),
        (["model.variation={reconstruction: 0, mean: 0, deviation: 0}"], "or set model.unseen_ids=false"),
        (["model.smoothing=1"], "model.smoothing is 1.0: choose 0 or more and below 1"),
        (["model.streams.gan.height=64"], "Decoders make images of 32x16"),
        (["model.variation.halvings=4"], "V halves maps of 16x8"),
        (["model.discriminators.layers=5"], "are too many for images of 32x16"),
        (["model.generator.style_halvings=5"], "is too many for images of 32x16"),
        (["model.parts=9"], "9 stripes do not fit a map of 4 rows"),
        (["model.phases.joint=0"], "joint needs iterations"),
        (["~model.phases.generation"], "phases are generation and joint"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(make, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        make("model=jsia", *overrides)
    assert "\n" not in str(raised.value)


def test_v_may_have_no_weights_where_there_is_no_v(make) -> None:
    harness = make("experiment=jsia/sl_il", "model.variation={reconstruction: 0, mean: 0, deviation: 0}")
    harness.step("joint", make_batch(harness.module))
    assert not any(name.startswith("variation") for name in harness.module.losses)


def test_real_targets_are_what_a_second_look_at_the_images_would_give(make) -> None:
    losses = []
    for again in (False, True):
        module = make("model=jsia").module
        if again:
            module._real_targets = torch.no_grad()(lambda batch, _, m=module: m._recognise_both(Pair(*batch[:2])))
        Harness(module).step("joint", make_batch(module))
        losses.append(module.losses)
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        assert torch.equal(value, losses[1][name]), name
