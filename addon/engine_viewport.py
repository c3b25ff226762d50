# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields in the viewport: coarse while the view moves, finer once it is still.

Nothing here waits. Each drawing shows what has been rendered so far and asks for the next picture
where none is on its way, so that always the newest view is rendered; a timer has the viewports
drawn again when a picture has come.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import engine_requests, frames
from .scene.cameras import Pose, rigid
from .scene.errors import SceneError
from .scene.field_views import FieldView, fields_seen, lens_of_projection, world_color
from .scene.frame_pixels import FramePixels
from .scene.viewport_picture import ViewportPicture, draw_message, forget_shader

COARSE_S = 0.08
"""A picture while the view moves is to take no longer than this."""
JUMP_S = 0.3
"""A still view goes straight to its finest picture where that takes no longer."""
MOST_PIXELS = 1 << 22
"""Larger viewports are shown with fewer pixels: nobody sees it, and less is to be computed."""
REDUCTIONS = (1, 2, 4, 8, 16, 32)
FIRST_REDUCTION = 8

_WATCH_EVERY_S = 0.015


@dataclass(frozen=True)
class Seen:
    """What a viewport is to show; pictures with the same `signature` are the same."""

    views: list[FieldView]
    signature: tuple[Any, ...]
    size: tuple[int, int]
    finest: int
    device: str
    background: tuple[float, float, float] | None


