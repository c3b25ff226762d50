# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in the open file a run is named: on empties, in pictures, caches and modifiers."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from .images import relative_path


def runs_in_file() -> set[Path]:
    """The run folders that the file's empties stand for."""
    found = set()
    for item in bpy.data.objects:
        for stored in (item.neural_field.run, item.neural_field.shape.run):
            if stored:
                found.add(absolute_path(stored, item))
    return found


def uses(folder: Path) -> bool:
    """Whether pictures, caches or modifiers of the file read anything inside a folder."""
    return any(_inside(path, folder) for _, _, path in _results())


def move_references(old: Path, new: Path, results_only: bool = False) -> int:
    """Has everything in the file that names a folder, or something in it, name another; returns how
    many did. With `results_only` the runs of empties stay as they are.
    """
    count = 0
    owners = _results() if results_only else _all()
    for owner, name, path in list(owners):
        if _inside(path, old):
            setattr(owner, name, relative_path(new / path.relative_to(old)))
            count += 1
    return count


def forget_run(folder: Path) -> int:
    """Has the empties of a run that is gone stand for none; what they hold stays."""
    count = 0
    for item in bpy.data.objects:
        for owner in (item.neural_field, item.neural_field.shape):
            if item.library is None and owner.run and absolute_path(owner.run, item) == folder:
                owner.run = ""
                count += 1
    return count


def absolute_path(stored: str, owner: Any = None) -> Path:
    """A stored path, resolved as seen from the file that its owner lies in."""
    library = getattr(owner, "library", None)
    path = Path(bpy.path.abspath(stored, library=library)).expanduser().absolute()
    return Path(os.path.normpath(path))


def _all() -> Iterator[tuple[Any, str, Path]]:
    for item in bpy.data.objects:
        if item.library is None:
            yield from _named(item.neural_field, "run", item)
            yield from _named(item.neural_field.shape, "run", item)
    for scene in bpy.data.scenes:
        if scene.library is None:
            for name in ("run", "capture"):
                yield from _named(scene.neural_fields.training, name, scene)
            yield from _named(scene.neural_fields.fit_shape, "run", scene)
    yield from _results()


def _results() -> Iterator[tuple[Any, str, Path]]:
    data = bpy.data
    for collection in (data.images, data.movieclips, data.cache_files, data.volumes, data.sounds):
        for block in collection:
            if block.library is None:
                yield from _named(block, "filepath", block)
    for item in data.objects:
        modifiers: Any = item.modifiers if item.library is None else ()
        for modifier in modifiers:
            if modifier.type == "MESH_CACHE":
                yield from _named(modifier, "filepath", item)
    for scene in data.scenes:
        if scene.library is None and scene.sequence_editor is not None:
            yield from _strips(scene)


def _strips(scene: bpy.types.Scene) -> Iterator[tuple[Any, str, Path]]:
    editor = scene.sequence_editor
    strips: Any = getattr(editor, "strips_all", None) or getattr(editor, "sequences_all", ())
    for strip in strips:
        for name in ("directory", "filepath"):
            if hasattr(strip, name):
                yield from _named(strip, name, scene)


def _named(owner: Any, name: str, block: Any) -> Iterator[tuple[Any, str, Path]]:
    stored = getattr(owner, name)
    if stored:
        yield owner, name, absolute_path(stored, block)


def _inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents
