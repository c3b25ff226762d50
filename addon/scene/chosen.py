# SPDX-License-Identifier: GPL-3.0-or-later
"""Which field or shape is meant: what is active, or the only one there is."""

from pathlib import Path
from typing import Any

import bpy

from .run_references import absolute_path


def field_of(context: bpy.types.Context) -> bpy.types.Object | None:
    """The field in question: the active object or what it hangs on, or the scene's only one."""
    found = context.object
    while found is not None and not found.neural_field.run:
        found = found.parent
    if found is None:
        fields = [item for item in context.scene.objects if item.neural_field.run]
        found = fields[0] if len(fields) == 1 else None
    return found


def shape_of(context: bpy.types.Context) -> bpy.types.Object | None:
    """The learned shape in question, by the same rule."""
    found = context.object
    while found is not None and not found.neural_field.shape.run:
        found = found.parent
    if found is None:
        shapes = [item for item in context.scene.objects if item.neural_field.shape.run]
        found = shapes[0] if len(shapes) == 1 else None
    return found


def is_linked(item: bpy.types.ID) -> bool:
    """Whether a data-block lies in another .blend file, from where it cannot be changed."""
    return item.library is not None


def run_of(field: Any) -> Path:
    """A field's run folder. A relative path (`//`) is so to the file in which the field lies: of a
    linked one, its library.
    """
    run, owner = field.neural_field.run, field
    if field.override_library is not None:
        # An override keeps the words of what it overrides, as long as they are not changed.
        reference = field.override_library.reference
        owner = reference if reference.neural_field.run == run else field
    return absolute_path(run, owner)
