"""Is the embedded set a fair task, and are a run's fakes infrared? Figures for the README, as JSON.

    python benchmarks/people.py CHECKPOINT [OUTPUT.json [SHEET.png]]

1. Giveaways: retrieval across modalities (all-search, single-shot) by the mean colour of an image, and by its border
   alone (background), beside chance. Both should stay below 1.5 times chance.
2. Fakes: a classifier of modality, trained on real training images in grey (colour would give visible images away), is
   asked about test images: real infrared, grey visible, and what the checkpoint's generator makes of visible ones.
3. With SHEET.png, a contact sheet of people by camera.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from crossreid.config import TrainConfig, method_config, typed
from crossreid.data.datamodule import ReIDDataModule
from crossreid.data.datasets.sysu_mm01 import CAMERAS
from crossreid.datasets import data_config
from crossreid.evaluation import Euclidean, GalleryPermutations, SysuMM01Protocol
from crossreid.run_folder import write_json
from crossreid.training.build import make_datamodule, make_method
from crossreid.training.checkpoints import load_weights, read_checkpoint
from crossreid.training.loggers import pictures
from crossreid.training.scoring import as_embeddings
from crossreid.visualization import picture_grid, save

GREY = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
BORDER = 0.12  # share of the width and height that counts as background


def mean_colour(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, 3) in [0, 1]."""
    return images.reshape(len(images), -1, 3).mean(1) / 255


def background(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> coarse grey border, (N, D): left and right strips and the top one, in 8 cells each."""
    grey = images.mean(3) / 255
    side, top = max(1, int(BORDER * images.shape[2])), max(1, int(BORDER * images.shape[1]))
    strips = [grey[:, :, :side].mean(2), grey[:, :, -side:].mean(2), grey[:, :top].mean(1)]
    cells = [np.stack([part.mean(1) for part in np.array_split(strip, 8, axis=1)], axis=1) for strip in strips]
    return np.concatenate(cells, axis=1)


def giveaways(data: ReIDDataModule) -> dict[str, float]:
    """Rank-1 of each giveaway as a multiple of chance."""
    rows = data.dataset.rows("test")
    images = data.images(data.streams["identity"].size)[rows]
    permutations = GalleryPermutations.from_mat(data.dataset.root / "exp" / "rand_perm_cam.mat")
    protocol = SysuMM01Protocol("all", 1, permutations=permutations)
    figures: dict[str, float] = {}
    for name, features in (("mean_colour", mean_colour(images)), ("background", background(images))):
        embeddings = as_embeddings(data.dataset, rows, {"main": features.astype(np.float32)})
        result = protocol(embeddings, Euclidean())
        figures["chance_rank1"] = result.chance["rank1"]
        figures[f"{name}_rank1"] = float(result.rank(1).mean())
        figures[f"{name}_times_chance"] = figures[f"{name}_rank1"] / result.chance["rank1"]
    return figures


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


def contact_sheet(data: ReIDDataModule, people: int = 12) -> Figure:
    """The first test persons that every camera has seen, one picture a camera."""
    size = (128, 64)
    by_person: dict[int, dict[int, int]] = {}
    for row in data.dataset.rows("test"):
        record = data.dataset.records[row]
        by_person.setdefault(record.pid, {}).setdefault(record.camid, int(row))
    seen = [rows for _, rows in sorted(by_person.items()) if len(rows) == len(CAMERAS)][:people]
    order = sorted(CAMERAS, key=lambda camid: (CAMERAS[camid] == "infrared", camid))
    grid = {f"camera {camid}": load(data, np.array([rows[camid] for rows in seen]), size) for camid in order}
    return picture_grid(grid, per_person=1)


def main(checkpoint: Path, output: Path | None = None, sheet: Path | None = None) -> None:
    saved = read_checkpoint(checkpoint)
    config = typed(TrainConfig, saved["crossreid"]["config"])
    method = method_config(config.model)
    data = make_datamodule(data_config(config.data), method, config.selection, seed=config.seed, progress=False)
    figures: dict[str, object] = {"giveaways": giveaways(data)}
    module = make_method(config.model, method, saved["crossreid"]["num_identities"], config.seed)
    load_weights(module, saved["state_dict"], checkpoint)
    classifier = train_modality_classifier(data)
    visible, infrared = (load(data, data.modality_rows(m, "test")) for m in ("visible", "infrared"))
    fakes = torch.cat([pictures(module, part, part).get("fake infrared", part) for part in visible.split(64)])
    figures["called_infrared"] = {
        "real infrared": called_infrared(classifier, infrared),
        "grey visible": called_infrared(classifier, visible),
        "fake infrared": called_infrared(classifier, fakes),
    }
    figures["checkpoint"] = {"name": config.name, "seed": config.seed, "iteration": saved["crossreid"]["iteration"]}
    print(json.dumps(figures, indent=2))
    if output:
        write_json(output, figures)
    if sheet:
        save(contact_sheet(data), sheet)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit("usage: python benchmarks/people.py CHECKPOINT [OUTPUT.json [SHEET.png]]")
    main(*map(Path, sys.argv[1:]))
