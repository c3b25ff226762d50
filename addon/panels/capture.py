# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture: where pictures come from, the cameras around the subject, and taking the pictures."""

import bpy

from .base import InTab, column_of


class NEURALFIELDS_PT_capture(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_capture"
    bl_label = "Capture"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.capture
        column = column_of(self.layout)
        column.prop(settings, "source")
        column.operator("neural_fields.render_capture", icon="RENDER_STILL")


CLASSES = (NEURALFIELDS_PT_capture,)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
