# SPDX-License-Identifier: GPL-3.0-or-later
"""What would go wrong with a capture, before and after its pictures are there, and the fixes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatVectorProperty, StringProperty

from .. import capture_problems, preferences, session
from ..capture_problems import Concerned
from ..compat import by_session_uid
from ..scene.bounds import box_of
from ..scene.cameras import bounds_of
from ..scene.capture_checks import scene_problems
from ..scene.images import relative_path
from ..settings import FORGET
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, do, reporting, scene_of

_SUBJECTS = (
    ("BOTH", "Scene and Pictures", "Whatever there is of the two"),
    ("SCENE", "Scene", "The scene and its cameras, before they are rendered"),
    ("CAPTURE", "Pictures", "The pictures that a training would learn from"),
)
_NEAR = 0.01
"""How far from where a picture was taken its camera may stand, as a share of the scene's size."""


class NEURALFIELDS_OT_check_capture(bpy.types.Operator):
    """List what would make a field worse: blur, mixed sizes, jumps of exposure, cameras that see
    nothing, settings of the scene
    """

    bl_idname = "neural_fields.check_capture"
    bl_label = "Check Capture"
    bl_options = {"REGISTER"}

    subject: EnumProperty(
        name="Check", description="What is looked at", items=_SUBJECTS, options=FORGET
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.mode != "OBJECT":
            cls.poll_message_set("Go to Object Mode first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene = scene_of(context)
        capture = absolute(scene.neural_fields.training.capture)
        cameras, num_pictures = _cameras(context)
        both = self.subject == "BOTH"
        try:
            with reporting(self):
                if self.subject == "CAPTURE" and not capture:
                    raise JobError(
                        "There is no capture to check.", "Render or import one, or choose it."
                    )
                if both and not capture and not cameras:
                    raise JobError(
                        "There are neither cameras nor pictures to check.",
                        "Add a camera rig, or import a capture.",
                    )
                # With cameras of photos alone there is no scene to take pictures of.
                if self.subject == "SCENE" or (both and cameras and (_renders() or not capture)):
                    _check_scene(scene, cameras, num_pictures)
                elif both:
                    capture_problems.forget("SCENE")
            if capture and self.subject != "SCENE":
                job = messages.CheckCapture(job_id=session.new_job_id(), capture=capture)
                target = session.Target(scene=scene.session_uid)
                do(self, job, "Check capture", target, then=_take_in)
        except RefusedError:
            return {"CANCELLED"}
        for problem in capture_problems.state().problems:
            self.report({"WARNING"}, problem.sentence)
        return {"FINISHED"}


class NEURALFIELDS_OT_fix_problem(bpy.types.Operator):
    """Put right what the check of the capture has found"""

    bl_idname = "neural_fields.fix_problem"
    bl_label = "Fix"
    bl_options = {"REGISTER", "UNDO"}

    source: EnumProperty(
        name="Where",
        description="What the problem is about",
        items=_SUBJECTS[1:],
        options=FORGET,
    )
    kind: StringProperty(name="Kind", description="Kind of the problem", options=FORGET)

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        return _EXPLAINED.get((properties.source, properties.kind), "Put this right")

    def execute(self, context: bpy.types.Context) -> Outcome:
        problem = capture_problems.find(self.source, self.kind)
        if problem is None or (self.source, self.kind) not in capture_problems.FIXES:
            self.report({"ERROR"}, "There is no such problem that can be fixed. Check again.")
            return {"CANCELLED"}
        names = [one.name for one in problem.concerned]
        try:
            with reporting(self):
                if self.source == "SCENE":
                    _SCENE_FIXES[self.kind](scene_of(context), names)
            if self.source == "CAPTURE":
                widen = self.kind == "outside_bounds"
                _select_views(self, scene_of(context), () if widen else names, widen)
                return {"FINISHED"}
        except RefusedError:
            return {"CANCELLED"}
        return bpy.ops.neural_fields.check_capture(subject="SCENE")


class NEURALFIELDS_OT_go_to_camera(bpy.types.Operator):
    """Look through this camera"""

    bl_idname = "neural_fields.go_to_camera"
    bl_label = "Go to Camera"
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty(
        name="Name", description="A camera, or a picture that has one", options=FORGET
    )
    position: FloatVectorProperty(
        name="Position", description="Where the picture was taken from", options=FORGET
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.mode != "OBJECT":
            cls.poll_message_set("Go to Object Mode first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene = scene_of(context)
        camera = _camera_of(scene, self.name, np.array(self.position))
        if camera is None:
            self.report(
                {"ERROR"},
                f"No camera stands where {self.name} was taken. Import the capture to see its "
                "cameras.",
            )
            return {"CANCELLED"}
        for item in context.selected_objects:
            item.select_set(False)
        camera.select_set(True)
        context.view_layer.objects.active = camera
        scene.camera = camera
        for window in context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D" and window.scene == scene:
                    area.spaces.active.region_3d.view_perspective = "CAMERA"
        return {"FINISHED"}


def _cameras(context: bpy.types.Context) -> tuple[list[bpy.types.Object], int]:
    """The cameras that would take the pictures, and how many pictures."""
    scene = scene_of(context)
    settings = scene.neural_fields.capture
    items: Any = scene.objects
    if settings.source == "COLLECTION":
        rig = scene.neural_fields.rig.collection
        items = rig.all_objects if rig is not None else ()
    elif settings.source == "SELECTED":
        items = context.selected_objects
    elif settings.source == "ANIMATION":
        items = [scene.camera] if scene.camera else ()
    cameras = sorted((item for item in items if item.type == "CAMERA"), key=lambda one: one.name)
    frames = len(range(scene.frame_start, scene.frame_end + 1, settings.frame_step))
    if settings.source == "ANIMATION":
        return cameras, frames if cameras else 0
    if settings.moving_scene and cameras:
        together = len(cameras) * frames
        return cameras, together if settings.every_camera else max(len(cameras), frames)
    return cameras, len(cameras)


def _renders() -> bool:
    """Whether there is anything in the scene to take pictures of."""
    return bounds_of(bpy.context.evaluated_depsgraph_get()) is not None


def _check_scene(
    scene: bpy.types.Scene, cameras: list[bpy.types.Object], num_pictures: int
) -> None:
    settings = scene.neural_fields.capture
    box = box_of(settings.bounds_box) if settings.bounds_box is not None else None
    capture_problems.forget("SCENE")
    for problem in scene_problems(scene, cameras, num_pictures, settings.transparent, box):
        concerned = [
            Concerned(name, scene.objects[name].matrix_world.translation[:])
            for name in problem.cameras
        ]
        capture_problems.add("SCENE", problem.kind, problem.sentence, concerned)
    capture_problems.summarize()


def _take_in(record: session.JobRecord) -> None:
    """Shows what the worker has found in the pictures."""
    event = record.answer
    assert isinstance(event, messages.CaptureChecked)
    state = capture_problems.state()
    capture_problems.forget("CAPTURE")
    state.capture, state.num_views = event.capture, event.num_views
    if len(event.bounds) == 6:
        state.bounds_min, state.bounds_max = event.bounds[:3], event.bounds[3:]
    start = 0
    for kind, sentence, count in zip(event.kinds, event.sentences, event.counts, strict=True):
        concerned = [
            Concerned(event.views[index], event.positions[3 * index : 3 * index + 3])
            for index in range(start, start + count)
        ]
        start += count
        capture_problems.add("CAPTURE", kind, sentence, concerned)
    capture_problems.summarize()


def _select_views(
    operator: bpy.types.Operator, scene: bpy.types.Scene, left_out: Any, widen: bool
) -> None:
    """Has the capture written anew, and makes that the one to learn from."""
    state = capture_problems.state()
    bounds = (tuple(state.bounds_min), tuple(state.bounds_max)) if widen else ((), ())
    output = preferences.new_folder("capture_selected") / "transforms.json"
    job = messages.SelectViews(
        job_id=session.new_job_id(),
        capture=absolute(scene.neural_fields.training.capture) or state.capture,
        output=str(output),
        leave_out=tuple(left_out),
        bounds_min=bounds[0],
        bounds_max=bounds[1],
    )
    uid, names, kind = scene.session_uid, list(left_out), "outside_bounds"

    def use(_record: session.JobRecord) -> None:
        use_capture(uid, output.parent)
        capture_problems.drop_views(names)
        problem = capture_problems.find("CAPTURE", kind) if widen else None
        if problem is not None:
            problems = capture_problems.state().problems
            problems.remove(list(problems).index(problem))
            capture_problems.summarize()

    do(operator, job, "Select views", session.Target(scene=uid), then=use)


def use_capture(scene_uid: int, folder: Path) -> None:
    """Makes a capture the one that a scene's training learns from."""
    scene = by_session_uid(bpy.data.scenes, scene_uid)
    if scene is not None:
        scene.neural_fields.training.capture = relative_path(folder)


def _camera_of(scene: bpy.types.Scene, name: str, position: np.ndarray) -> bpy.types.Object | None:
    """By name where the camera stands there, otherwise whichever does."""
    cameras = [item for item in scene.objects if item.type == "CAMERA"]
    if not cameras:
        return None
    places = np.array([item.matrix_world.translation for item in cameras])
    away = np.linalg.norm(places - position, axis=-1)
    near = away <= _NEAR * max(1e-6, np.ptp(places, axis=0).max())
    named = [item for item, close in zip(cameras, near, strict=True) if close]
    stem = Path(name).stem
    exact = next((item for item in named if item.name in (name, stem)), None)
    if exact is not None or not named:
        return exact
    return cameras[int(np.argmin(away))]


def _no_blur(scene: bpy.types.Scene, _names: list[str]) -> None:
    scene.render.use_motion_blur = False


def _transparent(scene: bpy.types.Scene, _names: list[str]) -> None:
    scene.neural_fields.capture.transparent = True


def _standard(scene: bpy.types.Scene, _names: list[str]) -> None:
    scene.view_settings.view_transform = "Standard"


def _all_sharp(scene: bpy.types.Scene, names: list[str]) -> None:
    for name in names:
        if name in scene.objects:
            scene.objects[name].data.dof.use_dof = False


def _enlarge(scene: bpy.types.Scene, _names: list[str]) -> None:
    """Scales and moves the box so that it holds what it held and all that renders."""
    empty = scene.neural_fields.capture.bounds_box
    around = bounds_of(bpy.context.evaluated_depsgraph_get())
    if empty is None or around is None:
        return
    own = box_of(empty)
    box = np.stack([np.minimum(own[0], around[0]), np.maximum(own[1], around[1])])
    matrix = np.diag([*((box[1] - box[0]) / 2 / empty.empty_display_size), 1.0])
    matrix[:3, 3] = box.mean(axis=0)
    empty.matrix_world = matrix.T.tolist()
    bpy.context.view_layer.update()


def _add_rig(_scene: bpy.types.Scene, _names: list[str]) -> None:
    bpy.ops.neural_fields.add_camera_rig()


_SCENE_FIXES: dict[str, Callable[[bpy.types.Scene, list[str]], None]] = {
    "motion_blur": _no_blur,
    "film": _transparent,
    "view_transform": _standard,
    "depth_of_field": _all_sharp,
    "sticks_out": _enlarge,
    "no_cameras": _add_rig,
}
_EXPLAINED = {
    ("SCENE", "film"): "Render captures without the world's background",
    ("SCENE", "view_transform"): "Show the scene with the view transform that captures have",
    ("SCENE", "depth_of_field"): "Switch depth of field off for the cameras that have it",
    ("SCENE", "sticks_out"): "Enlarge the bounds until they hold all that renders",
    ("CAPTURE", "outside_bounds"): "Learn from the same pictures with bounds that hold all cameras",
    **{
        ("CAPTURE", kind): "Learn without these pictures. No picture is deleted"
        for (source, kind), label in capture_problems.FIXES.items()
        if source == "CAPTURE" and label == "Leave Out"
    },
}

CLASSES = (
    NEURALFIELDS_OT_check_capture,
    NEURALFIELDS_OT_fix_problem,
    NEURALFIELDS_OT_go_to_camera,
)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
