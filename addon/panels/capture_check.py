# SPDX-License-Identifier: GPL-3.0-or-later
"""Check: what would make a field worse, with a button where there is a fix."""

from typing import Any

import bpy

from .. import capture_problems
from .base import InTab, draw_wrapped

_SHOWN = 6


class NEURALFIELDS_PT_capture_check(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_capture_check"
    bl_label = "Check"
    bl_parent_id = "NEURALFIELDS_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        check = context.window_manager.neural_fields.capture_check
        self.layout.operator("neural_fields.check_capture", icon="VIEWZOOM")
        if check.summary:
            icon = "ERROR" if len(check.problems) else "CHECKMARK"
            self.layout.label(text=check.summary, icon=icon)
        for problem in check.problems:
            _draw_problem(self.layout.box(), problem)


def _draw_problem(box: bpy.types.UILayout, problem: Any) -> None:
    draw_wrapped(box, problem.sentence, "ERROR")
    grid = box.column(align=True)
    for one in list(problem.concerned)[:_SHOWN]:
        button = grid.operator(
            "neural_fields.go_to_camera", text=one.name, icon="CAMERA_DATA", emboss=False
        )
        button.name, button.position = one.name, one.position
    more = len(problem.concerned) - _SHOWN
    if more > 0:
        grid.label(text=f"and {more} more", icon="BLANK1")
    label = capture_problems.FIXES.get((problem.source, problem.kind))
    if label:
        fix = box.operator("neural_fields.fix_problem", text=label)
        fix.source, fix.kind = problem.source, problem.kind


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_capture_check)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_capture_check)
