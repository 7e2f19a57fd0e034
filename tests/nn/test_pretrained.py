"""Pretrained weights: from files of many layouts into all copies of a part, and what is refused."""

import argparse
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from crossreid.errors import ConfigError
from crossreid.methods.cmssft.networks import TwoStreamExtractor
from crossreid.nn.backbones import ResNetEncoder
from crossreid.nn.non_local import NonLocal, add_non_local
from crossreid.nn.pretrained import check_backbone, load_pretrained
from crossreid.nn.two_stream import TwoStreamResNet
from crossreid.settings.networks import BackboneConfig
from thin import true_width

State = dict[str, Tensor]
pytestmark = pytest.mark.true_width  # names and shapes are those of torchvision's files


def random_state(name: str) -> State:
    """A state dict of a torchvision network, batch norms included in what is random."""
    net = torchvision.models.get_model(name, weights=None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
            nn.init.uniform_(module.running_mean)
            module.num_batches_tracked += 7
    return net.state_dict()


@pytest.fixture(scope="module")
def resnet18() -> State:
    with true_width():  # a fixture of a module is made before the marker counts
        return random_state("resnet18")


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BackboneConfig]:
    """Name something as a backbone's weights: a file that is read as if it held it, which spares writing networks."""
    contents: dict[str, object] = {}
    load = torch.load

    def read(path: Path, **kwargs: object) -> object:
        return contents[str(path)] if str(path) in contents else load(path, **kwargs)

    def save(content: object, name: str = "resnet18") -> BackboneConfig:
        path = tmp_path / f"{len(contents)}.pth"
        path.touch()
        contents[str(path)] = content
        return BackboneConfig(name, str(path), [64, 32])

    monkeypatch.setattr(torch, "load", read)
    return save


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


def without_counters(state: State) -> State:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def assert_loaded(encoder: ResNetEncoder, state: State) -> None:
    """The whole encoder is the file's network."""
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    for place, name in enumerate(names):
        assert_part(encoder.body[place], state, name)


def assert_part(part: nn.Module, state: State, name: str) -> None:
    for key, value in part.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(value, state[f"{name}.{key}"]), f"{name}.{key}"


LAYOUTS: dict[str, Callable[[State], object]] = {
    "as torchvision saves it": lambda state: state,
    "module.": lambda state: prefixed(state, "module."),
    "backbone.": lambda state: prefixed(state, "backbone."),
    "model.": lambda state: prefixed(state, "model."),
    "encoder.": lambda state: prefixed(state, "encoder."),
    "nested prefixes": lambda state: prefixed(state, "module.model.backbone."),
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "net": lambda state: {"net": prefixed(state, "module."), "acc": 0.5},
    "model": lambda state: {"model": state},
    "wrapped twice": lambda state: {"model": {"state_dict": prefixed(state, "encoder.")}},
    "with other networks beside": lambda state: (
        prefixed(state, "model.") | {"head.weight": torch.zeros(3), "encoder.conv1.weight": torch.zeros(64, 3, 7, 7)}
    ),
    "half precision": lambda state: {key: value.half() for key, value in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_of_any_usual_layout_is_loaded_whole(saved, resnet18: State, layout: str) -> None:
    config = saved(LAYOUTS[layout](resnet18))
    encoder = ResNetEncoder(config)
    assert load_pretrained(encoder) == [f"resnet18 from '{config.weights}': 120 of 120 tensors"]
    expected = {key: value.half().float() for key, value in resnet18.items()}
    assert_loaded(encoder, expected if layout == "half precision" else resnet18)
    assert int(encoder.body[1].num_batches_tracked) == 7


def test_counters_may_be_missing_and_the_sentence_says_so(saved, resnet18: State) -> None:
    config = saved({"net": prefixed(without_counters(resnet18), "module.")})
    encoder = ResNetEncoder(config)
    sentence = "100 of 120 tensors, all but the counters of batch norms"
    assert load_pretrained(encoder) == [f"resnet18 from '{config.weights}': {sentence}"]
    assert_loaded(encoder, resnet18)
    assert int(encoder.body[1].num_batches_tracked) == 0


def test_random_weights_stay() -> None:
    encoder = ResNetEncoder(BackboneConfig("resnet18", "random", [64, 32]))
    before = deepcopy(encoder.state_dict())
    assert load_pretrained(nn.ModuleList([encoder, nn.Linear(2, 2)])) == []
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_both_copies_of_a_two_stream_network_are_loaded(saved, resnet18: State, stages: int) -> None:
    net = TwoStreamResNet(saved(resnet18), stages)
    assert "120 of 120" in load_pretrained(net)[0]
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    split = 4 + stages
    for modality in ("visible", "infrared"):
        for part, name in zip(net.streams[modality], names[:split], strict=True):
            assert_part(part, resnet18, name)
    for part, name in zip([*net.middle, net.last], names[split:], strict=True):
        assert_part(part, resnet18, name)


def test_all_copies_of_cm_ssft_s_extractor_are_loaded(saved, resnet18: State) -> None:
    extractor = TwoStreamExtractor(saved(resnet18), specific=True)
    assert "120 of 120" in load_pretrained(extractor)[0]
    for low in extractor.low.values():
        assert_part(low[0], resnet18, "conv1")
        assert_part(low[5], resnet18, "layer2")
    for high in (extractor.shared, *extractor.specific.values()):
        assert_part(high[0], resnet18, "layer3")
        assert_part(high[1], resnet18, "layer4")


def test_a_stage_with_non_local_blocks_is_loaded_around_them(saved, resnet18: State) -> None:
    net = TwoStreamResNet(saved(resnet18))
    net.middle[1] = add_non_local(net.middle[1], 1, None)
    assert "120 of 120" in load_pretrained(net)[0]
    first, second, block = net.middle[1]
    assert isinstance(block, NonLocal)
    assert_part(first, resnet18, "layer2.0")
    assert_part(second, resnet18, "layer2.1")


def test_a_copy_of_a_network_loads_into_its_own_parts(saved, resnet18: State) -> None:
    original = TwoStreamResNet(saved(resnet18))
    before = deepcopy(original.state_dict())
    copy = deepcopy(original)
    load_pretrained(copy)
    assert_part(copy.streams["infrared"][0], resnet18, "conv1")
    assert_part(copy.last, resnet18, "layer4")
    assert all(torch.equal(value, before[key]) for key, value in original.state_dict().items())


def test_one_file_is_read_once_for_all_networks_that_use_it(tmp_path: Path, resnet18: State, monkeypatch) -> None:
    torch.save(resnet18, tmp_path / "weights.pth")
    config = BackboneConfig("resnet18", str(tmp_path / "weights.pth"), [64, 32])
    reads = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: reads.append(kwargs) or load(*args, **kwargs))
    networks = nn.ModuleList([ResNetEncoder(config), ResNetEncoder(deepcopy(config)), TwoStreamResNet(config)])
    assert len(load_pretrained(networks)) == 1
    assert [arguments["weights_only"] for arguments in reads] == [True]
    for network in networks[:2]:
        assert_loaded(network, resnet18)
    assert_part(networks[2].last, resnet18, "layer4")


@pytest.mark.parametrize(
    ("file", "name", "message"),
    [
        ("resnet34", "resnet18", r"more layers: 120 of 120 .*there is layer1\.2\.conv1\.weight besides"),
        ("resnet18", "resnet34", r"120 of 216 tensors fit .*layer1\.2\.conv1\.weight is missing"),
        ("resnet18", "resnet50", r"97 of 318 .*layer1\.0\.conv1\.weight is \(64, 64, 3, 3\) and not \(64, 64, 1, 1\)"),
    ],
)
def test_the_weights_of_another_network_are_refused(saved, file: str, name: str, message: str) -> None:
    encoder = ResNetEncoder(saved(random_state(file), name))
    before = deepcopy(encoder.state_dict())
    with pytest.raises(ConfigError, match=message) as refusal:
        load_pretrained(encoder)
    assert "set model.backbone.name to the network that the weights are of" in str(refusal.value)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("key", ["layer3.0.conv1.weight", "layer3.0.bn1.weight"])
def test_a_file_that_lacks_a_tensor_is_refused(saved, resnet18: State, key: str) -> None:
    partial = {name: value for name, value in resnet18.items() if name != key}
    with pytest.raises(ConfigError, match=f"does not hold all weights of resnet18: 119 of 120 .*{key} is missing"):
        load_pretrained(ResNetEncoder(saved(partial)))


def test_files_that_hold_no_network_are_refused_in_one_sentence(tmp_path: Path, resnet18: State) -> None:
    paths = {name: tmp_path / f"{name}.pth" for name in ("whole", "truncated", "text", "list", "module")}
    torch.save(resnet18, paths["whole"])
    paths["truncated"].write_bytes(paths.pop("whole").read_bytes()[:1_000_000])
    paths["text"].write_text("no weights")
    torch.save([1, 2], paths["list"])
    torch.save(nn.Linear(1, 1), paths["module"])  # a whole object, which would run code of its file
    for path in paths.values():
        encoder = ResNetEncoder(BackboneConfig("resnet18", str(path)))
        with pytest.raises(ConfigError, match="does not hold a state dict of resnet18") as refusal:
            load_pretrained(encoder)
        assert "\n" not in str(refusal.value)


def test_scores_beside_the_weights_are_read_and_what_needs_code_is_named(tmp_path: Path, resnet18: State) -> None:
    beside = tmp_path / "beside.pth"
    torch.save({"state_dict": resnet18, "mAP": np.float64(0.5), "cmc": np.ones(3)}, beside)
    assert "120 of 120" in load_pretrained(ResNetEncoder(BackboneConfig("resnet18", str(beside))))[0]
    torch.save({"state_dict": resnet18, "args": argparse.Namespace(lr=1)}, tmp_path / "args.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of torch call TorchScript deprecated
        torch.jit.script(nn.Linear(1, 1)).save(tmp_path / "program.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name, why in {
        "args": "it asks for argparse.Namespace besides weights",
        "program": "it is a program of TorchScript",
        "empty": "it is damaged, or not what torch.save writes",
    }.items():
        with pytest.raises(ConfigError, match=f"{why}.*does not hold a state dict of resnet18") as refusal:
            load_pretrained(ResNetEncoder(BackboneConfig("resnet18", str(tmp_path / f"{name}.pth"))))
        assert "weights_only" not in str(refusal.value)


def test_a_file_with_other_names_is_refused(saved) -> None:
    encoder = ResNetEncoder(saved({"network.encoder.body.0.weight": torch.zeros(1)}))
    with pytest.raises(ConfigError, match=r"0 of 120 tensors fit .*conv1\.weight is missing"):
        load_pretrained(encoder)


def test_imagenet_weights_are_torchvision_s(monkeypatch: pytest.MonkeyPatch, resnet18: State) -> None:
    asked = []

    def download(weights: torchvision.models.ResNet18_Weights, **kwargs: object) -> State:
        asked.append((weights.name, kwargs))
        return resnet18

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", download)
    encoder = ResNetEncoder(BackboneConfig("resnet18", "imagenet", [64, 32]))
    state = torch.get_rng_state()
    assert load_pretrained(encoder) == ["resnet18 from imagenet: 120 of 120 tensors"]
    assert torch.equal(torch.get_rng_state(), state)
    assert_loaded(encoder, resnet18)
    assert asked == [("IMAGENET1K_V1", {"progress": True, "check_hash": True, "weights_only": True})]


def test_a_failed_download_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    encoder = ResNetEncoder(BackboneConfig("resnet18", "imagenet"))
    with pytest.raises(ConfigError, match=r"ImageNet weights of resnet18 could not be downloaded .*path") as refusal:
        load_pretrained(encoder)
    assert "\n" not in str(refusal.value)


def test_what_is_not_there_is_said_before_anything_expensive(saved, resnet18: State) -> None:
    for config in (saved(resnet18), BackboneConfig("resnet50", "imagenet"), BackboneConfig("resnet34", "random")):
        check_backbone(config, "model.backbone")
    with pytest.raises(ConfigError, match=r"There is no weights file '/nowhere.pth': set model\.teacher\.weights"):
        check_backbone(BackboneConfig("resnet18", "/nowhere.pth"), "model.teacher")
    with pytest.raises(ConfigError, match=r"There is no backbone 'resnet19000'.* set model\.teacher\.name"):
        check_backbone(BackboneConfig("resnet19000", "random"), "model.teacher")
    with pytest.raises(ConfigError, match="There is no weights file"):
        load_pretrained(ResNetEncoder(BackboneConfig("resnet18", "/nowhere.pth")))
