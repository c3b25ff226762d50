# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of a mesh alone, for the report: its colours and its shape."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image

SIDES = (("front", -75.0, 22.0), ("side", 45.0, 22.0), ("back", 165.0, 35.0))


def mesh_from_three_sides(
    mesh: bpy.types.Object, folder: Path, pixels: int, samples: int
) -> list[tuple[str, Image.Image]]:
    """Renders the mesh alone, in a scene of its own that is removed again.

    The left half of each picture shows the colours as they were learned, the right half plain clay.
    """
    with alone(mesh.data, pixels, samples) as (scene, shown, camera, clay):
        shown.matrix_world = mesh.matrix_world.copy()
        pictures = []
        for name, turn, height in SIDES:
            aim(camera, shown, radians(turn), radians(height))
            looks = []
            for look, material in (("color", None), ("clay", clay)):
                scene.view_layers[0].material_override = material
                # The learned colours shine by themselves, without noise.
                scene.cycles.use_denoising = material is not None
                looks.append(rendered(scene, folder / f"mesh_{name}_{look}.png"))
            pictures.append((name, halves(*looks)))
        return pictures


def clay_picture(
    data: bpy.types.Mesh, path: Path, pixels: int, samples: int, turn: float, height: float = 15.0
) -> Image.Image:
    """Renders a mesh alone in plain clay, from a direction in degrees."""
    with alone(data, pixels, samples) as (scene, shown, camera, clay):
        aim(camera, shown, radians(turn), radians(height))
        scene.view_layers[0].material_override = clay
        scene.cycles.use_denoising = True
        return rendered(scene, path)


@contextmanager
def alone(data: bpy.types.Mesh, pixels: int, samples: int) -> Iterator[tuple[Any, Any, Any, Any]]:
    """A scene, in it an object of the mesh and a camera, and clay; all is removed again."""
    scene = bpy.data.scenes.new("Sheet")
    shown = bpy.data.objects.new("Sheet Mesh", data)
    camera = bpy.data.objects.new("Sheet Camera", bpy.data.cameras.new("Sheet Camera"))
    clay = bpy.data.materials.new("Sheet Clay")
    sun = bpy.data.objects.new("Sheet Sun", bpy.data.lights.new("Sheet Sun", "SUN"))
    try:
        set_up(scene, shown, camera, sun)
        scene.render.resolution_x = scene.render.resolution_y = pixels
        scene.cycles.samples = samples
        yield scene, shown, camera, clay
    finally:
        bpy.data.lights.remove(sun.data)
        bpy.data.materials.remove(clay)
        bpy.data.cameras.remove(camera.data)
        bpy.data.objects.remove(shown)
        bpy.data.worlds.remove(scene.world)
        bpy.data.scenes.remove(scene)


def rendered(scene: bpy.types.Scene, path: Path) -> Image.Image:
    scene.render.filepath = str(path)
    bpy.ops.render.render(scene=scene.name, write_still=True)
    with Image.open(path) as picture:
        return picture.convert("RGBA")


def halves(left: Image.Image, right: Image.Image) -> Image.Image:
    """The left half of one picture beside the right half of the other."""
    middle = left.width // 2
    joined = left.copy()
    joined.paste(right.crop((middle, 0, *right.size)), (middle, 0))
    return joined


def set_up(
    scene: bpy.types.Scene,
    shown: bpy.types.Object,
    camera: bpy.types.Object,
    sun: bpy.types.Object,
) -> None:
    for item in (shown, camera, sun):
        scene.collection.objects.link(item)
    sun.data.energy, sun.data.angle = 2.6, radians(10)
    sun.parent = camera
    # Over the camera's shoulder, so that the shape is modelled from every side.
    sun.rotation_euler = (radians(-28), radians(-38), 0.0)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("Sheet World")
    scene.world.use_nodes = True
    sky = scene.world.node_tree.nodes["Background"].inputs
    sky["Color"].default_value, sky["Strength"].default_value = (0.8, 0.85, 1.0, 1.0), 0.35
    scene.render.engine = "CYCLES"
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform = "Standard"


def aim(camera: bpy.types.Object, shown: bpy.types.Object, turn: float, height: float) -> None:
    """Looks at the middle of the mesh from a direction, as near as shows the whole of it."""
    points = np.empty(3 * len(shown.data.vertices), dtype=np.float32)
    shown.data.vertices.foreach_get("co", points)
    world = np.array(shown.matrix_world)
    points = points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
    center = Vector((points.min(axis=0) + points.max(axis=0)) / 2)
    towards = Vector((cos(turn) * cos(height), sin(turn) * cos(height), sin(height)))
    rotation = towards.to_track_quat("Z", "Y").to_matrix()
    slope = np.tan(camera.data.angle / 2) / 1.04
    for _ in range(3):
        seen = (points - np.array(center)) @ np.array(rotation)
        # A point at depth z needs the camera at z + |offset| / tan(half the field of view).
        distance = float((seen[:, 2] + np.abs(seen[:, :2]).max(axis=-1) / slope).max())
        on_screen = seen[:, :2] / (distance - seen[:, 2:])
        offset = distance * (on_screen.min(axis=0) + on_screen.max(axis=0)) / 2
        center = center + rotation @ Vector((*offset, 0.0))
    camera.matrix_world = Matrix.Translation(center + distance * towards) @ rotation.to_4x4()
