# SPDX-License-Identifier: GPL-3.0-or-later
"""Output › Composite: the scene and its fields in one picture."""

import bpy

from ..scene.compositing import is_built
from ..scene.proxies import meshes_of, role_of
from .base import InTab

ROLE_NAMES = {
    "NONE": "visible",
    "SHADOW": "shadow catcher",
    "HOLDOUT": "holdout",
    "HIDDEN": "hidden",
}


class NEURALFIELDS_PT_composite(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_composite"
    bl_label = "Composite"
    bl_parent_id = "NEURALFIELDS_PT_output"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 10

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene = context.scene
        return scene is not None and any(item.neural_field.run for item in scene.objects)

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        assert scene is not None  # by poll
        layout.use_property_split = True
        layout.use_property_decorate = False
        built = is_built(scene)
        row = layout.row(align=True)
        row.operator(
            "neural_fields.composite",
            text="Update Composite" if built else "Composite With Field",
            icon="NODE_COMPOSITING",
        )
        if built:
            row.operator("neural_fields.remove_composite", text="", icon="X")
        fields = [item for item in scene.objects if item.neural_field.run]
        meshes = [mesh for field in fields for mesh in meshes_of(field)]
        if not meshes:
            layout.label(text="Extract a mesh to catch shadows", icon="INFO")
            return
        layout.label(text=f"Mesh: {ROLE_NAMES[role_of(meshes[0])]}", icon="MESH_DATA")
        row = layout.row(align=True)
        for role, text in (
            ("SHADOW", "Shadows"),
            ("HOLDOUT", "Holdout"),
            ("HIDDEN", "Hide"),
            ("NONE", "Show"),
        ):
            row.operator("neural_fields.set_proxy", text=text).role = role


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_composite)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_composite)
