# SPDX-License-Identifier: GPL-3.0-or-later
"""Output, Export Dataset: the capture for other programs."""

import bpy

from .base import InTab, column_of, draw_settings


class NEURALFIELDS_PT_dataset(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_dataset"
    bl_label = "Export Dataset"
    bl_parent_id = "NEURALFIELDS_PT_output"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 11

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.export
        draw_settings(column_of(self.layout), settings, ("dialect", "output"))
        self.layout.operator("neural_fields.export_capture", icon="EXPORT")


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_dataset)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_dataset)
