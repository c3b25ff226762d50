# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels show and no file keeps: problems, the runs on disk, pictures in memory.

Beside the session it is the only global state.
"""

from dataclasses import dataclass, field
from typing import Any

from .problems import Area, Problem
from .scene.run_folders import RunEntry


@dataclass
class PanelState:
    """What there is one of."""

    problems: dict[Area, Problem] = field(default_factory=dict)
    """What last went wrong in each part of the tab and was not dismissed."""
    runs: list[RunEntry] = field(default_factory=list)
    """The runs on disk as they were last read, newest first."""
    pictures: Any = None
    """A preview collection of Blender; see `live_pictures`."""
    previews: list[Any] = field(default_factory=list)
    """Two more, of one picture each: that of the newest preview comes first."""
    pictured_job: str = ""
    """The training that the pictures are of."""
    camera_keys: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """The camera that was last written for each training's previews."""


_state = PanelState()


def get() -> PanelState:
    """The state of this Blender."""
    return _state


def note_problem(area: Area, problem: Problem | None) -> None:
    """Has a part of the tab show a problem in place of the one before; None shows none."""
    if problem is None:
        _state.problems.pop(area, None)
    else:
        _state.problems[area] = problem


def register() -> None:
    """Nothing is kept from before."""
    unregister()


def unregister() -> None:
    """Forgets all but pictures, which Blender has to free itself."""
    _state.problems.clear()
    _state.runs.clear()
    _state.camera_keys.clear()
    _state.pictured_job = ""
