# SPDX-License-Identifier: GPL-3.0-or-later
"""Boxes that an artist moves: empties whose cube is the bounds of a capture or a mesh's crop."""

import json
from itertools import product
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .cameras import place
from .errors import SceneError

_SMALLEST = 1e-6


def add_box(
    name: str,
    box: NDArray[np.floating],
    collection: bpy.types.Collection,
    parent: bpy.types.Object | None = None,
) -> bpy.types.Object:
    """An empty whose cube is the (2, 3) box, in the space of `parent` if there is one.

    It cannot be turned by accident: bounds lie along the axes.
    """
    empty = bpy.data.objects.new(name, None)
    empty.empty_display_type = "CUBE"
    empty.empty_display_size = 1.0
    empty.lock_rotation = (True, True, True)
    empty.hide_render = True
    collection.objects.link(empty)
    empty.parent = parent
    half = np.maximum((box[1] - box[0]) / 2, _SMALLEST)
    matrix = np.diag([*half, 1.0])
    matrix[:3, 3] = (box[0] + box[1]) / 2
    if parent is None:
        place(empty, matrix)
    else:
        empty.matrix_basis = matrix.T.tolist()
    return empty


def box_of(
    empty: bpy.types.Object, seen_from: bpy.types.Object | None = None
) -> NDArray[np.float64]:
    """The (2, 3) box along the axes, of the world or of another object, that holds the cube.

    Raises:
        SceneError: where the cube, or what it is seen from, is scaled to nothing.
    """
    depsgraph = bpy.context.evaluated_depsgraph_get()
    matrix = empty.evaluated_get(depsgraph).matrix_world
    if seen_from is not None:
        world = seen_from.evaluated_get(depsgraph).matrix_world
        if abs(world.determinant()) < 1e-12:
            raise SceneError(f"{seen_from.name} is scaled to nothing.", "Reset its scale.")
        matrix = world.inverted() @ matrix
    corners = np.array(list(product((-1.0, 1.0), repeat=3))) * empty.empty_display_size
    by = np.array(matrix, dtype=np.float64)
    points = corners @ by[:3, :3].T + by[:3, 3]
    box = np.stack([points.min(axis=0), points.max(axis=0)])
    flat = np.linalg.norm(by[:3, :3], axis=0).min() * empty.empty_display_size < _SMALLEST
    if not np.isfinite(box).all() or flat:
        raise SceneError(f"{empty.name} is flat.", "Scale it so that it has a volume.")
    return box


def union_of_boxes(items: list[bpy.types.Object], seen_from: Matrix) -> NDArray[np.float64] | None:
    """The (2, 3) box around the bounding boxes of objects, as seen from a space; None of none."""
    back = np.array(seen_from.inverted(), dtype=np.float64)
    corners = []
    for item in items:
        by = back @ np.array(item.matrix_world, dtype=np.float64)
        box = np.array(item.bound_box, dtype=np.float64)
        corners.append(box @ by[:3, :3].T + by[:3, 3])
    if not corners:
        return None
    points = np.concatenate(corners)
    return np.stack([points.min(axis=0), points.max(axis=0)])


def bounds_of_run(run: Path) -> NDArray[np.float64] | None:
    """The (2, 3) bounds of the capture that a run was trained on; None where they are unknown."""
    try:
        values = json.loads((run / "capture.json").read_text(encoding="utf-8"))
        box = np.array(values["neural_fields"]["bounds"], dtype=np.float64)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return box if box.shape == (2, 3) and np.isfinite(box).all() else None
