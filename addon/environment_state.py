# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the worker's Python: searched, being installed, checked.

In memory alone, in this one place. The work is done by threads that never touch Blender's data;
`pump` takes in what they found. In a window a timer calls it, without one whoever waits. Drawing
only reads.
"""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import bpy

from . import preferences
from .worker.checks import Check, Probe, Situation, all_checks
from .worker.environment import Found, PythonCheck, Search
from .worker.examination import Examination
from .worker.install_plan import Plan
from .worker.install_state import read_state
from .worker.installer import Installation
from .worker.known_pythons import VARIABLE, Places, python_of
from .worker.machine import Machine, look_at_machine
from .worker.protocol import messages

TIMER_S = 0.1
FIRST_LOOK_S = 0.5
AREAS = ("VIEW_3D", "PREFERENCES")

Phase = Literal["unknown", "searching", "found", "missing", "installing", "cancelled", "failed"]


@dataclass
class EnvironmentState:
    """`phase` says which of the others count."""

    phase: Phase = "unknown"
    found: Found | None = None
    searched_for: str = ""
    """The choice in the preferences that the search was told."""
    problem: str = ""
    remedy: str = ""
    plan: Plan | None = None
    machine: Machine | None = None
    probe: Probe | None = None
    free_disk_gb: float | None = None
    search: Search | None = None
    installation: Installation | None = None
    examination: Examination | None = None
    adopts: bool = False
    """Whether what the search finds is written into the preferences."""
    is_quiet: bool = field(default=False)
    """The first look after Blender's start, of which nothing is shown until it has failed."""


_state = EnvironmentState()


def state() -> EnvironmentState:
    """For reading."""
    return _state


def needs_setup() -> bool:
    """Whether the first-run box is shown."""
    if _state.phase == "searching":
        return not _state.is_quiet
    return _state.phase in ("missing", "installing", "cancelled", "failed")


def is_busy() -> bool:
    """Whether something is searched, installed or checked just now."""
    return any((_state.search, _state.installation, _state.examination))


def checks(worker: messages.WorkerReady | None) -> tuple[Check, ...]:
    """The named checks as far as they are known; `worker` is the one that runs."""
    situation = Situation(_state.probe, _state.machine, worker, _state.free_disk_gb)
    return all_checks(situation)


def folder() -> Path:
    """Where the add-on's own environment goes."""
    chosen = preferences.get().environment_folder
    return Path(bpy.path.abspath(chosen)) if chosen else preferences.storage_folder("environment")


def choice() -> str:
    """The Python that has been settled on; empty where it is still to be found."""
    chosen = preferences.get().worker_python
    if chosen or os.environ.get(VARIABLE):
        return chosen
    if _state.phase == "found" and _state.found is not None and _state.found.check is not None:
        return str(_state.found.check.python)
    own = folder()
    return str(python_of(own / "venv")) if read_state(own).is_complete else ""


def verified(chosen: str) -> Path | None:
    """The Python of a choice, where a search has just found that it is good."""
    found = _state.found
    if _state.phase != "found" or found is None or found.check is None:
        return None
    python = found.check.python
    is_same = chosen in (str(python), _state.searched_for)
    return python if is_same and python.is_file() else None


def search(insists: bool, adopts: bool = False, is_quiet: bool = False) -> None:
    """Begins to look for a Python with torch."""
    if _state.search is not None:
        _state.search.cancel()
    _state.phase, _state.is_quiet, _state.adopts = "searching", is_quiet, adopts
    _state.searched_for = preferences.get().worker_python
    file = bpy.data.filepath
    places = Places(own=folder(), project=Path(file).parent if file else None)
    preference = bpy.path.abspath(_state.searched_for)
    _state.search = Search(preference, os.environ, places, insists).start()
    _start_timer()


def install(plan: Plan) -> Installation:
    """Begins an installation; it is taken up where an earlier one of the same kind stopped."""
    _state.phase, _state.plan, _state.problem, _state.remedy = "installing", plan, "", ""
    _state.installation = Installation(plan, Path(sys.executable)).start()
    _start_timer()
    return _state.installation


def examine() -> None:
    """Begins to check the computer and the Python that was found."""
    if _state.examination is not None:
        _state.examination.cancel()
    check = _state.found.check if _state.found is not None else None
    python = check.python if check is not None else None
    _state.examination = Examination(python, preferences.runs_folder()).start()
    _start_timer()


def machine() -> Machine:
    """This computer; looks where that has not been done yet."""
    if _state.machine is None:
        _state.machine = look_at_machine()
    return _state.machine


def pump() -> None:
    """Takes in what has come to an end."""
    if _state.installation is not None and _state.installation.outcome != "running":
        _take_installation(_state.installation)
    if _state.search is not None and _state.search.result is not None:
        _take_search(_state.search.result)
    if _state.examination is not None and _state.examination.result is not None:
        found = _state.examination.result
        _state.machine, _state.free_disk_gb = found.machine, found.free_disk_gb
        _state.probe = found.probe or _state.probe
        _state.examination = None


def wait(timeout_s: float = TIMER_S) -> None:
    """For those who may block: lets the threads work for a while, and pumps."""
    for task in (_state.installation, _state.search, _state.examination):
        if task is not None:
            task.wait(timeout_s)
            break
    pump()


def forget() -> None:
    """Ends all that runs and forgets what was found."""
    global _state
    for task in (_state.installation, _state.search, _state.examination):
        if task is not None:
            task.cancel()
    if _state.installation is not None:
        _state.installation.wait(timeout_s=2.0)
    _state = EnvironmentState(machine=_state.machine)


def _take_search(found: Found) -> None:
    _state.search, _state.found = None, found
    _state.problem, _state.remedy = found.problem, found.remedy
    if found.check is None:
        _state.phase, _state.probe = "missing", None
        return
    _settle(found, _state.adopts)
    if _state.adopts and not bpy.app.background:
        examine()


def _take_installation(installation: Installation) -> None:
    _state.installation = None
    if installation.outcome == "done":
        _state.probe = installation.probe
        version = installation.probe.python if installation.probe is not None else ""
        check = PythonCheck(installation.plan.python, version)
        _settle(Found(check, "the add-on's own environment"), adopts=True)
    elif installation.outcome == "cancelled":
        _state.phase = "cancelled"
    else:
        _state.phase = "failed"
        if installation.problem is not None:
            _state.problem = installation.problem.message
            _state.remedy = installation.problem.remedy


def _settle(found: Found, adopts: bool) -> None:
    """A Python is known; what was installed or asked for by a button also goes into the
    preferences.
    """
    assert found.check is not None
    _state.found, _state.phase, _state.problem, _state.remedy = found, "found", "", ""
    if adopts:
        preferences.set_worker_python(str(found.check.python))
    _state.searched_for = preferences.get().worker_python


def _start_timer() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=TIMER_S, persistent=True)


def _on_timer() -> float | None:
    pump()
    _redraw()
    return TIMER_S if is_busy() else None


def _first_look() -> None:
    """Once Blender has started: whether there is a Python, and what computer this is."""
    search(insists=True, is_quiet=True)
    if _state.machine is None:
        examine()


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in AREAS:
                area.tag_redraw()


def register() -> None:
    if not bpy.app.background:
        bpy.app.timers.register(_first_look, first_interval=FIRST_LOOK_S, persistent=True)


def unregister() -> None:
    forget()
    for timer in (_first_look, _on_timer):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
