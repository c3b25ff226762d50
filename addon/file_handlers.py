# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be looked at again once a file was opened or saved."""

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import panel_state, run_catalog
from .scene import preview_images


@persistent
def on_load(*_: Any) -> None:
    """Another file has other runs, and no problems yet."""
    panel_state.get().problems.clear()
    preview_images.remove_preview()
    run_catalog.refresh()


@persistent
def on_save(*_: Any) -> None:
    """A file that was saved under a name has a runs folder of its own."""
    run_catalog.refresh()


def register() -> None:
    bpy.app.handlers.load_post.append(on_load)
    bpy.app.handlers.save_post.append(on_save)
    if not bpy.app.background:
        # While Blender starts, an add-on may not touch data yet.
        bpy.app.timers.register(_first, first_interval=0.1)


def unregister() -> None:
    for handlers, function in (
        (bpy.app.handlers.load_post, on_load),
        (bpy.app.handlers.save_post, on_save),
    ):
        if function in handlers:
            handlers.remove(function)
    if bpy.app.timers.is_registered(_first):
        bpy.app.timers.unregister(_first)


def _first() -> None:
    run_catalog.refresh()
