# SPDX-License-Identifier: GPL-3.0-or-later
"""Try It: a sample scene, its pictures, a field and a mesh, by one button."""

from collections.abc import Iterator
from typing import Any

import bpy

from .. import redraw, sample_run, session
from ..scene import sample_scene
from ..scene.captures import render_at_once
from ..scene.errors import SceneError
from .jobs import Outcome, RefusedError, reporting
from .window_render import RenderStoppedError, is_rendering, render_in_window

TICK_S = 0.1


class NEURALFIELDS_OT_try_it(bpy.types.Operator):
    """Build a sample in a scene of its own, take its pictures, learn them, and show the mesh beside
    it. About a minute
    """

    bl_idname = "neural_fields.try_it"
    bl_label = "Try It"
    bl_options = {"REGISTER"}

    _stages: Iterator[sample_run.Stage] | None = None
    _timer: bpy.types.Timer | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.window_manager.neural_fields.try_it_stage:
            cls.poll_message_set("The sample is being made")
        elif context.mode != "OBJECT":
            cls.poll_message_set("Go to Object Mode first")
        elif session.running():
            cls.poll_message_set("A job is running; wait for its end")
        else:
            return True
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                for _ in sample_run.steps(sample_run.build(context.window), render_at_once):
                    session.pump(session.WAIT_S if session.running() else 0.0)
        except RefusedError:
            return {"CANCELLED"}
        self._end()
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        if bpy.app.background:
            return self.execute(context)
        uid = sample_run.build(context.window)
        self._stages = sample_run.steps(uid, render_in_window)
        show_stage(context, sample_run.Stage("Building the sample", 0.0))
        show_sample(context)
        manager = context.window_manager
        self._timer = manager.event_timer_add(TICK_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """Looks at each tick how far it is; all else goes on as usual."""
        if event.type == "ESC" and event.value == "PRESS":
            context.window_manager.neural_fields.try_it_stop = True
            return {"RUNNING_MODAL"}
        if event.type != "TIMER" or self._stages is None:
            return {"PASS_THROUGH"}
        try:
            with reporting(self):
                outcome = self._tick(context)
        except RefusedError:
            outcome = {"CANCELLED"}
        if outcome == {"PASS_THROUGH"}:
            return outcome
        self.cancel(context)
        if outcome == {"FINISHED"}:
            self._end()
            bpy.ops.ed.undo_push(message="Try It")
        return outcome

    def cancel(self, context: bpy.types.Context) -> None:
        """Stops what runs, and gives the window back."""
        if self._stages is not None:
            self._stages.close()  # type: ignore[attr-defined]
            self._stages = None
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
            show_stage(context, None)

    def _tick(self, context: bpy.types.Context) -> Outcome:
        assert self._stages is not None
        stopping = context.window_manager.neural_fields.try_it_stop
        try:
            stage = None if stopping and not is_rendering() else next(self._stages, None)
        except RenderStoppedError:
            return {"CANCELLED"}
        except ReferenceError as error:
            raise SceneError("The sample's scene is gone.", "Press Try It again.") from error
        if stage is None:
            return {"CANCELLED"} if stopping else {"FINISHED"}
        show_stage(context, stage)
        return {"PASS_THROUGH"}

    def _end(self) -> None:
        self.report({"INFO"}, "The learned mesh stands beside the sample")


class NEURALFIELDS_OT_stop_try_it(bpy.types.Operator):
    """Stop making the sample; its scene is kept"""

    bl_idname = "neural_fields.stop_try_it"
    bl_label = "Stop the Sample"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.window_manager.neural_fields.try_it_stage:
            return True
        cls.poll_message_set("No sample is being made")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        context.window_manager.neural_fields.try_it_stop = True
        return {"FINISHED"}


def show_stage(context: bpy.types.Context, stage: sample_run.Stage | None) -> None:
    """Has the panel show what the sample is doing; None that there is none."""
    shown: Any = context.window_manager.neural_fields
    shown.try_it_stage = stage.text if stage is not None else ""
    shown.try_it_share = stage.share if stage is not None else 0.0
    if stage is None:
        shown.try_it_stop = False
    redraw.tag_sidebars()


def show_sample(context: bpy.types.Context) -> None:
    """Has the views of the window look at the sample and what will stand beside it, and show the
    colors that meshes have learned, where they show materials'.
    """
    for area in context.window.screen.areas:
        if area.type != "VIEW_3D":
            continue
        space = area.spaces.active
        if space.shading.color_type == "MATERIAL":
            space.shading.color_type = "VERTEX"
        view = space.region_3d
        view.view_perspective = "PERSP"
        view.view_rotation = context.scene.camera.matrix_world.to_quaternion()
        view.view_location = (0.65 * sample_scene.WIDTH, 0.0, 0.3)
        view.view_distance = 4.0 * sample_scene.WIDTH


CLASSES = (NEURALFIELDS_OT_try_it, NEURALFIELDS_OT_stop_try_it)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
