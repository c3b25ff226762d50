# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras around a subject, and the pictures they take."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import preferences, rig_updates, session
from ..motion_settings import CaptureTimeProperties
from ..rig_settings import RigProperties
from ..scene import captures, stations
from ..scene.bounds import box_of
from ..scene.cameras import bounds_of
from ..scene.chosen import is_linked
from ..scene.errors import SceneError
from ..scene.images import relative_path
from ..scene.rig_cameras import remove_rig
from ..scene.time_maps import TimeMap
from ..settings import FORGET, CaptureProperties
from ..worker.protocol import messages
from ..worker.silence import only_this_stream
from ..worker.terminal import ProgressBar
from .jobs import Outcome, RefusedError, absolute, choose, reporting, scene_of
from .window_render import (
    TAB_EVENTS,
    TICK_S,
    RenderStoppedError,
    is_rendering,
    note_capture,
    over_sidebar,
    render_in_window,
)


class NEURALFIELDS_OT_add_camera_rig(RigProperties, bpy.types.Operator):
    """Put cameras around the selected objects, or around everything where nothing is selected"""

    bl_idname = "neural_fields.add_camera_rig"
    bl_label = "Add Camera Rig"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.mode != "OBJECT":
            cls.poll_message_set("Go to Object Mode first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene = scene_of(context)
        names = (
            "shape",
            "count",
            "distance",
            "lens",
            "lowest_angle",
            "orbit_angle",
            "turns",
            "seed",
        )
        options = choose(self, scene.neural_fields.rig, *names)
        depsgraph = context.evaluated_depsgraph_get()
        selected = frozenset(item.name for item in context.selected_objects)
        bounds = bounds_of(depsgraph, selected) if selected else None
        bounds = bounds_of(depsgraph) if bounds is None else bounds
        if bounds is None:
            self.report({"ERROR"}, "There is nothing to put cameras around. Add an object first.")
            return {"CANCELLED"}
        stored = scene.neural_fields.rig
        # A new rig: the settings must not move the one before on their way.
        stored.collection = None
        stored.subject_min, stored.subject_max = bounds[0].tolist(), bounds[1].tolist()
        for name, value in options.items():
            setattr(stored, name, value)
        rig_updates.renew(scene)
        self.report({"INFO"}, f"{options['count']} cameras stand around the subject")
        return {"FINISHED"}


class NEURALFIELDS_OT_remove_camera_rig(bpy.types.Operator):
    """Remove the cameras of the rig from the scene"""

    bl_idname = "neural_fields.remove_camera_rig"
    bl_label = "Remove Camera Rig"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        rig = context.scene.neural_fields.rig.collection if context.scene is not None else None
        if rig is None:
            cls.poll_message_set("There is no camera rig")
        elif is_linked(rig):
            cls.poll_message_set(f"{rig.name} is linked from another file")
        else:
            return True
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        settings = scene_of(context).neural_fields.rig
        remove_rig(settings.collection)
        settings.collection = None
        return {"FINISHED"}


class NEURALFIELDS_OT_render_capture(CaptureProperties, CaptureTimeProperties, bpy.types.Operator):
    """Render the scene through the chosen cameras, for a field to learn from. Esc stops; what is
    there is kept
    """

    bl_idname = "neural_fields.render_capture"
    bl_label = "Render Capture"
    bl_options = {"REGISTER"}

    collection: StringProperty(
        name="Collection",
        description="Collection whose cameras take the pictures; empty for the camera rig's",
        options=FORGET,
    )
    resume: BoolProperty(
        name="Resume",
        description="Go on with the capture that was stopped, and keep its pictures",
        options=FORGET,
    )

    _pictures: Iterator[captures.CaptureProgress] | None = None
    _timer: bpy.types.Timer | None = None
    _folder: Path

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.mode != "OBJECT":
            cls.poll_message_set("Go to Object Mode first")
            return False
        if context.window_manager.neural_fields.capture_total:
            cls.poll_message_set("A capture is being rendered")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                pictures = self._begin(context, captures.render_at_once)
                if bpy.app.background and session.shows_progress():
                    _show_all(pictures)
                else:
                    for _ in pictures:
                        pass
        except RefusedError:
            return {"CANCELLED"}
        self._end(context)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        if bpy.app.background:
            return self.execute(context)
        try:
            with reporting(self):
                self._pictures = self._begin(context, render_in_window)
        except RefusedError:
            return {"CANCELLED"}
        note_capture(context, 0, 1)
        manager = context.window_manager
        self._timer = manager.event_timer_add(TICK_S, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """Looks at each tick how far it is; it owns the window meanwhile, but for the tab, since
        undo would pull the scene away.
        """
        if event.type == "ESC":
            context.window_manager.neural_fields.capture_stop = True
        if event.type != "TIMER" or self._pictures is None:
            passed = event.type in TAB_EVENTS and over_sidebar(context, event)
            return {"PASS_THROUGH"} if passed else {"RUNNING_MODAL"}
        try:
            with reporting(self):
                outcome = self._tick(context)
        except RefusedError:
            outcome = {"CANCELLED"}
        if outcome != {"RUNNING_MODAL"}:
            self.cancel(context)
        if outcome == {"FINISHED"}:
            self._end(context)
        return outcome

    def _tick(self, context: bpy.types.Context) -> Outcome:
        assert self._pictures is not None
        stopping = context.window_manager.neural_fields.capture_stop
        try:
            progress = None if stopping and not is_rendering() else next(self._pictures, None)
        except RenderStoppedError:
            stopping, progress = True, None
        except ReferenceError as error:
            raise SceneError(
                "The scene was replaced while it was rendered.", "Take up the capture again."
            ) from error
        if progress is not None:
            note_capture(context, progress.done, progress.total, progress.seconds)
            return {"RUNNING_MODAL"}
        if not stopping:
            return {"FINISHED"}
        self.report({"WARNING"}, "The capture was stopped; Resume goes on with it")
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Gives the scene's settings and the window back."""
        if self._pictures is not None:
            self._pictures.close()  # type: ignore[attr-defined]
            self._pictures = None
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
            note_capture(context, 0, 0)

    def _begin(
        self, context: bpy.types.Context, render: captures.Renderer
    ) -> Iterator[captures.CaptureProgress]:
        scene = scene_of(context)
        stored = scene.neural_fields.capture
        options = choose(self, stored, "transparent", "hold_out", "overwrite")
        folder = absolute(choose(self, stored, "folder")["folder"])
        self._folder = Path(folder) if folder else self._own_folder(stored)
        time_map = self._time_map(scene)
        taken = self._stations(context, time_map)
        for warning in captures.warnings_about(taken, scene):
            self.report({"WARNING"}, warning)
        box = box_of(stored.bounds_box) if stored.bounds_box is not None else None
        chosen = captures.CaptureOptions(time_map=time_map, bounds=box, **options)
        stored.unfinished = relative_path(self._folder)
        return captures.render_capture(scene, taken, self._folder, chosen, render)

    def _own_folder(self, stored: Any) -> Path:
        if self.resume and stored.unfinished:
            return Path(absolute(stored.unfinished))
        return preferences.new_folder("capture")

    def _time_map(self, scene: bpy.types.Scene) -> TimeMap | None:
        """The frames at which the moving scene begins and ends; None where it does not move."""
        names = ("moving_scene", "use_scene_range", "frame_start", "frame_end")
        options = choose(self, scene.neural_fields.capture, *names)
        if not options["moving_scene"]:
            return None
        given = any(self.properties.is_property_set(name) for name in names[2:])
        if options["use_scene_range"] and not given:
            return TimeMap(scene.frame_start, scene.frame_end)
        return TimeMap(options["frame_start"], options["frame_end"])

    def _stations(
        self, context: bpy.types.Context, time_map: TimeMap | None
    ) -> list[stations.Station]:
        scene = scene_of(context)
        names = ("source", "frame_step", "every_camera")
        options = choose(self, scene.neural_fields.capture, *names)
        step = options["frame_step"]
        frames = range(scene.frame_start, scene.frame_end + 1, step)
        if time_map is not None:
            frames = time_map.frames(step)
        if options["source"] == "ANIMATION":
            return stations.stations_of_animation(scene, frames)
        cameras = self._cameras(context, options["source"])
        if time_map is None:
            return stations.stations_at(cameras, scene.frame_current)
        if options["every_camera"]:
            return stations.stations_together(cameras, frames)
        return stations.stations_in_turn(cameras, frames)

    def _cameras(self, context: bpy.types.Context, source: str) -> list[bpy.types.Object]:
        scene = scene_of(context)
        if source == "COLLECTION":
            found = bpy.data.collections.get(self.collection) or scene.neural_fields.rig.collection
            if found is None or (self.collection and found.name != self.collection):
                raise SceneError(
                    f"There is no collection {self.collection!r}."
                    if self.collection
                    else "There is no camera rig.",
                    "Add a camera rig, or choose other cameras.",
                )
            items = found.all_objects
        else:
            items = context.selected_objects if source == "SELECTED" else scene.objects
        cameras = (item for item in items if item.type == "CAMERA")
        return sorted(cameras, key=lambda item: item.name)

    def _end(self, context: bpy.types.Context) -> None:
        settings = scene_of(context).neural_fields
        settings.training.capture = relative_path(self._folder)
        settings.capture.unfinished = ""
        self.report({"INFO"}, f"The capture is in {self._folder}")


def _show_all(pictures: Iterator[captures.CaptureProgress]) -> None:
    """Takes all pictures behind a progress bar."""
    with only_this_stream() as stream:
        bar = ProgressBar("Render capture", stream)
        try:
            for progress in pictures:
                bar.show(_as_message(progress))
        finally:
            bar.close()


def _as_message(progress: captures.CaptureProgress) -> messages.Progress:
    left = progress.total - progress.done
    each = progress.seconds / progress.rendered if progress.rendered else -1.0
    return messages.Progress(
        job_id="",
        stage="rendering",
        done=progress.done,
        total=progress.total,
        unit="pictures",
        seconds=progress.seconds,
        eta_s=left * each if each >= 0 else -1.0,
    )


class NEURALFIELDS_OT_stop_capture(bpy.types.Operator):
    """Stop after the picture that is being rendered, and keep what there is. Esc stops at once"""

    bl_idname = "neural_fields.stop_capture"
    bl_label = "Stop Capture"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.window_manager.neural_fields.capture_total:
            return True
        cls.poll_message_set("No capture is being rendered")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        context.window_manager.neural_fields.capture_stop = True
        return {"FINISHED"}


CLASSES = (
    NEURALFIELDS_OT_add_camera_rig,
    NEURALFIELDS_OT_remove_camera_rig,
    NEURALFIELDS_OT_render_capture,
    NEURALFIELDS_OT_stop_capture,
)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
