# SPDX-License-Identifier: GPL-3.0-or-later
"""Novel views of a field along the scene's camera."""

from functools import partial
from pathlib import Path

import bpy
import numpy as np

from .. import session
from ..compat import by_session_uid
from ..output_settings import ViewTargetProperties
from ..scene.cameras import poses_in_space_of
from ..scene.captures import poses_along, write_camera_path
from ..scene.compositing import build_from_files
from ..scene.field_views import scale_of
from ..scene.stations import Station
from ..scene.time_maps import tag_times, time_of_field
from ..scene.view_targets import put_clip, put_plane, put_strip
from ..settings import ViewsProperties
from ..worker.protocol import JobError, messages
from .composite import ENGINE
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
    run_of,
    scene_of,
)

PASSED_ON = ("format", "background", "depth", "normals", "video", "overwrite")


class NEURALFIELDS_OT_render_views(
    OnField, ViewsProperties, ViewTargetProperties, bpy.types.Operator
):
    """Render the field through the scene's camera and play the pictures where they are wanted"""

    bl_idname = "neural_fields.render_views"
    bl_label = "Render Views"
    bl_options = {"REGISTER"}

    changes_field = False

    def execute(self, context: bpy.types.Context) -> Outcome:
        field, scene = field_of(context), scene_of(context)
        assert field is not None  # by poll
        stored = field.neural_field.views
        options = choose(self, stored, "output", "device", *PASSED_ON)
        run = run_of(field)
        names = ("as_background", "as_plane", "as_clip", "as_strip", "as_composite")
        shown = choose(self, stored, *names)
        options["depth"] |= shown["as_composite"]
        job_id = session.new_job_id()
        cameras = run / "outputs" / "camera_paths" / f"{job_id}.json"
        try:
            with reporting(self):
                if shown["as_composite"] and scene.render.engine == ENGINE:
                    raise JobError(
                        "The scene is rendered by the Neural Field engine itself.",
                        "Choose the engine that renders the scene, such as Cycles, or leave the "
                        "compositor out.",
                    )
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
            target = session.Target(
                scene=scene.session_uid,
                field=field.session_uid,
                camera=scene.camera.session_uid if shown.pop("as_background") else 0,
            )
            places = {name for name, wanted in shown.items() if wanted}
            then = partial(_show, places, target.scene, scene.camera.session_uid, scale_of(field))
            do(self, job, "Render views", target, then=then)
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
                ((pose, _),) = poses_along([Station(name, number)], scene)
                empty = bpy.context.evaluated_depsgraph_get().id_eval_get(scene.objects[field_name])
                poses.append(poses_in_space_of(np.array(empty.matrix_world), pose))
                times.append(time_of_field(empty.neural_field, number))
        finally:
            scene.frame_set(frame, subframe=subframe)
        write_camera_path(poses, times, path)


def _show(
    places: set[str], scene_uid: int, camera_uid: int, scale: float, record: session.JobRecord
) -> None:
    """Brings the pictures to the places that were asked for, besides the camera's background."""
    event = record.answer
    scene = by_session_uid(bpy.data.scenes, scene_uid)
    if scene is None or not isinstance(event, messages.ViewsReady):
        return
    files = [Path(event.output) / file for file in event.files]
    camera = by_session_uid(bpy.data.objects, camera_uid)
    if "as_plane" in places and camera is not None:
        put_plane(camera, scene, files, event.frames)
    if "as_clip" in places:
        put_clip(files, event.frames)
    if "as_strip" in places:
        put_strip(scene, files, event.frames)
    if "as_composite" in places:
        depths = [depth_of(file) for file in files]
        build_from_files(scene, files, depths, event.frames, scale)


def depth_of(picture: Path) -> Path:
    """The depths that the worker writes beside a picture."""
    return picture.with_name(f"depth_{picture.stem.rpartition('_')[2]}.exr")


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_render_views)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_render_views)
