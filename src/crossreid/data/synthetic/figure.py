"""Drawing a person: which part lies before which, and how each is made of tubes."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from crossreid.data.synthetic.bags import draw_backpack, draw_bag, draw_straps, hip_bag_place
from crossreid.data.synthetic.clothes import paint_lower, paint_sleeve, paint_upper
from crossreid.data.synthetic.drawing import Pen, Tube, View, far_bit, make_tube
from crossreid.data.synthetic.head import draw_head, draw_long_hair
from crossreid.data.synthetic.materials import Material
from crossreid.data.synthetic.people import Person
from crossreid.data.synthetic.pose import SHOULDER_Y, Arm, Leg, Point, Pose, Skeleton, make_skeleton

_SKIN, _LOWER, _SHOE, _SOLE = int(Material.SKIN), int(Material.LOWER), int(Material.SHOE), int(Material.SOLE)
_BELT = int(Material.BELT)
_TORSO_FLATNESS = 0.62
_TORSO_TOP = SHOULDER_Y + 0.025


def draw_figure(person: Person, pose: Pose, view: View, width: int, height: int) -> Image.Image:
    """The person as an image of material indices (mode L, 0 where there is none), in the view's pixels."""
    pen = Pen(width, height)
    skeleton = make_skeleton(person.build, pose)
    for leg, side in sorted(zip(skeleton.legs, (-1, 1), strict=True), key=lambda item: view.depth(item[0].ankle)):
        _draw_leg(pen, view, person, leg, side)
    _draw_pelvis(pen, view, person, skeleton)
    torso = _make_torso(view, person, skeleton)
    for _, draw in sorted(_upper_parts(pen, view, person, skeleton, torso), key=lambda item: item[0]):
        draw()
    return pen.image


def _upper_parts(
    pen: Pen, view: View, person: Person, skeleton: Skeleton, torso: Tube
) -> list[tuple[float, Callable[[], None]]]:
    """(depth, drawing) of everything above the legs; the torso has depth -0.03, so that arms beside it come after."""
    left, right = skeleton.arms
    back = view.depth((0.0, SHOULDER_Y, -0.12))
    parts: list[tuple[float, Callable[[], None]]] = [
        (-0.03, lambda: _draw_torso(pen, view, person, torso)),
        (-0.02, lambda: draw_head(pen, view, person, skeleton)),
        (view.depth(left.elbow), lambda: _draw_arm(pen, view, person, left, -1)),
        (view.depth(right.elbow), lambda: _draw_arm(pen, view, person, right, 1)),
    ]
    if person.extras.bag == "backpack":
        parts.append((back, lambda: draw_backpack(pen, view, person, skeleton)))
    if person.extras.bag == "shoulder":
        place = hip_bag_place(person, skeleton)
        parts.append((view.depth(place), lambda: draw_bag(pen, view, person, place)))
    if person.extras.hair == "long":
        parts.append((back * 1.2, lambda: draw_long_hair(pen, view, person, skeleton)))
    return parts


def _between(a: Point, b: Point, share: float) -> Point:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


def _draw_leg(pen: Pen, view: View, person: Person, leg: Leg, side: int) -> None:
    far = far_bit(view, leg.knee, 0.02)
    limbs, lower = person.build.limbs, person.lower
    radii = ((0.056 * limbs, 0.04 * limbs), (0.038 * limbs, 0.024 * limbs))
    joints = ((leg.hip, leg.knee), (leg.knee, leg.ankle))
    _draw_shoe(pen, view, person, leg, far)
    for (start, end), (r0, r1) in zip(joints, radii, strict=True):
        pen.limb(make_tube(view, start, end, ((0.0, r0), (1.0, r1))), _SKIN | far)
    if person.extras.boots > 0:
        top = _between(leg.ankle, leg.knee, person.extras.boots)
        pen.tube(make_tube(view, top, leg.ankle, ((0.0, 0.036 * limbs), (1.0, 0.028 * limbs))), _SHOE | far)
    if lower.skirt:
        return
    offset = 0.0
    for index in (0, 1):
        cover = min(max(2 * lower.length - index, 0.0), 1.0)
        if cover > 0.02:
            (start, end), (r0, r1) = joints[index], radii[index]
            wide = 1.05 + (lower.width - 0.95) * (0.4 + 0.6 * index)
            cloth = make_tube(view, start, _between(start, end, cover), ((0.0, r0 * 1.05), (1.0, r1 * wide)))
            paint_lower(pen, cloth, lower, side, far, offset, last=cover < 1 or index == 1)
            offset += cloth.length


