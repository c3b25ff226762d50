# SPDX-License-Identifier: GPL-3.0-or-later
"""F12: one picture of the scene's fields, with its passes.

Blender calls this from a thread of its own, where nothing but the picture may be touched, and in
the background from its only one.
"""

import time
from typing import Literal

import bpy
import numpy as np
from numpy.typing import NDArray

from . import engine_requests, frames
from .scene.cameras import pose_of
from .scene.errors import SceneError
from .scene.field_views import border_of, fields_seen, world_color
from .scene.frame_pixels import FramePixels

ALPHA_PASS = "Field Alpha"
"""Not `Alpha`: Blender's compositor has a socket of that name, of the picture's own alpha."""

PASSES: tuple[tuple[str, int, str, Literal["COLOR", "VALUE"]], ...] = (
    ("Combined", 4, "RGBA", "COLOR"),
    ("Depth", 1, "Z", "VALUE"),
    (ALPHA_PASS, 1, "A", "VALUE"),
)

_LOOK_EVERY_S = 0.002
_TELL_EVERY_S = 0.1


def render(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph) -> None:
    """Renders one view layer at the current frame; what is wrong becomes the render's error."""
    try:
        _render(engine, depsgraph)
    except (SceneError, engine_requests.FrameFailedError) as error:
        engine.error_set(str(error))
        # Also as a report: a script is told by it, and an animation stops instead of going on
        # with empty pictures.
        engine.report({"ERROR"}, str(error))


def _render(engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph) -> None:
    scene = depsgraph.scene_eval
    assert scene is not None
    render, settings = scene.render, scene.neural_fields.engine
    camera = engine.camera_override or scene.camera
    if camera is None:
        raise SceneError("The scene has no active camera.", "Choose one in the scene's properties.")
    if render.use_multiview:
        raise SceneError(
            "The Neural Field engine renders no stereo pictures.",
            "Switch off Stereoscopy in the output properties, or render each eye's camera.",
        )
    pose = pose_of(camera, depsgraph, scene)
    views = fields_seen(depsgraph, pose)
    if not views:
        raise SceneError(
            f"The view layer {depsgraph.view_layer.name!r} shows no neural field.",
            "Train one or add a trained one, and check that its empty is not hidden in renders.",
        )
    region = border_of(render, pose.lens.width, pose.lens.height)
    request = engine_requests.ask(views, settings.device, region, samples=settings.samples)
    try:
        pixels = _wait(engine, request)
    finally:
        request.drop()
    if pixels is not None:
        _write(engine, depsgraph, pixels)


def _wait(engine: bpy.types.RenderEngine, request: engine_requests.Request) -> FramePixels | None:
    """The picture, or None where the artist has cancelled."""
    started = told = time.monotonic()
    engine.update_stats("", "Starting the worker" if not frames.worker().is_ready else "")
    while (pixels := request.take()) is None:
        if engine.test_break():
            return None
        now = time.monotonic()
        if now - told >= _TELL_EVERY_S:
            told, done = now, request.progress()
            stage = "Rendering" if done else "Loading the field"
            if not frames.worker().is_ready:
                stage = "Starting the worker"
            engine.update_stats("", f"{stage}, {now - started:.1f} s")
            engine.update_progress(done)
        time.sleep(_LOOK_EVERY_S)
    engine.update_progress(1.0)
    return pixels


def _write(
    engine: bpy.types.RenderEngine, depsgraph: bpy.types.Depsgraph, pixels: FramePixels
) -> None:
    scene = depsgraph.scene_eval
    width, height = pixels.size
    combined = pixels.rgba
    if not scene.render.film_transparent:
        combined = pixels.over(world_color(scene.world))
    values: dict[str, NDArray[np.float32]] = {
        "Combined": combined,
        "Depth": pixels.depth,
        ALPHA_PASS: np.ascontiguousarray(pixels.rgba[..., 3]),
    }
    result = engine.begin_result(0, 0, width, height, layer=depsgraph.view_layer.name)
    for layer_pass in result.layers[0].passes:
        if layer_pass.name in values:
            layer_pass.rect.foreach_set(values[layer_pass.name].ravel())
    engine.end_result(result)
