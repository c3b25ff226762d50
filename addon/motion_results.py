# SPDX-License-Identifier: GPL-3.0-or-later
"""What finished jobs about motion become in the open file."""

from pathlib import Path

import bpy

from . import session
from .compat import by_session_uid
from .scene import meshes
from .scene.mesh_sequences import put_mesh_sequence
from .scene.motion_caches import put_motion
from .scene.ply import read_ply
from .scene.time_maps import times_of_run
from .worker.protocol import messages


def bring_in_mesh_sequence(event: messages.MeshSequenceReady, record: session.JobRecord) -> bool:
    field = by_session_uid(bpy.data.objects, record.target.field)
    scene = by_session_uid(bpy.data.scenes, record.target.scene)
    if field is None or scene is None:
        return False
    settings = field.neural_field
    files = [Path(file) for file in event.files]
    fps = scene.render.fps / scene.render.fps_base
    shown = put_mesh_sequence(field, settings.sequence_object, files, event.frames, fps)
    settings.sequence_object = shown
    shown["neural_field_run"] = settings.run
    shown["neural_field_level"] = event.level
    shown["neural_field_resolution"] = getattr(record.job, "resolution", 0)
    return True


def bring_in_motion(event: messages.MotionBaked, record: session.JobRecord) -> bool:
    field = by_session_uid(bpy.data.objects, record.target.field)
    if field is None:
        return False
    settings = field.neural_field
    moved = by_session_uid(bpy.data.objects, record.target.mesh)
    if moved is None and record.target.mesh:
        return False
    if moved is None:
        moved = meshes.put_mesh(field, None, read_ply(Path(event.mesh)))
        moved.name = moved.data.name = f"{field.name} Moving Mesh"
        moved["neural_field_run"] = settings.run
    settings.motion_object = moved
    step = event.frames[1] - event.frames[0] if len(event.frames) > 1 else 1
    put_motion(moved, Path(event.output), event.frames[0], step)
    moved["neural_field_time"] = event.rest_time
    moved["neural_field_residual_mean"] = event.residual_mean
    moved["neural_field_residual_max"] = event.residual_max
    moved["neural_field_share_missed"] = event.share_missed
    record.note = (
        f"The vertices miss their places by {event.residual_mean:.2g} on average and "
        f"{event.residual_max:.2g} at most; {100 * event.share_missed:.2g} % of them by more than "
        "the tolerance"
    )
    return True


def set_times(field: bpy.types.Object, scene: bpy.types.Scene, run: Path) -> None:
    """Gives a field's empty the time map of its run, or the scene's frame range."""
    settings, times = field.neural_field, times_of_run(run)
    settings.moves = times.moves
    if times.time_map is not None:
        settings.frame_start = times.time_map.frame_start
        settings.frame_end = times.time_map.frame_end
    else:
        settings.frame_start = scene.frame_start
        settings.frame_end = max(scene.frame_end, scene.frame_start + 1)
