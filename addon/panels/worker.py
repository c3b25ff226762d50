# SPDX-License-Identifier: GPL-3.0-or-later
"""Worker: the process that trains, what it computes on, and whether all is well."""

from typing import Any

import bpy

from .. import environment_state, session
from ..environment_drawing import draw_checks, draw_text
from .base import InTab


class NEURALFIELDS_PT_worker(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_worker"
    bl_label = "Worker"
    bl_order = 5
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        icon, text = _state()
        layout.label(text=text, icon=icon)
        ready = session.worker()
        if ready is not None:
            devices = " and ".join(name.upper() for name in ready.devices)
            draw_text(layout, context, f"torch {ready.torch} on {devices}")
        row = layout.row(align=True)
        row.operator("neural_fields.stop_worker", text="Stop Worker", icon="X")
        row.operator("neural_fields.open_log", text="Log", icon="TEXT").log = "WORKER"
        layout.operator("neural_fields.release_memory", icon="TRASH")


class NEURALFIELDS_PT_worker_checks(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_worker_checks"
    bl_parent_id = "NEURALFIELDS_PT_worker"
    bl_label = "Checks"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        draw_checks(layout, context)
        layout.operator("neural_fields.show_preferences", text="Preferences", icon="PREFERENCES")


def _state() -> tuple[Any, str]:
    """The worker in a few words, with an icon."""
    running = session.running()
    if session.is_starting():
        return "SORTTIME", "Starting"
    if running:
        return "PLAY", f"At work: {running[0].label}"
    if session.worker() is not None:
        return "CHECKMARK", "Ready"
    if environment_state.needs_setup():
        return "ERROR", "Needs to be set up"
    return "PAUSE", "Not running; the first job starts it"


CLASSES = (NEURALFIELDS_PT_worker, NEURALFIELDS_PT_worker_checks)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
