# SPDX-License-Identifier: GPL-3.0-or-later
"""Novel views of a field along the scene's camera."""

from pathlib import Path

import bpy
import numpy as np

from .. import session
from ..scene.cameras import poses_in_space_of
from ..scene.captures import poses_along, write_camera_path
from ..scene.stations import Station
from ..scene.time_maps import tag_times, time_of_field
from ..settings import ViewsProperties
from ..worker.protocol import JobError, messages
from .jobs import (
    OnField,
    Outcome,
    RefusedError,
    absolute,
    choose,
    device_of,
    do,
    field_of,
    frames_of,
    reporting,
    scene_of,
)

PASSED_ON = ("format", "background", "depth", "normals", "video", "overwrite")


class NEURALFIELDS_OT_render_views(OnField, ViewsProperties, bpy.types.Operator):
    """Render the field through the scene's camera and play the pictures behind the scene"""

    bl_idname = "neural_fields.render_views"
    bl_label = "Render Views"
    bl_options = {"REGISTER"}

    changes_field = False

    def execute(self, context: bpy.types.Context) -> Outcome:
        field, scene = field_of(context), scene_of(context)
        assert field is not None  # by poll
        stored = field.neural_field.views
        options = choose(self, stored, "output", "device", *PASSED_ON)
        run = Path(absolute(field.neural_field.run))
        job_id = session.new_job_id()
        cameras = run / "outputs" / "camera_paths" / f"{job_id}.json"
        try:
            with reporting(self):
                self._write_cameras(scene, field, cameras)
            job = messages.RenderViews(
                job_id=job_id,
                run=str(run),
                cameras=str(cameras),
                output=absolute(options["output"]),
                fps=scene.render.fps / scene.render.fps_base,
                device=device_of(options["device"]),
                **{name: options[name] for name in PASSED_ON},
            )
            shown_by = choose(self, stored, "as_background")["as_background"]
            target = session.Target(
                scene=scene.session_uid,
                field=field.session_uid,
                camera=scene.camera.session_uid if shown_by else 0,
            )
            do(self, job, "Render views", target)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}

    def _write_cameras(self, scene: bpy.types.Scene, field: bpy.types.Object, path: Path) -> None:
        """The scene's camera at each frame, as the field sees it: in the space of its empty, and at
        the moment that the field shows then.
        """
        if scene.camera is None:
            raise JobError(
                "The scene has no active camera.", "Choose one in the scene's properties."
            )
        frames = frames_of(self, field.neural_field.views, scene)
        frame, subframe = scene.frame_current, scene.frame_subframe
        name, field_name = scene.camera.name, field.name
        poses, times = [], []
        tag_times(field)
        try:
            for number in frames:
                (pose,), _ = poses_along([Station(name, number)], scene, measure=False)
                empty = bpy.context.evaluated_depsgraph_get().id_eval_get(scene.objects[field_name])
                poses.append(poses_in_space_of(np.array(empty.matrix_world), pose))
                times.append(time_of_field(empty.neural_field, number))
        finally:
            scene.frame_set(frame, subframe=subframe)
        write_camera_path(poses, times, path)


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_render_views)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_render_views)
