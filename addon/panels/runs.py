# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs: what was trained before, as it lies on disk."""

from typing import Any

import bpy

from .. import run_catalog
from ..training_settings import label_of
from .base import InTab, draw_wrapped, duration


class NEURALFIELDS_UL_runs(bpy.types.UIList):
    """A run a line: state, name, method, quality and time."""

    bl_idname = "NEURALFIELDS_UL_runs"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: Any,
        item: Any,
        icon: int | None,
        active_data: Any,
        active_property: str | None,
        index: int | None = 0,
        flt_flag: int | None = 0,
    ) -> None:
        row = layout.row(align=True)
        sign = item.bl_rna.properties["state"].enum_items[item.state].icon
        row.prop(item, "title", text="", emboss=False, icon=sign)
        figures = row.row(align=True)
        figures.alignment = "RIGHT"
        figures.label(text=f"{item.psnr:.1f} dB" if item.psnr else "")
        figures.label(text=duration(item.seconds) if item.seconds else "")


class NEURALFIELDS_PT_runs(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_runs"
    bl_label = "Runs"
    bl_order = 1
    bl_parent_id = "NEURALFIELDS_PT_training"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        shown = context.window_manager.neural_fields
        row = self.layout.row()
        row.template_list("NEURALFIELDS_UL_runs", "", shown, "runs", shown, "run_index", rows=5)
        side = row.column(align=True)
        side.operator("neural_fields.refresh_runs", text="", icon="FILE_REFRESH")
        side.operator("neural_fields.add_field", text="", icon="ADD")
        side.separator()
        side.operator("neural_fields.reveal_run", text="", icon="FILE_FOLDER")
        side.operator("neural_fields.relink_run", text="", icon="LINKED")
        side.operator("neural_fields.rename_run", text="", icon="GREASEPENCIL")
        side.operator("neural_fields.delete_run", text="", icon="TRASH")
        chosen = run_catalog.chosen_run()
        if chosen is None:
            self.layout.label(text="Nothing was trained here yet", icon="INFO")
            return
        self.draw_chosen(self.layout, shown.runs[shown.run_index], chosen.message)

    def draw_chosen(self, layout: bpy.types.UILayout, run: Any, message: str) -> None:
        state = run.bl_rna.properties["state"].enum_items[run.state]
        layout.label(text=f"{label_of(run.method) or 'Run'} · {state.description}", icon=state.icon)
        if message and run.state == "FAILED":
            draw_wrapped(layout, message)
        if run.state == "MISSING":
            layout.operator("neural_fields.relink_run", icon="LINKED")
            return
        row = layout.row(align=True)
        row.operator_context = "EXEC_DEFAULT"  # invoked, it would ask which run
        row.operator(
            "neural_fields.add_field", text="Add to Scene", icon="EMPTY_AXIS"
        ).run = run.path
        if run.can_resume:
            row.operator("neural_fields.resume_run", icon="PLAY").run = run.path
        layout.operator("neural_fields.use_run_settings", icon="PASTEDOWN").run = run.path


CLASSES = (NEURALFIELDS_UL_runs, NEURALFIELDS_PT_runs)


def register() -> None:
    for kind in CLASSES:
        bpy.utils.register_class(kind)


def unregister() -> None:
    for kind in reversed(CLASSES):
        bpy.utils.unregister_class(kind)