@dataclass
class Viewport:
    """The state of one viewport between its drawings."""

    request: engine_requests.Request | None = None
    requested: tuple[tuple[Any, ...], int] = ((), 0)
    shown: tuple[tuple[Any, ...], int] = ((), 0)
    signature: tuple[Any, ...] = ()
    pixels_per_s: float = 0.0
    problem: str = ""
    picture: ViewportPicture = field(default_factory=ViewportPicture)

    def __del__(self) -> None:
        if self.request is not None:
            self.request.drop()

    @property
    def is_reading(self) -> bool:
        """Whether a picture will be there in a moment."""
        return self.request is not None and self.request.is_reading

    def advance(self, seen: Seen) -> FramePixels | None:
        """Takes a picture that has come, and asks for the next one that is needed."""
        if seen.signature != self.signature:
            self.signature, self.problem = seen.signature, ""
            if self.request is not None and self.requested[1] < self.coarse(seen):
                self.request.drop()
                self.request = None
        pixels = None
        try:
            if self.request is not None:
                pixels = self.request.take_in_passing(seen.background)
                if pixels is not None:
                    self._note(pixels)
            if self.request is None and not self.problem:
                reduction = self.next_reduction(seen)
                if reduction:
                    self.requested = (seen.signature, reduction)
                    self.request = engine_requests.ask(seen.views, seen.device, reduction=reduction)
        except (SceneError, engine_requests.FrameFailedError) as error:
            self.request, self.problem = None, str(error)
        return pixels

    def next_reduction(self, seen: Seen) -> int:
        """How much smaller the next picture is; 0 where the finest is shown."""
        if self.shown[0] != seen.signature:
            return self.coarse(seen)
        if self.shown[1] <= seen.finest:
            return 0
        if self._seconds(seen, seen.finest) <= JUMP_S:
            return seen.finest
        return max(seen.finest, self.shown[1] // 2)

    def coarse(self, seen: Seen) -> int:
        """The finest reduction that is quick enough for a view that moves."""
        if not self.pixels_per_s:
            return max(FIRST_REDUCTION, seen.finest)
        quick = [one for one in REDUCTIONS if self._seconds(seen, one) <= COARSE_S]
        return max(quick[0] if quick else REDUCTIONS[-1], seen.finest)

    def _seconds(self, seen: Seen, reduction: int) -> float:
        if not self.pixels_per_s:
            return math.inf
        width, height = seen.size
        return width * height / reduction**2 / self.pixels_per_s

    def _note(self, pixels: FramePixels) -> None:
        assert self.request is not None
        width, height = pixels.size
        self.pixels_per_s = width * height / max(self.request.seconds, 1e-4)
        self.shown, self.request = self.requested, None


def draw(
    engine: bpy.types.RenderEngine, context: bpy.types.Context, depsgraph: bpy.types.Depsgraph
) -> None:
    """Draws what is there of the view, and has the rest rendered."""
    viewport = getattr(engine, "viewport", None)
    if viewport is None:
        viewport = engine.viewport = Viewport()
    region = context.region
    try:
        seen = what_is_seen(context, depsgraph)
    except SceneError as error:
        engine.update_stats("Neural Field", error.message)
        draw_message(str(error), region.width, region.height)
        return
    pixels = viewport.advance(seen)
    if pixels is not None:
        viewport.picture.take(pixels.rgba)
    viewport.picture.advance()
    if viewport.picture.is_there:
        engine.bind_display_space_shader(depsgraph.scene)
        viewport.picture.draw()
        engine.unbind_display_space_shader()
    if viewport.problem:
        draw_message(viewport.problem, region.width, region.height)
    elif not viewport.picture.is_there:
        draw_message("Loading the neural field…", region.width, region.height)
    engine.update_stats("Neural Field", _state(viewport, seen))
    if viewport.picture.is_coming or viewport.is_reading:
        engine.tag_redraw()
    if viewport.request is not None:
        _start_watching()


def what_is_seen(context: bpy.types.Context, depsgraph: bpy.types.Depsgraph) -> Seen:
    """What the viewport at hand looks at.

    Raises:
        SceneError: where that cannot be rendered.
    """
    region, view = context.region, context.region_data
    if not view.is_perspective:
        raise SceneError(
            "The Neural Field engine shows perspective views only.",
            "Press Numpad 5, or choose View > Perspective/Orthographic.",
        )
    scene = depsgraph.scene_eval
    projection = np.array(view.window_matrix, dtype=np.float64)
    lens = lens_of_projection(projection, region.width, region.height)
    matrix = rigid(np.linalg.inv(np.array(view.view_matrix, dtype=np.float64)))
    views = fields_seen(depsgraph, Pose("viewport", scene.frame_current, lens, matrix))
    if not views:
        raise SceneError(
            "There is no neural field to see.", "Train one, add a trained one or unhide it."
        )
    settings = scene.neural_fields.engine
    finest = int(settings.viewport_quality)
    while region.width * region.height / finest**2 > MOST_PIXELS:
        finest *= 2
    background = None if scene.render.film_transparent else world_color(scene.world)
    fields = tuple(
        (view.run, _version(view.run), view.time, view.scale, view.pose.camera_to_world.tobytes())
        for view in views
    )
    return Seen(
        views=views,
        signature=(lens, fields, background, settings.device),
        size=(region.width, region.height),
        finest=finest,
        device=settings.device,
        background=background,
    )


def stop() -> None:
    """Leaves no timer and no shader behind."""
    if bpy.app.timers.is_registered(_watch):
        bpy.app.timers.unregister(_watch)
    forget_shader()


def _version(run: str) -> int:
    """Changes whenever a training has saved what it learned."""
    try:
        return (Path(run) / "checkpoints" / "last.json").stat().st_mtime_ns
    except OSError:
        return 0


def _state(viewport: Viewport, seen: Seen) -> str:
    if viewport.problem:
        return viewport.problem
    if viewport.request is None:
        return ""
    if not frames.worker().is_ready:
        return "Starting the worker"
    coarse = viewport.shown[0] != seen.signature
    return "Loading" if not viewport.picture.is_there else "Moving" if coarse else "Refining"


def _start_watching() -> None:
    if not bpy.app.timers.is_registered(_watch):
        bpy.app.timers.register(_watch, first_interval=_WATCH_EVERY_S)


def _watch() -> float | None:
    worker = frames.worker()
    worker.poll()
    if worker.has_answers:
        for region in _rendered_regions():
            region.tag_redraw()
        return _WATCH_EVERY_S
    return _WATCH_EVERY_S if worker.is_waited_for else None


def _rendered_regions() -> list[bpy.types.Region]:
    return [
        region
        for window in bpy.context.window_manager.windows
        for area in window.screen.areas
        if area.type == "VIEW_3D" and area.spaces.active.shading.type == "RENDERED"
        for region in area.regions
        if region.type == "WINDOW"
    ]
