# SPDX-License-Identifier: GPL-3.0-or-later
"""Export Dataset: the capture for other programs."""

import bpy


class NEURALFIELDS_PT_dataset(bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_dataset"
    bl_label = "Export Dataset"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Neural Fields"
    bl_parent_id = "NEURALFIELDS_PT_output"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        assert self.layout is not None
        draw_export(self.layout, context)


def draw_export(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The format, the folder and the button."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    settings = context.scene.neural_fields.export
    layout.prop(settings, "dialect")
    layout.prop(settings, "output")
    layout.operator("neural_fields.export_capture", icon="EXPORT")


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_dataset)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_dataset)
