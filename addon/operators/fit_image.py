# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture that is learned as a function, and drawn at another size."""

import bpy
from bpy.props import StringProperty

from .. import preferences, session
from ..scene.picture_files import write_picture
from ..settings import FORGET
from ..shape_settings import FitImageProperties
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, choose, device_of, do, reporting, scene_of


class NEURALFIELDS_OT_fit_image(FitImageProperties, bpy.types.Operator):
    """Learn an image as a function of the place in it, and draw it as a new image of any size"""

    bl_idname = "neural_fields.fit_image"
    bl_label = "Fit Field to Image"
    bl_options = {"REGISTER"}

    image: StringProperty(
        name="Image",
        description="Image to learn; empty for the one that an image editor shows",
        options=FORGET,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is not None and len(bpy.data.images):
            return True
        cls.poll_message_set("Open or render an image first")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        stored = scene_of(context).neural_fields.fit_image
        options = choose(self, stored, "width", "encoding", "scale", "steps", "seed", "device")
        try:
            with reporting(self):
                image = self._image(context)
                folder = preferences.new_folder("image")
                file = folder / f"{bpy.path.clean_name(image.name)}.png"
                write_picture(image, file)
            job = messages.FitImage(
                job_id=session.new_job_id(),
                image=str(file.absolute()),
                output=str((folder / f"{file.stem}_learned.png").absolute()),
                device=device_of(options.pop("device")),
                **options,
            )
            record = do(self, job, "Fit image", session.Target())
        except RefusedError:
            return {"CANCELLED"}
        if record.note:
            self.report({"INFO"}, record.note)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return context.window_manager.invoke_props_dialog(self)

    def _image(self, context: bpy.types.Context) -> bpy.types.Image:
        if self.image:
            found = bpy.data.images.get(self.image)
            if found is None:
                raise JobError(f"There is no image {self.image!r}.", "Choose another one.")
            return found
        shown = getattr(context.space_data, "image", None)
        if shown is None:
            raise JobError("No image is chosen.", "Name one, or open it in an image editor.")
        return shown


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_fit_image)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_fit_image)
