# SPDX-License-Identifier: GPL-3.0-or-later
"""An image that is learned as a function, and drawn at another size."""

import bpy

from .base import InTab, column_of, draw_settings


class NEURALFIELDS_PT_image_field(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_image_field"
    bl_label = "Image Field"
    bl_parent_id = "NEURALFIELDS_PT_shapes"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 5

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.fit_image
        column = column_of(self.layout)
        column.prop(settings, "image")
        draw_settings(column, settings, ("width", "encoding", "scale", "steps", "seed", "device"))
        row = self.layout.column()
        row.operator_context = "EXEC_DEFAULT"
        button = row.operator("neural_fields.fit_image", icon="IMAGE_DATA")
        button.image = settings.image.name if settings.image is not None else ""


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_image_field)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_image_field)
