"""Are a run's fakes infrared? And is its set a fair task (see ``giveaways.py``)? Figures for the README, as JSON.

    python benchmarks/people.py CHECKPOINT [OUTPUT.json]

A classifier of modality, trained on real training images in grey (colour would give visible images away), is asked about
test images: real infrared, grey visible, and what the checkpoint's generator makes of visible ones.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from giveaways import giveaways
from torch import Tensor, nn

from crossreid.data.datamodule import ReIDDataModule
from crossreid.runs.folder import write_json
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.loading import method_from, run_of
from crossreid.training.loggers import pictures

GREY = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def to_grey(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> luminance (B, 1, H, W), each image's mean and contrast removed."""
    grey = (images * GREY).sum(1, keepdim=True)
    return (grey - grey.mean((2, 3), keepdim=True)) / (grey.std((2, 3), keepdim=True) + 1e-3)


def train_modality_classifier(data: ReIDDataModule, iterations: int = 300) -> nn.Module:
    """Real grey training images -> logit, positive for infrared."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    generator = np.random.default_rng(0)
    pools = [data.modality_rows(m, "train", "val") for m in ("visible", "infrared")]
    labels = torch.arange(2.0).repeat_interleave(32)
    for _ in range(iterations):
        images = load(data, np.concatenate([generator.choice(pool, 32) for pool in pools]))
        loss = F.binary_cross_entropy_with_logits(net(to_grey(images)).squeeze(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def load(data: ReIDDataModule, rows: np.ndarray, size: tuple[int, int] | None = None) -> Tensor:
    """Rows of the dataset as (B, 3, H, W) in [0, 1]."""
    images = data.images(size or data.streams["identity"].size)[rows]
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def called_infrared(net: nn.Module, images: Tensor) -> float:
    """Share of images that the classifier calls infrared."""
    return float(torch.cat([net(to_grey(part)) > 0 for part in images.split(256)]).float().mean())


def main(path: Path, output: Path | None = None) -> None:
    checkpoint = read_checkpoint(path)
    config = run_of(checkpoint, path)
    module = method_from(checkpoint, path)
    validating = config.selection.name == "validation"
    data = ReIDDataModule.for_method(
        config.data, module.config, seed=config.seed, validating=validating, progress=False
    )
    figures: dict[str, object] = {"giveaways": giveaways(data.dataset)}
    classifier = train_modality_classifier(data)
    visible, infrared = (load(data, data.modality_rows(m, "test")) for m in ("visible", "infrared"))
    fakes = torch.cat([pictures(module, part, part).get("fake infrared", part) for part in visible.split(64)])
    figures["called_infrared"] = {
        "real infrared": called_infrared(classifier, infrared),
        "grey visible": called_infrared(classifier, visible),
        "fake infrared": called_infrared(classifier, fakes),
    }
    figures["checkpoint"] = {"name": config.label, "seed": config.seed, "iteration": module.iteration}
    print(json.dumps(figures, indent=2))
    if output:
        write_json(output, figures)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python benchmarks/people.py CHECKPOINT [OUTPUT.json]")
    main(*map(Path, sys.argv[1:]))
