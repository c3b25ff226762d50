# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes: learning meshes as functions, and changing what was learned."""

from typing import Any

import bpy

from ..scene.chosen import shape_of
from .base import InTab, column_of, draw_area, draw_frames, draw_settings


class NEURALFIELDS_PT_shapes(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_shapes"
    bl_label = "Shapes"
    bl_order = 3
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        draw_area(self.layout, "shapes")
        settings = context.scene.neural_fields.fit_shape
        draw_settings(column_of(self.layout), settings, ("method", "preset", "space"))
        main = self.layout.column()
        main.scale_y = 1.4
        # Invoked it would ask again for what is set here.
        main.operator_context = "EXEC_DEFAULT"
        main.operator("neural_fields.fit_shape", icon="MESH_DATA")


class NEURALFIELDS_PT_fit_shape_advanced(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_fit_shape_advanced"
    bl_label = "Advanced"
    bl_parent_id = "NEURALFIELDS_PT_shapes"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 9

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.fit_shape
        names = ("run", "resume", "steps", "seconds", "seed", "samples", "device", "settings")
        draw_settings(column_of(self.layout), settings, names)


class OnShape(InTab):
    """Poll of the panels about the shape in question."""

    bl_parent_id = "NEURALFIELDS_PT_shapes"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return shape_of(context) is not None

    def settings_of(self, context: bpy.types.Context) -> Any:
        shape = shape_of(context)
        assert shape is not None  # by poll
        return shape.neural_field.shape


class NEURALFIELDS_PT_family(OnShape, bpy.types.Panel):
    """Sliders whose every change is shown by a new mesh."""

    bl_idname = "NEURALFIELDS_PT_family"
    bl_label = "Learned Shape"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        settings = self.settings_of(context)
        column = column_of(self.layout)
        column.use_property_decorate = True  # these can be keyed
        if len(settings.shapes):
            draw_settings(column, settings, ("shape", "blend_to"))
            column.prop(settings, "blend", slider=True)
            column.prop(settings, "axes", slider=True)
        column.prop(settings, "level")
        column.use_property_decorate = False
        draw_settings(column, settings, ("resolution", "coarse_resolution", "device"))
        row = self.layout.row(align=True)
        row.operator("neural_fields.update_shape", icon="FILE_REFRESH")
        if settings.method == "structured_implicit":
            row.operator("neural_fields.show_elements", icon="EMPTY_DATA")


class NEURALFIELDS_PT_fit_latent(OnShape, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_fit_latent"
    bl_label = "Find in Family"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        shape = shape_of(context)
        return shape is not None and len(shape.neural_field.shape.shapes) > 1

    def draw(self, context: bpy.types.Context) -> None:
        settings = self.settings_of(context).fit_latent
        names = ("space", "partial", "use_viewpoint", "steps", "seed", "device")
        draw_settings(column_of(self.layout), settings, names)
        column = self.layout.column()
        column.operator_context = "EXEC_DEFAULT"
        column.operator("neural_fields.fit_latent", icon="VIEWZOOM")


class NEURALFIELDS_PT_bake_shape(OnShape, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_bake_shape"
    bl_label = "Bake Animation"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        settings = self.settings_of(context).bake
        column = column_of(self.layout)
        draw_frames(column, settings)
        column.prop(settings, "output")
        self.layout.operator("neural_fields.bake_shape", icon="RENDER_ANIMATION")


CLASSES = (
    NEURALFIELDS_PT_shapes,
    NEURALFIELDS_PT_family,
    NEURALFIELDS_PT_fit_latent,
    NEURALFIELDS_PT_bake_shape,
    NEURALFIELDS_PT_fit_shape_advanced,
)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
