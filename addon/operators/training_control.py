# SPDX-License-Identifier: GPL-3.0-or-later
"""The three ways to stop a training: for a while, for good, and as if it had never been."""

from pathlib import Path

import bpy

from .. import panel_state, run_catalog, run_names, session
from ..problems import problem_from
from ..scene.errors import SceneError
from ..training_notes import Ending
from ..worker.protocol import messages
from .jobs import Outcome


def running_training() -> session.JobRecord | None:
    """The training that runs, of a field or of shapes."""
    kinds = (messages.Train, messages.FitShape)
    return next((one for one in session.running() if isinstance(one.job, kinds)), None)


class _OnTraining:
    """Poll of the operators that stop a training, and the way they all do."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        record = running_training()
        if record is None:
            cls.poll_message_set("No training is running")  # type: ignore[attr-defined]
        elif record.cancel_asked:
            cls.poll_message_set("It is stopping already")  # type: ignore[attr-defined]
        else:
            return True
        return False

    def _stop(self, ending: Ending) -> session.JobRecord:
        record = running_training()
        assert record is not None  # by poll
        record.training.ending = ending
        session.cancel(record.job.job_id)
        if bpy.app.background:
            session.wait(record.job.job_id)
        return record


class NEURALFIELDS_OT_pause_training(_OnTraining, bpy.types.Operator):
    """Save what is learned and free the processor. Resume goes on from there, also in another
    session
    """

    bl_idname = "neural_fields.pause_training"
    bl_label = "Pause"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        self._stop("pause")
        return {"FINISHED"}


class NEURALFIELDS_OT_stop_training(_OnTraining, bpy.types.Operator):
    """End the training here. What is learned so far becomes the field"""

    bl_idname = "neural_fields.stop_training"
    bl_label = "Stop & Keep"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        self._stop("keep")
        return {"FINISHED"}


class NEURALFIELDS_OT_discard_training(_OnTraining, bpy.types.Operator):
    """Stop the training and delete its run. Of a training that was resumed, the run is kept"""

    bl_idname = "neural_fields.discard_training"
    bl_label = "Cancel Training"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        record = running_training()
        assert record is not None  # by poll
        resumed = bool(getattr(record.job, "resume", False))
        self._stop("keep" if resumed else "discard")
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        record = running_training()
        resumed = record is not None and bool(getattr(record.job, "resume", False))
        return context.window_manager.invoke_confirm(
            self,
            event,
            title="Stop This Training?" if resumed else "Stop and Delete This Training?",
            message="The run is kept." if resumed else "What it has learned so far is lost.",
            confirm_text="Stop" if resumed else "Delete",
        )


def on_event(event: messages.Event, record: session.JobRecord) -> None:
    """Listens to the session: deletes the run of a training that was thrown away, once it ended."""
    if record.training.ending != "discard" or not isinstance(event, messages.FINAL_EVENTS):
        return
    run = Path(getattr(record.job, "run", ""))
    try:
        if (run / "run.json").is_file():
            run_names.delete(run)
    except SceneError as error:
        panel_state.note_problem("training", problem_from(error))
    run_catalog.refresh()


CLASSES = (
    NEURALFIELDS_OT_pause_training,
    NEURALFIELDS_OT_stop_training,
    NEURALFIELDS_OT_discard_training,
)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)
    session.subscribe(on_event)


def unregister() -> None:
    session.unsubscribe(on_event)
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
