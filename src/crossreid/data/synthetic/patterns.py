"""Which of a surface's two dyes a pixel shows: patterns on the body with hanging arms, so they move with every pose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossreid.data.synthetic.accessories import Head
from crossreid.data.synthetic.body import FloatArray
from crossreid.data.synthetic.outfit import Lower, Outfit, Upper
from crossreid.data.synthetic.surfaces import Surface
from crossreid.data.synthetic.wearer import Wearer

Mask = NDArray[np.bool_]


def second_dye(
    wearer: Wearer, head: Head, outfit: Outfit, surface: NDArray[np.int64], cloth: FloatArray, arm: FloatArray
) -> Mask:
    """True where the second dye shows.

    Args:
        surface: of each pixel, (P,). cloth: its place in the pose of patterns, (P, 3). arm: 1 on the arms, (P,).
    """
    tone = np.zeros(len(surface), dtype=np.bool_)
    on = surface == Surface.UPPER
    tone[on] = _upper(wearer, outfit.upper, cloth[on], arm[on] > 0.5)
    on = surface == Surface.LOWER
    tone[on] = _lower(wearer, outfit.lower, cloth[on])
    on = surface == Surface.SKIN
    tone[on] = _face(head, outfit, cloth[on])
    on = surface == Surface.SHOE
    sole = 0.022 if outfit.sole > 0.02 else 0.008
    tone[on] = cloth[on, 1] < sole
    if outfit.bag_flap:
        on = surface == Surface.BAG
        tone[on] = _flap(wearer, outfit, cloth[on])
    on = surface == Surface.HAT
    tone[on] = outfit.bag_flap & (cloth[on, 1] < head.low[1] + 0.8 * head.size[1])
    return tone


def strap(wearer: Wearer, outfit: Outfit, cloth: FloatArray, arm: FloatArray) -> Mask:
    """True where the strap of a bag lies on the trunk, (P,)."""
    x = cloth[:, 0]
    y = cloth[:, 1]
    front = cloth[:, 2] > wearer.centre
    trunk = (arm < 0.5) & (y > wearer.hip) & (y < wearer.neck + 0.04)
    if outfit.bag == "backpack":
        trunk &= front & (np.abs(np.abs(x) - 0.115) < 0.024) & (y > wearer.chest - 0.02)
    if outfit.bag == "shoulder":
        along = (y - wearer.hip) / (wearer.shoulder - wearer.hip)
        trunk &= np.abs(x - outfit.side * (0.17 - 0.29 * along)) < 0.022
    else:
        trunk &= False
    mask: Mask = trunk
    return mask


def _upper(wearer: Wearer, upper: Upper, cloth: FloatArray, arm: Mask) -> Mask:
    size = wearer.shape.height
    # in body heights, from the neck down and around the trunk
    x = cloth[:, 0] / size
    down = (wearer.neck - cloth[:, 1]) / size
    around = np.where(arm, x, np.arctan2(cloth[:, 0], cloth[:, 2] - wearer.centre) * 0.1)
    front = cloth[:, 2] > wearer.centre
    trunk = ~arm
    # place within a period, [0, 1)
    rows = down / upper.period % 1
    columns = around / upper.period % 1
    mask = np.zeros(len(x), dtype=np.bool_)
    match upper.pattern:
        case "hstripes":
            mask = rows < upper.duty
        case "vstripes":
            mask = columns < upper.duty
        case "checks":
            mask = (rows < 0.5) ^ (columns < 0.5)
        case "block":
            mask = down > 0.10 + 0.14 * upper.place
        case "band":
            mask = np.abs(down - 0.10 - 0.12 * upper.place) < 0.02 + 0.035 * upper.size
        case "split":
            mask = x > 0
        case "sleeves":
            mask = arm
        case "yoke":
            mask = down < 0.05 + 0.06 * upper.place
        case "sides":
            mask = trunk & (np.abs(x) > 0.055 + 0.02 * upper.size)
        case "sash":
            mask = trunk & (np.abs(x - (down - 0.14) * 0.8) < 0.02 + 0.025 * upper.size)
        case "print":
            mask = trunk & (front | upper.on_back) & _motif(upper, x, down)
        case "zip":
            mask = trunk & front & (np.abs(x) < 0.008 + 0.010 * upper.size)
    return mask


def _motif(upper: Upper, x: FloatArray, down: FloatArray) -> Mask:
    half = 0.03 + 0.025 * upper.size
    y = down - 0.10 - 0.06 * upper.place
    disc = x**2 + y**2 < half**2
    card = (np.abs(x) < 1.3 * half) & (np.abs(y) < 0.7 * half)
    letters = (np.abs(x) < 1.4 * half) & (np.abs(y) < half) & (y / half * 2 % 1 < 0.55)
    diamond = np.abs(x) + np.abs(y) < 1.2 * half
    mask: Mask = (disc, card, letters, diamond)[upper.motif]
    return mask


def _lower(wearer: Wearer, lower: Lower, cloth: FloatArray) -> Mask:
    size = wearer.shape.height
    x = cloth[:, 0] / size
    down = (wearer.waist - cloth[:, 1]) / size
    mask = np.zeros(len(x), dtype=np.bool_)
    match lower.pattern:
        case "side_stripe":
            mask = (np.abs(x) > 0.075) & (np.abs(cloth[:, 2] - wearer.centre + 0.02) < 0.03)
        case "hstripes":
            mask = down / lower.period % 1 < 0.5
        case "checks":
            around = np.arctan2(cloth[:, 0], cloth[:, 2] - wearer.centre) * 0.1
            mask = (down / lower.period % 1 < 0.5) ^ (around / lower.period % 1 < 0.5)
        case "hem":
            end = (wearer.waist - wearer.hip + lower.length * (wearer.hip - wearer.ankle)) / size
            mask = down > end - 0.03 - 0.04 * lower.place
        case "patches":
            mask = np.abs(down - (wearer.waist - wearer.knee) / size) < 0.035
    return mask


def _face(head: Head, outfit: Outfit, cloth: FloatArray) -> Mask:
    """Eyes, brows and mouth; glasses; a beard."""
    place = (cloth - head.low) / head.size
    x = np.abs(place[:, 0] - 0.5)
    y = place[:, 1]
    front = (place[:, 2] > 0.6) & (y > 0)
    eyes = (np.abs(y - 0.515) < 0.022) & (np.abs(x - 0.2) < 0.08)
    brows = (np.abs(y - 0.595) < 0.016) & (np.abs(x - 0.2) < 0.11)
    mouth = (np.abs(y - 0.21) < 0.018) & (x < 0.13)
    marked = eyes | brows | mouth
    if outfit.glasses:
        marked |= (np.abs(y - 0.52) < 0.055) & (x < 0.42)
    if outfit.beard:
        marked |= (y < 0.27) & (y > 0.0) & ((np.abs(y - 0.21) > 0.03) | (x > 0.14)) & (place[:, 2] > 0.5)
    mask: Mask = front & marked
    return mask


def _flap(wearer: Wearer, outfit: Outfit, cloth: FloatArray) -> Mask:
    height = cloth[:, 1]
    mask: Mask = height * 12 % 1 < 0.4
    if outfit.bag == "backpack":
        mask = height < wearer.shoulder - 0.2
    elif outfit.bag == "shoulder":
        mask = height > wearer.hip + 0.03
    return mask
