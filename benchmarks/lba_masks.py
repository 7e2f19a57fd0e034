"""Where LbA's person masks lie: their mean inside a map and on its border, before and after training.

    python benchmarks/lba_masks.py OUTPUT.json PEOPLE RUN ... [--weights FILE]

PEOPLE is a folder of the embedded people, of whose first camera all images are looked at; RUN a run of LbA or of its baseline;
FILE the weights that their encoder began with, where these were not random.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from crossreid.methods.base import CrossModalityModule
from crossreid.methods.lba.cmalign import person_masks
from crossreid.nn.pretrained import load_pretrained
from crossreid.runs.folder import write_json
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.loading import checkpoint_at, make_method, method_from


@torch.no_grad()
def masks_of(module: CrossModalityModule, images: Tensor) -> dict[str, dict[str, float]]:
    """Stage -> mean of the masks inside and on the border, in [0, 1]."""
    maps = module.eval().network.encoder({"visible": images})
    means = {}
    for stage in ("layer3", "layer4"):
        masks = person_masks(getattr(maps, stage))[:, 0]
        border = torch.ones(masks.shape[1:], dtype=torch.bool)
        border[1:-1, 1:-1] = False
        means[stage] = {"inside": masks[:, ~border].mean().item(), "border": masks[:, border].mean().item()}
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("people", type=Path)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--weights", metavar="FILE")
    arguments = parser.parse_args()
    found = {}
    for run in arguments.runs:
        path = checkpoint_at(run)
        trained = method_from(read_checkpoint(path), path)
        height, width = trained.config.streams["identity"].size
        files = sorted(Path(arguments.people, "cam1").rglob("*.jpg"))
        pixels = [np.array(Image.open(file).convert("RGB").resize((width, height))) for file in files]
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
        backbone = replace(trained.config.backbone, weights=arguments.weights or "random")
        untrained = make_method(replace(trained.config, backbone=backbone), trained.num_identities, seed=0)
        load_pretrained(untrained)
        found[Path(run).name] = {
            "images": len(files),
            "untrained": masks_of(untrained, images),
            "trained": masks_of(trained, images),
        }
    write_json(arguments.output, found)
    print(found)


if __name__ == "__main__":
    main()
