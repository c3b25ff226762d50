# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: start it, stop it, and take up a run that is already there."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty
from mathutils import Matrix

from .. import preferences, results, session, shape_results, training_watch
from ..scene.run_folders import read_run
from ..scene.shape_runs import shapes_of_run
from ..settings import FORGET, FORGET_PATH, TrainingProperties
from ..training_settings import LIVE_PREVIEW_S, is_live
from ..worker.protocol import JobError, messages
from .jobs import Outcome, RefusedError, absolute, choose, device_of, do, reporting, scene_of

PASSED_ON = (
    "method", "preset", "surfaces", "steps", "seconds", "seed", "image_width", "hold_out",
    "resume", "preview_seconds", "evaluations",
)  # fmt: skip

LIVE_EVALUATIONS = 12


class NEURALFIELDS_OT_train(TrainingProperties, bpy.types.Operator):
    """Learn a field from a capture, in another process. The field appears as an empty when it is
    done
    """

    bl_idname = "neural_fields.train"
    bl_label = "Train Field"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None:
            return False
        if any(isinstance(record.job, messages.Train) for record in session.running()):
            cls.poll_message_set("A training is running; cancel it or wait for its end")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        stored = scene_of(context).neural_fields.training
        paths = choose(self, stored, "capture", "run")
        try:
            with reporting(self):
                if not paths["capture"]:
                    raise JobError(
                        "There is no capture to learn from.",
                        "Render or import one, or choose its folder.",
                    )
            capture = absolute(paths["capture"])
            run = absolute(paths["run"]) or str(preferences.new_folder("run"))
            options = choose(self, stored, "device", "settings", *PASSED_ON)
            job_id = session.new_job_id()
            if is_live(stored):
                options |= self._live_options(scene_of(context), Path(run), job_id, options)
            job = messages.Train(
                job_id=job_id,
                capture=capture,
                run=run,
                device=device_of(options.pop("device")),
                settings=tuple(options.pop("settings").split()),
                **options,
            )
            do(self, job, "Train", session.Target(scene=scene_of(context).session_uid))
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}

    def _live_options(
        self, scene: bpy.types.Scene, run: Path, job_id: str, options: dict[str, Any]
    ) -> dict[str, Any]:
        """Pictures and figures for someone who looks on, where they were not asked for otherwise.

        Raises:
            RefusedError: where the preview's camera cannot be written.
        """
        with reporting(self):
            written = training_watch.write_camera(scene, run, job_id)
        return {
            "preview_camera": str(training_watch.camera_file(job_id)) if written else "",
            "preview_seconds": options["preview_seconds"] or LIVE_PREVIEW_S,
            "evaluations": options["evaluations"] or LIVE_EVALUATIONS,
        }


class NEURALFIELDS_OT_cancel(bpy.types.Operator):
    """Stop the running jobs. What a training has learned so far is kept"""

    bl_idname = "neural_fields.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    job_id: StringProperty(
        name="Job", description="The job to stop; empty stops all", options=FORGET
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.running():
            return True
        cls.poll_message_set("Nothing is running")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        stopping = [
            record.job.job_id
            for record in session.running()
            if self.job_id in ("", record.job.job_id)
        ]
        for job_id in stopping:
            session.cancel(job_id)
        if bpy.app.background:
            for job_id in stopping:
                session.wait(job_id)
        return {"FINISHED"} if stopping else {"CANCELLED"}


class NEURALFIELDS_OT_add_field(bpy.types.Operator):
    """Add the field or the shapes of a run that is already on disk"""

    bl_idname = "neural_fields.add_field"
    bl_label = "Add Trained Field"
    bl_options = {"REGISTER", "UNDO"}

    run: StringProperty(
        name="Run Folder",
        description="Folder that a training wrote",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.scene is not None

    def execute(self, context: bpy.types.Context) -> Outcome:
        run = Path(absolute(self.run))
        if not self.run or not (run / "run.json").is_file():
            self.report(
                {"ERROR"}, f"{run} is no run folder. Choose the folder that a training wrote."
            )
            return {"CANCELLED"}
        scene = scene_of(context)
        try:
            with reporting(self):
                if shapes_of_run(run) is None:
                    field = results.put_field(scene, run)
                    known = read_run(run)
                    field.neural_field.method, field.neural_field.steps = known.method, known.steps
                    field.neural_field.psnr = known.psnr or 0.0
                else:
                    field = shape_results.put_shape(scene, run, Matrix(), "OBJECT")
        except RefusedError:
            return {"CANCELLED"}
        context.view_layer.objects.active = field
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        return context.window_manager.invoke_props_dialog(self)


CLASSES = (NEURALFIELDS_OT_train, NEURALFIELDS_OT_cancel, NEURALFIELDS_OT_add_field)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
