"""Layouts of AGW, CAJ, DDAG, LbA and DEEN: one code base, three whole ResNet-50s of which each is used in part."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

from crossreid.importing.layouts import (
    COUNTER,
    Entry,
    LayoutRow,
    Piece,
    PublicLayout,
    Weights,
    absent,
    as_convolution,
    constant,
    joined,
    neck,
    no_batches,
    renamed,
    same,
    single,
)

BLOCKS = {"layer1": 3, "layer2": 4, "layer3": 6, "layer4": 3}
"""Residual blocks of ResNet-50's stages."""
STAGE = {"layer1": "middle.4", "layer2": "middle.5", "layer3": "middle.6", "layer4": "last"}
"""Stage -> its place in our two-stream encoder."""
NON_LOCAL = {"layer2": 2, "layer3": 3}
"""Stage -> blocks at its end that AGW puts a non-local block behind."""
ENCODER = "network.encoder"
DEEN_RESNET = "network.encoder.resnet"
"""Where our two-stream encoder stands, in DEEN inside another one."""
STREAMS = {"thermal_module.thermal": "streams.infrared", "visible_module.visible": "streams.visible"}
"""Their copy of the first layers -> ours, in the order of the files."""
THIRD = "base_resnet.base"
UNUSED_STAGES = "three whole ResNets are saved, and the stages of this one take no part in any forward"
UNUSED_STEM = "three whole ResNets are saved, and the first layers of this one take no part in any forward"
UNUSED = "is made and saved, and takes no part in any forward"


class Blocks(NamedTuple):
    """Where the parts of our shared stages stand.

    Attributes:
        encoder: what holds them.
        residual: their name below a ResNet, such as ``layer2.3`` -> ours.
        non_local: their name, such as ``NL_2.0`` -> ours.
    """

    encoder: str
    residual: dict[str, str]
    non_local: dict[str, str]

    @property
    def stages(self) -> list[str]:
        """Names of the residual stages, there."""
        stages = [name.partition(".")[0] for name in self.residual]
        return list(dict.fromkeys(stages))  # each once, in their order


def _blocks(encoder: str, *, with_non_local: bool = False, stages: int = 4) -> Blocks:
    """Our residual and non-local blocks: a non-local one is counted with the blocks of its stage."""
    residual: dict[str, str] = {}
    non_local: dict[str, str] = {}
    for stage, count in islice(BLOCKS.items(), stages):
        last_plain = count
        if with_non_local:
            last_plain -= NON_LOCAL.get(stage, 0)
        place = 0  # counts both kinds, in the order in which they run
        for block in range(count):
            residual[f"{stage}.{block}"] = f"{encoder}.{STAGE[stage]}.{place}"
            place += 1
            if block >= last_plain:
                name = f"NL_{stage.removeprefix('layer')}.{block - last_plain}"
                non_local[name] = f"{encoder}.{STAGE[stage]}.{place}"
                place += 1
    return Blocks(encoder, residual, non_local)


def _stem(weights: Weights, theirs: str, ours: str, left_out: str = "") -> LayoutRow:
    """The first layers of a ResNet: a convolution and its norm."""
    names = (("conv1", "0"), ("bn1", "1"))
    return renamed(weights, theirs, ours, names, title=f"{theirs}.conv1, {theirs}.bn1", left_out=left_out)


def _stages(weights: Weights, theirs: str, blocks: Blocks, left_out: str = "") -> LayoutRow:
    """The residual stages of a ResNet, all of which have the shapes of our shared ones."""
    parts = []
    for name, ours in blocks.residual.items():
        parts.append(same(weights, f"{theirs}.{name}", ours, left_out=left_out))
    names = [f".{stage}" for stage in blocks.stages]
    ours = f"{blocks.encoder}.middle"
    if "layer4" in blocks.stages:
        ours += f", {blocks.encoder}.last"
    return joined(theirs + ", ".join(names), ours, parts)


