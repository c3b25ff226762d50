# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a training while it runs: its curves, the camera of its previews, and their places."""

import logging
from pathlib import Path
from typing import Any

import bpy

from . import live_pictures, panel_state, preferences, session
from .compat import by_session_uid
from .problems import area_of_job, problem_from
from .scene import preview_images
from .scene.errors import SceneError
from .scene.preview_cameras import preview_camera
from .scene.run_references import absolute_path
from .training_notes import Sample
from .worker.protocol import messages

logger = logging.getLogger(__name__)

MOST_SAMPLES = 600
"""Points of a curve, besides those where the quality was measured."""


def camera_file(job_id: str) -> Path:
    """Where the camera of a training's previews is written: on this computer, which is quick."""
    return preferences.storage_folder("previews") / f"{job_id}.json"


def write_camera(scene: bpy.types.Scene, run: Path, job_id: str) -> bool:
    """Writes the scene's camera for the previews of a training, where it has changed since."""
    seen = preview_camera(scene, _field_of_run(scene, run))
    keys = panel_state.get().camera_keys
    if seen is None or keys.get(job_id) == seen.key:
        return seen is not None
    seen.write(camera_file(job_id))
    keys[job_id] = seen.key
    return True


def on_event(event: messages.Event, record: session.JobRecord) -> None:
    """Listens to the session."""
    if isinstance(event, messages.JobFailed):
        panel_state.note_problem(area_of_job(record.job), problem_from(event))
    if not isinstance(record.job, (messages.Train, messages.FitShape)):
        return
    if isinstance(event, messages.Progress):
        _note_progress(event, record)
    elif isinstance(event, messages.FINAL_EVENTS):
        _end(record)


def _note_progress(event: messages.Progress, record: session.JobRecord) -> None:
    if not bpy.app.background:
        live_pictures.begin(record.job.job_id)
    if event.stage in ("training", "measuring held-out views") and event.total:
        share = min(1.0, event.done / event.total)
        curve = record.training.curve
        if not curve or event.psnr is not None or share - curve[-1].share >= 1 / MOST_SAMPLES:
            curve.append(Sample(share, event.loss, event.psnr))
        if not bpy.app.background:
            live_pictures.show_curve(curve)
    scene = by_session_uid(bpy.data.scenes, record.target.scene)
    if scene is None or not isinstance(record.job, messages.Train):
        return
    if event.preview:
        record.training.preview = event.preview
        _show_preview(scene, Path(event.preview))
    if record.job.preview_camera:
        try:
            write_camera(scene, Path(record.job.run), record.job.job_id)
        except SceneError as error:
            logger.warning("%s", error)


def _show_preview(scene: bpy.types.Scene, path: Path) -> None:
    if not bpy.app.background:
        live_pictures.show_preview(str(path))
    places: Any = scene.neural_fields.training.show_preview_in
    if not places:
        return
    try:
        image = preview_images.load_preview(path)
    except SceneError as error:
        logger.warning("%s", error)
        return
    if "CAMERA" in places and scene.camera is not None and scene.camera.data.library is None:
        preview_images.show_behind(scene.camera, image)
    if "IMAGE_EDITOR" in places:
        preview_images.show_in_editors(image)


def _end(record: session.JobRecord) -> None:
    preview_images.remove_preview()
    job_id = record.job.job_id
    if panel_state.get().camera_keys.pop(job_id, None) is not None:
        camera_file(job_id).unlink(missing_ok=True)


def _field_of_run(scene: bpy.types.Scene, run: Path) -> bpy.types.Object | None:
    for item in scene.objects:
        stored = item.neural_field.run
        if stored and absolute_path(stored, item) == run:
            return item
    return None


def register() -> None:
    session.subscribe(on_event)


def unregister() -> None:
    session.unsubscribe(on_event)
