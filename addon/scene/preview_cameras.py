# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's camera as a field that learns is seen through it."""

from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np

from .cameras import Pose, pose_of, poses_in_space_of
from .captures import write_camera_path
from .errors import SceneError
from .time_maps import TimeMap, time_of_field


@dataclass(frozen=True)
class PreviewCamera:
    """A pose and a moment; `key` tells one from another."""

    pose: Pose
    time: float

    @property
    def key(self) -> tuple[object, ...]:
        return (self.pose.lens, self.pose.camera_to_world.tobytes(), self.time)

    def write(self, path: Path) -> None:
        """Writes it as the worker reads it.

        Raises:
            SceneError: where that cannot be.
        """
        write_camera_path([self.pose], [self.time], path)


def preview_camera(scene: bpy.types.Scene, field: bpy.types.Object | None) -> PreviewCamera | None:
    """The scene's camera in the space of the field's empty, if it has one yet, at the current
    frame. None where there is no camera, or one that cannot be used.
    """
    depsgraph = scene.view_layers[0].depsgraph
    if scene.camera is None or depsgraph is None:
        return None
    try:
        pose = pose_of(scene.camera, depsgraph, scene)
        if field is not None:
            pose = poses_in_space_of(np.array(field.matrix_world), pose)
            time = time_of_field(field.neural_field, scene.frame_current)
        else:
            time = _time_of(scene)
    except SceneError:
        return None
    return PreviewCamera(replace(pose, frame=0), time)


def _time_of(scene: bpy.types.Scene) -> float:
    capture = scene.neural_fields.capture
    if capture.moving_scene and not capture.use_scene_range:
        return TimeMap(capture.frame_start, capture.frame_end).time_of(scene.frame_current)
    if scene.frame_start == scene.frame_end:
        return 0.0
    return TimeMap(scene.frame_start, scene.frame_end).time_of(scene.frame_current)