def _resnets(weights: Weights, blocks: Blocks) -> list[LayoutRow]:
    """The three ResNets: first layers of the first two, stages of the third."""
    rows = []
    for theirs, ours in STREAMS.items():
        rows.append(_stem(weights, theirs, f"{blocks.encoder}.{ours}"))
        rows.append(_stages(weights, theirs, blocks, UNUSED_STAGES))
        rows += _without_last_stage(theirs, blocks, UNUSED_STAGES)
    rows.append(_stem(weights, THIRD, f"{blocks.encoder}.streams.visible", UNUSED_STEM))
    rows.append(_stages(weights, THIRD, blocks))
    rows += _without_last_stage(THIRD, blocks, UNUSED)
    return rows


def _without_last_stage(theirs: str, blocks: Blocks, left_out: str) -> list[LayoutRow]:
    """The last stage of a ResNet that is saved whole, where ours ends before it."""
    if "layer4" in blocks.stages:
        return []
    with torch.device("meta"):
        stage = torchvision.models.resnet50().layer4
    fillers = {}
    for name, weight in stage.state_dict().items():
        filler = constant(0.0, *weight.shape)
        if name.endswith(COUNTER):
            filler = no_batches()
        elif name.endswith("running_var"):
            filler = constant(1.0, *weight.shape)
        fillers[f"{theirs}.layer4.{name}"] = filler
    return [absent(f"{theirs}.layer4", fillers, left_out)]


def _non_local(weights: Weights, theirs: str, ours: str) -> LayoutRow:
    """A non-local block: three projections, the one behind the attention, and its norm."""
    names = (("g.0", "g"), ("W.0", "out"), ("W.1", "norm"), ("theta", "theta"), ("phi", "phi"))
    return renamed(weights, theirs, ours, names)


def _agw(weights: Weights) -> list[LayoutRow]:
    """The ResNets with non-local blocks, and the neck and classifier; CAJ has the same network."""
    blocks = _blocks(ENCODER, with_non_local=True)
    rows = _resnets(weights, blocks)
    for theirs, ours in blocks.non_local.items():
        rows.append(_non_local(weights, theirs, ours))
    rows += neck(weights, "bottleneck", "network.block.neck")
    rows.append(single("classifier.weight", "network.block.classifier.weight"))
    return rows


def _lba(weights: Weights) -> list[LayoutRow]:
    """The ResNets, and the neck and classifier."""
    rows = _resnets(weights, _blocks(ENCODER))
    rows += neck(weights, "bottleneck", "network.neck")
    rows.append(single("classifier.weight", "network.classifier.weight"))
    return rows


def _ddag(weights: Weights) -> list[LayoutRow]:
    """The ResNets, neck and classifier, the attention between parts of an image (``wpa``), and the graph attention."""
    classifier = "network.block.classifier.weight"
    rows = _resnets(weights, _blocks(ENCODER))
    rows += neck(weights, "bottleneck", "network.block.neck")
    rows.append(single("classifier.weight", classifier))
    # Ours stands for both in a file that we write: they have its shape.
    unused = (
        Entry("classifier1.weight", (Piece(classifier),)),
        Entry("classifier2.weight", (Piece(classifier),)),
    )
    rows.append(LayoutRow("classifier1, classifier2", classifier, unused, UNUSED))
    rows.append(single("wpa.gate", "network.parts.weights"))
    for theirs, ours in (("wpa.fc1.0", "query"), ("wpa.fc2", "key"), ("wpa.fc3", "value")):
        rows.append(single(f"{theirs}.weight", f"network.parts.{ours}.weight", as_convolution))
        rows.append(single(f"{theirs}.bias", f"network.parts.{ours}.bias"))
    channels = len(weights["network.norm.weight"])
    projection = {
        "wpa.W.0.weight": constant(0.0, channels, channels, 1, 1),
        "wpa.W.0.bias": constant(0.0, channels),
        "wpa.W.1.weight": constant(0.0, channels),
        "wpa.W.1.bias": constant(0.0, channels),
        "wpa.W.1.running_mean": constant(0.0, channels),
        "wpa.W.1.running_var": constant(1.0, channels),
        "wpa.W.1.num_batches_tracked": no_batches(),
    }
    rows.append(absent("wpa.W", projection, UNUSED))
    rows += neck(weights, "wpa.bottleneck", "network.norm")
    rows += _graph(weights)
    return rows


