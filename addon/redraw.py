# SPDX-License-Identifier: GPL-3.0-or-later
"""Has Blender draw the tab again when a job has said something: it draws only what was touched."""

import bpy

from . import session
from .worker.protocol import messages


def tag_sidebars() -> None:
    """Marks the sidebars of all 3D views, in all windows, as out of date."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "VIEW_3D":
                continue
            for region in area.regions:
                if region.type == "UI":
                    region.tag_redraw()


def on_event(event: messages.Event, record: session.JobRecord) -> None:
    """Listens to the session."""
    tag_sidebars()


def register() -> None:
    session.subscribe(on_event)


def unregister() -> None:
    session.unsubscribe(on_event)
