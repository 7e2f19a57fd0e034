"""The body, its poses, the z-buffer, and the clothes around it."""

from importlib.resources import files

import numpy as np
import pytest
from numpy.typing import NDArray

from crossreid.data.synthetic import people as people_module
from crossreid.data.synthetic.body import SLIDERS, body_model, make_shape
from crossreid.data.synthetic.gait import STANDING_SHARE, sample_gait, sample_pose
from crossreid.data.synthetic.garments import dressed
from crossreid.data.synthetic.mesh import cut, joined, normals_of
from crossreid.data.synthetic.people import make_figure, posed, sample_person
from crossreid.data.synthetic.raster import rasterise
from crossreid.data.synthetic.skeleton import lowered_arms, skin, transforms, turn
from crossreid.data.synthetic.surfaces import Surface
from crossreid.data.synthetic.wearer import make_wearer

MEAN = dict.fromkeys(SLIDERS, 0.5)


def volume(points: NDArray[np.floating], faces: NDArray[np.integer]) -> float:
    a, b, c = (points[faces[:, k]].astype(np.float64) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def winding(points: NDArray[np.floating], faces: NDArray[np.integer], at: NDArray[np.floating]) -> float:
    """Winding number of a closed mesh around a point: 1 inside, 0 outside (van Oosterom and Strackee)."""
    a, b, c = (points[faces[:, k]].astype(np.float64) - at for k in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    top = (a * np.cross(b, c)).sum(1)
    bottom = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float((2 * np.arctan2(top, bottom)).sum() / (4 * np.pi))


def test_the_body_file_is_small_and_needs_no_pickle() -> None:
    path = files("crossreid.data.synthetic").joinpath("body.npz")
    assert len(path.read_bytes()) <= 2 * 1024**2
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)
    assert 2000 <= len(body_model().parts) <= 4000


@pytest.mark.parametrize("value", [0.1, 0.5, 0.9])
def test_the_joints_lie_inside_a_body_of_human_size(value: float) -> None:
    model, shape = body_model(), make_shape(dict.fromkeys(SLIDERS, value))
    assert 1.4 < shape.height < 2.2
    assert 0.03 < volume(shape.points, model.faces) < 0.2  # cubic metres
    inside = [winding(shape.points, model.faces, joint) for joint in shape.joints]
    assert min(inside) > 0.9


def test_sliders_move_the_body_the_way_they_are_called() -> None:
    faces = body_model().faces
    assert make_shape(MEAN | {"height": 1.0}).height > make_shape(MEAN | {"height": 0.0}).height + 0.15
    heavy, light = (make_shape(MEAN | {"weight": w}).points for w in (1.0, 0.0))
    assert volume(heavy, faces) > 1.2 * volume(light, faces)


def test_left_and_right_mirror() -> None:
    model, shape = body_model(), make_shape(MEAN)
    assert (model.mirror[model.mirror] == np.arange(len(model.mirror))).all()
    np.testing.assert_allclose(shape.points[model.mirror] * [-1, 1, 1], shape.points, atol=2e-3)
    for name in model.bones:
        if name.endswith(".L"):
            left, right = shape.joints[model.index(name)], shape.joints[model.index(name[:-1] + "R")]
            np.testing.assert_allclose(left * [-1, 1, 1], right, atol=2e-3)


def test_every_bone_owns_a_part_and_weights_sum_to_one() -> None:
    model = body_model()
    assert set(model.parts) == set(range(len(model.bones)))
    np.testing.assert_allclose(model.weights.sum(1), 1, atol=1e-5)
    assert ((model.weights > 0).sum(1) <= 4).all()
    assert all(parent < bone for bone, parent in enumerate(model.parents))


def test_no_rotation_leaves_the_rest_pose() -> None:
    model, shape = body_model(), make_shape(MEAN)
    points, rotations = skin(shape.points, model.weights, transforms(shape, {}))
    np.testing.assert_allclose(points, shape.points, atol=1e-5)
    np.testing.assert_allclose(rotations, np.broadcast_to(np.eye(3), rotations.shape), atol=1e-5)


def test_a_turned_joint_moves_what_hangs_on_it_and_nothing_else() -> None:
    model, shape = body_model(), make_shape(MEAN)
    points, _ = skin(shape.points, model.weights, transforms(shape, {"shin.L": turn("x", 1.0)}))
    moved = np.linalg.norm(points - shape.points, axis=1)
    assert moved[model.parts == model.index("foot.L")].min() > 0.2
    assert moved[model.parts == model.index("foot.R")].max() == 0
    shin = model.index("shin.L"), model.index("foot.L")
    joints, _ = skin(
        shape.joints, np.eye(len(shape.joints), dtype=np.float32), transforms(shape, {"shin.L": turn("x", 1.0)})
    )
    before, after = (np.linalg.norm(j[shin[1]] - j[shin[0]]) for j in (shape.joints, joints))
    assert after == pytest.approx(before, abs=1e-5)
    assert joints[shin[1], 2] < shape.joints[shin[1], 2] - 0.2  # a knee bends backwards


def test_lowered_arms_hang() -> None:
    model, shape = body_model(), make_shape(MEAN)
    for side, (upper, forearm) in lowered_arms(shape, away=0.1).items():
        for rotation, ends in ((upper, ("upperarm", "forearm")), (forearm, ("forearm", "hand"))):
            start, end = (shape.joints[model.index(f"{name}.{side}")] for name in ends)
            direction = rotation @ (end - start)
            assert -direction[1] / np.linalg.norm(direction) == pytest.approx(np.cos(0.1), abs=1e-4)
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)


