"""The official SYSU-MM01 algorithm, slowly and obviously: plain loops, nothing shared with the package."""

import os
import random

import numpy as np

LOCATION = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6}
GALLERY_CAMERAS = {"all": [1, 2, 4, 5], "indoor": [1, 2]}


def score_probe(similarities, probe_pid, gallery_pids, counts_for_probe, deduplicate=True):
    """(first rank, AP, INP) of one probe, or None where it has no true match. Lists in gallery order."""
    gallery = [g for g in range(len(gallery_pids)) if counts_for_probe[g]]
    ranked = sorted(gallery, key=lambda g: -similarities[g])  # Python's sort is stable: ties in gallery order
    match_ranks = [rank for rank, g in enumerate(ranked, start=1) if gallery_pids[g] == probe_pid]
    if not match_ranks:
        return None
    listed = []  # what Rank-k counts up to the first match: each identity once, or every image
    for g in ranked[: match_ranks[0]]:
        if not deduplicate or gallery_pids[g] not in listed:
            listed.append(gallery_pids[g])
    first_rank = len(listed)
    ap = sum(i / rank for i, rank in enumerate(match_ranks, start=1)) / len(match_ranks)
    inp = len(match_ranks) / match_ranks[-1]
    return first_rank, ap, inp


def score_all(similarity, probe_pids, gallery_pids, removed, cmc_length, *, deduplicate=True):
    """CMC, mAP, mINP and the number of valid probes."""
    hits = [0.0] * cmc_length  # hits[k - 1]: probes whose first match has rank k
    aps = []
    inps = []
    gallery_pids = gallery_pids.tolist()
    for q, probe_pid in enumerate(probe_pids.tolist()):
        counts_for_probe = (~removed[q]).tolist()
        scores = score_probe(similarity[q].tolist(), probe_pid, gallery_pids, counts_for_probe, deduplicate)
        if scores is not None:
            first_rank, ap, inp = scores
            hits[first_rank - 1] += 1
            aps.append(ap)
            inps.append(inp)
    valid = len(aps)
    cmc = [sum(hits[:k]) / valid for k in range(1, cmc_length + 1)]
    return cmc, sum(aps) / valid, sum(inps) / valid, valid


def cosine(a, b):
    return unit_rows(a) @ unit_rows(b).T


