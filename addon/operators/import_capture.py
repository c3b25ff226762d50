# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos whose cameras are known, as Blender's cameras."""

import math
from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, StringProperty

from .. import preferences, session
from ..scene.cameras import Lens, add_camera, rigid
from ..scene.errors import SceneError
from ..scene.images import load_image, relative_path, set_background_still
from ..scene.transforms import PosedImage, read_posed_images, transforms_files
from ..settings import FORGET, FORGET_PATH
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, reporting, scene_of


class NEURALFIELDS_OT_import_capture(bpy.types.Operator):
    """Make a camera for each picture of a capture, with the picture behind the scene"""

    bl_idname = "neural_fields.import_capture"
    bl_label = "Import Capture"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(
        name="Capture",
        description="Folder or file: transforms.json, COLMAP model, LLFF poses_bounds.npy",
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
        try:
            with reporting(self):
                if not self.filepath or not path.exists():
                    raise JobError(f"There is no capture at {path}.", "Choose its folder or file.")
                views = [
                    view for file in self._transforms(path) for view in read_posed_images(file)
                ]
                if not views:
                    raise JobError(f"{path} has no usable cameras.", "Choose another capture.")
                self._add_cameras(scene_of(context), path, views)
        except RefusedError:
            return {"CANCELLED"}
        scene_of(context).neural_fields.training.capture = relative_path(path)
        self.report({"INFO"}, f"{len(views)} cameras were imported")
        return {"FINISHED"}

    def _transforms(self, path: Path) -> list[Path]:
        """The files to read; what is not transforms.json is converted to it by the worker, and
        waited for.
        """
        found = transforms_files(path)
        if found:
            return found
        output = preferences.new_folder(f"{path.stem}_cameras")
        job = messages.Convert(
            job_id=session.new_job_id(),
            capture=str(path),
            output=str(output),
            dialect="instant_ngp",
        )
        record = session.submit(job, "Read capture")
        session.wait(job.job_id, show_progress=bpy.app.background and session.shows_progress())
        if record.problem:
            raise JobError(record.problem)
        return transforms_files(output)

    def _add_cameras(self, scene: bpy.types.Scene, path: Path, views: list[PosedImage]) -> None:
        name = path.parent.name if path.is_file() else path.name
        collection = bpy.data.collections.new(f"Capture {name}")
        lenses = [(view, lens) for view in views if (lens := _lens_of(view)) is not None]
        if not lenses:
            raise SceneError(
                f"{path} does not tell the size of its pictures.", "Put them beside it."
            )
        scene.collection.children.link(collection)
        distance = _spacing(views)
        for view, lens in lenses:
            camera = add_camera(view.name, lens, rigid(view.camera_to_world))
            camera.data.display_size = 0.3 * distance
            collection.objects.link(camera)
            if self.use_images and view.image is not None:
                set_background_still(camera, view.image)
        if self.use_resolution:
            lens = lenses[0][1]
            scene.render.resolution_x, scene.render.resolution_y = lens.width, lens.height
            scene.render.resolution_percentage = 100
            scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
        if scene.camera is None:
            scene.camera = collection.objects[0]
        missing = len(views) - sum(view.image is not None for view in views)
        if missing:
            self.report({"WARNING"}, f"{missing} of {len(views)} cameras have no picture")
        if any(abs(lens.focal_y_px / lens.focal_x_px - 1) > 0.005 for _, lens in lenses):
            self.report({"WARNING"}, "The pictures' pixels are not square; Blender's cameras are")


def _lens_of(view: PosedImage) -> Lens | None:
    """The view's lens; a file with an angle of view alone leaves the size to its picture."""
    if view.lens is not None or view.image is None or not view.field_of_view:
        return view.lens
    image = load_image(view.image)
    width, height = image.size
    if image.users == 0:
        bpy.data.images.remove(image)
    if not width or not height:
        return None
    focal = width / (2 * math.tan(view.field_of_view / 2))
    return Lens(width, height, focal, focal, width / 2, height / 2)


def _spacing(views: list[PosedImage]) -> float:
    """Roughly how far apart neighbouring cameras are, to draw them in a fitting size."""
    positions = np.array([view.camera_to_world[:3, 3] for view in views])
    extent = float(np.linalg.norm(positions.max(axis=0) - positions.min(axis=0)))
    return max(extent, 0.1) / max(len(views), 2) ** 0.5


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_import_capture)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_import_capture)
