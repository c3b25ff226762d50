# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to this computer and not to a .blend file: the worker's Python and how it gets
there, the device, where runs go.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import bpy
from bpy.props import EnumProperty, StringProperty

from .compat import BLEND_RELATIVE

PACKAGE = (__package__ or "").rpartition(".")[0]

BUILDS = (
    ("auto", "Automatic", "CUDA where there is an NVIDIA driver, otherwise the smaller CPU build"),
    ("cpu", "CPU", "Runs everywhere; about 2 GB on disk"),
    ("cuda", "CUDA", "Uses an NVIDIA graphics card; about 7 GB on disk"),
)

DEVICES = (
    ("auto", "Automatic", "CUDA where there is a usable device, otherwise the processor"),
    ("cpu", "CPU", "The processor"),
    ("cuda", "CUDA", "An NVIDIA graphics card"),
)


def _python_changed(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    """Looks at another choice, unless it is the one that has just been found."""
    from . import environment_state

    if not bpy.app.background and environment_state.verified(self.worker_python) is None:
        environment_state.search(insists=True)


class NEURALFIELDS_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    worker_python: StringProperty(
        name="Worker Python",
        description=(
            "Python of an environment with torch, in which fields are trained. Empty: the variable "
            "NEURAL_FIELDS_PYTHON, an active environment, or the first suitable Python that is "
            "found"
        ),
        subtype="FILE_PATH",
        update=_python_changed,
    )
    torch_build: EnumProperty(
        name="Torch Build",
        description="Which torch Install fetches",
        items=BUILDS,
        default="auto",
    )
    environment_folder: StringProperty(
        name="Environment Folder",
        description=(
            "Where Install puts the worker's Python. Empty: the add-on's own folder. A short path "
            "on a disk with some gigabytes of free space"
        ),
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )
    wheels_folder: StringProperty(
        name="Wheels Folder",
        description=(
            "Install from a folder of wheels instead of the internet, for computers without it. "
            "Empty: from the internet"
        ),
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )
    device: EnumProperty(
        name="Device",
        description="Where fields are trained and rendered unless a job says otherwise",
        items=DEVICES,
        default="auto",
    )
    runs_folder: StringProperty(
        name="Runs Folder",
        description=(
            "Where captures and trainings are written. Empty: a folder beside a saved .blend "
            "file, or the add-on's "
            "own folder for a file that was never saved"
        ),
        subtype="DIR_PATH",
        options=BLEND_RELATIVE,
    )

    def draw(self, context: bpy.types.Context) -> None:
        # Late: both read the preferences.
        from .environment_drawing import draw_checks, draw_environment

        box = self.layout.box()
        box.label(text="Worker's Python", icon="CONSOLE")
        draw_environment(box, context)
        draw_checks(box, context)
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        for name in ("worker_python", "device", "runs_folder"):
            column.prop(self, name)
        header, body = self.layout.panel("neural_fields_installation", default_closed=True)
        header.label(text="Installation")
        if body is not None:
            body.use_property_split = True
            body.use_property_decorate = False
            for name in ("torch_build", "environment_folder", "wheels_folder"):
                body.prop(self, name)


@dataclass(frozen=True)
class Defaults:
    """The preferences of an add-on that was registered by a script and not enabled in Blender."""

    worker_python: str = ""
    torch_build: str = "auto"
    environment_folder: str = ""
    wheels_folder: str = ""
    device: str = "auto"
    runs_folder: str = ""


def get() -> "NEURALFIELDS_AP_preferences | Defaults":
    """The preferences in force."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    found = addon.preferences if addon is not None else None
    return found if isinstance(found, NEURALFIELDS_AP_preferences) else Defaults()


def set_worker_python(python: str) -> None:
    """Writes the choice down, where the add-on has preferences that Blender keeps."""
    stored = get()
    if isinstance(stored, Defaults) or stored.worker_python == python:
        return
    stored.worker_python = python
    # Blender saves what is changed in its own dialog; of a script it has to be told.
    bpy.context.preferences.is_dirty = True


def storage_folder(name: str) -> Path:
    """A folder for this add-on's own files: the extension's where Blender gives one, or a temporary
    one.
    """
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE, path=name, create=True))
    except ValueError:
        folder = Path(tempfile.gettempdir()) / "neural_fields" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def runs_folder() -> Path:
    """Where new captures and runs go."""
    chosen = get().runs_folder
    if chosen:
        return Path(bpy.path.abspath(chosen))
    if bpy.data.filepath:
        file = Path(bpy.data.filepath)
        return file.with_name(f"{file.stem}_neural_fields")
    return storage_folder("runs")


def new_folder(name: str) -> Path:
    """A folder name under the runs folder that nothing has yet; the folder is not made."""
    clean = bpy.path.clean_name(name) or "run"
    number = 1
    while (folder := runs_folder() / f"{clean}_{number:03d}").exists():
        number += 1
    return folder


def register() -> None:
    bpy.utils.register_class(NEURALFIELDS_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(NEURALFIELDS_AP_preferences)
