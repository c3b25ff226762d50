# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as solids: what their places and properties say, in the worker's description of solids.

A solid that is made of others is described in the space of its empty, so that its mesh, below the
empty, lies where its parts are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .errors import SceneError
from .mesh_files import write_meshes
from .primitives import description

WITH_DISTANCES = ("neural_sdf", "deep_sdf")
"""Methods whose fields are distances, as solids need; of others the mesh is taken."""


@dataclass
class SolidScene:
    """What is needed on the way: how to read a shape's properties, and where meshes may go.

    `file_of` gives the description of a learned shape: a file and what is between.
    """

    depsgraph: bpy.types.Depsgraph
    folder: Path
    owner_of: Callable[[bpy.types.Object], bpy.types.Object]
    file_of: Callable[[Any], dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    """What was not taken as the user may think."""


def describe_solid(solid: bpy.types.Object, scene: SolidScene) -> dict[str, Any]:
    """A solid in the space of its empty.

    Raises:
        SceneError: where a part is missing, no solid, or scaled so that it has no description.
    """
    world = solid.evaluated_get(scene.depsgraph).matrix_world
    if abs(world.determinant()) < 1e-12:
        raise SceneError(f"{solid.name} is scaled to nothing.", "Reset its scale.")
    return _combined(solid, world.inverted(), scene, (solid,))


def _combined(
    solid: bpy.types.Object,
    from_world: Matrix,
    scene: SolidScene,
    above: tuple[bpy.types.Object, ...],
) -> dict[str, Any]:
    settings = solid.evaluated_get(scene.depsgraph).neural_field.solid
    parts = [one.part for one in solid.neural_field.solid.parts]
    alive = [part for part in parts if part is not None and part.users_scene]
    if len(alive) < len(parts):
        raise SceneError(
            f"{len(parts) - len(alive)} of the parts of {solid.name} are gone.",
            "Undo their deletion, or make the solid anew.",
        )
    combined: dict[str, Any] = {
        "type": settings.operation,
        "parts": [_part(scene.owner_of(part), from_world, scene, above) for part in alive],
        "smoothness": float(settings.smoothness),
    }
    # The outermost level is the job's own, which makes room for it.
    if settings.level and len(above) > 1:
        return {"type": "offset", "part": combined, "amount": float(settings.level)}
    return combined


def _part(
    item: bpy.types.Object,
    from_world: Matrix,
    scene: SolidScene,
    above: tuple[bpy.types.Object, ...],
) -> dict[str, Any]:
    settings = item.neural_field
    if item in above:
        raise SceneError(
            f"{item.name} is a part of itself.", "Take it out of the solids that it is made of."
        )
    if len(settings.solid.parts):
        return _combined(item, from_world, scene, (*above, item))
    matrix = from_world @ item.evaluated_get(scene.depsgraph).matrix_world
    if settings.shape.run:
        return _learned(item, matrix, from_world, scene)
    if settings.primitive.kind != "none":
        return _primitive(item, matrix, scene)
    if item.type == "MESH":
        return _mesh(item, from_world, scene)
    raise SceneError(
        f"{item.name} is no solid.", "Choose neural shapes, primitives, solids or closed meshes."
    )


def _learned(
    item: bpy.types.Object, matrix: Matrix, from_world: Matrix, scene: SolidScene
) -> dict[str, Any]:
    settings = item.evaluated_get(scene.depsgraph).neural_field.shape
    if settings.method not in WITH_DISTANCES:
        shown = item.neural_field.mesh_object
        if shown is None:
            raise SceneError(f"{item.name} has no mesh yet.", "Update the shape first.")
        scene.notes.append(
            f"{item.name} was learned by {settings.method}, which knows no distances: its mesh "
            "stands for it"
        )
        return _mesh(shown, from_world, scene)
    part = scene.file_of(settings)
    if settings.level:
        part = {"type": "offset", "part": part, "amount": float(settings.level)}
    return _placed(part, matrix, item.name)


def _primitive(item: bpy.types.Object, matrix: Matrix, scene: SolidScene) -> dict[str, Any]:
    solid = description(item.evaluated_get(scene.depsgraph).neural_field.primitive)
    if solid["type"] == "box":
        # A box that is stretched along its sides is a box.
        center, rotation, scale = matrix.decompose()
        rebuilt = Matrix.LocRotScale(center, rotation, scale)
        factors = np.abs(np.array(scale))
        if np.allclose(np.array(rebuilt), np.array(matrix), atol=1e-5) and factors.min() > 0:
            solid["half_size"] = (np.array(solid["half_size"]) * factors).tolist()
            matrix = Matrix.LocRotScale(center, rotation, None)
    return _placed(solid, matrix, item.name)


def _mesh(item: bpy.types.Object, from_world: Matrix, scene: SolidScene) -> dict[str, Any]:
    (file,) = write_meshes([item], scene.depsgraph, from_world.inverted(), scene.folder)
    return {"type": "file", "path": str(file)}


def _placed(part: dict[str, Any], matrix: Matrix, name: str) -> dict[str, Any]:
    linear = np.array(matrix, dtype=np.float64)[:3, :3]
    scale = abs(np.linalg.det(linear)) ** (1 / 3)
    even = scale > 1e-9 and np.allclose(linear @ linear.T / scale**2, np.eye(3), atol=1e-3)
    if not even:
        raise SceneError(
            f"{name} is scaled unevenly, which would bend its distances.",
            "Scale it evenly, or change its measures instead.",
        )
    # Single precision leaves the axes of a turn a little off.
    left, _, right = np.linalg.svd(linear)
    rows = np.eye(4)
    rows[:3, :3], rows[:3, 3] = scale * left @ right, np.array(matrix)[:3, 3]
    return {"type": "placed", "part": part, "matrix": rows.tolist()}
