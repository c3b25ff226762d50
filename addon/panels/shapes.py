# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes: learning meshes, and what is made of them."""

import bpy

from .base import InTab, column_of


class NEURALFIELDS_PT_shapes(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_shapes"
    bl_label = "Shapes"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        column_of(self.layout).operator("neural_fields.fit_shape")


CLASSES = (NEURALFIELDS_PT_shapes,)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
