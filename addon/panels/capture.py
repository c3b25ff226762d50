# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture: where pictures come from, the cameras around the subject, and taking the pictures."""

from typing import Any

import bpy

from .base import InTab, column_of, draw_area, draw_settings, duration


class NEURALFIELDS_PT_capture(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_capture"
    bl_label = "Capture"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.capture
        layout = self.layout
        draw_area(layout, "capture")
        if context.window_manager.neural_fields.capture_total:
            self.draw_running(layout, context.window_manager.neural_fields)
            return
        column = column_of(layout)
        column.prop(settings, "source")
        if settings.source == "COLLECTION":
            self.draw_rig(column, context.scene.neural_fields.rig)
        elif settings.source == "ANIMATION":
            column.prop(settings, "frame_step")
        layout.separator()
        self.draw_buttons(layout, settings)

    def draw_running(self, layout: bpy.types.UILayout, shown: Any) -> None:
        row = layout.row(align=True)
        done, total = shown.capture_done, shown.capture_total
        left = ""
        if done and shown.capture_seconds > 0:
            left = f" · {duration(shown.capture_seconds / done * (total - done))} left"
        text = "Stopping after this picture" if shown.capture_stop else f"{done} of {total}{left}"
        row.progress(factor=done / total, text=text)
        row.operator("neural_fields.stop_capture", text="", icon="X")
        layout.label(text="Esc in the window stops at once", icon="INFO")

    def draw_rig(self, column: bpy.types.UILayout, rig: Any) -> None:
        row = column.row(align=True)
        text = "Add Another Rig" if rig.collection else "Add Camera Rig"
        row.operator("neural_fields.add_camera_rig", text=text, icon="OUTLINER_OB_CAMERA")
        row.operator("neural_fields.remove_camera_rig", text="", icon="TRASH")
        column.prop(rig, "collection")
        draw_settings(column, rig, ("shape", "count", "distance", "lens"))
        if rig.shape in ("HEMISPHERE", "SPIRAL"):
            column.prop(rig, "lowest_angle")
        if rig.shape == "ORBIT":
            column.prop(rig, "orbit_angle")
        if rig.shape == "SPIRAL":
            column.prop(rig, "turns")
        column.prop(rig, "seed")

    def draw_buttons(self, layout: bpy.types.UILayout, settings: Any) -> None:
        main = layout.column()
        main.scale_y = 1.4
        if settings.unfinished:
            again = main.operator("neural_fields.render_capture", text="Resume", icon="PLAY")
            again.resume = True
            layout.operator("neural_fields.render_capture", text="Start Anew")
        else:
            main.operator("neural_fields.render_capture", icon="RENDER_STILL")
        layout.operator("neural_fields.import_capture", icon="IMPORT")
        layout.operator("neural_fields.capture_from_clip", icon="TRACKER")


class NEURALFIELDS_PT_capture_time(InTab, bpy.types.Panel):
    """The time map: which frames a moving scene is captured over."""

    bl_idname = "NEURALFIELDS_PT_capture_time"
    bl_label = "Moving Scene"
    bl_parent_id = "NEURALFIELDS_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context: bpy.types.Context) -> None:
        self.layout.prop(context.scene.neural_fields.capture, "moving_scene", text="")

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.capture
        column = column_of(self.layout)
        column.enabled = settings.moving_scene
        column.prop(settings, "use_scene_range")
        if not settings.use_scene_range:
            draw_settings(column, settings, ("frame_start", "frame_end"))
        draw_settings(column, settings, ("frame_step", "every_camera"))


class NEURALFIELDS_PT_capture_options(InTab, bpy.types.Panel):
    bl_idname = "NEURALFIELDS_PT_capture_options"
    bl_label = "Pictures"
    bl_parent_id = "NEURALFIELDS_PT_capture"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        settings = context.scene.neural_fields.capture
        column = column_of(self.layout)
        draw_settings(column, settings, ("folder", "transparent", "hold_out", "overwrite"))
        row = column.row(align=True)
        row.prop(settings, "bounds_box")
        row.operator("neural_fields.add_bounds", text="", icon="ADD").purpose = "CAPTURE"
        if settings.bounds_box is not None and context.scene.neural_fields.training.capture:
            column.operator("neural_fields.apply_bounds", icon="CUBE")


CLASSES = (
    NEURALFIELDS_PT_capture,
    NEURALFIELDS_PT_capture_time,
    NEURALFIELDS_PT_capture_options,
)


def register() -> None:
    for panel in CLASSES:
        bpy.utils.register_class(panel)


def unregister() -> None:
    for panel in reversed(CLASSES):
        bpy.utils.unregister_class(panel)
