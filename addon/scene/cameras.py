# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras as numbers: what Blender's camera shows, exactly, and cameras made from numbers."""

from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .errors import SceneError


@dataclass(frozen=True)
class Lens:
    """Pinhole intrinsics in pixels; rows run down, the first pixel's centre is at (0.5, 0.5)."""

    width: int
    height: int
    focal_x_px: float
    focal_y_px: float
    center_x_px: float
    center_y_px: float


@dataclass(frozen=True)
class Pose:
    """A camera at one frame. `camera_to_world` is a rigid (4, 4) matrix."""

    name: str
    frame: int
    lens: Lens
    camera_to_world: NDArray[np.float64]


def render_size(render: bpy.types.RenderSettings) -> tuple[int, int]:
    """Width and height of a rendered picture; Blender rounds the percentage down."""
    return (
        max(1, render.resolution_x * render.resolution_percentage // 100),
        max(1, render.resolution_y * render.resolution_percentage // 100),
    )


def lens_of(
    camera: bpy.types.Object, depsgraph: bpy.types.Depsgraph, render: bpy.types.RenderSettings
) -> Lens:
    """The intrinsics with which Blender renders through `camera` at the depsgraph's frame.

    Asks Blender for its projection matrix: sensor fit, shift, aspect and percentage are its own
    affair.

    Raises:
        SceneError: for a camera that is no perspective one.
    """
    if camera.data.type != "PERSP":
        raise SceneError(
            f"The camera {camera.name!r} is {camera.data.type.lower()}.",
            "Only perspective cameras can be used; change its type in the camera's properties.",
        )
    width, height = render_size(render)
    matrix = camera.evaluated_get(depsgraph).calc_matrix_camera(
        depsgraph,
        x=width,
        y=height,
        scale_x=render.pixel_aspect_x,
        scale_y=render.pixel_aspect_y,
    )
    return Lens(
        width=width,
        height=height,
        focal_x_px=matrix[0][0] * width / 2,
        focal_y_px=matrix[1][1] * height / 2,
        center_x_px=(1 - matrix[0][2]) * width / 2,
        center_y_px=(1 + matrix[1][2]) * height / 2,
    )


def rigid(matrix: Any) -> NDArray[np.float64]:
    """(4, 4) rows with the nearest rotation: a camera's scale changes no picture.

    Raises:
        SceneError: where the matrix flattens or mirrors space, or holds no numbers.
    """
    result = np.array(matrix, dtype=np.float64)
    if not np.isfinite(result).all() or abs(np.linalg.det(result[:3, :3])) < 1e-12:
        raise SceneError("A camera's scale is zero or not a number.", "Apply or reset its scale.")
    left, _, right = np.linalg.svd(result[:3, :3])
    result[:3, :3] = left @ right
    if np.linalg.det(result[:3, :3]) < 0:
        raise SceneError("A camera is mirrored by a negative scale.", "Apply or reset its scale.")
    return result


def pose_of(
    camera: bpy.types.Object, depsgraph: bpy.types.Depsgraph, scene: bpy.types.Scene
) -> Pose:
    """The camera as it is at the current frame, constraints and drivers included.

    Raises:
        SceneError: for a camera that cannot be used.
    """
    try:
        matrix = rigid(camera.evaluated_get(depsgraph).matrix_world)
    except SceneError as error:
        raise SceneError(f"{camera.name}: {error.message}", error.remedy) from None
    return Pose(camera.name, scene.frame_current, lens_of(camera, depsgraph, scene.render), matrix)


def add_camera(
    name: str, lens: Lens, camera_to_world: NDArray[np.floating], sensor_width_mm: float = 36.0
) -> bpy.types.Object:
    """A camera object, in no collection yet, that shows what `lens` shows in a render of its size.

    Blender's pixels are square unless the scene says otherwise, so `focal_y_px` is not used.
    """
    data = bpy.data.cameras.new(name)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = sensor_width_mm
    data.lens = lens.focal_x_px * sensor_width_mm / lens.width
    data.shift_x = (lens.width / 2 - lens.center_x_px) / lens.width
    data.shift_y = (lens.center_y_px - lens.height / 2) / lens.width
    camera = bpy.data.objects.new(name, data)
    place(camera, camera_to_world)
    return camera


def place(item: bpy.types.Object, matrix: NDArray[np.floating]) -> None:
    """Moves an object; Blender takes nested lists for columns, not rows."""
    item.matrix_world = matrix.T.tolist()


def bounds_of(
    depsgraph: bpy.types.Depsgraph, names: frozenset[str] | None = None
) -> NDArray[np.float64] | None:
    """The (2, 3) box around everything that renders, or around the named objects; None where there
    is nothing.

    Modifiers, instances and constraints count; cameras, lights and what is hidden in renders do
    not.
    """
    corners = []
    for instance in depsgraph.object_instances:
        shown = instance.object
        owner = instance.parent.original if instance.is_instance else shown.original
        if names is not None and owner.name not in names:
            continue
        if (
            shown.type
            not in {
                "MESH",
                "CURVE",
                "SURFACE",
                "META",
                "FONT",
                "CURVES",
                "POINTCLOUD",
                "VOLUME",
            }
            or owner.hide_render
        ):
            continue
        # The evaluated mesh, since an object without faces and instances of it have a box as well.
        box = np.array(shown.bound_box, dtype=np.float64)
        if not np.isfinite(box).all() or (shown.type == "MESH" and not len(shown.data.vertices)):
            continue
        matrix = np.array(instance.matrix_world, dtype=np.float64)
        corners.append(box @ matrix[:3, :3].T + matrix[:3, 3])
    if not corners:
        return None
    points = np.concatenate(corners)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def poses_in_space_of(parent: NDArray[np.floating], pose: Pose) -> Pose:
    """The pose as seen by something that was moved, turned or scaled by `parent`.

    A uniform scale moves the camera nearer and changes nothing else.

    Raises:
        SceneError: where `parent` is scaled differently along its axes, which no camera can make up
        for.
    """
    scales = np.linalg.norm(parent[:3, :3], axis=0)
    if scales.min() < 1e-9 or scales.max() / scales.min() > 1.001:
        raise SceneError(
            "The neural field is scaled differently along its axes.",
            "Give its empty the same scale in X, Y and Z.",
        )
    return replace(pose, camera_to_world=rigid(np.linalg.inv(parent) @ pose.camera_to_world))
