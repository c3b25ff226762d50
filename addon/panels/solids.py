# SPDX-License-Identifier: GPL-3.0-or-later
"""Solids: constructive geometry with fields, which is exact where triangles are not."""

from typing import Any

import bpy

from .base import InTab, column_of, draw_settings

OF_KINDS = {
    "sphere": ("radius",),
    "box": ("size",),
    "rounded_box": ("size", "radius"),
    "cylinder": ("radius", "height"),
    "cone": ("radius", "top_radius", "height"),
    "capsule": ("radius", "height"),
    "torus": ("radius", "tube_radius"),
    "plane": (),
}
"""The measures that a kind of solid has; of another kind all are shown."""
ALL = ("radius", "top_radius", "tube_radius", "height", "size")


class NEURALFIELDS_PT_solids(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_solids"
    bl_label = "Solids"
    bl_parent_id = "NEURALFIELDS_PT_shapes"
    bl_options = {"DEFAULT_CLOSED"}
    bl_order = 4

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator_menu_enum(
            "neural_fields.add_csg_primitive", "kind", text="Add Solid", icon="MESH_UVSPHERE"
        )
        item = context.object
        if item is not None and item.neural_field.primitive.kind != "none":
            self.draw_primitive(column_of(layout), item.neural_field.primitive)
        solid = solid_of(item)
        if solid is not None:
            column = column_of(layout)
            for part in solid.neural_field.solid.parts:
                column.prop(part, "part", text="")
            names = ("operation", "smoothness", "resolution", "level", "device")
            draw_settings(column, solid.neural_field.solid, names)
        text = "Mesh Solids" if solid is None else "Update Solid"
        layout.operator("neural_fields.mesh_csg", text=text, icon="MOD_BOOLEAN")

    def draw_primitive(self, column: bpy.types.UILayout, primitive: Any) -> None:
        column.prop(primitive, "kind")
        draw_settings(column, primitive, OF_KINDS.get(primitive.kind, ALL))


def solid_of(item: bpy.types.Object | None) -> bpy.types.Object | None:
    """The empty of the solid that is made of others, which an object is or hangs on."""
    while item is not None and not len(item.neural_field.solid.parts):
        item = item.parent
    return item


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_solids)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_solids)
