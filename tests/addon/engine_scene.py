# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes with analytic fields, rendered by the engine, and pictures read back exactly."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import frames, session

from tests.worker_python import WORKER_PYTHON

WORKER = Path(__file__).with_name("field_worker.py")


@contextmanager
def analytic_workers() -> Iterator[None]:
    """Workers of both kinds that know the analytic fields; starting one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
        patch.setattr(session, "worker_command", lambda python: [str(python), "-u", str(WORKER)])
        session.stop()
        frames.stop()
        yield
        session.stop()
        frames.stop()


def add_camera(bpy: ModuleType, location: tuple, rotation: tuple = (1.2, 0.0, 0.3)) -> Any:
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = location, rotation
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def choose_format(scene: Any, file_format: str) -> None:
    """Since 5.0 the kind of medium has to be right first, and each pass is a part of its own, which
    5.0 and 5.1 cannot write where pixels are not square.
    """
    image = scene.render.image_settings
    if hasattr(image, "media_type"):
        several = file_format == "OPEN_EXR_MULTILAYER"
        image.media_type = "MULTI_LAYER_IMAGE" if several else "IMAGE"
    image.file_format = file_format
    if hasattr(image, "use_exr_interleave"):
        image.use_exr_interleave = True


def field_scene(bpy: ModuleType, run: Path) -> Any:
    """A camera that sees a field, the engine chosen, EXR as output. Returns the field's empty."""
    scene = bpy.context.scene
    scene.render.engine = "NEURAL_FIELD"
    scene.render.film_transparent = True
    camera = add_camera(bpy, (0.9, -3.0, 1.1))
    camera.data.lens = 45.0
    choose_format(scene, "OPEN_EXR_MULTILAYER")
    scene.render.image_settings.color_depth = "32"
    bpy.ops.neural_fields.add_field(run=str(run))
    return bpy.context.object


def rendered(bpy: ModuleType, file: Path) -> dict[str, np.ndarray]:
    """F12: the passes by name, rows from the top: Combined, Depth, Field Alpha."""
    bpy.context.scene.render.filepath = str(file)
    bpy.ops.render.render(write_still=True)
    return read_passes(file)


def read_passes(file: Path) -> dict[str, np.ndarray]:
    import OpenEXR

    with OpenEXR.File(str(file)) as opened:
        (part,) = opened.parts
        (left, top), (right, bottom) = part.header["dataWindow"]
        size = (int(bottom - top) + 1, int(right - left) + 1)
        channels = {
            name.partition(".")[2]: channel.pixels for name, channel in part.channels.items()
        }
    passes: dict[str, np.ndarray] = {}
    for name, letters in (("Combined", "RGBA"), ("Depth", "Z"), ("Field Alpha", "A")):
        found = [channels.get(f"{name}.{letter}") for letter in letters]
        if all(one is not None for one in found):
            passes[name] = np.stack(found, axis=-1).reshape(*size, len(letters))
    if "Combined" not in passes and "Combined" in channels:
        passes["Combined"] = channels["Combined"]
    return {name: values.squeeze(-1) if values.shape[-1] == 1 else values
            for name, values in passes.items()}  # fmt: skip


def views_of(bpy: ModuleType, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """What Render Views writes for the same camera and frame: linear RGBA and depth."""
    from neural_backend.jobs.view_files import read_exr

    frame = bpy.context.scene.frame_current
    bpy.ops.neural_fields.render_views(
        output=str(folder), format="exr", depth=True, frame_start=frame, frame_end=frame
    )
    return (
        read_exr(folder / f"view_{frame:04d}.exr")["RGBA"],
        read_exr(folder / f"depth_{frame:04d}.exr")["Y"],
    )
