# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo that starts from a Blender scene: what the still life is, and what is made of it."""

from math import radians

import bpy
import demo_scene
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from . import geometry
from .blender import call, counting_renders
from .console import Stage
from .folders import Folders
from .quality import Quality

CENTER = Vector((0.0, 0.0, 0.2))
RIG_DISTANCE = 3.15


def prepare(scene: bpy.types.Scene, quality: Quality) -> geometry.Surface:
    """Builds the still life and the camera of the sequence; returns the scene's real surface."""
    objects = demo_scene.build(scene)
    set_up_rendering(scene, quality)
    scene.camera = moving_camera(scene)
    bpy.context.view_layer.update()
    return geometry.surface_of(objects)


def set_up_rendering(scene: bpy.types.Scene, quality: Quality) -> None:
    """Cycles, without a background, over the frames of the sequence."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples = quality.samples
    scene.cycles.use_denoising = True
    scene.cycles.denoising_quality = "BALANCED"
    scene.render.film_transparent = True
    scene.render.use_persistent_data = True
    scene.render.fps = 24
    scene.frame_start, scene.frame_end = 1, quality.frames


def moving_camera(
    scene: bpy.types.Scene, center: Vector = CENTER, farther: float = 1.0
) -> bpy.types.Object:
    """Sweeps around the table while it rises and comes closer; no rig camera stands on its path."""
    target = bpy.data.objects.new("Camera Target", None)
    target.location, target.empty_display_size = center, 0.1
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 50
    aim = camera.constraints.new("TRACK_TO")
    aim.target, aim.track_axis, aim.up_axis = target, "TRACK_NEGATIVE_Z", "UP_Y"
    for item in (target, camera):
        scene.collection.objects.link(item)
    keys = ((0.0, -115, 14, 3.1), (0.35, -75, 24, 2.9), (0.7, -20, 38, 3.0), (1.0, 25, 30, 3.2))
    for share, turn, height, distance in keys:
        distance *= farther
        across = distance * np.cos(radians(height))
        offset = (across * np.cos(radians(turn)), across * np.sin(radians(turn)))
        camera.location = center + Vector((*offset, distance * np.sin(radians(height))))
        frame = scene.frame_start + share * (scene.frame_end - scene.frame_start)
        camera.keyframe_insert("location", frame=frame)
    return camera


def render_still(scene: bpy.types.Scene, folders: Folders, quality: Quality, frame: int) -> None:
    """What Cycles shows at a frame of the sequence: the truth that the novel view is held to."""
    scene.frame_set(frame)
    scene.cycles.samples = quality.still_samples
    set_size(scene, quality.view_px)
    scene.render.filepath = str(folders.stills / "truth.png")
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    bpy.ops.render.render(write_still=True)


def capture(
    scene: bpy.types.Scene, folders: Folders, quality: Quality, stage: Stage
) -> NDArray[np.float64]:
    """Puts the rig up and renders through it; returns the positions of its cameras."""
    bpy.ops.object.select_all(action="DESELECT")
    for item in bpy.data.collections[demo_scene.COLLECTION].objects:
        item.select_set(True)
    before = set(bpy.data.objects)
    call(
        bpy.ops.neural_fields.add_camera_rig,
        shape="HEMISPHERE",
        count=quality.cameras,
        distance=RIG_DISTANCE,
        lens=50.0,
        lowest_angle=radians(-8.0),
    )
    cameras = [item for item in set(bpy.data.objects) - before if item.type == "CAMERA"]
    scene.cycles.samples = quality.samples
    set_size(scene, quality.capture_px)
    with counting_renders(stage, len(cameras)):
        call(bpy.ops.neural_fields.render_capture, source="COLLECTION", folder=str(folders.capture))
    set_size(scene, quality.view_px)
    return np.array([camera.matrix_world.translation for camera in cameras], dtype=np.float64)


def put_away_originals(
    view_layer: bpy.types.ViewLayer, collection: str = demo_scene.COLLECTION
) -> None:
    """Hides the originals and the rig: what the field made stands in their place."""
    for layer in view_layer.layer_collection.children:
        holds_cameras = any(item.type == "CAMERA" for item in layer.collection.objects)
        if layer.collection.name == collection or holds_cameras:
            layer.collection.hide_viewport = layer.collection.hide_render = True


def set_size(scene: bpy.types.Scene, pixels: int) -> None:
    scene.render.resolution_x = scene.render.resolution_y = pixels
    scene.render.resolution_percentage = 100
