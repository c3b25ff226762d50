# SPDX-License-Identifier: GPL-3.0-or-later
"""What each finished job becomes in the open file."""

import logging
from pathlib import Path

import bpy

from . import motion_results, panel_state, session, shape_results
from .compat import by_session_uid
from .problems import area_of_job, problem_from
from .scene import images, meshes
from .scene.errors import SceneError
from .scene.ply import read_ply
from .worker.protocol import messages

logger = logging.getLogger(__name__)

FIELD_NAME = "Neural Field"


def on_event(event: messages.Event, record: session.JobRecord) -> None:
    """Listens to the session: brings a job's result in, as one step of undo."""
    try:
        brought = _bring_in(event, record)
        if record.then is not None and record.state == "done":
            then, record.then = record.then, None
            then(record)
            brought = True
    except SceneError as error:
        record.problem = str(error)
        panel_state.note_problem(area_of_job(record.job), problem_from(error))
        logger.warning("%s", error)
        return
    if brought and not bpy.app.background:
        bpy.ops.ed.undo_push(message=record.label)


def put_field(scene: bpy.types.Scene, run: Path) -> bpy.types.Object:
    """The empty that stands for a run in this scene; made where there is none."""
    for item in scene.objects:
        if item.neural_field.run and _same(item.neural_field.run, run):
            return item
    field = meshes.add_field_empty(FIELD_NAME, scene.collection)
    field.neural_field.run = images.relative_path(run)
    motion_results.set_times(field, scene, run)
    return field


def _bring_in(event: messages.Event, record: session.JobRecord) -> bool:
    if isinstance(event, (messages.Trained, messages.JobCancelled)):
        return _bring_in_training(event, record)
    if isinstance(event, messages.MeshReady):
        return _bring_in_mesh(event, record)
    if isinstance(event, messages.MeshSequenceReady):
        return motion_results.bring_in_mesh_sequence(event, record)
    if isinstance(event, messages.MotionBaked):
        return motion_results.bring_in_motion(event, record)
    if isinstance(event, messages.LatentFitted):
        return shape_results.bring_in_latent(event, record)
    if isinstance(event, messages.ImageFitted):
        return shape_results.bring_in_image(event, record)
    if isinstance(event, messages.ViewsReady):
        return _bring_in_views(event, record)
    return False


def _bring_in_training(
    event: messages.Trained | messages.JobCancelled, record: session.JobRecord
) -> bool:
    scene = by_session_uid(bpy.data.scenes, record.target.scene)
    trained = isinstance(event, messages.Trained)
    if record.training.ending == "discard":
        return False
    if scene is None or not isinstance(record.job, messages.Train):
        return False
    if not trained and not (event.run and (Path(event.run) / "checkpoints").is_dir()):
        return False
    field = put_field(scene, Path(event.run))
    if isinstance(event, messages.Trained):
        field.neural_field.method = event.method
        field.neural_field.steps = event.steps
        field.neural_field.psnr = event.psnr or 0.0
    return True


def _bring_in_mesh(event: messages.MeshReady, record: session.JobRecord) -> bool:
    field = by_session_uid(bpy.data.objects, record.target.field)
    if field is None:
        return False
    if shape_results.is_shape(field):
        return shape_results.bring_in_shape_mesh(event, record)
    settings = field.neural_field
    arrays = read_ply(Path(event.output))
    picture = Path(event.texture) if event.texture else None
    mesh_object = meshes.put_mesh(field, settings.mesh_object, arrays, picture)
    settings.mesh_object = mesh_object
    # What the mesh was made from stays with it, in the object's custom properties.
    mesh_object["neural_field_run"] = settings.run
    mesh_object["neural_field_level"] = event.level
    mesh_object["neural_field_resolution"] = getattr(record.job, "resolution", 0)
    mesh_object["neural_field_time"] = getattr(record.job, "time", 0.0)
    return True


def _bring_in_views(event: messages.ViewsReady, record: session.JobRecord) -> bool:
    camera = by_session_uid(bpy.data.objects, record.target.camera)
    if camera is None or camera.type != "CAMERA":
        return False
    files = [Path(event.output) / file for file in event.files]
    images.set_background_sequence(camera, files, event.frames)
    return True


def _same(stored: str, run: Path) -> bool:
    return Path(bpy.path.abspath(stored)).resolve() == run.resolve()


def register() -> None:
    session.subscribe(on_event)


def unregister() -> None:
    session.unsubscribe(on_event)
