# SPDX-License-Identifier: GPL-3.0-or-later
"""Train: learning a field from a capture."""

from typing import Any

import bpy

from .. import session
from ..training_settings import LIVE_PREVIEW_S
from ..worker.protocol import messages
from .base import InTab, column_of, draw_area, draw_settings
from .live_training import draw_controls, draw_ended, draw_live


class NEURALFIELDS_PT_training(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_training"
    bl_label = "Train"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        settings = context.scene.neural_fields.training
        draw_area(layout, "training", but=(messages.Train,))
        if context.window_manager.neural_fields.try_it_stage:
            self.draw_try_it(layout, context.window_manager.neural_fields)
        last = last_training()
        if last is not None and last.state == "running":
            draw_live(layout, last)
            if not context.window_manager.neural_fields.try_it_stage:
                draw_controls(layout, settings)
            return
        column = column_of(layout)
        draw_settings(column, settings, ("capture", "method_choice"))
        if settings.method_choice == "other":
            column.prop(settings, "method", text=" ")
        column.prop(settings, "preset")
        column.prop(settings, "surfaces")
        main = layout.column()
        main.scale_y = 1.4
        main.operator("neural_fields.train", icon="PLAY")
        if last is not None:
            draw_ended(layout, last)
        if not settings.capture and not context.window_manager.neural_fields.try_it_stage:
            layout.operator("neural_fields.try_it", icon="SHADERFX")

    def draw_try_it(self, layout: bpy.types.UILayout, shown: Any) -> None:
        row = layout.row(align=True)
        text = "Stopping" if shown.try_it_stop else shown.try_it_stage
        row.progress(factor=shown.try_it_share, text=text)
        row.operator("neural_fields.stop_try_it", text="", icon="X")


class NEURALFIELDS_PT_training_preview(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_training_preview"
    bl_label = "Live Preview"
    bl_order = 2
    bl_parent_id = "NEURALFIELDS_PT_training"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context: bpy.types.Context) -> None:
        self.layout.prop(context.scene.neural_fields.training, "use_live_preview", text="")

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.training
        column = column_of(self.layout)
        column.enabled = settings.use_live_preview
        column.prop(settings, "show_preview_in")
        column.prop(settings, "preview_seconds")
        if not settings.preview_seconds:
            column.label(text=f"0 is every {LIVE_PREVIEW_S:g} s")


class NEURALFIELDS_PT_training_advanced(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_training_advanced"
    bl_label = "Advanced"
    bl_order = 3
    bl_parent_id = "NEURALFIELDS_PT_training"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.training
        column = column_of(self.layout)
        draw_settings(column, settings, ("run", "resume"))
        column.separator()
        draw_settings(column, settings, ("steps", "seconds", "seed", "device"))
        column.separator()
        draw_settings(column, settings, ("image_width", "hold_out", "evaluations", "settings"))


def last_training() -> session.JobRecord | None:
    """The training that runs, or the last one that did."""
    jobs = reversed(session.jobs())
    return next((one for one in jobs if isinstance(one.job, messages.Train)), None)


CLASSES = (
    NEURALFIELDS_PT_training,
    NEURALFIELDS_PT_training_preview,
    NEURALFIELDS_PT_training_advanced,
)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
