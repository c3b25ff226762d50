# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering in a window while Blender goes on, and which events a capture leaves to the tab."""

from collections.abc import Iterator
from typing import Any

import bpy

from .. import compat, redraw
from ..scene.errors import SceneError

TICK_S = 0.05
TAB_EVENTS = {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE", "LEFTMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE"}


class RenderStoppedError(Exception):
    """Raised where the artist has pressed Esc while a picture was rendered."""


def render_in_window(scene: bpy.types.Scene) -> Iterator[None]:
    """Renders as Blender's own Render Image does, without its window.

    Raises:
        SceneError: where Blender does not begin.
        RenderStoppedError: where it was stopped.
    """
    ended: list[str] = []

    def completed(*_: Any) -> None:
        ended.append("completed")

    def stopped(*_: Any) -> None:
        ended.append("stopped")

    handlers, view = bpy.app.handlers, bpy.context.preferences.view
    shown_in = view.render_display_type
    handlers.render_complete.append(completed)
    handlers.render_cancel.append(stopped)
    try:
        view.render_display_type = "NONE"
        begin_render(scene)
        while not ended or is_rendering():
            yield
    finally:
        view.render_display_type = shown_in
        handlers.render_complete.remove(completed)
        handlers.render_cancel.remove(stopped)
        # Render Image remembers its options with an event that comes after the picture's end.
        bpy.app.timers.register(compat.forget_write_still, first_interval=4 * TICK_S)
    if "stopped" in ended:
        raise RenderStoppedError


def begin_render(scene: bpy.types.Scene) -> None:
    """Has Blender begin what its own Render Image begins, and nothing else.

    Raises:
        SceneError: where Blender does not begin.
    """
    try:
        begun = bpy.ops.render.render("INVOKE_DEFAULT", write_still=True, scene=scene.name)
    except RuntimeError as error:
        raise SceneError(
            f"Blender could not render: {error}", "Try Render Image by hand."
        ) from error
    if begun == {"CANCELLED"}:
        raise SceneError("Blender renders something else.", "Wait for its end.")


def is_rendering() -> bool:
    """Whether Blender renders."""
    app: Any = bpy.app
    return bool(app.is_job_running("RENDER"))


def note_capture(context: bpy.types.Context, done: int, total: int, seconds: float = 0.0) -> None:
    """Has the panel show how far a capture is; a `total` of 0 that there is none."""
    shown: Any = context.window_manager.neural_fields
    if (shown.capture_done, shown.capture_total) != (done, total):
        shown.capture_done, shown.capture_total = done, total
        shown.capture_seconds = seconds
        redraw.tag_sidebars()
    if not total:
        shown.capture_stop = False


def over_sidebar(context: bpy.types.Context, event: bpy.types.Event) -> bool:
    """Whether the mouse is over the sidebar of a 3D view."""
    for area in context.window.screen.areas:
        for region in area.regions if area.type == "VIEW_3D" else ():
            inside_x = 0 <= event.mouse_x - region.x < region.width
            if region.type == "UI" and inside_x and 0 <= event.mouse_y - region.y < region.height:
                return True
    return False
