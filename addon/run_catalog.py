# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of runs: read from disk by a thread, shown by the window manager's properties.

A runs folder may lie on a slow disk, and the interface must not wait for it.
"""

import queue
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from . import panel_state, preferences, redraw, session
from .scene.run_folders import RunEntry, list_runs
from .scene.run_references import runs_in_file
from .worker.protocol import messages

TIMER_S = 0.1
LEARNING = (messages.Train, messages.FitShape)

_found: "queue.Queue[list[RunEntry]]" = queue.Queue()


def refresh(wait: bool = False) -> None:
    """Has the runs read again; they are shown a moment later, or at once where `wait` says so."""
    learned = {Path(one.job.run) for one in session.jobs() if isinstance(one.job, LEARNING)}
    learning = {path for path in learned if _is_learning(path)}
    places = ([preferences.runs_folder()], runs_in_file() | learning, learned - learning)
    if wait or bpy.app.background:
        show(list_runs(*places))
        return
    threading.Thread(target=_read, args=places, name="runs reader", daemon=True).start()
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=TIMER_S, persistent=True)


def show(entries: list[RunEntry]) -> None:
    """Fills the list that panels draw; the run that was chosen stays so."""
    panel_state.get().runs = [_as_it_is_here(entry) for entry in entries]
    shown: Any = bpy.context.window_manager.neural_fields
    chosen = shown.runs[shown.run_index].path if 0 <= shown.run_index < len(shown.runs) else ""
    shown.runs.clear()
    for entry in panel_state.get().runs:
        _add(shown.runs, entry)
    paths = [one.path for one in shown.runs]
    shown.run_index = paths.index(chosen) if chosen in paths else 0


def entry_of(path: str) -> RunEntry | None:
    """What was read of a run."""
    return next((one for one in panel_state.get().runs if str(one.path) == path), None)


def chosen_run() -> RunEntry | None:
    """The run that is active in the list."""
    shown: Any = bpy.context.window_manager.neural_fields
    if not 0 <= shown.run_index < len(shown.runs):
        return None
    return entry_of(shown.runs[shown.run_index].path)


def is_running(path: Path) -> bool:
    """Whether a job of this Blender is at work on a run."""
    return any(Path(getattr(one.job, "run", "")) == path for one in session.running())


def on_event(event: messages.Event, record: session.JobRecord) -> None:
    """Listens to the session: what begins to train, and what ends, changes the list."""
    trains = isinstance(record.job, (messages.Train, messages.FitShape))
    begins = trains and isinstance(event, messages.Progress) and not record.training.is_listed
    if begins:
        record.training.is_listed = True
    if begins or (isinstance(event, messages.FINAL_EVENTS) and hasattr(record.job, "run")):
        refresh()


def _as_it_is_here(entry: RunEntry) -> RunEntry:
    """This Blender knows best which of its own worker's runs are being trained."""
    own = session.worker_process()
    if entry.state in ("training", "queued") and entry.process == own != 0:
        return entry if is_running(entry.path) else replace(entry, state="interrupted")
    return replace(entry, state="training") if _is_learning(entry.path) else entry


def _is_learning(path: Path) -> bool:
    running = (one.job for one in session.running())
    return any(isinstance(job, LEARNING) and Path(job.run) == path for job in running)


def _add(runs: Any, entry: RunEntry) -> None:
    added = runs.add()
    added.name = entry.path.name
    added.path, added.state, added.method = str(entry.path), entry.state.upper(), entry.method
    added.psnr, added.seconds, added.steps = entry.psnr or 0.0, entry.seconds, entry.steps
    added.can_resume = entry.has_checkpoint and entry.state in (
        "cancelled",
        "interrupted",
        "failed",
    )


def _read(parents: list[Path], known: set[Path], ended: set[Path]) -> None:
    _found.put(list_runs(parents, known, ended))


def _on_timer() -> float | None:
    try:
        entries = _found.get_nowait()
    except queue.Empty:
        reading = any(one.name == "runs reader" for one in threading.enumerate())
        return TIMER_S if reading or not _found.empty() else None
    show(entries)
    redraw.tag_sidebars()
    return TIMER_S


def register() -> None:
    session.subscribe(on_event)


def unregister() -> None:
    session.unsubscribe(on_event)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
