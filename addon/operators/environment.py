# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's Python: find it, install it, check it; and the worker's memory and log."""

from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from .. import environment_state, frames, preferences, session
from ..settings import FORGET, FORGET_PATH
from ..worker.install_plan import Choice, Plan, check_disk, make_plan, manual_commands
from ..worker.installer import LOG, Installation
from ..worker.protocol import JobError
from ..worker.terminal import ProgressBar
from .jobs import Outcome, RefusedError, absolute, reporting

LOGS = (
    ("WORKER", "Worker", "What the worker that ran last has to say"),
    ("INSTALLATION", "Installation", "What was done to install the worker's Python"),
)
OFFLINE = (
    "Switch on Allow Online Access in the preferences under System, or choose a Wheels Folder in "
    "the add-on's preferences"
)
QUESTION_WIDTH = 420


class _Installs:
    """Poll and plan of what has to do with an installation."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if environment_state.state().installation is not None:
            cls.poll_message_set(  # type: ignore[attr-defined]
                "An installation is running"
            )
            return False
        return True


class NEURALFIELDS_OT_find_environment(_Installs, bpy.types.Operator):
    """Look for a Python with torch: in NEURAL_FIELDS_PYTHON, in known environments, in conda's and
    pyenv's, on the PATH. What is found goes into the preferences
    """

    bl_idname = "neural_fields.find_environment"
    bl_label = "Find Environment"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        environment_state.search(insists=False, adopts=True)
        if not bpy.app.background:
            return {"FINISHED"}
        while environment_state.state().search is not None:
            environment_state.wait()
        state = environment_state.state()
        if state.found is None or state.found.check is None:
            self.report({"ERROR"}, f"{state.problem} {state.remedy}")
            return {"CANCELLED"}
        check = state.found.check
        text = f"Found Python {check.version}: {check.python} ({state.found.origin})"
        self.report({"INFO"}, text)
        return {"FINISHED"}


class NEURALFIELDS_OT_install_environment(_Installs, bpy.types.Operator):
    """Install a Python with torch for this add-on alone, in a folder of its own. It can be stopped
    and taken up again; Blender stays usable meanwhile
    """

    bl_idname = "neural_fields.install_environment"
    bl_label = "Install Environment"
    bl_options = {"REGISTER"}

    folder: StringProperty(
        name="Folder",
        description="Where it goes; empty: as in the preferences",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    wheels_folder: StringProperty(
        name="Wheels Folder",
        description="Install from a folder of wheels only; empty: as in the preferences",
        subtype="DIR_PATH",
        options=FORGET_PATH,
    )
    build: EnumProperty(
        name="Torch Build",
        description="Which torch to install",
        items=preferences.BUILDS,
        default="auto",
        options=FORGET,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if session.running():
            cls.poll_message_set("Jobs are running; cancel them or wait for their end")
            return False
        # Without a window the folder may come with the call, which a poll cannot see.
        is_offline = not bpy.app.online_access and not bpy.app.background
        if is_offline and not preferences.get().wheels_folder:
            cls.poll_message_set(OFFLINE)
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        self.build = preferences.get().torch_build
        try:
            with reporting(self):
                self._plan()
        except RefusedError:
            return {"CANCELLED"}
        return context.window_manager.invoke_props_dialog(self, width=QUESTION_WIDTH)

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        try:
            plan = self._plan()
        except JobError as error:
            column.label(text=error.message, icon="ERROR")
            column.label(text=error.remedy)
            return
        source = plan.wheels_folder or "the internet"
        for text in (
            f"Installs Python packages for training from {source}.",
            f"Size: {plan.size}.",
            f"Folder: {plan.folder}",
            "Nothing else on this computer is changed.",
        ):
            column.label(text=text)
        if plan.note:
            column.label(text=plan.note, icon="INFO")
        row = self.layout.row()
        row.label(text=f"Torch: {plan.build.upper()}")
        row.prop(self, "build", expand=True)

    def execute(self, context: bpy.types.Context) -> Outcome:
        try:
            with reporting(self):
                plan = self._plan()
                if not (plan.wheels_folder or bpy.app.online_access):
                    raise JobError("Blender may not use the internet.", f"{OFFLINE}.")
                check_disk(plan)
        except RefusedError:
            return {"CANCELLED"}
        # A worker that runs there would lose its files, and on Windows keep them.
        if bpy.app.background:
            session.stop()
        else:
            session.release()
        installation = environment_state.install(plan)
        if not bpy.app.background:
            return {"FINISHED"}
        return self._wait(installation)

    def _plan(self) -> Plan:
        """What is to be done. Raises JobError where this computer cannot have it."""
        stored = preferences.get()
        is_given = self.properties.is_property_set("build")
        wheels = absolute(self.wheels_folder or stored.wheels_folder)
        folder = Path(absolute(self.folder)) if self.folder else environment_state.folder()
        choice: Choice = self.build if is_given else stored.torch_build  # type: ignore[assignment]
        return make_plan(folder, environment_state.machine(), choice, wheels)

    def _wait(self, installation: Installation) -> Outcome:
        bar = ProgressBar("Install") if session.shows_progress() else None
        try:
            while environment_state.state().installation is not None:
                if bar is not None:
                    bar.show(installation.progress.as_message())
                environment_state.wait()
        except KeyboardInterrupt:
            installation.cancel()
            installation.wait()
            environment_state.pump()
            raise
        finally:
            if bar is not None:
                bar.close()
        state = environment_state.state()
        if state.phase != "found":
            cancelled = "The installation was stopped; what was downloaded is kept."
            self.report({"ERROR"}, f"{state.problem or cancelled} {state.remedy}".strip())
            return {"CANCELLED"}
        self.report({"INFO"}, f"The worker's Python is {installation.plan.python}")
        return {"FINISHED"}


class NEURALFIELDS_OT_cancel_install(bpy.types.Operator):
    """Stop the installation. What was downloaded is kept, so it can go on later"""

    bl_idname = "neural_fields.cancel_install"
    bl_label = "Cancel Installation"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if environment_state.state().installation is not None:
            return True
        cls.poll_message_set("No installation is running")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        installation = environment_state.state().installation
        if installation is None:
            return {"CANCELLED"}
        installation.cancel()
        return {"FINISHED"}


class NEURALFIELDS_OT_copy_install_command(bpy.types.Operator):
    """Copy the commands that install the same by hand in a terminal. Press Find afterwards"""

    bl_idname = "neural_fields.copy_install_command"
    bl_label = "Copy Install Command"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> Outcome:
        stored = preferences.get()
        choice: Choice = stored.torch_build  # type: ignore[assignment]
        try:
            with reporting(self):
                plan = make_plan(
                    environment_state.folder(),
                    environment_state.machine(),
                    choice,
                    absolute(stored.wheels_folder),
                )
        except RefusedError:
            return {"CANCELLED"}
        context.window_manager.clipboard = manual_commands(plan)
        if bpy.app.background:
            self.report({"INFO"}, manual_commands(plan))
        else:
            self.report({"INFO"}, "Copied: paste it into a terminal, then press Find")
        return {"FINISHED"}


class NEURALFIELDS_OT_check_environment(bpy.types.Operator):
    """Check the worker's Python, torch, device, memory, backend and disk"""

    bl_idname = "neural_fields.check_environment"
    bl_label = "Check"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if environment_state.is_busy():
            cls.poll_message_set("The worker's Python is being looked at already")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> Outcome:
        if environment_state.state().phase == "unknown" and bpy.app.background:
            environment_state.search(insists=True)
            while environment_state.state().search is not None:
                environment_state.wait()
        environment_state.examine()
        if not bpy.app.background:
            return {"FINISHED"}
        while environment_state.state().examination is not None:
            environment_state.wait()
        for check in environment_state.checks(session.worker()):
            text = f"{check.name}: {check.text}"
            if check.state == "ok":
                self.report({"INFO"}, text)
            else:
                self.report({"WARNING"}, text)
        return {"FINISHED"}


