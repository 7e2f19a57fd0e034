"""How hard is a set of people? A plain ResNet-18 from scratch, trained for minutes; prints Rank-1 as JSON.

    python benchmarks/difficulty.py ROOT [ITERATIONS [SEED]]

ROOT is a set in the SYSU-MM01 layout. Training: the identities of train and val, 8 identities x (2 visible + 2 infrared)
images of 128 x 64, flips, half of the images in grey, identity loss and a soft-margin triplet loss on cosines, Adam.
Scoring: single-shot, the mean over 20 draws of a gallery with one image of every test identity; across modalities, and
within one of them with the gallery image from another camera than the query's. Chance is 1 / identities.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet18

from crossreid.data.datasets import ReIDDataset, read_sysu_mm01

SIZE = (128, 64)
IDENTITIES, IMAGES = 8, 2  # of a batch; images of each modality
DRAWS = 20
SHARPNESS = 8.0


def load(dataset: ReIDDataset, rows: np.ndarray) -> Tensor:
    """(N, 3, H, W) in [-1, 1]."""
    images = [np.asarray(Image.open(dataset.records[row].path).resize(SIZE[::-1])) for row in rows]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


class Net(nn.Module):
    """ResNet-18, a normalised embedding, a classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = resnet18(weights=None)
        self.trunk.fc = nn.Identity()
        self.neck = nn.BatchNorm1d(512)
        self.classifier = nn.Linear(512, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Features, (N, 512)."""
        return self.neck(self.trunk(images))


def hardest_triplets(features: Tensor, labels: Tensor) -> Tensor:
    """Soft-margin triplet loss: the least similar image of the same identity, the most similar one of another."""
    features = F.normalize(features, dim=1)
    similarity, same = features @ features.T, labels[:, None] == labels[None]
    positive = similarity.masked_fill(~same, torch.inf).min(1).values
    negative = similarity.masked_fill(same, -torch.inf).max(1).values
    return F.softplus(SHARPNESS * (negative - positive)).mean()


def train(dataset: ReIDDataset, iterations: int, seed: int) -> Net:
    """Train on train + val."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    rows = np.sort(np.concatenate([dataset.rows("train"), dataset.rows("val")]))
    images = load(dataset, rows).to(memory_format=torch.channels_last)
    records = [dataset.records[row] for row in rows]
    pools: dict[int, dict[str, list[int]]] = {}
    for place, record in enumerate(records):
        pools.setdefault(record.pid, {}).setdefault(str(record.modality), []).append(place)
    pids = sorted(pid for pid, pool in pools.items() if len(pool) == 2)
    net = Net(len(pids)).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=6e-4, weight_decay=5e-4)
    for step in range(iterations):
        for group in optimizer.param_groups:
            group["lr"] = 6e-4 * min(1, (step + 1) / 20) * (0.1 if step > 0.75 * iterations else 1)
        chosen = rng.choice(len(pids), IDENTITIES, replace=False)
        places = [
            place
            for label in chosen
            for pool in pools[pids[label]].values()
            for place in rng.choice(pool, IMAGES, replace=len(pool) < IMAGES)
        ]
        labels = torch.from_numpy(chosen.repeat(2 * IMAGES))
        batch = images[places]
        flipped = torch.from_numpy(rng.random(len(batch)) < 0.5)
        batch[flipped] = batch[flipped].flip(3)
        grey = torch.from_numpy(rng.random(len(batch)) < 0.5)
        batch[grey] = batch[grey].mean(1, keepdim=True).expand(-1, 3, -1, -1)
        features = net(batch)
        loss = F.cross_entropy(net.classifier(features), labels) + hardest_triplets(features, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


@torch.no_grad()
def embed(net: Net, images: Tensor) -> np.ndarray:
    """Unit features, (N, 512)."""
    return torch.cat([F.normalize(net(part), dim=1) for part in images.split(128)]).numpy()


def rank1(features: np.ndarray, pids: np.ndarray, cams: np.ndarray, query: np.ndarray, gallery: np.ndarray) -> float:
    """Share of queries whose nearest gallery image is their own, percent; mean over the draws."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = np.array([rng.choice(np.flatnonzero(gallery & (pids == pid))) for pid in np.unique(pids[gallery])])
        similarity = features[query] @ features[drawn].T
        own = drawn[np.searchsorted(pids[drawn], pids[query]).clip(max=len(drawn) - 1)]
        fair = (pids[own] == pids[query]) & (cams[own] != cams[query])
        shares.append(float((pids[drawn][similarity.argmax(1)] == pids[query])[fair].mean()))
    return 100 * float(np.mean(shares))


def main(root: Path, iterations: int = 300, seed: int = 0) -> None:
    dataset = read_sysu_mm01(root, None, name="people")
    net = train(dataset, iterations, seed)
    rows = dataset.rows("test")
    features = embed(net, load(dataset, rows))
    pids, cams = (np.array([getattr(dataset.records[row], name) for row in rows]) for name in ("pid", "camid"))
    infrared = np.isin(cams, (3, 6))
    figures = {
        "root": root.name,
        "iterations": iterations,
        "seed": seed,
        "infrared_to_visible": rank1(features, pids, cams, infrared, ~infrared),
        "visible_to_visible": rank1(features, pids, cams, ~infrared, ~infrared),
        "infrared_to_infrared": rank1(features, pids, cams, infrared, infrared),
        "chance": 100 / len(np.unique(pids)),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit("usage: python benchmarks/difficulty.py ROOT [ITERATIONS [SEED]]")
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
