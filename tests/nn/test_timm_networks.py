"""Encoders of timm: maps, sizes, strides, statistics, weights from files of several layouts, and what is refused."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossreid.errors import ConfigError
from crossreid.nn.backbones import ResNetEncoder, TimmEncoder, check_resnet, make_encoder
from crossreid.nn.pretrained import check_backbone, load_pretrained
from crossreid.nn.recognition import OneStreamNetwork, TwoStreamNetwork
from crossreid.nn.recomputation import encoder_blocks, recompute
from crossreid.nn.two_stream import TwoStreamResNet
from crossreid.settings.networks import BackboneConfig

timm = pytest.importorskip("timm", reason="pip install 'crossreid[timm]'")

SIZE = [64, 32]
VIT, CONVNEXT, RESNET = (
    "test_vit",
    "test_convnext",
    "test_resnet",
)  # timm's own networks for tests, of 0.2 to 0.4 million weights


def config(name: str, weights: str = "random", size: list[int] | None = None, last_stride: int = 1) -> BackboneConfig:
    return BackboneConfig(name, weights, size or SIZE, last_stride)


def normalised(images: Tensor, name: str) -> Tensor:
    facts = timm.get_pretrained_cfg(name)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (facts.mean, facts.std))
    return (F.interpolate(images, size=tuple(SIZE), mode="bilinear", align_corners=False) - mean) / std


def whole(name: str, state: dict[str, Tensor], prefix: str, **options: object) -> nn.Module:
    """timm's own network with its head, and the weights that stand below a prefix."""
    network = timm.create_model(name, **options).eval()
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    missing = network.load_state_dict(own, strict=False)
    assert not missing.unexpected_keys
    assert all(key.startswith("head") for key in missing.missing_keys)
    return network


def test_a_vit_s_map_is_its_patch_tokens_behind_the_last_norm_row_by_row() -> None:
    encoder = make_encoder(config(VIT)).eval()
    images = torch.rand(2, 3, 20, 10)
    feature_map = encoder(images)
    network = whole(VIT, encoder.state_dict(), "body.network.", img_size=tuple(SIZE))
    tokens = network.forward_features(normalised(images, VIT))[:, network.num_prefix_tokens :]
    assert feature_map.shape == (2, encoder.channels, 4, 2)
    for row in range(4):
        for column in range(2):
            torch.testing.assert_close(feature_map[:, :, row, column], tokens[:, 2 * row + column])


@pytest.mark.parametrize(("last_stride", "shape"), [(2, (2, 1)), (1, (4, 2))])
def test_a_convnext_has_both_last_strides(last_stride: int, shape: tuple[int, int]) -> None:
    encoder = make_encoder(config(CONVNEXT, last_stride=last_stride)).eval()
    images = torch.rand(2, 3, *SIZE)
    options = {} if last_stride == 2 else {"output_stride": 16}
    network = whole(CONVNEXT, encoder.state_dict(), "body.network.", **options)
    expected = network.forward_features(normalised(images, CONVNEXT))
    assert expected.shape[2:] == shape
    torch.testing.assert_close(encoder(images), expected)


@pytest.mark.parametrize("last_stride", [1, 2])
def test_a_resnet_of_timm_is_taken_apart_without_a_change(last_stride: int) -> None:
    encoder = make_encoder(config(RESNET, last_stride=last_stride)).eval()
    assert isinstance(encoder, ResNetEncoder)
    images = torch.rand(2, 3, *SIZE)
    network = timm.create_model(RESNET, output_stride=16 * last_stride).eval()
    for name, modules in encoder.pretrained_parts.items():
        network.get_submodule(name).load_state_dict(modules[0].state_dict())
    torch.testing.assert_close(encoder(images), network.forward_features(normalised(images, RESNET)))


def test_a_two_stream_network_has_a_stem_of_timm_s_resnet_for_each_modality() -> None:
    network = TwoStreamNetwork(config(RESNET), 5, "bnneck", specific_stages=1).eval()
    streams = network.encoder.streams
    images = {"visible": torch.rand(2, 3, *SIZE), "infrared": torch.rand(1, 3, *SIZE)}
    together = network(images).feature
    with torch.no_grad():
        for parameter in streams["infrared"].parameters():
            parameter.zero_()
    apart = network(images).feature
    torch.testing.assert_close(together[:2], apart[:2])
    assert not torch.allclose(together[2:], apart[2:])


@pytest.mark.parametrize("name", [VIT, CONVNEXT, RESNET])
def test_every_weight_of_an_encoder_learns(name: str) -> None:
    network = OneStreamNetwork(config(name), 5, "bnneck")
    output = network(torch.rand(4, 3, *SIZE))
    (output.logits.square().sum() + output.vector.sum()).backward()
    lost = [key for key, parameter in network.encoder.named_parameters() if parameter.grad is None]
    assert lost == []