def _graph(weights: Weights) -> list[LayoutRow]:
    """Graph attention, of training alone: their heads one by one, ours in one matrix."""
    heads, width = weights["graph.first.one"].shape  # one of the two score vectors of each head
    entries: list[Entry] = []
    for head in range(heads):
        entries += _graph_head(f"attention_{head}", "graph.first", head, width)
    classes = weights["graph.second.one"].shape[1]
    output = tuple(_graph_head("out_att", "graph.second", 0, classes))
    return [
        LayoutRow(f"attention_0 to attention_{heads - 1}", "graph.first", tuple(entries)),
        LayoutRow("out_att", "graph.second", output),
    ]


def _graph_head(theirs: str, ours: str, head: int, width: int) -> list[Entry]:
    """``W`` (in, width) is a part of our projection, turned; ``a`` (2 width, 1) our two score vectors, one below the other."""

    def projection(weight: Tensor) -> Tensor:
        return weight[head * width : (head + 1) * width].T

    def scores(weight: Tensor) -> Tensor:
        return weight[head, :, None]

    return [
        Entry(f"{theirs}.W", (Piece(f"{ours}.project.weight", projection),)),
        Entry(f"{theirs}.a", (Piece(f"{ours}.one", scores), Piece(f"{ours}.other", scores))),
    ]


def _deen(weights: Weights, stages: int = 4) -> list[LayoutRow]:
    """The ResNets, the branches that make further embeddings (``DEE``), and what gathers several stages (``MFA``)."""
    rows = _resnets(weights, _blocks(DEEN_RESNET, stages=stages))
    for branch in range(2):
        rows.append(_expansion(weights, branch))
    for stage in range(1, stages):
        for theirs, ours in (("CNL", "channel"), ("PNL", "spatial")):
            rows.append(_aggregation(weights, f"MFA{stage}.{theirs}", f"network.encoder.aggregations.{stage}.{ours}"))
    rows += neck(weights, "bottleneck", "network.block.neck")
    rows.append(single("classifier.weight", "network.block.classifier.weight"))
    return rows


def _deen_of_regdb(weights: Weights) -> list[LayoutRow]:
    """Without the last stage and what stands before it."""
    return _deen(weights, stages=3)


def _expansion(weights: Weights, branch: int) -> LayoutRow:
    """A branch: three dilated convolutions and the one that merges them."""
    theirs = f"DEE.FC{branch + 1}"  # they count from 1
    ours = f"network.encoder.expansion.branches.{branch}"
    parts = []
    for place in range(3):
        parts.append(same(weights, f"{theirs}{place + 1}", f"{ours}.dilated.{place}"))
    parts.append(same(weights, theirs, f"{ours}.merge"))
    return joined(f"{theirs}1, {theirs}2, {theirs}3, {theirs}", ours, parts)


def _aggregation(weights: Weights, theirs: str, ours: str) -> LayoutRow:
    """One of the two parts of MFA."""
    names = (("g", "g"), ("theta", "theta"), ("phi", "phi"), ("W.0", "out"), ("W.1", "norm"))
    return renamed(weights, theirs, ours, names)


_layout = partial(PublicLayout, classes=(0, "classifier.weight"), resize="lanczos")

AGW_LAYOUT = _layout("agw", "AGW (Ye et al., TPAMI 2021)", ("model=agw",), _agw)
CAJ_LAYOUT = _layout("caj", "CAJ (Ye et al., ICCV 2021)", ("experiment=agw/caj",), _agw)
DDAG_LAYOUT = _layout("ddag", "DDAG (Ye et al., ECCV 2020)", ("model=ddag",), _ddag, own=("part_losses",))
LBA_LAYOUT = _layout("lba", "LbA (Park et al., ICCV 2021)", ("model=lba",), _lba)
DEEN_LAYOUT = _layout("deen", "DEEN (Zhang, Wang, CVPR 2023)", ("model=deen",), _deen)
DEEN_REGDB_LAYOUT = _layout(
    "deen_regdb",
    "DEEN, its network for RegDB (Zhang, Wang, CVPR 2023)",
    ("model=deen", "model.last_stage=3", "model.expansion_stage=2", "model.aggregation_stages=[1,2]"),
    _deen_of_regdb,
)
