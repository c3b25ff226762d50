# SPDX-License-Identifier: GPL-3.0-or-later
"""Check: what would make a field worse, with a button where there is a fix."""

import textwrap
from typing import Any

import bpy

from .. import capture_problems

_WIDTH = 44
_SHOWN = 6


class NEURALFIELDS_PT_capture_check(bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_capture_check"
    bl_label = "Check"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Neural Fields"
    bl_parent_id = "NEURALFIELDS_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        assert self.layout is not None
        draw_check(self.layout, context.window_manager.neural_fields.capture_check)


def draw_check(layout: bpy.types.UILayout, check: Any) -> None:
    """The button, the result of the last check, and a box for each problem."""
    layout.operator("neural_fields.check_capture", icon="VIEWZOOM")
    if check.summary:
        layout.label(text=check.summary, icon="ERROR" if len(check.problems) else "CHECKMARK")
    for problem in check.problems:
        _draw_problem(layout.box(), problem)


def _draw_problem(box: bpy.types.UILayout, problem: Any) -> None:
    lines = box.column(align=True)
    for number, line in enumerate(textwrap.wrap(problem.sentence, _WIDTH)):
        lines.label(text=line, icon="BLANK1" if number else "ERROR")
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


def draw_bounds(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The box of the capture: for the panel of the capture's settings."""
    settings = context.scene.neural_fields.capture
    row = layout.row(align=True)
    row.prop(settings, "bounds_box")
    row.operator("neural_fields.add_bounds", text="", icon="ADD").purpose = "CAPTURE"
    if settings.bounds_box is not None and context.scene.neural_fields.training.capture:
        layout.operator("neural_fields.apply_bounds", icon="CUBE")


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_PT_capture_check)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_PT_capture_check)
