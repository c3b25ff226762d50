# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's record as the settings of the panel that would train the same again."""

import json
import os
from pathlib import Path
from typing import Any

from ..scene.errors import SceneError
from ..scene.images import relative_path


def capture_of(run: Path) -> Path:
    """Where the capture lies that a run was trained on.

    Raises:
        SceneError: where its record cannot be read.
    """
    try:
        values = json.loads((run / "run.json").read_text(encoding="utf-8"))
        return Path(os.path.normpath(run / str(values["capture"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SceneError(f"{run} has no record that can be read.", "Relink it.") from error


def settings_of_run(run: Path, values: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether the run learned shapes, and the settings by name.

    Raises:
        KeyError: where the record lacks what every run has.
    """
    budget = int(values.get("budget_steps", 0))
    settings: dict[str, Any] = {
        "method": str(values["method"]),
        "preset": str(values["preset"]) or "standard",
        "seed": int(values.get("seed", 0)),
        "steps": 0 if budget == dict(values["config"]).get("steps") else budget,
        "seconds": float(values.get("budget_seconds", 0.0)),
        "settings": " ".join(map(str, values.get("settings", ()))),
        "run": "",
        "resume": False,
    }
    if values.get("meshes"):
        return True, settings | {"samples": int(values.get("samples", 0))}
    capture = Path(os.path.normpath(run / str(values["capture"])))
    own = {
        "surfaces": bool(values.get("surfaces", False)),
        "capture": relative_path(capture),
        "image_width": int(values.get("image_width", 0)),
        "hold_out": int(values.get("hold_out", 8)),
    }
    return False, settings | own
