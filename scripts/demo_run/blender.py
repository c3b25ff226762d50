# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender without a window, with the extension built and installed as a user would have it."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from .console import Stage
from .folders import DemoError, Folders

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "user_default"
PACKAGE = f"bl_ext.{REPOSITORY}.neural_fields"


@dataclass(frozen=True)
class Addon:
    """The installed copy: its operators are at `bpy.ops.neural_fields`."""

    session: ModuleType
    messages: ModuleType

    @contextmanager
    def followed_by(self, stage: Stage) -> Iterator[None]:
        """Shows on the stage's bar what the worker says about its job."""

        def listener(event: Any, _record: object) -> None:
            if isinstance(event, self.messages.Progress):
                psnr = "" if event.psnr is None else f", PSNR {event.psnr:.1f} dB"
                stage.show(event.done, event.total, event.stage + psnr, event.eta_s)

        self.session.subscribe(listener)
        try:
            yield
        finally:
            self.session.unsubscribe(listener)

    def close(self) -> None:
        """Ends the worker, and takes the add-on out while Blender is still whole."""
        import addon_utils

        self.session.stop()
        addon_utils.disable(PACKAGE)

    def run_job(self, job: Any, label: str) -> Any:
        """For a job that has no operator of its own. Returns its final event."""
        record = self.session.submit(job, label)
        self.session.wait(record.job.job_id, show_progress=False)
        if record.state != "done":
            raise DemoError(f"{label} failed: {record.problem}")
        return record.answer


def install(folders: Folders) -> Addon:
    """Builds the extension, installs it into an empty profile and enables it there."""
    folders.profile.mkdir()
    # Both are read when bpy is imported, or by the worker that the add-on starts.
    os.environ["BLENDER_USER_RESOURCES"] = str(folders.profile)
    os.environ["NEURAL_FIELDS_PYTHON"] = sys.executable
    archive = build_extension(folders.root / "extension")
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo=REPOSITORY, enable_on_install=True
    )
    try:
        session = importlib.import_module(f"{PACKAGE}.addon.session")
        protocol = importlib.import_module(f"{PACKAGE}.addon.worker.protocol")
    except ImportError as error:
        raise DemoError(f"Blender did not install the extension {archive}: {error}.") from error
    return Addon(session, protocol.messages)


def build_extension(folder: Path) -> Path:
    """The zip, made by the project's own build command."""
    command = [
        sys.executable,
        str(ROOT / "scripts" / "build_extension.py"),
        "--output",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    archives = sorted(folder.glob("*.zip"))
    if done.returncode != 0 or not archives:
        raise DemoError(f"The extension could not be built:\n{done.stdout}{done.stderr}")
    return archives[-1]


def call(operator: Callable[..., set[str]], **properties: Any) -> None:
    """Runs an operator; without a window it blocks, and errors become exceptions.

    Raises:
        DemoError: with the sentence that the operator reported.
    """
    try:
        result = operator(**properties)
    except RuntimeError as error:
        if "KeyboardInterrupt" in str(error):  # Ctrl+C inside an operator comes back as its text
            raise KeyboardInterrupt from error
        raise DemoError(str(error).removeprefix("Error: ").strip()) from error
    if result != {"FINISHED"}:
        raise DemoError(f"{operator.idname_py()} ended with {result}.")


@contextmanager
def counting_renders(stage: Stage, total: int) -> Iterator[None]:
    """Moves the stage's bar on with each picture that Blender has rendered."""
    import bpy

    count = 0

    def rendered(*_: object) -> None:
        nonlocal count
        count += 1
        stage.show(count, total)

    bpy.app.handlers.render_post.append(rendered)
    stage.show(0, total)
    try:
        yield
    finally:
        bpy.app.handlers.render_post.remove(rendered)
