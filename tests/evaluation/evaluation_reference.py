"""The official SYSU-MM01 algorithm, slowly and obviously: plain loops, nothing shared with the package."""

import os
import random

import numpy as np

LOCATION = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}
GALLERY_CAMERAS = {"all": [1, 2, 4, 5], "indoor": [1, 2]}


def score_probe(similarities, probe_pid, gallery_pids, counts_for_probe, deduplicate=True):
    """(first rank, AP, INP) of one probe, or None where it has no true match. Lists in gallery order."""
    kept = [g for g in range(len(gallery_pids)) if counts_for_probe[g]]
    ranked = sorted(kept, key=lambda g: -similarities[g])  # Python's sort is stable
    matches = [place for place, g in enumerate(ranked, start=1) if gallery_pids[g] == probe_pid]
    if not matches:
        return None
    listed = []  # what Rank-k counts: each identity once, or every image
    for g in ranked[: matches[0]]:
        if not deduplicate or gallery_pids[g] not in listed:
            listed.append(gallery_pids[g])
    ap = sum(i / place for i, place in enumerate(matches, start=1)) / len(matches)
    return len(listed), ap, len(matches) / matches[-1]


def score_all(similarity, probe_pids, gallery_pids, removed, cmc_length, *, deduplicate=True):
    """CMC, mAP, mINP and the number of valid probes."""
    hits, aps, inps = [0.0] * cmc_length, [], []
    gallery_pids = [int(p) for p in gallery_pids]
    for q in range(len(probe_pids)):
        scored = score_probe(
            similarity[q].tolist(), int(probe_pids[q]), gallery_pids, (~removed[q]).tolist(), deduplicate
        )
        if scored is not None:
            hits[scored[0] - 1] += 1
            aps.append(scored[1])
            inps.append(scored[2])
    cmc = [sum(hits[: k + 1]) / len(aps) for k in range(cmc_length)]
    return cmc, sum(aps) / len(aps), sum(inps) / len(inps), len(aps)


def cosine(a, b):
    a = a.astype(np.float64) / np.linalg.norm(a.astype(np.float64), axis=1, keepdims=True)
    b = b.astype(np.float64) / np.linalg.norm(b.astype(np.float64), axis=1, keepdims=True)
    return a @ b.T


def euclidean(a, b):
    """Negative distances, pair by pair."""
    return np.array([[-np.sqrt(((x - y) ** 2).sum()) for y in b.astype(np.float64)] for x in a.astype(np.float64)])


def sysu_trial(data, permutations, mode, shots, trial, *, similarity=cosine):
    """One trial of the official protocol.

    data: dict of features (N, D), pids, camids, frames; permutations[cam, pid]: (10, n) 1-based, as in the .mat.
    """
    row_of = {
        key: i for i, key in enumerate(zip(*(data[n].tolist() for n in ("pids", "camids", "frames")), strict=True))
    }
    ids = sorted(set(data["pids"].tolist()))
    gallery = []
    for cam in GALLERY_CAMERAS[mode]:
        for pid in ids:
            if (cam, pid) in permutations:
                for image in permutations[cam, pid][trial][:shots]:
                    gallery.append(row_of[pid, cam, int(image) - 1])
    probes = [i for i in range(len(data["pids"])) if data["camids"][i] in (3, 6)]
    probe_places = np.array([LOCATION[c] for c in data["camids"][probes].tolist()])
    gallery_places = np.array([LOCATION[c] for c in data["camids"][gallery].tolist()])
    gallery_pids = data["pids"][gallery]
    scores = similarity(data["features"][probes], data["features"][gallery])
    removed = probe_places[:, None] == gallery_places[None, :]
    result = score_all(scores, data["pids"][probes], gallery_pids, removed, len(set(gallery_pids.tolist())))
    return result, len(probes), len(gallery)


