# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample from its scene to its mesh, step by step, so that a window can go on meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import bpy

from . import preferences, results, rig_updates, session, training_watch
from .compat import by_session_uid
from .job_options import device_of
from .scene import captures, sample_scene
from .scene.cameras import bounds_of
from .scene.errors import SceneError
from .scene.images import relative_path
from .scene.stations import stations_at
from .worker.protocol import JobError, messages

NUM_CAMERAS = 36
TRAINING_S = 15.0
MESH_RESOLUTION = 88
CAPTURED, TRAINED = 0.35, 0.85
"""Which shares of the whole are over then."""


@dataclass(frozen=True)
class Stage:
    """What the sample is doing, and how far it is."""

    text: str
    share: float


def build(window: bpy.types.Window | None) -> int:
    """Adds the sample's scene to the file, and shows it in a window; returns its number."""
    scene = sample_scene.build_sample()
    if bpy.context.scene is not None:
        # A new scene renders beside the .blend, which may not be there yet.
        scene.render.filepath = bpy.context.scene.render.filepath
    if window is not None:
        window.scene = scene
    settings: Any = scene.neural_fields
    settings.rig.count, settings.rig.lowest_angle = NUM_CAMERAS, -0.1
    settings.capture.source = "COLLECTION"
    settings.training.method, settings.training.preset = "voxel_grid", "draft"
    settings.training.seconds = TRAINING_S
    settings.training.surfaces = True  # a mesh is what it ends with
    return scene.session_uid


def steps(uid: int, render: captures.Renderer) -> Iterator[Stage]:
    """Takes the pictures, learns them and extracts the mesh. Closing it stops what runs.

    Raises:
        JobError: where a job fails.
        SceneError: where the scene is gone, or cannot be rendered.
    """
    building = Stage("Building the sample", 0.0)
    yield building
    capture = preferences.new_folder("sample_capture")
    scene = _scene(uid)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    names = frozenset(item.name for item in sample_scene.objects_of(scene))
    bounds = bounds_of(depsgraph, names)
    assert bounds is not None  # it was just built
    rig: Any = scene.neural_fields.rig
    rig.subject_min, rig.subject_max = bounds[0].tolist(), bounds[1].tolist()
    rig_updates.renew(scene)
    yield building
    cameras = sorted(rig.collection.objects, key=lambda item: item.name)
    taken = stations_at(cameras, scene.frame_current)
    for progress in captures.render_capture(
        scene, taken, capture, captures.CaptureOptions(), render
    ):
        share = CAPTURED * progress.done / progress.total
        yield Stage(f"Picture {progress.done} of {progress.total}", share)
    scene.neural_fields.training.capture = relative_path(capture)
    run = preferences.new_folder("sample")
    job = messages.Train(
        job_id=session.new_job_id(),
        capture=str(capture),
        run=str(run),
        method="voxel_grid",
        preset="draft",
        seconds=TRAINING_S,
        surfaces=True,
        device=device_of("preferences"),
    )
    if not bpy.app.background and training_watch.write_camera(_scene(uid), run, job.job_id):
        camera = str(training_watch.camera_file(job.job_id))
        job = replace(job, preview_camera=camera, preview_seconds=1.0, evaluations=8)
    yield from _wait(job, "Train", session.Target(scene=uid), "Learning", CAPTURED, TRAINED)
    field = results.put_field(_scene(uid), run)
    field.location.x = 1.15 * sample_scene.WIDTH
    extraction = messages.ExtractMesh(
        job_id=session.new_job_id(),
        run=str(run),
        resolution=MESH_RESOLUTION,
        device=device_of("preferences"),
    )
    target = session.Target(scene=uid, field=field.session_uid)
    yield from _wait(extraction, "Extract mesh", target, "Making the mesh", TRAINED, 1.0)


def _wait(
    job: messages.Job, label: str, target: session.Target, text: str, start: float, end: float
) -> Iterator[Stage]:
    record = session.submit(job, label, target)
    try:
        while record.state == "running":
            progress = record.progress
            share = progress.done / progress.total if progress and progress.total else 0.0
            yield Stage(text, start + (end - start) * min(1.0, share))
    finally:
        if record.state == "running":
            session.cancel(job.job_id)
    if record.problem:
        remedy = getattr(record.answer, "remedy", "")
        raise JobError(record.problem.removesuffix(remedy).strip(), remedy)


def _scene(uid: int) -> bpy.types.Scene:
    scene = by_session_uid(bpy.data.scenes, uid)
    if scene is None:
        raise SceneError("The sample's scene is gone.", "Press Try It again.")
    return scene
