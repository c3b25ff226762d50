# SPDX-License-Identifier: GPL-3.0-or-later
"""What about a scene would make the pictures of a capture worse, before they are rendered."""

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from .cameras import Pose, bounds_of, pose_of
from .captures import FEW_PICTURES
from .errors import SceneError

# Along three slanted lines: one of them may graze an edge and count it twice.
_LOOKS = (Vector((0.31, 0.59, 0.745)), Vector((-0.83, 0.21, 0.51)), Vector((0.12, -0.74, -0.66)))
_MOST_CROSSINGS = 200
_ROOM_SHARE = 0.5
"""Where more cameras than this stand inside an object, it is the room that is captured."""

_STICKING_OUT = 0.01


@dataclass(frozen=True)
class SceneProblem:
    """A kind, which names the fix, a sentence, and the names of the cameras it is about."""

    kind: str
    sentence: str
    cameras: tuple[str, ...] = ()


def scene_problems(
    scene: bpy.types.Scene,
    cameras: Sequence[bpy.types.Object],
    num_pictures: int,
    transparent: bool,
    box: NDArray[np.floating] | None = None,
) -> list[SceneProblem]:
    """All that would go wrong with these cameras at the current frame.

    `box` is the (2, 3) bounds that the artist has set, if any.
    """
    if not cameras:
        return [SceneProblem("no_cameras", "There are no cameras to render through.")]
    found = [*_settings(scene, transparent), *_few(num_pictures)]
    soft = tuple(camera.name for camera in cameras if camera.data.dof.use_dof)
    if soft:
        sentence = "Depth of field blurs what is near and far, and a field learns the blur."
        found.append(SceneProblem("depth_of_field", sentence, soft))
    depsgraph = bpy.context.evaluated_depsgraph_get()
    around = bounds_of(depsgraph)
    if around is None:
        found.append(SceneProblem("nothing", "Nothing in the scene renders."))
        return found
    poses, unusable = _poses(cameras, depsgraph, scene)
    found += unusable
    found += _inside_objects(poses, depsgraph)
    if box is not None:
        found += _sticking_out(around, box, transparent)
    found += _looking_past(poses, around if box is None else box)
    return found


def sees_box(pose: Pose, box: NDArray[np.floating]) -> bool:
    """Whether any of a grid of points in the (2, 3) box, or the camera's own place, is in view."""
    position = pose.camera_to_world[:3, 3]
    if ((position >= box[0]) & (position <= box[1])).all():
        return True
    axes = [np.linspace(low, high, 7) for low, high in zip(box[0], box[1], strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = (points - position) @ pose.camera_to_world[:3, :3]
    seen = seen[seen[:, 2] < -1e-6]
    lens = pose.lens
    x = lens.center_x_px - lens.focal_x_px * seen[:, 0] / seen[:, 2]
    y = lens.center_y_px + lens.focal_y_px * seen[:, 1] / seen[:, 2]
    return bool(((x >= 0) & (x <= lens.width) & (y >= 0) & (y <= lens.height)).any())


def is_inside(item: bpy.types.Object, point: Vector) -> bool:
    """Whether a point of the world lies within an evaluated mesh: a ray leaves it an odd number of
    times.
    """
    if abs(item.matrix_world.determinant()) < 1e-12:
        return False
    local = item.matrix_world.inverted() @ point
    corners = np.array(item.bound_box)
    if (np.array(local) < corners.min(axis=0)).any() or (
        np.array(local) > corners.max(axis=0)
    ).any():
        return False
    votes = sum(_crossings(item, local, look) % 2 for look in _LOOKS)
    return votes >= 2


def _settings(scene: bpy.types.Scene, transparent: bool) -> list[SceneProblem]:
    found = []
    if scene.render.use_motion_blur:
        sentence = "Motion blur is on. Captures are rendered without it, so renders will differ."
        found.append(SceneProblem("motion_blur", sentence))
    if not transparent:
        sentence = (
            "The film is not transparent: the surroundings are learned as well. That suits rooms; "
            "of an object alone it blurs the outline."
        )
        found.append(SceneProblem("film", sentence))
    if scene.view_settings.view_transform not in ("Standard", "Raw"):
        sentence = (
            f"The view transform is {scene.view_settings.view_transform}. Captures are rendered "
            "with Standard, so colors will differ from your renders."
        )
        found.append(SceneProblem("view_transform", sentence))
    return found


def _few(num_pictures: int) -> list[SceneProblem]:
    if num_pictures >= FEW_PICTURES:
        return []
    sentence = f"{num_pictures} pictures are few; 50 to 150 suit most scenes."
    return [SceneProblem("few_views", sentence)]


def _poses(
    cameras: Sequence[bpy.types.Object], depsgraph: bpy.types.Depsgraph, scene: bpy.types.Scene
) -> tuple[list[Pose], list[SceneProblem]]:
    poses, found = [], []
    for camera in cameras:
        try:
            poses.append(pose_of(camera, depsgraph, scene))
        except SceneError as error:
            found.append(SceneProblem("unusable", str(error), (camera.name,)))
    return poses, found


def _inside_objects(poses: Sequence[Pose], depsgraph: bpy.types.Depsgraph) -> list[SceneProblem]:
    places = {pose.name: Vector(pose.camera_to_world[:3, 3].tolist()) for pose in poses}
    found = []
    for item in depsgraph.objects:
        if item.type != "MESH" or item.hide_render or not len(item.data.polygons):
            continue
        inside = tuple(name for name, place in places.items() if is_inside(item, place))
        if inside and len(inside) <= _ROOM_SHARE * len(places):
            sentence = f"{_counted(inside)} inside {item.name} and {_sees(inside)} nothing else."
            found.append(SceneProblem("inside_objects", sentence, inside))
    return found


def _sticking_out(
    around: NDArray[np.float64], box: NDArray[np.floating], transparent: bool
) -> list[SceneProblem]:
    margin = _STICKING_OUT * (box[1] - box[0]).max()
    if not transparent or ((around[0] >= box[0] - margin) & (around[1] <= box[1] + margin)).all():
        return []
    sentence = (
        "Objects stick out of the bounds. What shows in the pictures has to lie inside: enlarge "
        "the box, or hide the objects in renders."
    )
    return [SceneProblem("sticks_out", sentence)]


def _looking_past(poses: Sequence[Pose], box: NDArray[np.floating]) -> list[SceneProblem]:
    past = tuple(pose.name for pose in poses if not sees_box(pose, box))
    if not past:
        return []
    who = "1 camera sees" if len(past) == 1 else f"{len(past)} cameras see"
    return [SceneProblem("past_bounds", f"{who} nothing of the bounds. Turn or remove them.", past)]


def _crossings(item: bpy.types.Object, point: Vector, look: Vector) -> int:
    count, start = 0, point
    step = 1e-5 * max(item.dimensions.length, 1e-3)
    while count < _MOST_CROSSINGS:
        hit, place, _, _ = item.ray_cast(start, look)
        if not hit:
            return count
        count += 1
        start = place + step * look
    return count


def _counted(names: Sequence[str]) -> str:
    return "1 camera stands" if len(names) == 1 else f"{len(names)} cameras stand"


def _sees(names: Sequence[str]) -> str:
    return "sees" if len(names) == 1 else "see"