@pytest.mark.parametrize("name", [VIT, CONVNEXT, RESNET])
def test_recomputed_blocks_give_the_same_gradients(name: str) -> None:
    plain = make_encoder(config(name)).train()
    other = deepcopy(plain)
    blocks = encoder_blocks(other)
    calls = []
    for block in blocks:
        block.register_forward_hook(lambda *_: calls.append(1))
    recompute(blocks)
    images = torch.rand(2, 3, *SIZE)
    for encoder in (plain, other):
        encoder(images).square().sum().backward()
    assert len(calls) >= len(blocks) >= 4
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


# ------------------------------------------------------------------ weights


def random_state(name: str, **options: object) -> dict[str, Tensor]:
    """Of timm's own network with its head; batch norms are random too."""
    network = timm.create_model(name, **options)
    state = network.state_dict()
    return {key: torch.rand_like(value) if value.is_floating_point() else value + 7 for key, value in state.items()}


@pytest.mark.parametrize("name", [CONVNEXT, RESNET])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_of_timm_is_loaded_whole(tmp_path: Path, name: str, ending: str) -> None:
    state = random_state(name)
    path = tmp_path / f"weights{ending}"
    if ending == ".pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    else:
        from safetensors.torch import save_file

        save_file(state, path)
    encoder = make_encoder(config(name, str(path)))
    (sentence,) = load_pretrained(encoder)
    count = sum(not key.startswith(("head", "fc")) for key in state)
    assert sentence == f"{name} from '{path}': {count} of {count} tensors"
    for part, modules in encoder.pretrained_parts.items():
        for key, value in modules[0].state_dict().items():
            assert torch.equal(value, state[f"{part}.{key}" if part else key])


def test_positional_embeddings_of_a_file_are_resized_to_the_image(tmp_path: Path) -> None:
    state = random_state(VIT)  # of images of 160x160: ten rows of ten patches
    torch.save(state, tmp_path / "weights.pth")
    encoder = make_encoder(config(VIT, str(tmp_path / "weights.pth")))
    load_pretrained(encoder)
    prefix = state["pos_embed"].shape[1] - 100
    grid = state["pos_embed"][:, prefix:].reshape(1, 10, 10, -1).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(4, 2), mode="bicubic", antialias=True, align_corners=False)
    resized = encoder.state_dict()["body.network.pos_embed"]
    torch.testing.assert_close(resized[:, prefix:], expected.flatten(2).transpose(1, 2))
    torch.testing.assert_close(resized[:, :prefix], state["pos_embed"][:, :prefix])


def test_a_file_of_openai_s_names_is_brought_to_timm_s(tmp_path: Path) -> None:
    encoder = make_encoder(config("vit_xsmall_patch16_clip_224", size=[32, 16]))
    width, patches = encoder.channels, 14 * 14
    blocks = encoder.body.network.blocks
    hidden = blocks[0].mlp.fc1.out_features
    state = {
        "visual.class_embedding": torch.rand(width),
        "visual.positional_embedding": torch.rand(1 + patches, width),
        "visual.conv1.weight": torch.rand(width, 3, 16, 16),
    }
    for norm in ("ln_pre", "ln_post"):
        state |= {f"visual.{norm}.{part}": torch.rand(width) for part in ("weight", "bias")}
    for block in range(len(blocks)):
        own = f"visual.transformer.resblocks.{block}"
        state[f"{own}.attn.in_proj_weight"] = torch.rand(3 * width, width)
        state[f"{own}.attn.in_proj_bias"] = torch.rand(3 * width)
        for layer, (rows, columns) in {
            "attn.out_proj": (width, width),
            "mlp.c_fc": (hidden, width),
            "mlp.c_proj": (width, hidden),
        }.items():
            state |= {f"{own}.{layer}.weight": torch.rand(rows, columns), f"{own}.{layer}.bias": torch.rand(rows)}
        for norm in ("ln_1", "ln_2"):
            state |= {f"{own}.{norm}.{part}": torch.rand(width) for part in ("weight", "bias")}
    torch.save(state, tmp_path / "clip.pt")
    encoder.backbone.weights = str(tmp_path / "clip.pt")
    count = len(encoder.state_dict())
    assert load_pretrained(encoder)[0].endswith(f"{count} of {count} tensors")
    loaded = encoder.state_dict()
    assert torch.equal(loaded["body.network.norm.weight"], state["visual.ln_post.weight"])
    last = "visual.transformer.resblocks.5.mlp.c_fc.weight"
    assert torch.equal(loaded["body.network.blocks.5.mlp.fc1.weight"], state[last])


