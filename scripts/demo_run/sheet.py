# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the extracted mesh from three sides, for the report."""

from math import cos, radians, sin
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector
from PIL import Image

SIDES = (("front", -75.0, 22.0), ("side", 45.0, 22.0), ("back", 165.0, 35.0))


def mesh_from_three_sides(
    mesh: bpy.types.Object, folder: Path, pixels: int, samples: int
) -> list[tuple[str, Image.Image]]:
    """Renders the mesh alone, in a scene of its own that is removed again."""
    scene = bpy.data.scenes.new("Sheet")
    shown = bpy.data.objects.new("Sheet Mesh", mesh.data)
    camera = bpy.data.objects.new("Sheet Camera", bpy.data.cameras.new("Sheet Camera"))
    try:
        set_up(scene, shown, camera, mesh.matrix_world.copy())
        scene.render.resolution_x = scene.render.resolution_y = pixels
        scene.cycles.samples = samples
        pictures = []
        for name, turn, height in SIDES:
            aim(camera, shown, radians(turn), radians(height))
            path = folder / f"mesh_{name}.png"
            scene.render.filepath = str(path)
            bpy.ops.render.render(scene=scene.name, write_still=True)
            with Image.open(path) as picture:
                pictures.append((name, picture.convert("RGBA")))
        return pictures
    finally:
        bpy.data.cameras.remove(camera.data)
        bpy.data.objects.remove(shown)
        bpy.data.worlds.remove(scene.world)
        bpy.data.scenes.remove(scene)


def set_up(
    scene: bpy.types.Scene, shown: bpy.types.Object, camera: bpy.types.Object, place: Matrix
) -> None:
    for item in (shown, camera):
        scene.collection.objects.link(item)
    shown.matrix_world = place
    scene.camera = camera
    scene.world = bpy.data.worlds.new("Sheet World")
    scene.render.engine = "CYCLES"
    scene.render.film_transparent = True
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.cycles.use_denoising = True
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
    seen = (points - np.array(center)) @ np.array(rotation)
    # A point at depth z needs the camera at z + |offset| / tan(half the field of view).
    slope = np.tan(camera.data.angle / 2) / 1.04
    distance = float((seen[:, 2] + np.abs(seen[:, :2]).max(axis=-1) / slope).max())
    camera.matrix_world = Matrix.Translation(center + distance * towards) @ rotation.to_4x4()
