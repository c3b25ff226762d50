# SPDX-License-Identifier: GPL-3.0-or-later
"""Output, Volume: the field for Cycles."""

import bpy

from ..scene.chosen import field_of
from .base import OnField, column_of, draw_settings


class NEURALFIELDS_PT_volume(OnField, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_volume"
    bl_label = "Volume"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        field = field_of(context)
        assert field is not None  # by poll
        settings = field.neural_field.volume
        column = column_of(self.layout)
        column.prop(settings, "resolution")
        if field.neural_field.moves:
            column.prop(settings, "animated")
            if settings.animated:
                column.prop(settings, "use_scene_range")
        column.prop(field.neural_field.mesh, "crop_box")
        draw_settings(column, settings, ("smallest_opacity", "largest_opacity", "output"))
        self.layout.operator("neural_fields.extract_volume", icon="VOLUME_DATA")


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_volume)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_volume)
