# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields for tests of outputs: a real worker, and tiny trainings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from neural_fields.addon import session

from tests.tiny_capture import write_tiny_capture
from tests.worker_python import WORKER_PYTHON

WORKER = Path(__file__).parents[1] / "field_worker.py"


@contextmanager
def real_worker() -> Iterator[None]:
    """A worker with all methods, which knows the analytic fields too; starting it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
        patch.setattr(session, "worker_command", lambda python: [str(python), "-u", str(WORKER)])
        session.stop()
        yield
        session.stop()


def train(bpy: ModuleType, folder: Path) -> Any:
    """Trains the fast method on a ball of a few pixels in `folder`; returns the field's empty."""
    if not (folder / "capture").exists():
        write_tiny_capture(folder / "capture", num_views=8, size=24)
    bpy.ops.neural_fields.train(
        capture=str(folder / "capture"),
        run=str(folder / "run"),
        method="voxel_grid",
        preset="draft",
        steps=80,
    )
    return next(item for item in bpy.data.objects if item.neural_field.run)


def add_field(bpy: ModuleType, run: Path) -> Any:
    """The empty of a run that is on disk."""
    bpy.ops.neural_fields.add_field(run=str(run))
    return bpy.context.object


def add_camera(bpy: ModuleType, frames: tuple[int, int] = (3, 5), size: int = 24) -> Any:
    """A camera that passes by the origin, and a scene of these frames and so many pixels."""
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.frame_start, scene.frame_end = frames
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.rotation_euler.x = 1.5708
    scene.collection.objects.link(camera)
    scene.camera = camera
    for frame, x in zip(frames, (-0.3, 0.3), strict=True):
        camera.location = (x, -4.0, 0.0)
        camera.keyframe_insert("location", frame=frame)
    scene.frame_set(frames[0])
    return camera


def sent(kind: type) -> Any:
    """The last job of a kind that went to the worker."""
    return next(record.job for record in reversed(session.jobs()) if isinstance(record.job, kind))
