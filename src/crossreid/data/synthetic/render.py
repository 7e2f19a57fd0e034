"""One image of one person: pose and view, the drawing, the photograph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossreid.data.synthetic.cameras import CAMERA, sample_view
from crossreid.data.synthetic.drawing import View
from crossreid.data.synthetic.figure import draw_figure
from crossreid.data.synthetic.people import Person
from crossreid.data.synthetic.pose import sample_pose
from crossreid.data.synthetic.sensor import SUPERSAMPLING, photograph
from crossreid.data.synthetic.settings import SyntheticPeople

_STREAM = 4


def render(person: Person, pid: int, camid: int, frame: int, people: SyntheticPeople) -> NDArray[np.uint8]:
    """The image ``frame`` (from 0) of identity ``pid`` in camera ``camid``; chance depends on these and the seed alone.

    Returns:
        (height, width, 3) RGB; infrared has three equal channels.
    """
    rng = np.random.default_rng((people.seed, _STREAM, pid, camid, frame))
    camera = CAMERA[camid]
    pose = sample_pose(person.build, rng)
    view = sample_view(camera, (people.height, people.width), person.build.stature, rng)
    fine = View(
        view.yaw,
        view.scale * SUPERSAMPLING,
        view.centre * SUPERSAMPLING,
        view.ground * SUPERSAMPLING,
        view.tilt,
        view.pitch,
    )
    figure = draw_figure(person, pose, fine, people.width * SUPERSAMPLING, people.height * SUPERSAMPLING)
    shot = photograph(figure, person.wardrobe, camera, rng)
    return np.ascontiguousarray(np.broadcast_to(shot, (people.height, people.width, 3)))
