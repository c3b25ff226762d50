# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo that starts from photos: their cameras in the scene, and a smooth flight among them."""

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector
from numpy.typing import NDArray
from PIL import Image

from .blender import call
from .folders import DemoError
from .quality import Quality

STOPS = 6
"""Photos that the flight passes; more of them make a restless path."""


def prepare(scene: bpy.types.Scene, photos: Path, quality: Quality) -> list[bpy.types.Object]:
    """Imports the capture's cameras, each with its photo behind it; returns them in their order."""
    if not photos.exists():
        raise DemoError(f"There is no {photos}. Give --photos a folder with a capture.")
    before = set(bpy.data.objects)
    call(bpy.ops.neural_fields.import_capture, filepath=str(photos.absolute()))
    cameras = sorted(
        (item for item in set(bpy.data.objects) - before if item.type == "CAMERA"),
        key=lambda item: item.name,
    )
    if len(cameras) < 2:
        raise DemoError(f"{photos} has {len(cameras)} cameras; a flight needs at least two.")
    scene.render.fps = 24
    scene.frame_start, scene.frame_end = 1, quality.frames
    scene.camera = flying_camera(scene, cameras)
    longer = max(scene.render.resolution_x, scene.render.resolution_y)
    scene.render.resolution_percentage = min(100, round(100 * quality.view_px / longer))
    bpy.context.view_layer.update()
    return cameras


def flying_camera(scene: bpy.types.Scene, cameras: list[bpy.types.Object]) -> bpy.types.Object:
    """A camera that passes some of the others on the shortest smooth way."""
    stops = [cameras[i].matrix_world for i in tour(positions_of(cameras))]
    stops = [stops[round(i)] for i in np.linspace(0, len(stops) - 1, min(STOPS, len(stops)))]
    camera = bpy.data.objects.new("Camera", cameras[0].data.copy())
    camera.data.name = "Camera"
    camera.data.background_images.clear()
    camera.data.show_background_images = False
    camera.rotation_mode = "QUATERNION"
    scene.collection.objects.link(camera)
    before: Quaternion | None = None
    for share, stop in zip(np.linspace(0, 1, len(stops)), stops, strict=True):
        rotation = stop.to_quaternion()
        if before is not None:
            rotation.make_compatible(before)
        before = rotation
        camera.matrix_world = Matrix.Translation(stop.translation) @ rotation.to_matrix().to_4x4()
        camera.rotation_quaternion = rotation
        frame = scene.frame_start + share * (scene.frame_end - scene.frame_start)
        for channel in ("location", "rotation_quaternion"):
            camera.keyframe_insert(channel, frame=frame)
    return camera


def first_two_of_three(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Pictures that stand side by side in one."""
    width = picture.width // 3
    return (
        picture.crop((0, 0, width, picture.height)),
        picture.crop((width, 0, 2 * width, picture.height)),
    )


def positions_of(cameras: list[bpy.types.Object]) -> NDArray[np.float64]:
    return np.array([camera.matrix_world.translation for camera in cameras], dtype=np.float64)


def tour(positions: NDArray[np.float64]) -> list[int]:
    """An order in which each camera is followed by the nearest that is left.

    It starts at the one farthest from the middle: a path that began there would cross itself.
    """
    at = int(np.linalg.norm(positions - positions.mean(axis=0), axis=-1).argmax())
    left = set(range(len(positions))) - {at}
    order = [at]
    while left:
        at = min(left, key=lambda i: Vector(positions[i] - positions[order[-1]]).length)
        left.remove(at)
        order.append(at)
    return order
