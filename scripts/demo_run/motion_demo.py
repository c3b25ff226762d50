# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo whose scene moves: its cameras, and pictures of moments of it."""

from math import cos, radians, sin
from pathlib import Path

import bpy
from demo_scene import puppet_show
from mathutils import Vector
from PIL import Image

from . import scene_demo
from .blender import call, counting_renders
from .console import Stage
from .folders import Folders
from .quality import Quality

CENTER = Vector((0.0, 0.0, 0.48))
DISTANCE = 3.6
NOVEL_DISTANCE = 3.3
HEIGHTS_DEG = (6.0, 30.0, 16.0, 48.0)
TURN_DEG = 110.0
"""How far each camera of the capture goes around while the scene plays."""
HOLD_OUT = 7
"""No multiple of the number of cameras, so that each of them has pictures held out."""


def prepare(scene: bpy.types.Scene, quality: Quality) -> None:
    """Builds the show, the cameras that take the capture, and another one for the sequence."""
    scene_demo.set_up_rendering(scene, quality)
    puppet_show.build(scene)
    scene.camera = scene_demo.moving_camera(scene, CENTER, NOVEL_DISTANCE / scene_demo.RIG_DISTANCE)
    add_capture_cameras(scene, quality.cameras)
    bpy.context.view_layer.update()


def add_capture_cameras(scene: bpy.types.Scene, count: int) -> None:
    """Cameras that go around the show, evenly spread and at different heights."""
    collection = bpy.data.collections.new("Capture Cameras")
    scene.collection.children.link(collection)
    for number in range(count):
        camera = bpy.data.objects.new(f"Capture {number + 1}", bpy.data.cameras.new("Capture"))
        camera.data.lens = 50
        collection.objects.link(camera)
        height = radians(HEIGHTS_DEG[number % len(HEIGHTS_DEG)])
        for frame in range(scene.frame_start, scene.frame_end + 1):
            share = (frame - scene.frame_start) / (scene.frame_end - scene.frame_start)
            turn = radians(360 * number / count + TURN_DEG * share)
            towards = Vector((cos(turn) * cos(height), sin(turn) * cos(height), sin(height)))
            camera.location = CENTER + DISTANCE * towards
            camera.rotation_euler = towards.to_track_quat("Z", "Y").to_euler()
            camera.keyframe_insert("location", frame=frame)
            camera.keyframe_insert("rotation_euler", frame=frame)


def capture(scene: bpy.types.Scene, folders: Folders, quality: Quality, stage: Stage) -> None:
    """Renders every frame through all the capture's cameras."""
    scene.cycles.samples = quality.samples
    scene_demo.set_size(scene, quality.capture_px)
    frames = scene.frame_end - scene.frame_start + 1
    with counting_renders(stage, frames * quality.cameras):
        call(
            bpy.ops.neural_fields.render_capture,
            source="COLLECTION",
            collection="Capture Cameras",
            folder=str(folders.capture),
            moving_scene=True,
            every_camera=True,
            hold_out=HOLD_OUT,
        )
    scene_demo.set_size(scene, quality.view_px)


def moments(scene: bpy.types.Scene) -> tuple[int, ...]:
    """The frames that the report shows."""
    length = scene.frame_end - scene.frame_start
    return tuple(scene.frame_start + round(share * length) for share in (0.12, 0.4, 0.8))


def picture(
    scene: bpy.types.Scene, path: Path, frame: int, quality: Quality, samples: int
) -> Image.Image:
    """What Cycles shows through the scene's camera at a frame."""
    scene.frame_set(frame)
    scene.cycles.samples = samples
    scene_demo.set_size(scene, quality.view_px)
    scene.render.filepath = str(path)
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    bpy.ops.render.render(write_still=True)
    with Image.open(path) as opened:
        return opened.convert("RGBA")
