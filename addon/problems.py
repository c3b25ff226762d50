# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong, as the panels show it: what happened, what to do, and a button where one helps.

A problem is shown in the part of the tab that its job belongs to, until it is dismissed or the next
job of that part starts.
"""

from dataclasses import dataclass
from typing import Any, Literal

from .worker.protocol import messages

Area = Literal["capture", "training", "shapes", "output"]
AREAS: tuple[Area, ...] = ("capture", "training", "shapes", "output")

_OF_JOBS: dict[type, Area] = {
    messages.Train: "training",
    messages.Convert: "capture",
    messages.SolveCameras: "capture",
    messages.Inspect: "capture",
    messages.FitShape: "shapes",
    messages.FitLatent: "shapes",
    messages.MeshShape: "shapes",
    messages.TraceShape: "shapes",
    messages.FitImage: "shapes",
}
_OF_OPERATORS: dict[Area, tuple[str, ...]] = {
    "capture": ("add_camera_rig", "render_capture", "import_capture"),
    "training": (
        "train",
        "add_field",
        "resume_run",
        "delete_run",
        "rename_run",
        "relink_run",
        "reveal_run",
        "use_run_settings",
        "try_it",
    ),
    "shapes": (
        "fit_shape",
        "update_shape",
        "fit_latent",
        "show_elements",
        "bake_shape",
        "mesh_csg",
        "fit_image",
    ),
}


@dataclass(frozen=True)
class Fix:
    """A button that may put a problem right."""

    operator: str
    label: str


@dataclass(frozen=True)
class Problem:
    """What happened and why, and what to do about it."""

    message: str
    remedy: str = ""
    fix: Fix | None = None


_FIXES = (
    ("for the worker", Fix("neural_fields.show_preferences", "Open Preferences")),
    ("cannot run the worker", Fix("neural_fields.show_preferences", "Open Preferences")),
    ("Its log is", Fix("neural_fields.open_log", "Open Log")),
    ("See the log", Fix("neural_fields.open_log", "Open Log")),
    ("COLMAP, which finds", Fix("neural_fields.install_environment", "Install")),
    ("no capture", Fix("neural_fields.import_capture", "Choose Capture")),
    ("no camera rig", Fix("neural_fields.add_camera_rig", "Add Camera Rig")),
    ("There are no cameras", Fix("neural_fields.add_camera_rig", "Add Camera Rig")),
    ("no run folder", Fix("neural_fields.relink_run", "Relink Run")),
    ("free space", Fix("neural_fields.show_preferences", "Choose Folder")),
)
"""Words of a message or remedy, and the button that goes with them; the first that fits."""


def problem_from(error: Any) -> Problem:
    """Of an exception or event with a `message` and a `remedy`."""
    text = f"{error.message} {error.remedy}"
    fix = next((one for words, one in _FIXES if words in text), None)
    return Problem(error.message, error.remedy, fix)


def area_of_job(job: messages.Job) -> Area:
    """Which part of the tab a job belongs to."""
    own = _OF_JOBS.get(type(job))
    if own is None and isinstance(job, messages.ExtractMesh) and (job.shape or job.elements):
        return "shapes"
    return own or "output"


def area_of_operator(identifier: str) -> Area:
    """Which part of the tab a button belongs to, by its id."""
    name = identifier.rpartition(".")[2].rpartition("_OT_")[2]
    return next((area for area, names in _OF_OPERATORS.items() if name in names), "output")
