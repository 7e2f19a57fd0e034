"""How well JSIA-ReID rebuilds and cycles images of test persons, beside the mean image, as JSON.

    python benchmarks/jsia_images.py CHECKPOINT.ckpt [OUTPUT.json]

Mean absolute differences in [-1, 1], one number a modality: a rebuilt image (content and style of its own), an image after
both translations (the cycle), and the mean of all training images of the modality, which is what a network gives that does
not look at its input. E_i's batch norms go by the batch, as in training.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from crossreid.losses import pixel_l1
from crossreid.methods.jsia.generation import Pair
from crossreid.runs.folder import write_json
from crossreid.settings.data import TrainedDataConfig
from crossreid.settings.protocol import TrainedProtocolConfig
from crossreid.settings.run import TrainerConfig
from crossreid.training.loading import restore

PERSONS, IMAGES = 48, 5


@torch.no_grad()
def measure(path: Path) -> dict[str, dict[str, float]]:
    restored = restore(path, TrainedDataConfig(), TrainedProtocolConfig(), TrainerConfig(progress=False))
    module, data = restored.module, restored.data
    size = module.config.streams["gan"].size
    test, train = (data.sample_pairs(split, PERSONS, IMAGES, size) for split in ("test", "train"))
    seen = Pair(test.visible, test.infrared)
    made = module.generation(module.picture_contents, seen)
    guesses = Pair(*(images.mean(0, keepdim=True) for images in (train.visible, train.infrared)))
    found = {}
    for modality in ("visible", "infrared"):
        real = getattr(seen, modality)
        rows = {"rebuilt": getattr(made.reconstructions, modality), "cycle": getattr(made.cycles, modality)}
        rows["mean_image"] = getattr(guesses, modality).expand_as(real)
        found[modality] = {name: round(float(pixel_l1(images, real)), 4) for name, images in rows.items()}
    return found


if __name__ == "__main__":
    result = measure(Path(sys.argv[1]))
    print(json.dumps(result, indent=2))
    if len(sys.argv) > 2:
        write_json(Path(sys.argv[2]), result)
