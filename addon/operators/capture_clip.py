# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture from footage whose camera Blender has solved."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from .. import preferences, session
from ..compat import by_session_uid
from ..scene import clips
from ..scene.bounds import box_of
from ..scene.errors import SceneError
from ..scene.images import relative_path
from ..settings import FORGET, FORGET_PATH
from ..worker.protocol import messages
from .jobs import Outcome, RefusedError, absolute, do, reporting, scene_of


class NEURALFIELDS_OT_capture_from_clip(bpy.types.Operator):
    """Make a capture of a movie clip whose camera Blender's motion tracking has solved"""

    bl_idname = "neural_fields.capture_from_clip"
    bl_label = "Capture From Clip"
    bl_options = {"REGISTER"}

    clip: StringProperty(
        name="Clip",
        description="Movie clip; empty for the scene's active clip",
        options=FORGET,
    )
    folder: StringProperty(
        name="Folder",
        description="Where the capture goes; empty for a new folder under the runs folder",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    frame_step: IntProperty(
        name="Every Nth Frame",
        description="Frames of the clip from one picture to the next",
        default=1,
        min=1,
        options=FORGET,
    )
    hold_out: IntProperty(
        name="Hold Out Nth",
        description="Every Nth picture is kept from training to measure the quality with",
        default=8,
        min=0,
        options=FORGET,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or not len(bpy.data.movieclips):
            cls.poll_message_set("Open a movie clip and solve its camera first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene = scene_of(context)
        try:
            with reporting(self):
                clip = clips.clip_by_name(self.clip, scene)
                solved = clips.solved_clip(clip, scene, self.frame_step)
                if solved.lens.warning:
                    self.report({"WARNING"}, solved.lens.warning)
                folder = self._folder(clip)
                frames = [pose.frame for pose in solved.poses]
                numbers = clips.picture_numbers(clip, frames)
                if clip.source == "SEQUENCE":
                    files = _files_on_disk(clip, numbers)
                    self._write(scene, solved, files, folder)
            if clip.source != "SEQUENCE":
                self._extract(scene, clip, solved, numbers, folder)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}

    def _folder(self, clip: bpy.types.MovieClip) -> Path:
        folder = absolute(self.folder)
        if not folder:
            return preferences.new_folder(f"{Path(clip.name).stem}_capture")
        if (Path(folder) / "transforms.json").exists():
            raise SceneError(f"There is already a capture in {folder}.", "Choose another folder.")
        return Path(folder)

    def _extract(
        self,
        scene: bpy.types.Scene,
        clip: bpy.types.MovieClip,
        solved: clips.SolvedClip,
        numbers: dict[int, int],
        folder: Path,
    ) -> None:
        """Has the worker write the movie's frames; the capture follows them."""
        job = messages.ExtractFrames(
            job_id=session.new_job_id(),
            movie=absolute(clip.filepath),
            output=str(folder / "images"),
            frames=tuple(sorted(number for number in numbers.values() if number >= 1)),
        )
        uid, box, hold_out = scene.session_uid, _bounds(scene), self.hold_out

        def finish(record: session.JobRecord) -> None:
            event = record.answer
            assert isinstance(event, messages.FramesExtracted)
            there = dict(zip(event.frames, event.files, strict=True))
            files = {
                frame: f"images/{there[number]}"
                for frame, number in numbers.items()
                if number in there
            }
            clips.write_clip_capture(solved, files, folder, hold_out, box)
            open_scene = by_session_uid(bpy.data.scenes, uid)
            if open_scene is not None:
                open_scene.neural_fields.training.capture = relative_path(folder)

        do(self, job, "Read clip", session.Target(scene=uid), then=finish)

    def _write(
        self,
        scene: bpy.types.Scene,
        solved: clips.SolvedClip,
        files: dict[int, str],
        folder: Path,
    ) -> None:
        count = clips.write_clip_capture(solved, files, folder, self.hold_out, _bounds(scene))
        scene.neural_fields.training.capture = relative_path(folder)
        self.report({"INFO"}, f"The capture of {count} frames is in {folder}")


def _files_on_disk(clip: bpy.types.MovieClip, numbers: dict[int, int]) -> dict[int, str]:
    """Pictures of a sequence stay where they are."""
    files = {frame: clips.sequence_file(clip, number) for frame, number in numbers.items()}
    return {frame: file.as_posix() for frame, file in files.items() if file.is_file()}


def _bounds(scene: bpy.types.Scene) -> Any:
    empty = scene.neural_fields.capture.bounds_box
    return box_of(empty) if empty is not None else None


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_capture_from_clip)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_capture_from_clip)