def agw_gallery(folder, cameras, trial):
    """AGW's draw from a folder camN/PPPP/IIII.jpg: the chosen files, as (camera, pid, place among sorted files)."""
    state = random.getstate()
    random.seed(trial)
    chosen = []
    ids = sorted({name for cam in cameras for name in os.listdir(folder / f"cam{cam}")})
    for pid in ids:
        for cam in cameras:
            images = folder / f"cam{cam}" / pid
            if images.is_dir():
                files = sorted(os.listdir(images))
                chosen.append((cam, int(pid), files.index(random.choice(files))))
    random.setstate(state)
    return sorted(chosen)


def rows_where(data, infrared, *, order):
    """Rows of a modality, sorted by the named arrays."""
    rows = [i for i in range(len(data["pids"])) if bool(data["infrared"][i]) == infrared]
    return sorted(rows, key=lambda i: [int(data[name][i]) for name in order])


def score_rows(data, probes, gallery, removed, *, deduplicate, similarity):
    """Scores of some rows as probes on others as gallery; removed(probe row, gallery row) says what does not count."""
    scores = similarity(data["features"][probes], data["features"][gallery])
    flags = np.array([[removed(q, g) for g in gallery] for q in probes])
    gallery_pids = data["pids"][gallery]
    length = len(set(gallery_pids.tolist())) if deduplicate else len(gallery)
    return score_all(scores, data["pids"][probes], gallery_pids, flags, length, deduplicate=deduplicate)


def regdb(data, direction, *, similarity=cosine, deduplicate=False):
    """One split of RegDB: everything queries everything, nothing is removed."""
    probes, gallery = (
        rows_where(data, infrared, order=("pids", "frames"))
        for infrared in {"visible_to_thermal": (False, True), "thermal_to_visible": (True, False)}[direction]
    )
    return score_rows(data, probes, gallery, lambda q, g: False, deduplicate=deduplicate, similarity=similarity)


def llcm_draw(data, infrared, trial):
    """One image of each person in each camera: ids ascend, then cameras, then files."""
    state = random.getstate()
    random.seed(trial)
    chosen = []
    rows = rows_where(data, infrared, order=("pids", "camids", "frames"))
    for pid in sorted(set(data["pids"].tolist())):
        for camera in range(1, 10):
            files = [i for i in rows if (data["pids"][i], data["camids"][i]) == (pid, camera)]
            if files:
                chosen.append(random.choice(files))
    random.setstate(state)
    return chosen


def llcm_draw_on_disk(root, short, trial):
    """The same from a copy's folders: the chosen files, as test_nir/cam6/0002/name.jpg."""
    state = random.getstate()
    random.seed(trial)
    chosen = []
    for pid in sorted((root / "idx" / "test_id.txt").read_text().strip().split(",")):
        for camera in range(1, 10):
            folder = root / f"test_{short}" / f"cam{camera}" / pid
            if folder.is_dir():
                chosen.append(f"test_{short}/cam{camera}/{pid}/{random.choice(sorted(os.listdir(folder)))}")
    random.setstate(state)
    return chosen


def llcm_trial(data, direction, roles, trial, *, similarity=cosine, deduplicate=True):
    """One trial of LLCM in one reading; also the numbers of probes and gallery images."""
    whole, drawn = {"visible_to_infrared": (False, True), "infrared_to_visible": (True, False)}[direction]
    every, sample = rows_where(data, whole, order=("pids", "camids", "frames")), llcm_draw(data, drawn, trial)
    probes, gallery = (every, sample) if roles == "sampled_gallery" else (sample, every)
    pids, camids = data["pids"].tolist(), data["camids"].tolist()
    result = score_rows(
        data,
        probes,
        gallery,
        lambda q, g: pids[q] == pids[g] and camids[q] == camids[g],
        deduplicate=deduplicate,
        similarity=similarity,
    )
    return result, len(probes), len(gallery)


def all_pairs(data, query, gallery, *, similarity=cosine):
    """Everything queries everything; the same person's images from the probe's camera do not count."""
    probes, others = (rows_where(data, flag, order=("camids", "pids", "frames")) for flag in (query, gallery))
    pids, camids = data["pids"].tolist(), data["camids"].tolist()
    return score_rows(
        data,
        probes,
        others,
        lambda q, g: pids[q] == pids[g] and camids[q] == camids[g],
        deduplicate=True,
        similarity=similarity,
    )
