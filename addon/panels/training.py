# SPDX-License-Identifier: GPL-3.0-or-later
"""Train: learning a field from a capture."""

import bpy

from .base import InTab, column_of


class NEURALFIELDS_PT_training(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_training"
    bl_label = "Train"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        column_of(self.layout).operator("neural_fields.train")


CLASSES = (NEURALFIELDS_PT_training,)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