class NEURALFIELDS_OT_open_log(bpy.types.Operator):
    """Open the log in the program that this computer has for text files"""

    bl_idname = "neural_fields.open_log"
    bl_label = "Open Log"
    bl_options = {"REGISTER"}

    log: EnumProperty(
        name="Log", description="Which log", items=LOGS, default="WORKER", options=FORGET
    )

    def execute(self, context: bpy.types.Context) -> Outcome:
        file = self._file()
        if file is None:
            self.report({"WARNING"}, "There is no log yet")
            return {"CANCELLED"}
        if bpy.app.background:
            self.report({"INFO"}, f"The log is {file}")
            return {"FINISHED"}
        bpy.ops.wm.path_open(filepath=str(file))
        return {"FINISHED"}

    def _file(self) -> Path | None:
        if self.log == "INSTALLATION":
            plan = environment_state.state().plan
            folder = plan.folder if plan is not None else environment_state.folder()
            found = [folder / LOG]
        elif (running := session.worker_log()) is not None:
            found = [running]
        else:
            logs = preferences.storage_folder("logs").glob("worker_*.log")
            found = sorted(logs, key=lambda log: log.stat().st_mtime, reverse=True)
        return next((file for file in found if file.is_file()), None)


class NEURALFIELDS_OT_stop_worker(bpy.types.Operator):
    """End the worker, which gives its memory back, that of the graphics card included. Running jobs
    are cancelled; the next job starts it again
    """

    bl_idname = "neural_fields.stop_worker"
    bl_label = "Stop Worker"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.worker() is not None or session.is_starting() or frames.is_running():
            return True
        cls.poll_message_set("The worker is not running")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        frames.stop(wait=bpy.app.background)
        if bpy.app.background:
            session.stop()
        else:
            session.release()
        return {"FINISHED"}


class NEURALFIELDS_OT_show_preferences(bpy.types.Operator):
    """Show the add-on's preferences"""

    bl_idname = "neural_fields.show_preferences"
    bl_label = "Show Preferences"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if preferences.PACKAGE in bpy.context.preferences.addons:
            return True
        cls.poll_message_set("The add-on was registered by a script and has no preferences")
        return False

    def execute(self, context: bpy.types.Context) -> Outcome:
        if not bpy.app.background:
            bpy.ops.preferences.addon_show(module=preferences.PACKAGE)
        return {"FINISHED"}


CLASSES = (
    NEURALFIELDS_OT_find_environment,
    NEURALFIELDS_OT_install_environment,
    NEURALFIELDS_OT_cancel_install,
    NEURALFIELDS_OT_copy_install_command,
    NEURALFIELDS_OT_check_environment,
    NEURALFIELDS_OT_open_log,
    NEURALFIELDS_OT_stop_worker,
    NEURALFIELDS_OT_show_preferences,
)


def register() -> None:
    for operator in CLASSES:
        bpy.utils.register_class(operator)
    environment_state.register()


def unregister() -> None:
    environment_state.unregister()
    for operator in reversed(CLASSES):
        bpy.utils.unregister_class(operator)
