# SPDX-License-Identifier: GPL-3.0-or-later
"""Renaming and deleting runs, with all that the open file has of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from . import panel_state, run_catalog
from .problems import problem_from
from .scene import run_references
from .scene.errors import SceneError
from .scene.run_folders import delete_run, rename_run

KEPT = "outputs"
"""What a run has made lies in this folder of it."""


def rename_shown(shown: Any, name: str) -> None:
    """Renames a run of the list; what goes wrong is shown in the panel."""
    try:
        moved = move(Path(shown.path), name)
    except SceneError as error:
        panel_state.note_problem("training", problem_from(error))
        return
    # In place: a list must not be filled anew while one of its items is being changed.
    shown.name, shown.path = moved.name, str(moved)


def move(run: Path, name: str) -> Path:
    """Gives a run's folder another name, here and wherever the file names it.

    Raises:
        SceneError: where that cannot be.
    """
    refuse_running(run)
    moved = rename_run(run, name)
    run_references.move_references(run, moved)
    runs = panel_state.get().runs
    runs[:] = [replace(one, path=moved) if one.path == run else one for one in runs]
    return moved


def delete(run: Path) -> Path | None:
    """Deletes a run's folder. What the file still shows of its results is moved beside it; returns
    where to. Meshes are in the file and stay.

    Raises:
        SceneError: where that cannot be.
    """
    refuse_running(run)
    used = run_references.uses(run / KEPT)
    kept = delete_run(run, KEPT if used else "")
    if kept is not None:
        run_references.move_references(run / KEPT, kept, results_only=True)
    run_references.forget_run(run)
    run_catalog.refresh()
    return kept


def refuse_running(run: Path) -> None:
    """Raises SceneError where a job is at work on a run."""
    if run_catalog.is_running(run):
        raise SceneError(f"{run.name} is in use by a job.", "Stop it or wait for its end.")
