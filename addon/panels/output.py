# SPDX-License-Identifier: GPL-3.0-or-later
"""Output: what a learned field becomes. Its parts are sub-panels in files of their own."""

import bpy

from .base import InTab, column_of


class NEURALFIELDS_PT_output(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_output"
    bl_label = "Output"
    bl_order = 4

    def draw(self, context: bpy.types.Context) -> None:
        column_of(self.layout).operator("neural_fields.add_field")


CLASSES = (NEURALFIELDS_PT_output,)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
