# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos whose cameras are known, as Blender's cameras."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from .. import preferences, session
from ..compat import by_session_uid
from ..scene.images import relative_path
from ..scene.photos import add_photo_cameras, photos_without_cameras
from ..scene.transforms import transforms_files
from ..settings import FORGET, FORGET_PATH
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, do, reporting, scene_of


class NEURALFIELDS_OT_import_capture(bpy.types.Operator):
    """Make a camera for each picture of a capture, with the picture behind the scene"""

    bl_idname = "neural_fields.import_capture"
    bl_label = "Import Capture"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(
        name="Capture",
        description=(
            "Folder or file: transforms.json, COLMAP model, LLFF poses_bounds.npy, or a folder of "
            "photos, whose cameras are then solved by COLMAP"
        ),
        subtype="FILE_PATH",
        options=FORGET_PATH,
    )
    use_images: BoolProperty(
        name="Background Images",
        description="Show each picture behind the scene in its camera's view",
        default=True,
        options=FORGET,
    )
    use_resolution: BoolProperty(
        name="Set Resolution",
        description=(
            "Render at the size of the pictures, so that the cameras see the same as the photos"
        ),
        default=True,
        options=FORGET,
    )

    in_sequence: BoolProperty(
        name="Photos in Sequence",
        description=(
            "Photos without cameras follow each other, as the frames of a film do: solved faster"
        ),
        options=FORGET,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.mode != "OBJECT":
            cls.poll_message_set("Go to Object Mode first")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        path = Path(absolute(self.filepath))
        scene = scene_of(context)
        name = path.parent.name if path.is_file() else path.name
        try:
            with reporting(self):
                if not self.filepath or not path.exists():
                    raise JobError(f"There is no capture at {path}.", "Choose its folder or file.")
                files = transforms_files(path)
                if files:
                    self._add(scene, name, files)
            if not files and (photos := photos_without_cameras(path)) is not None:
                self._solve(scene, photos, name)
                return {"FINISHED"}
            if not files:
                self._convert(scene, path, name)
        except RefusedError:
            return {"CANCELLED"}
        scene.neural_fields.training.capture = relative_path(path)
        return {"FINISHED"}

    def _add(self, scene: bpy.types.Scene, name: str, files: list[Path]) -> None:
        for warning in add_photo_cameras(scene, name, files, self.use_images, self.use_resolution):
            self.report({"WARNING"}, warning)

    def _convert(self, scene: bpy.types.Scene, path: Path, name: str) -> None:
        """Has the worker turn COLMAP or LLFF into transforms.json; the cameras come with it."""
        output = preferences.new_folder(f"{path.stem}_cameras")
        job = messages.Convert(
            job_id=session.new_job_id(),
            capture=str(path),
            output=str(output),
            dialect="instant_ngp",
        )
        self._add_from(scene, job, "Read capture", output, name)

    def _solve(self, scene: bpy.types.Scene, photos: Path, name: str) -> None:
        """Has the worker find the cameras of photos; what it writes is what is learned from."""
        output = preferences.new_folder(f"{name}_solved")
        job = messages.SolveCameras(
            job_id=session.new_job_id(),
            pictures=str(photos),
            output=str(output),
            in_sequence=self.in_sequence,
        )
        self._add_from(scene, job, "Solve cameras", output, name, learn=True)

    def _add_from(
        self,
        scene: bpy.types.Scene,
        job: messages.Job,
        label: str,
        output: Path,
        name: str,
        learn: bool = False,
    ) -> None:
        uid, options = scene.session_uid, (self.use_images, self.use_resolution)

        def add(record: session.JobRecord) -> None:
            open_scene = by_session_uid(bpy.data.scenes, uid)
            if open_scene is None:
                return
            files = transforms_files(output)
            record.warnings += add_photo_cameras(open_scene, name, files, *options)
            if learn:
                open_scene.neural_fields.training.capture = relative_path(output)

        do(self, job, label, session.Target(scene=uid), then=add)


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_import_capture)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_import_capture)