def test_people_walk_with_their_hands_near_the_hips_and_a_share_of_them_stands() -> None:
    model, shape = body_model(), make_shape(MEAN)
    strides, reach = [], []
    rng = np.random.default_rng(0)
    for _ in range(200):
        motion = transforms(shape, sample_pose(sample_gait(rng), shape, 0.05, rng))
        joints, _ = skin(shape.joints, np.eye(len(shape.joints), dtype=np.float32), motion)
        at = {name: joints[model.index(name)] for name in ("hand.L", "hand.R", "foot.L", "foot.R", "pelvis")}
        strides.append(abs(at["foot.L"][2] - at["foot.R"][2]))
        reach += [abs(at[hand][0] - at["pelvis"][0]) for hand in ("hand.L", "hand.R")]
    assert max(reach) < 0.5  # metres to the side: nobody holds the arms out
    assert abs(np.mean(np.array(strides) < 0.06) - STANDING_SHARE) < 0.15
    assert np.quantile(strides, 0.8) > 0.3


def slow_z_buffer(screen, depth, faces, size, two_sided):
    """Every pixel against every triangle."""
    owner, nearest = np.full(size, -1), np.full(size, np.inf)
    for number, (a, b, c) in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = screen[a], screen[b], screen[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (area > 0 and not two_sided[number]):
            continue
        for y in range(size[0]):
            for x in range(size[1]):
                px, py = x + 0.5, y + 0.5
                u = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
                v = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
                if min(u, v, 1 - u - v) >= 0:
                    z = (1 - u - v) * depth[a] + u * depth[b] + v * depth[c]
                    if z < nearest[y, x]:
                        owner[y, x], nearest[y, x] = number, z
    return owner, nearest


def test_the_z_buffer_agrees_with_a_loop_over_pixels() -> None:
    rng = np.random.default_rng(0)
    size, faces = (20, 24), np.arange(60).reshape(20, 3)
    screen = (rng.uniform(-2, 26, (20, 1, 2)) + rng.uniform(-7, 7, (20, 3, 2))).reshape(60, 2).astype(np.float32)
    depth, two_sided = rng.uniform(1, 5, 60).astype(np.float32), rng.random(20) < 0.5
    owner, nearest = slow_z_buffer(screen.astype(float), depth.astype(float), faces, size, two_sided)
    found = rasterise(screen, depth, faces, size, two_sided)
    assert 0 < len(found.pixel) < size[0] * size[1]
    picture = np.full(size, -1)
    picture.flat[found.pixel] = found.face
    assert (picture != owner).sum() <= 2  # pixels whose centre lies on an edge, but for rounding
    both = (picture >= 0) & (owner >= 0)
    shown = np.full(size, np.inf)
    shown.flat[found.pixel] = found.depth
    np.testing.assert_allclose(shown[both], nearest[both], rtol=1e-3)


def test_a_nearer_triangle_hides_a_farther_one_and_backs_are_not_seen() -> None:
    screen = np.array([[0, 0], [0, 8], [8, 0]] * 3, dtype=np.float32)
    faces = np.array([[0, 1, 2], [3, 4, 5], [6, 8, 7]])
    depth = np.array([3, 3, 3, 2, 2, 2, 1, 1, 1], dtype=np.float32)
    one_sided = rasterise(screen, depth, faces, (8, 8), np.zeros(3, dtype=bool))
    assert set(one_sided.face) == {1}
    assert set(rasterise(screen, depth, faces, (8, 8), np.ones(3, dtype=bool)).face) == {2}
    np.testing.assert_allclose(one_sided.shares.sum(1), 1, atol=1e-6)
    middle = one_sided.interpolate(screen, faces)  # the corners' own places come out as the pixels' centres
    np.testing.assert_allclose(middle, np.stack([one_sided.pixel % 8, one_sided.pixel // 8], 1) + 0.5, atol=1e-5)


def test_a_cut_keeps_one_side_of_a_level() -> None:
    wearer = make_wearer(make_shape(MEAN))
    level = wearer.mesh.points[:, 1] - 1.0
    above = cut(wearer.mesh, level.astype(np.float32))
    below = cut(wearer.mesh, -level.astype(np.float32))
    assert above.points[:, 1].min() == pytest.approx(1.0, abs=1e-4)
    assert below.points[:, 1].max() == pytest.approx(1.0, abs=1e-4)

    def area(mesh):
        a, b, c = (mesh.points[mesh.faces[:, k]] for k in range(3))
        return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2

    assert area(above) + area(below) == pytest.approx(area(wearer.mesh), rel=1e-3)


@pytest.mark.parametrize("pid", [1, 2, 3, 4, 5, 6])
def test_clothes_stay_outside_the_skin(pid: int) -> None:
    """Almost no point of a garment lies inside the body that it covers."""
    person = sample_person(0, pid)
    wearer = make_wearer(make_shape(person.sliders))
    faces = body_model().faces
    for mesh in dressed(wearer, person.outfit)[1:]:
        if set(mesh.surface) & {Surface.UPPER, Surface.LOWER, Surface.INNER}:
            points = mesh.points[:: max(1, len(mesh.points) // 60)]
            inside = np.mean([winding(wearer.mesh.points, faces, point) > 0.5 for point in points])
            assert inside <= 0.05


def test_the_skin_under_clothes_is_gone_and_what_shows_has_normals() -> None:
    for pid in range(1, 6):
        figure = make_figure(sample_person(0, pid))
        mesh, wearer = figure.mesh, figure.wearer
        skin_points = mesh.points[np.unique(mesh.faces[mesh.surface == Surface.SKIN])]
        trunk = (np.abs(skin_points[:, 0]) < 0.1) & (np.abs(skin_points[:, 1] - wearer.chest) < 0.1)
        assert not trunk.any()
        assert np.linalg.norm(mesh.normals, axis=1).min() > 0.5  # along a cut, a mean of two
        np.testing.assert_allclose(mesh.weights.sum(1), 1, atol=1e-3)


def test_a_posed_figure_stands_on_the_ground_and_carries_its_bag_below_the_hand() -> None:
    pid = next(p for p in range(1, 200) if sample_person(0, p).outfit.bag == "hand")
    figure = make_figure(sample_person(0, pid))
    rng = np.random.default_rng(0)
    points, normals = posed(figure, sample_pose(figure.person.gait, figure.shape, figure.girth, rng))
    assert points[:, 1].min() == 0
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    bag = points[np.unique(figure.mesh.faces[figure.mesh.surface == Surface.BAG])]
    assert 0.1 < bag[:, 1].mean() < figure.wearer.hip


def test_joining_keeps_every_face_and_normals_point_outwards() -> None:
    wearer = make_wearer(make_shape(MEAN))
    both = joined([wearer.mesh, wearer.mesh])
    assert len(both.faces) == 2 * len(wearer.mesh.faces)
    assert both.faces.max() == len(both.points) - 1
    outward = wearer.mesh.points + 0.004 * normals_of(wearer.mesh.points, wearer.mesh.faces)
    assert np.mean([winding(wearer.mesh.points, wearer.mesh.faces, point) < 0.5 for point in outward[::20]]) > 0.95


def test_people_differ_and_are_functions_of_seed_and_pid() -> None:
    assert people_module.sample_person(0, 1).outfit == people_module.sample_person(0, 1).outfit
    assert len({repr(sample_person(0, pid).outfit) for pid in range(1, 101)}) == 100
    assert sample_person(0, 1).outfit != sample_person(1, 1).outfit