def unit_rows(features):
    exact = features.astype(np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def euclidean(a, b):
    """Negative distances, pair by pair."""
    scores = np.empty((len(a), len(b)))
    for i, x in enumerate(a.astype(np.float64)):
        for j, y in enumerate(b.astype(np.float64)):
            scores[i, j] = -np.sqrt(((x - y) ** 2).sum())
    return scores


def dots(a, b):
    """Inner products; exact for whole numbers, so that ties are ties."""
    return a.astype(np.float64) @ b.astype(np.float64).T


def sysu_trial(data, permutations, mode, shots, trial, *, similarity=cosine):
    """One trial of the official protocol.

    data: dict of features (N, D), pids, camids, frames; permutations[cam, pid]: (10, n) 1-based, as in the .mat.
    """
    pids = data["pids"].tolist()
    camids = data["camids"].tolist()
    frames = data["frames"].tolist()
    row_of = {}
    for row, image in enumerate(zip(camids, pids, frames, strict=True)):
        row_of[image] = row
    gallery = []
    for camera in GALLERY_CAMERAS[mode]:
        for pid in sorted(set(pids)):
            if (camera, pid) in permutations:
                for number in permutations[camera, pid][trial][:shots]:
                    gallery.append(row_of[camera, pid, int(number) - 1])
    probes = [row for row, camera in enumerate(camids) if camera in (3, 6)]

    location = np.array([LOCATION[camera] for camera in camids])
    removed = location[probes][:, None] == location[gallery]
    scores = similarity(data["features"][probes], data["features"][gallery])
    gallery_pids = data["pids"][gallery]
    identities = len(set(gallery_pids.tolist()))
    result = score_all(scores, data["pids"][probes], gallery_pids, removed, identities)
    return result, len(probes), len(gallery)


def agw_gallery(folder, cameras, trial):
    """AGW's draw from a folder camN/PPPP/IIII.jpg: the chosen files, as (camera, pid, place among sorted files)."""
    state = random.getstate()
    random.seed(trial)
    chosen = []
    ids = set()
    for cam in cameras:
        ids.update(os.listdir(folder / f"cam{cam}"))
    for pid in sorted(ids):
        for cam in cameras:
            images = folder / f"cam{cam}" / pid
            if images.is_dir():
                files = sorted(os.listdir(images))
                chosen.append((cam, int(pid), files.index(random.choice(files))))
    random.setstate(state)
    return sorted(chosen)


def rows_where(data, infrared, *, order):
    """Rows of a modality, sorted by the named arrays."""
    rows = np.flatnonzero(data["infrared"] == infrared).tolist()
    return sorted(rows, key=lambda row: [int(data[name][row]) for name in order])


def score_rows(data, probes, gallery, removed, *, deduplicate, similarity):
    """Scores of some rows as probes on others as gallery; removed(probe row, gallery row) says what does not count."""
    scores = similarity(data["features"][probes], data["features"][gallery])
    flags = np.empty((len(probes), len(gallery)), bool)
    for i, q in enumerate(probes):
        for j, g in enumerate(gallery):
            flags[i, j] = removed(q, g)
    gallery_pids = data["pids"][gallery]
    length = len(set(gallery_pids.tolist())) if deduplicate else len(gallery)
    return score_all(scores, data["pids"][probes], gallery_pids, flags, length, deduplicate=deduplicate)


def same_person_same_camera(data):
    """The rule for :func:`score_rows`, LLCM's and that of folders."""
    pids = data["pids"].tolist()
    camids = data["camids"].tolist()

    def removed(q, g):
        return pids[q] == pids[g] and camids[q] == camids[g]

    return removed


def regdb(data, direction, *, similarity=cosine, deduplicate=False):
    """One split of RegDB: everything queries everything, nothing is removed."""
    visible = rows_where(data, False, order=("pids", "frames"))
    thermal = rows_where(data, True, order=("pids", "frames"))
    probes, gallery = (visible, thermal) if direction == "visible_to_thermal" else (thermal, visible)
    return score_rows(data, probes, gallery, lambda q, g: False, deduplicate=deduplicate, similarity=similarity)


def llcm_draw(data, infrared, trial):
    """One image of each person in each camera: ids ascend, then cameras, then files."""
    state = random.getstate()
    random.seed(trial)
    chosen = []
    rows = rows_where(data, infrared, order=("pids", "camids", "frames"))
    for pid in sorted(set(data["pids"].tolist())):
        for camera in range(1, 10):
            files = [row for row in rows if data["pids"][row] == pid and data["camids"][row] == camera]
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
                file = random.choice(sorted(os.listdir(folder)))
                chosen.append(f"test_{short}/cam{camera}/{pid}/{file}")
    random.setstate(state)
    return chosen


def llcm_trial(data, direction, roles, trial, *, similarity=cosine, deduplicate=True):
    """One trial of LLCM in one reading; also the numbers of probes and gallery images."""
    draw_infrared = direction == "visible_to_infrared"
    every = rows_where(data, not draw_infrared, order=("pids", "camids", "frames"))
    sample = llcm_draw(data, draw_infrared, trial)
    probes, gallery = (every, sample) if roles == "sampled_gallery" else (sample, every)
    rule = same_person_same_camera(data)
    result = score_rows(data, probes, gallery, rule, deduplicate=deduplicate, similarity=similarity)
    return result, len(probes), len(gallery)


def all_pairs(data, query, gallery, *, similarity=cosine):
    """Everything queries everything; the same person's images from the probe's camera do not count."""
    probes = rows_where(data, query, order=("camids", "pids", "frames"))
    others = rows_where(data, gallery, order=("camids", "pids", "frames"))
    rule = same_person_same_camera(data)
    return score_rows(data, probes, others, rule, deduplicate=True, similarity=similarity)
