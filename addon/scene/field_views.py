# SPDX-License-Identifier: GPL-3.0-or-later
"""The neural fields that a camera looks at, each with the camera as the field sees it."""

from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from ..compat import used_shader_nodes
from .cameras import Lens, Pose, poses_in_space_of
from .chosen import run_of
from .time_maps import time_of_field


@dataclass(frozen=True)
class FieldView:
    """A field through a camera: `pose` is in the field's own space, where a length is that of the
    scene divided by `scale`. `run` is absolute.
    """

    name: str
    run: str
    time: float
    pose: Pose
    scale: float


def fields_seen(depsgraph: bpy.types.Depsgraph, pose: Pose) -> list[FieldView]:
    """The fields that are shown, instances of collections included, at the depsgraph's frame.

    Raises:
        SceneError: where one is scaled unevenly, or its time map has no length.
    """
    frame = depsgraph.scene.frame_current_final
    views = []
    for instance in depsgraph.object_instances:
        field = instance.object
        settings = getattr(field, "neural_field", None)
        if field.type != "EMPTY" or settings is None or not settings.run:
            continue
        matrix = np.array(instance.matrix_world, dtype=np.float64)
        views.append(
            FieldView(
                name=field.name,
                run=str(run_of(field.original)),
                time=time_of_field(settings, frame),
                pose=poses_in_space_of(matrix, pose),
                scale=_scale_in(matrix),
            )
        )
    return views


def scale_of(field: bpy.types.Object) -> float:
    """How large the field's unit of length is in the scene, now."""
    return _scale_in(np.array(field.matrix_world, dtype=np.float64))


def _scale_in(matrix: NDArray[np.floating]) -> float:
    return float(np.cbrt(abs(np.linalg.det(matrix[:3, :3]))))


def lens_of_projection(matrix: NDArray[np.floating], width: int, height: int) -> Lens:
    """The intrinsics that a perspective projection matrix stands for in a picture of that size."""
    return Lens(
        width=width,
        height=height,
        focal_x_px=float(matrix[0][0]) * width / 2,
        focal_y_px=float(matrix[1][1]) * height / 2,
        center_x_px=(1 - float(matrix[0][2])) * width / 2,
        center_y_px=(1 + float(matrix[1][2])) * height / 2,
    )


def border_of(
    render: bpy.types.RenderSettings, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom pixel of the render border, as Blender rounds them, the last two
    excluded; None where the whole picture is rendered. Blender itself refuses an empty one.
    """
    if not render.use_border:
        return None
    left, right = int(render.border_min_x * width), int(render.border_max_x * width)
    low, high = int(render.border_min_y * height), int(render.border_max_y * height)
    return left, height - high, right, height - low


def world_color(world: bpy.types.World | None) -> tuple[float, float, float]:
    """The light of an even world: of its Background shader, where nothing but numbers feeds it,
    otherwise the world's color in the viewport.
    """
    if world is None:
        return (0.0, 0.0, 0.0)
    tree = used_shader_nodes(world)
    for node in tree.nodes if tree is not None else ():
        if node.bl_idname != "ShaderNodeBackground" or not node.outputs[0].is_linked:
            continue
        color, strength = node.inputs["Color"], node.inputs["Strength"]
        if not color.is_linked and not strength.is_linked:
            red, green, blue = (strength.default_value * value for value in color.default_value[:3])
            return (red, green, blue)
    red, green, blue = world.color[:3]
    return (red, green, blue)
