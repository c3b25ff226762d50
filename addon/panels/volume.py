# SPDX-License-Identifier: GPL-3.0-or-later
"""Volume: the field for Cycles."""

from typing import Any

import bpy


class NEURALFIELDS_PT_volume(bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_volume"
    bl_label = "Volume"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Neural Fields"
    bl_parent_id = "NEURALFIELDS_PT_output"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        assert self.layout is not None
        active = context.object
        if active is not None and active.neural_field.run:
            draw_volume(self.layout, active)
        else:
            self.layout.label(text="Select a neural field")


def draw_volume(layout: bpy.types.UILayout, field: Any) -> None:
    """The settings of the volume and its button."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    settings = field.neural_field.volume
    column = layout.column()
    column.prop(settings, "resolution")
    if field.neural_field.moves:
        column.prop(settings, "animated")
        if settings.animated:
            column.prop(settings, "use_scene_range")
    column.prop(field.neural_field.mesh, "crop_box")
    column.prop(settings, "smallest_opacity")
    column.prop(settings, "largest_opacity")
    column.prop(settings, "output")
    layout.operator("neural_fields.extract_volume", icon="VOLUME_DATA")


def draw_texture(layout: bpy.types.UILayout, field: Any) -> None:
    """What the panel of the mesh shows of its texture, its faces, its box and its live level."""
    settings = field.neural_field.mesh
    layout.prop(settings, "texture_size")
    layout.prop(settings, "keep_faces")
    row = layout.row(align=True)
    row.prop(settings, "crop_box")
    row.operator("neural_fields.add_bounds", text="", icon="ADD").purpose = "MESH"
    layout.prop(settings, "is_live")
    if settings.is_live:
        layout.prop(settings, "live_level")
        layout.prop(settings, "coarse_resolution")


def draw_targets(layout: bpy.types.UILayout, field: Any) -> None:
    """Where rendered views are shown: for the panel of the views."""
    column = layout.column(heading="Show As")
    for name in ("as_background", "as_plane", "as_clip", "as_strip"):
        column.prop(field.neural_field.views, name)


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_volume)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_volume)
