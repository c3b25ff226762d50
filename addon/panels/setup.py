# SPDX-License-Identifier: GPL-3.0-or-later
"""Set Up: the first thing that is seen, as long as there is no Python to train with."""

import bpy

from .. import environment_state
from ..environment_drawing import draw_environment
from .base import InTab


class NEURALFIELDS_PT_setup(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_setup"
    bl_label = "Set Up"
    bl_order = 0

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return environment_state.needs_setup()

    def draw(self, context: bpy.types.Context) -> None:
        draw_environment(self.layout, context)
        row = self.layout.row()
        row.alignment = "RIGHT"
        row.operator("neural_fields.show_preferences", text="More", icon="PREFERENCES")


CLASSES = (NEURALFIELDS_PT_setup,)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
