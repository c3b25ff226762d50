# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with the runs on disk, by the list of them or by a run's path."""

import json
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from .. import panel_state, run_catalog, run_names
from ..problems import AREAS
from ..scene import run_references
from ..scene.errors import SceneError
from ..scene.run_folders import RunEntry, is_run, read_run
from ..settings import FORGET, FORGET_PATH
from .jobs import Outcome, RefusedError, absolute, reporting, scene_of
from .run_settings import capture_of, settings_of_run


class _OnRun:
    """The run that an operator is for: one by its path, or the one that is chosen in the list."""

    run: StringProperty(
        name="Run",
        description="Folder of the run; empty for the one that is chosen in the list",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.scene is not None

    def _entry(self) -> RunEntry:
        """Raises SceneError where none is chosen."""
        if self.run:
            return read_run(Path(absolute(self.run)))
        chosen = run_catalog.chosen_run()
        if chosen is None:
            raise SceneError("No run is chosen.", "Choose one in the list of runs.")
        return chosen


class NEURALFIELDS_OT_refresh_runs(bpy.types.Operator):
    """Read the runs folder again"""

    bl_idname = "neural_fields.refresh_runs"
    bl_label = "Refresh Runs"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        run_catalog.refresh()
        return {"FINISHED"}


class NEURALFIELDS_OT_reveal_run(_OnRun, bpy.types.Operator):
    """Open the run's folder in the system's file browser"""

    bl_idname = "neural_fields.reveal_run"
    bl_label = "Reveal Run Folder"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                entry = self._entry()
                if not entry.path.is_dir():
                    raise SceneError(f"There is no run folder at {entry.path}.", "Relink the run.")
            bpy.ops.wm.path_open(filepath=str(entry.path))
        except RefusedError:
            return {"CANCELLED"}
        return {"FINISHED"}


class NEURALFIELDS_OT_rename_run(_OnRun, bpy.types.Operator):
    """Rename the run's folder, and have the open file find it there"""

    bl_idname = "neural_fields.rename_run"
    bl_label = "Rename Run"
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty(name="Name", description="New name of the folder", options=FORGET)

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                run_names.move(self._entry().path, self.name)
        except RefusedError:
            return {"CANCELLED"}
        run_catalog.refresh()
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        chosen = run_catalog.chosen_run()
        self.name = chosen.path.name if chosen is not None else ""
        return context.window_manager.invoke_props_dialog(self)


class NEURALFIELDS_OT_delete_run(_OnRun, bpy.types.Operator):
    """Delete the run's folder from disk. Meshes stay in the file; pictures and sequences that the
    file still shows are moved beside the folder first
    """

    bl_idname = "neural_fields.delete_run"
    bl_label = "Delete Run"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                path = self._entry().path
                kept = run_names.delete(path)
        except RefusedError:
            return {"CANCELLED"}
        where = f"; what is shown of it is now in {kept}" if kept else ""
        self.report({"INFO"}, f"{path.name} was deleted{where}")
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        chosen = run_catalog.chosen_run()
        name = chosen.path.name if chosen is not None else "the run"
        return context.window_manager.invoke_confirm(
            self,
            event,
            title=f"Delete {name} From Disk?",
            message="What was learned is lost. What the scene shows of it is kept.",
            confirm_text="Delete",
        )


class NEURALFIELDS_OT_relink_run(_OnRun, bpy.types.Operator):
    """Say where the run lies now, after its folder or the .blend file was moved"""

    bl_idname = "neural_fields.relink_run"
    bl_label = "Relink Run"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(
        name="Folder",
        description="Where the run lies now",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        new = Path(absolute(self.directory))
        try:
            with reporting(self):
                old = self._entry().path
                if not self.directory or not is_run(new):
                    raise SceneError(
                        f"{new} is no run: it has no run.json.",
                        "Choose the folder that a training wrote.",
                    )
                count = run_references.move_references(old, new)
        except RefusedError:
            return {"CANCELLED"}
        run_catalog.refresh()
        self.report({"INFO"}, f"{count} places of the file name {new} now")
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class NEURALFIELDS_OT_use_run_settings(_OnRun, bpy.types.Operator):
    """Set the panel as the run was trained: its capture, method, quality and what was changed"""

    bl_idname = "neural_fields.use_run_settings"
    bl_label = "Use These Settings"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                path = self._entry().path
                self._set(scene_of(context), path)
        except RefusedError:
            return {"CANCELLED"}
        self.report({"INFO"}, f"The next training is set as {path.name} was")
        return {"FINISHED"}

    def _set(self, scene: bpy.types.Scene, run: Path) -> None:
        try:
            values = json.loads((run / "run.json").read_text(encoding="utf-8"))
            is_shape, settings = settings_of_run(run, values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SceneError(f"{run} has no settings that can be read.", "Relink it.") from error
        groups: Any = scene.neural_fields
        group = groups.fit_shape if is_shape else groups.training
        for name, value in settings.items():
            setattr(group, name, value)


class NEURALFIELDS_OT_resume_run(_OnRun, bpy.types.Operator):
    """Go on with the run from its last checkpoint, with the settings it was begun with"""

    bl_idname = "neural_fields.resume_run"
    bl_label = "Resume"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                entry = self._entry()
                if not entry.has_checkpoint:
                    raise SceneError(
                        f"{entry.path.name} has no checkpoint to go on from.", "Train it anew."
                    )
                if entry.is_shape:
                    raise SceneError(
                        f"{entry.path.name} learned shapes.",
                        "Select their meshes, choose the run under Shapes, and fit with Resume.",
                    )
                capture = capture_of(entry.path)
                if not capture.exists():
                    raise SceneError(
                        f"The capture that {entry.path.name} learns from is not at {capture}.",
                        "Put it back, or choose it under Capture and train with Resume.",
                    )
            return self._train(entry.path, capture)
        except RefusedError:
            return {"CANCELLED"}

    def _train(self, run: Path, capture: Path) -> Outcome:
        try:
            return bpy.ops.neural_fields.train(
                capture=str(capture),
                run=str(run),
                method="auto",
                settings="",
                steps=0,
                seconds=0.0,
                resume=True,
            )
        except RuntimeError as error:  # what training has reported
            self.report({"ERROR"}, str(error).removeprefix("Error: ").strip())
            return {"CANCELLED"}


class NEURALFIELDS_OT_dismiss(bpy.types.Operator):
    """Take note of the problem and hide it"""

    bl_idname = "neural_fields.dismiss"
    bl_label = "Dismiss"
    bl_options = {"REGISTER"}

    area: EnumProperty(
        name="Part",
        description="Part of the tab that shows the problem",
        items=[(area.upper(), area.capitalize(), "") for area in AREAS],
        options=FORGET,
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        panel_state.note_problem(self.area.lower(), None)  # type: ignore[arg-type]
        return {"FINISHED"}


CLASSES = (
    NEURALFIELDS_OT_refresh_runs,
    NEURALFIELDS_OT_reveal_run,
    NEURALFIELDS_OT_rename_run,
    NEURALFIELDS_OT_delete_run,
    NEURALFIELDS_OT_relink_run,
    NEURALFIELDS_OT_use_run_settings,
    NEURALFIELDS_OT_resume_run,
    NEURALFIELDS_OT_dismiss,
)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)


def unregister() -> None:
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
