# SPDX-License-Identifier: GPL-3.0-or-later
"""The render engine's settings, where Blender's other engines have theirs: Render properties."""

import bpy

ENGINE = "NEURAL_FIELD"


class RENDER_PT_neural_field(bpy.types.Panel):
    bl_idname = "RENDER_PT_neural_field"
    bl_label = "Neural Field"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    COMPAT_ENGINES = {ENGINE}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.engine in cls.COMPAT_ENGINES

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = scene.neural_fields.engine
        column = layout.column()
        column.prop(settings, "samples")
        column.prop(settings, "viewport_quality")
        column.prop(settings, "device")
        column.prop(scene.render, "film_transparent", text="Transparent Film")
        if scene.view_settings.view_transform not in ("Standard", "Raw"):
            transform = scene.view_settings.view_transform
            box = layout.box().column(align=True)
            box.label(text=f"{transform} changes the learned colors", icon="INFO")
            box.prop(scene.view_settings, "view_transform")
        layout.operator("neural_fields.release_memory", icon="TRASH")


def register() -> None:
    bpy.utils.register_class(RENDER_PT_neural_field)


def unregister() -> None:
    bpy.utils.unregister_class(RENDER_PT_neural_field)
