"""One image of one person: pose and view, what the camera sees of the figure, occlusion, the photograph."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from crossreid.data.synthetic.body import FloatArray
from crossreid.data.synthetic.cameras import CAMERA, FRAME, Camera, View, Window, project, sample_view, sample_window
from crossreid.data.synthetic.gait import sample_pose
from crossreid.data.synthetic.occluders import FIXED_SHARE, STRANGER_SHARE, fixed_occluder
from crossreid.data.synthetic.patterns import second_dye, strap
from crossreid.data.synthetic.people import Figure, make_figure, posed, sample_person
from crossreid.data.synthetic.photograph import (
    SUPERSAMPLING,
    Samples,
    backdrop,
    cover,
    develop,
    ground_shadow,
    shade,
)
from crossreid.data.synthetic.raster import rasterise
from crossreid.data.synthetic.scenes import scene
from crossreid.data.synthetic.skeleton import turn
from crossreid.data.synthetic.surfaces import Surface
from crossreid.settings.data import SyntheticPeople

_STREAM = 4
_STRANGERS = 8  # passers-by who are nobody's identity
_STRANGER_PIDS = 100_000


def render(figure: Figure, pid: int, camid: int, frame: int, people: SyntheticPeople) -> NDArray[np.uint8]:
    """The image ``frame`` (from 0) of identity ``pid`` in camera ``camid``; chance depends on these and the seed alone.

    Returns:
        (height, width, 3) RGB; infrared has three equal channels.
    """
    rng = np.random.default_rng((people.seed, _STREAM, pid, camid, frame))
    camera = CAMERA[camid]
    size = (people.height, people.width)
    view = sample_view(camera, rng)
    points, normals = placed(figure, view, rng)
    hidden = partial(_occluded, view=view, camera=camera, size=size, seed=people.seed, rng=rng)
    return take(figure, camera, view, points, normals, size, rng, hidden)


def take(
    figure: Figure,
    camera: Camera,
    view: View,
    points: FloatArray,
    normals: FloatArray,
    size: tuple[int, int],
    rng: np.random.Generator,
    hide: Callable[[FloatArray, Window], FloatArray] | None = None,
) -> NDArray[np.uint8]:
    """The camera's image of a placed figure, (H, W, 3); ``hide`` may put things in front before it is developed."""
    screen, depth = project(camera, points)
    window = sample_window(screen, size, rng)
    image = backdrop(scene(camera), window, size, mirrored=bool(rng.random() < 0.5))
    if camera.spectrum != "thermal":  # there is no shadow in what things send out
        foot = np.array([[view.aside, 0, -view.distance]], dtype=np.float32)
        feet = on_image(project(camera, foot)[0], window, size)[0]
        spread = 0.42 * camera.focal * FRAME[0] / view.distance * size[1] / window.width
        image = image * ground_shadow(size, feet, spread, rng.uniform(0.3, 0.6))
    image = image * np.float32(rng.uniform(0.8, 1.15))
    samples = visible_samples(figure, camera, screen, depth, normals, window, size)
    image = over(image, samples, camera, view, rng)
    if hide is not None:
        image = hide(image, window)
    return np.ascontiguousarray(develop(image, camera, rng))


def placed(figure: Figure, view: View, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Points and normals of the figure, walking, in the camera's axes, (V, 3) each."""
    pose = sample_pose(figure.person.gait, figure.shape, figure.girth, rng)
    points, normals = posed(figure, pose)
    # Somebody beside the line of sight is seen from there: yaw is meant as seen by the camera.
    around = turn("y", view.yaw + float(np.arctan2(view.aside, view.distance))).T
    at = np.array([view.aside, 0, -view.distance], dtype=np.float32)
    return points @ around + at, normals @ around


def on_image(screen: FloatArray, window: Window, size: tuple[int, int]) -> FloatArray:
    """Frame pixels to image pixels, (V, 2)."""
    scale = np.array([size[1] / window.width, size[0] / window.height], dtype=np.float32)
    return (screen - np.array([window.left, window.top], dtype=np.float32)) * scale


def visible_samples(
    figure: Figure,
    camera: Camera,
    screen: FloatArray,
    depth: FloatArray,
    normals: FloatArray,
    window: Window,
    size: tuple[int, int],
) -> Samples:
    """What the window sees of a figure at these frame pixels."""
    mesh = figure.mesh
    person = figure.person
    fine = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    fragments = rasterise(on_image(screen, window, fine), depth, mesh.faces, fine, mesh.two_sided)
    of_vertices = np.concatenate([normals, mesh.cloth, mesh.arm[:, None]], axis=1)  # (V, 7), interpolated at once
    values = fragments.interpolate(of_vertices, mesh.faces)
    normal = values[:, :3]
    cloth = values[:, 3:6]
    arm = values[:, 6]
    normal = normal * np.where(normal[:, 2:] < 0, -1, 1)  # an inside that is seen faces the camera too
    surface = mesh.surface[fragments.face]
    second = second_dye(figure.wearer, figure.head, person.outfit, surface, cloth, arm)
    table = person.wardrobe.seen_by(camera.spectrum)
    albedo = table[surface, second.astype(np.int64)]
    strapped = np.isin(surface, (Surface.UPPER, Surface.INNER)) & strap(figure.wearer, person.outfit, cloth, arm)
    albedo[strapped] = table[Surface.BAG, 0]
    return Samples(fragments.pixel, fragments.depth, normal, cloth, surface, albedo)


def over(image: FloatArray, samples: Samples, camera: Camera, view: View, rng: np.random.Generator) -> FloatArray:
    """The image (H, W, C) with the samples before it."""
    if not len(samples.pixel):
        return image
    fine = (image.shape[0] * SUPERSAMPLING, image.shape[1] * SUPERSAMPLING)
    shaded = shade(samples, camera, view, fine, rng)
    light, coverage = cover(samples, shaded, fine)
    return image * (1 - coverage) + light


@lru_cache(maxsize=_STRANGERS)
def _stranger(seed: int, number: int) -> Figure:
    return make_figure(sample_person(seed, _STRANGER_PIDS + number))


def _occluded(
    image: FloatArray,
    window: Window,
    *,
    view: View,
    camera: Camera,
    size: tuple[int, int],
    seed: int,
    rng: np.random.Generator,
) -> FloatArray:
    """With somebody else at the side, nearer to the camera, or a thing in front, as often as ``occluders`` says."""
    if rng.random() < STRANGER_SHARE:
        figure = _stranger(seed, int(rng.integers(_STRANGERS)))
        near = max(2.2, view.distance - float(rng.uniform(0.5, 1.2)))
        side = float(rng.choice([-1, 1]) * rng.uniform(0.38, 0.6))
        yaw = float(rng.uniform(-np.pi, np.pi))
        in_front = view.aside * near / view.distance  # on the line of sight to the person
        other = View(yaw, in_front + side, near)
        points, normals = placed(figure, other, rng)
        screen, depth = project(camera, points)
        samples = visible_samples(figure, camera, screen, depth, normals, window, size)
        image = over(image, samples, camera, other, rng)
    if rng.random() < FIXED_SHARE:
        image = fixed_occluder(image, camera.infrared, rng)
    return image