def test_the_weights_of_another_network_are_refused_and_nothing_is_loaded(tmp_path: Path) -> None:
    state = random_state(VIT)
    deeper = state | {
        f"blocks.99.{key.partition('blocks.0.')[2]}": value for key, value in state.items() if "blocks.0." in key
    }
    lacking = {key: value for key, value in state.items() if key != "norm.weight"}
    for content, message in (
        (deeper, r"more layers: .*there is blocks\.99\."),
        (lacking, r"does not hold all weights of test_vit: .*norm\.weight is missing"),
        (random_state(CONVNEXT), "does not hold all weights of test_vit: 0 of"),
    ):
        torch.save(content, tmp_path / "weights.pth")
        encoder = make_encoder(config(VIT, str(tmp_path / "weights.pth")))
        before = deepcopy(encoder.state_dict())
        with pytest.raises(ConfigError, match=message) as refusal:
            load_pretrained(encoder)
        assert "\n" not in str(refusal.value)
        assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_timm_s_own_weights_are_those_of_the_name_s_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    state = random_state(CONVNEXT)
    asked = []

    def download(place: str, **options: object) -> dict[str, Tensor]:
        asked.append((place, options))
        return state

    monkeypatch.setattr(timm.models, "load_state_dict_from_hf", download)
    encoder = make_encoder(config(CONVNEXT, "timm"))
    assert load_pretrained(encoder)[0].startswith("test_convnext from timm (test_convnext.r160_in1k): ")
    assert asked == [("timm/test_convnext.r160_in1k", {"weights_only": True})]
    assert torch.equal(encoder.state_dict()["body.network.stem.0.weight"], state["stem.0.weight"])


def test_a_failed_download_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no\nnetwork")

    monkeypatch.setattr(timm.models, "load_state_dict_from_hf", offline)
    with pytest.raises(ConfigError, match=r"weights of test_vit\.r160_in1k could not be downloaded \(no network\)"):
        load_pretrained(make_encoder(config(VIT, "timm")))


# ------------------------------------------------------------------ what is refused, before anything expensive

REFUSED = {
    "no such name": (
        config("convnext_tinny"),
        r"There is no backbone 'convnext_tinny': set .*resnet18, .*timm's .*convnext_tiny",
    ),
    "no such tag": (
        config("convnext_tiny.in99k"),
        r"timm has no weights 'in99k' of convnext_tiny: set .*convnext_tiny\.in12k",
    ),
    "a place of a hub": (config("hf-hub:timm/resnet50"), "There is no backbone 'hf-hub:timm/resnet50'"),
    "half a patch": (
        config("vit_small_patch14_dinov2", size=[256, 128]),
        r"size=\[256,128\] is no multiple of the patches .*14x14 pixels.*size=\[252,126\]",
    ),
    "a strided vit": (
        config(VIT, last_stride=2),
        r"last_stride=2: the last blocks of test_vit .*set model\.backbone\.last_stride=1",
    ),
    "a stride that stays": (
        config("densenet121", size=[64, 64]),
        r"last_stride=1: timm cannot take the stride out of .* densenet121: set model\.backbone\.last_stride=2",
    ),
    "a size that cannot be": (
        config("nest_tiny", size=[64, 32]),
        r"timm's nest_tiny gives no feature map of images of 64x32 \(",
    ),
    "torchvision's weights": (
        config(VIT, "imagenet"),
        r"weights=imagenet are torchvision's, .*timm \(those of test_vit\.r160_in1k,",
    ),
    "timm's weights": (config("resnet18", "timm"), r"weights=timm, and resnet18 is torchvision's"),
    "no file": (
        config(VIT, "/nowhere.pth"),
        r"There is no weights file '/nowhere\.pth': set model\.backbone\.weights to 'timm'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_one_sentence(case: str) -> None:
    settings, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message) as refusal:
        check_backbone(settings, "model.backbone")
    assert "\n" not in str(refusal.value)


def test_weights_that_timm_does_not_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm.models, "is_model_pretrained", lambda _: False)
    with pytest.raises(
        ConfigError, match=r"timm has no weights of test_vit: set model\.backbone\.weights to people, random"
    ):
        check_backbone(config(VIT, "timm"), "model.backbone")


def test_a_network_without_a_stem_of_its_own_is_no_network_of_two_streams() -> None:
    with pytest.raises(
        ConfigError, match=r"agw has a stem .* set model\.backbone\.name to one of torchvision .*resnet50d"
    ):
        check_resnet(config(VIT), "agw has a stem for each modality")
    with pytest.raises(ConfigError, match=r"This method .*takes a ResNet alone: .*, not to test_convnext\."):
        TwoStreamResNet(config(CONVNEXT))
    check_resnet(config(RESNET), "")


def test_without_the_package_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ConfigError, match=r"'vit_tiny_patch16_224' among torchvision's resnet101, .*pip install 'crossreid\[timm\]'"
    ):
        check_backbone(config("vit_tiny_patch16_224"), "model.backbone")
    check_backbone(BackboneConfig("resnet18", "random"), "model.backbone")


def test_statistics_are_those_of_the_network_s_training() -> None:
    encoder = make_encoder(config("vit_xsmall_patch16_clip_224", size=[32, 16]))
    assert isinstance(encoder, TimmEncoder)
    expected = torch.tensor([0.48145466, 0.4578275, 0.40821073])
    torch.testing.assert_close(encoder.prepare.mean.flatten(), expected)
