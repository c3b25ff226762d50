# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures for other programs."""

import bpy
from bpy.props import StringProperty

from .. import preferences, session
from ..output_settings import ExportProperties
from ..settings import FORGET_PATH
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, choose, do, field_of, reporting, run_of, scene_of


class NEURALFIELDS_OT_export_capture(ExportProperties, bpy.types.Operator):
    """Copy the capture, pictures and all, in the format of another program"""

    bl_idname = "neural_fields.export_capture"
    bl_label = "Export Capture"
    bl_options = {"REGISTER"}

    capture: StringProperty(
        name="Capture",
        description=(
            "Folder or file of the capture; empty for the one that is chosen for training, or that "
            "the field was trained on"
        ),
        subtype="FILE_PATH",
        options=FORGET_PATH,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None:
            return False
        if not context.scene.neural_fields.training.capture and field_of(context) is None:
            cls.poll_message_set("Render or import a capture first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        scene, field = scene_of(context), field_of(context)
        options = choose(self, scene.neural_fields.export, "dialect", "output")
        capture = absolute(self.capture) or absolute(scene.neural_fields.training.capture)
        if not capture and field is not None:
            capture = str(run_of(field) / "capture.json")
        try:
            with reporting(self):
                if not capture:
                    raise JobError("There is no capture to export.", "Render or import one.")
            output = absolute(options["output"])
            job = messages.Convert(
                job_id=session.new_job_id(),
                capture=capture,
                output=output or str(preferences.new_folder(f"export_{options['dialect']}")),
                dialect=options["dialect"],
            )
            do(self, job, "Export capture", session.Target(scene=scene.session_uid), then=_tell)
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}


def _tell(record: session.JobRecord) -> None:
    event = record.answer
    if isinstance(event, messages.Converted):
        record.note = f"{event.num_views} views are in {event.output}"


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_OT_export_capture)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_OT_export_capture)