def _draw_shoe(pen: Pen, view: View, person: Person, leg: Leg, far: int) -> None:
    heel = (leg.ankle[0], leg.ankle[1] - 0.03, leg.ankle[2] - 0.02)
    foot = make_tube(view, heel, leg.toe, ((0.0, 0.026), (0.5, 0.026), (1.0, 0.016)))
    spot = view.project(_between(leg.ankle, leg.toe, 0.3))
    radius = 0.027 * view.scale
    pen.disc(spot, radius, radius * 0.9, _SHOE | far, edge=True)
    pen.tube(foot, _SHOE | far)
    if person.extras.sole > 0:
        drop = 0.016 * view.scale
        (x0, y0), (x1, y1) = view.project(heel), view.project(leg.toe)
        pen.fill([(x0 - 1, y0), (x1 + 1, y1), (x1 + 1, y1 + drop), (x0 - 1, y0 + drop)], _SOLE | far)


def _draw_pelvis(pen: Pen, view: View, person: Person, skeleton: Skeleton) -> None:
    x, y, z = skeleton.pelvis
    build, lower = person.build, person.lower
    if lower.skirt:
        hem = y - lower.length * (build.hip - 0.05)
        spread = abs(skeleton.legs[0].ankle[2] - skeleton.legs[1].ankle[2]) * 0.25 * lower.length
        flare = build.hips * (0.9 + 0.35 * lower.width * lower.length) + spread * 0.5
        widths = ((0.0, build.hips * 0.85), (0.3, build.hips * 1.1), (1.0, flare))
        skirt = make_tube(view, (x, y + 0.08, z), (x, hem, z), widths, 0.8)
        paint_lower(pen, skirt, lower, 0, 0, 0.0, last=True)
        return
    widths = ((0.0, build.hips * 0.95), (0.6, build.hips * 1.08), (1.0, build.hips * 0.8))
    pelvis = make_tube(view, (x, y + 0.08, z), (x, y - 0.03, z), widths, 0.7)
    pen.tube(pelvis, _LOWER, edge=False)


def _make_torso(view: View, person: Person, skeleton: Skeleton) -> Tube:
    """The upper garment, from the neck (v 0) to its hem (v 1)."""
    build, upper = person.build, person.upper
    loose = upper.looseness
    outline = (
        (_TORSO_TOP, 0.4 * build.shoulders),
        (SHOULDER_Y - 0.01, 1.02 * build.shoulders),
        (0.7, 0.92 * build.shoulders * (0.5 + 0.5 * loose)),
        (0.61, 0.078 * build.waist * loose),
        (build.hip, 1.12 * build.hips * loose),
        (0.2, 1.35 * build.hips * loose),
    )
    span = _TORSO_TOP - upper.hem
    widths = [((_TORSO_TOP - y) / span, width) for y, width in outline]
    (x, y, z), hips = skeleton.neck, skeleton.pelvis
    hem = (hips[0], upper.hem - skeleton.drop, hips[2])
    kept = [(v, w) for v, w in widths if v < 1]
    (v0, w0), (v1, w1) = kept[-1], widths[len(kept)]
    kept.append((1.0, w0 + (w1 - w0) * (1 - v0) / (v1 - v0)))
    return make_tube(view, (x, y - 0.005, z), hem, tuple(kept), _TORSO_FLATNESS)


def _draw_torso(pen: Pen, view: View, person: Person, torso: Tube) -> None:
    paint_upper(pen, torso, person.upper)
    if person.lower.belt > 0:
        v = (_TORSO_TOP - person.build.hip - 0.09) / (_TORSO_TOP - person.upper.hem)
        pen.band(torso, v, v + person.lower.belt / torso.length, _BELT)
    draw_straps(pen, person, torso)


def _draw_arm(pen: Pen, view: View, person: Person, arm: Arm, side: int) -> None:
    far = far_bit(view, arm.elbow, 0.06)
    limbs, upper = person.build.limbs, person.upper
    radii = ((0.034 * limbs, 0.027 * limbs), (0.026 * limbs, 0.019 * limbs))
    joints = ((arm.shoulder, arm.elbow), (arm.elbow, arm.wrist))
    if person.extras.bag == "hand" and side == person.extras.side:
        draw_bag(pen, view, person, (arm.hand[0], arm.hand[1] - 0.05, arm.hand[2]))
    pen.disc(view.project(arm.hand), 0.022 * view.scale, 0.026 * view.scale, _SKIN | far, edge=True)
    for (start, end), (r0, r1) in zip(joints, radii, strict=True):
        pen.limb(make_tube(view, start, end, ((0.0, r0), (1.0, r1))), _SKIN | far)
    offset = 0.0
    for index in (0, 1):
        cover = min(max(2 * upper.sleeve - index, 0.0), 1.0)
        if cover > 0.02:
            (start, end), (r0, r1) = joints[index], radii[index]
            wide = 1.15 * upper.looseness
            cloth = make_tube(view, start, _between(start, end, cover), ((0.0, r0 * wide), (1.0, r1 * wide)))
            paint_sleeve(pen, cloth, upper, far, offset)
            offset += cloth.length
