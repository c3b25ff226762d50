# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gaussians of a structured implicit function as ellipsoids that an artist can move.

Each is an empty below the shape's. It knows its number and constant; its place, turn and size are
those of the Gaussian, seen from the shape's empty.
"""

import json
from pathlib import Path
from typing import Any

import bpy
from mathutils import Matrix, Quaternion

from .errors import SceneError
from .files import write_file

NUMBER, CONSTANT = "neural_field_element", "neural_field_constant"
"""Custom properties of an element's empty; the constant is how much its Gaussian weighs."""


def read_elements(file: Path) -> list[dict[str, Any]]:
    """What the fitting wrote.

    Raises:
        SceneError: where the file is missing or damaged.
    """
    try:
        elements = json.loads(file.read_text(encoding="utf-8"))["elements"]
        for one in elements:
            lengths = {name: len(one[name]) for name in ("center", "radii", "rotation")}
            if lengths != {"center": 3, "radii": 3, "rotation": 4}:
                raise ValueError(f"an element has {lengths}")
            float(one["constant"])
        return list(elements)
    except OSError as error:
        raise SceneError(
            f"{file} cannot be read: {error.strerror}.",
            "Only shapes that were fitted as Gaussians have elements.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise SceneError(f"{file} is damaged: {error}.", "Fit the shape again.") from error


def element_empties(shape: bpy.types.Object) -> list[bpy.types.Object]:
    """The ellipsoids below a shape's empty, in the order of their numbers."""
    found = [item for item in shape.children if item.get(NUMBER) is not None]
    return sorted(found, key=lambda item: int(item[NUMBER]))


def put_elements(shape: bpy.types.Object, elements: list[dict[str, Any]]) -> list[bpy.types.Object]:
    """An ellipsoid for each element; those that are there already are put back in their places."""
    present = {int(item[NUMBER]): item for item in element_empties(shape)}
    made = []
    for number, one in enumerate(elements):
        item = present.pop(number, None)
        if item is None:
            item = bpy.data.objects.new(f"{shape.name} Element {number + 1}", None)
            item.empty_display_type = "SPHERE"
            item.empty_display_size = 1.0
            item.parent = shape
            for collection in shape.users_collection:
                collection.objects.link(item)
        item[NUMBER], item[CONSTANT] = number, float(one["constant"])
        item.matrix_parent_inverse = Matrix()
        item.rotation_mode = "QUATERNION"
        item.location = one["center"]
        item.rotation_quaternion = Quaternion(one["rotation"]).normalized()
        item.scale = one["radii"]
        made.append(item)
    for item in present.values():
        bpy.data.objects.remove(item)
    return made


def write_elements(shape: bpy.types.Object, file: Path) -> Path:
    """Writes the elements as the ellipsoids lie now, seen from the shape's empty.

    Raises:
        SceneError: where one is missing or has no size, or the file cannot be written.
    """
    empties = element_empties(shape)
    numbers = [int(item[NUMBER]) for item in empties]
    if numbers != list(range(len(numbers))):
        raise SceneError(
            f"{shape.name} has no longer one ellipsoid for each of its elements.",
            "Undo the deletion or copying, or show its elements anew.",
        )
    elements = []
    for item in empties:
        matrix = item.matrix_parent_inverse @ item.matrix_basis
        center, rotation, scale = matrix.decompose()
        radii = [abs(side) * item.empty_display_size for side in scale]
        if min(radii) < 1e-6:
            raise SceneError(f"{item.name} is scaled to nothing.", "Reset its scale.")
        elements.append(
            {
                "center": center[:],
                "radii": radii,
                "rotation": rotation[:],
                "constant": float(item[CONSTANT]),
            }
        )
    write_file(file, json.dumps({"elements": elements}, indent=1).encode())
    return file
