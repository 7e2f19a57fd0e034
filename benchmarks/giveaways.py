"""Is a set of people a fair task? Giveaways across modalities as JSON, and a contact sheet; no checkpoint is needed.

    python benchmarks/giveaways.py ROOT [OUTPUT.json [SHEET.png]]

ROOT is a set in the SYSU-MM01 layout. Retrieval across modalities (all-search, single-shot, the official protocol) by the
mean colour of an image, and by its border alone (background), beside chance. Both should stay below 1.5 times chance.
The sheet shows people by camera.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from crossreid.data.datasets import ReIDDataset, read_sysu_mm01
from crossreid.evaluation import Euclidean, GalleryPermutations, SysuMM01Protocol
from crossreid.runs.folder import write_json
from crossreid.training.scoring import as_embeddings

BORDER = 0.12  # share of the width and height that counts as background
SIZE = (128, 64)
CAMERAS = (1, 2, 4, 5, 3, 6)  # visible ones first
PEOPLE = 12  # on the sheet, in two columns


def load(dataset: ReIDDataset, rows: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8."""
    paths = [dataset.records[row].path for row in rows]
    return np.stack([np.asarray(Image.open(path).convert("RGB").resize(SIZE[::-1])) for path in paths])


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


def giveaways(dataset: ReIDDataset) -> dict[str, float]:
    """Rank-1 of each giveaway, and as a multiple of chance."""
    rows = dataset.rows("test")
    images = load(dataset, rows)
    permutations = GalleryPermutations.from_mat(dataset.root / "exp" / "rand_perm_cam.mat")
    protocol = SysuMM01Protocol("all", 1, permutations=permutations)
    figures: dict[str, float] = {}
    for name, features in (("mean_colour", mean_colour(images)), ("background", background(images))):
        embeddings = as_embeddings(dataset, rows, {"main": features.astype(np.float32)})
        result = protocol(embeddings, Euclidean())
        figures["chance_rank1"] = result.chance["rank1"]
        figures[f"{name}_rank1"] = float(result.rank(1).mean())
        figures[f"{name}_times_chance"] = figures[f"{name}_rank1"] / result.chance["rank1"]
    return figures


def contact_sheet(dataset: ReIDDataset) -> Image.Image:
    """The first test persons that every camera has seen: a row a person, a picture a camera, in two columns."""
    by_person: dict[int, dict[int, int]] = {}
    for row in dataset.rows("test"):
        record = dataset.records[row]
        by_person.setdefault(record.pid, {}).setdefault(record.camid, int(row))
    seen = [rows for _, rows in sorted(by_person.items()) if len(rows) == len(CAMERAS)][:PEOPLE]
    strips = [np.hstack(list(load(dataset, np.array([rows[camid] for camid in CAMERAS])))) for rows in seen]
    half = (len(strips) + 1) // 2
    strips += [np.full_like(strips[0], 255)] * (2 * half - len(strips))
    gap = np.full((half * SIZE[0], 8, 3), 255, dtype=np.uint8)
    return Image.fromarray(np.hstack([np.vstack(strips[:half]), gap, np.vstack(strips[half:])]))


def main(root: Path, output: Path | None = None, sheet: Path | None = None) -> None:
    dataset = read_sysu_mm01(root, None, name="synthetic")
    figures = giveaways(dataset)
    print(json.dumps(figures, indent=2))
    if output:
        write_json(output, figures)
    if sheet:
        contact_sheet(dataset).save(sheet)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit("usage: python benchmarks/giveaways.py ROOT [OUTPUT.json [SHEET.png]]")
    main(*map(Path, sys.argv[1:]))
