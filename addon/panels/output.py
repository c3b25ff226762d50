# SPDX-License-Identifier: GPL-3.0-or-later
"""Output: what a learned field becomes. Its parts are sub-panels, some in files of their own."""

import bpy

from ..scene.chosen import field_of, is_linked
from ..scene.placing import still_there
from ..training_settings import label_of
from .base import InTab, OnField, column_of, draw_area, draw_crop, draw_frames, draw_settings


class NEURALFIELDS_PT_output(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_output"
    bl_label = "Output"
    bl_order = 4

    def draw(self, context: bpy.types.Context) -> None:
        draw_area(self.layout, "output")
        field = field_of(context)
        if field is None:
            self.layout.label(text="Select a neural field, or train one", icon="INFO")
            self.layout.operator("neural_fields.add_field", icon="ADD")
            return
        settings = field.neural_field
        quality = f" · {settings.psnr:.1f} dB" if settings.psnr else ""
        self.layout.label(
            text=f"{field.name} · {label_of(settings.method)}{quality}", icon="EMPTY_AXIS"
        )
        if is_linked(field):
            self.layout.label(text="Linked from another file", icon="LIBRARY_DATA_DIRECT")


class NEURALFIELDS_PT_output_mesh(OnField, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_output_mesh"
    bl_label = "Mesh"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        field = field_of(context)
        assert field is not None  # by poll
        settings = field.neural_field.mesh
        column = column_of(self.layout)
        draw_settings(column, settings, ("resolution", "surface"))
        if settings.surface != "depth":
            column.prop(settings, "level")
            column.prop(settings, "is_live")
            if settings.is_live:
                draw_settings(column, settings, ("live_level", "coarse_resolution"))
        draw_settings(column, settings, ("keep_components", "keep_unseen"))
        draw_settings(column, settings, ("keep_faces", "texture_size"))
        row = column.row(align=True)
        row.prop(settings, "crop_box")
        row.operator("neural_fields.add_bounds", text="", icon="ADD").purpose = "MESH"
        draw_crop(column, settings)
        column.prop(settings, "device")
        is_new = still_there(field.neural_field.mesh_object) is None
        text = "Extract Mesh" if is_new else "Extract Again"
        self.layout.operator("neural_fields.extract_mesh", text=text, icon="MESH_DATA")


class NEURALFIELDS_PT_output_views(OnField, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_output_views"
    bl_label = "Views"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        field = field_of(context)
        assert field is not None  # by poll
        settings = field.neural_field.views
        column = column_of(self.layout)
        draw_frames(column, settings, step=False)
        draw_settings(column, settings, ("format", "background"))
        targets = column.column(heading="Show As")
        names = ("as_background", "as_plane", "as_clip", "as_strip", "as_composite")
        draw_settings(targets, settings, names)
        more = column.column(heading="Also Write")
        draw_settings(more, settings, ("depth", "normals", "video"))
        draw_settings(column, settings, ("output", "overwrite", "device"))
        self.layout.operator("neural_fields.render_views", icon="RENDER_ANIMATION")


class NEURALFIELDS_PT_output_motion(OnField, bpy.types.Panel):
    """When a moving field shows what, and its motion as meshes."""

    bl_idname = "NEURALFIELDS_PT_output_motion"
    bl_label = "Motion"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 4

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        field = field_of(context)
        return field is not None and field.neural_field.moves

    def draw(self, context: bpy.types.Context) -> None:
        field = field_of(context)
        assert field is not None  # by poll
        settings = field.neural_field
        column = column_of(self.layout)
        column.use_property_decorate = True  # these can be keyed
        draw_settings(column, settings, ("frame_start", "frame_end", "use_retime"))
        if settings.use_retime:
            column.prop(settings, "field_time", slider=True)


class NEURALFIELDS_PT_mesh_sequence(OnField, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_mesh_sequence"
    bl_label = "Mesh Sequence"
    bl_parent_id = "NEURALFIELDS_PT_output_motion"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        field = field_of(context)
        assert field is not None  # by poll
        settings = field.neural_field.mesh_sequence
        column = column_of(self.layout)
        draw_frames(column, settings)
        draw_settings(column, settings, ("resolution", "level", "keep_components", "keep_unseen"))
        draw_crop(column, settings)
        draw_settings(column, settings, ("output", "overwrite", "device"))
        self.layout.operator("neural_fields.extract_mesh_sequence", icon="RENDER_ANIMATION")


class NEURALFIELDS_PT_bake_motion(OnField, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_bake_motion"
    bl_label = "Moving Mesh"
    bl_parent_id = "NEURALFIELDS_PT_output_motion"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        field = field_of(context)
        assert field is not None  # by poll
        settings = field.neural_field.bake
        column = column_of(self.layout)
        draw_frames(column, settings)
        names = ("rest_time", "resolution", "level", "tolerance", "output", "device")
        draw_settings(column, settings, names)
        self.layout.operator("neural_fields.bake_motion", icon="MOD_MESHDEFORM")


CLASSES = (
    NEURALFIELDS_PT_output,
    NEURALFIELDS_PT_output_mesh,
    NEURALFIELDS_PT_output_views,
    NEURALFIELDS_PT_output_motion,
    NEURALFIELDS_PT_mesh_sequence,
    NEURALFIELDS_PT_bake_motion,
)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
