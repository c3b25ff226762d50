# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of shapes in Blender share: small fits, and how large a result is in the scene."""

from types import ModuleType
from typing import Any

import numpy as np

TINY = "surface=128 near=128 uniform=64 slopes=32 log2_entries=12 levels=3"
TINY_FAMILY = (
    "width=32 depth=4 latent_dim=8 shapes=3 near=96 uniform=32 fit_steps=60 fit_points=256 "
    "learning_rate=5e-3 code_rate=1e-2 frequencies=2"
)


def select(bpy: ModuleType, *items: Any) -> None:
    """Selects these; the last one is active."""
    bpy.context.view_layer.update()
    for item in bpy.context.view_layer.objects:
        item.select_set(item in items)
    bpy.context.view_layer.objects.active = items[-1]


def box(bpy: ModuleType, name: str, size: tuple[float, ...], location: tuple[float, ...]) -> Any:
    """A box whose measures are in its vertices."""
    half = np.array(size) / 2
    corners = [half * (x, y, z) for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)]
    faces = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(corner) for corner in corners], [], faces)
    item = bpy.data.objects.new(name, mesh)
    item.location = location
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.update()
    return item


def points(bpy: ModuleType, item: Any) -> np.ndarray:
    """The vertices of a mesh, modifiers applied, in the scene."""
    bpy.context.view_layer.update()
    shown = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    found = np.empty(3 * len(shown.data.vertices), np.float32)
    shown.data.vertices.foreach_get("co", found)
    world = np.array(shown.matrix_world)
    return found.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def bounds(bpy: ModuleType, item: Any) -> np.ndarray:
    """The lowest and highest corner of a mesh in the scene."""
    found = points(bpy, item)
    return np.stack([found.min(axis=0), found.max(axis=0)])


def volume(item: Any) -> float:
    """What a mesh encloses, by the divergence theorem; positive where its faces look outwards."""
    mesh = item.data
    mesh.calc_loop_triangles()
    corners = np.array([vertex.co[:] for vertex in mesh.vertices], dtype=np.float64)
    faces = np.array([triangle.vertices[:] for triangle in mesh.loop_triangles])
    first, second, third = (corners[faces[:, corner]] for corner in range(3))
    return float((first * np.cross(second, third)).sum() / 6)
