# SPDX-License-Identifier: GPL-3.0-or-later
"""The cameras of a rig as objects, made once and moved in place while its settings change."""

import math
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .cameras import place, render_size
from .rigs import Rig, framing_distance, look_at, rig_directions

NAME = "Capture Rig"
SENSOR_MM = 36.0
MARK = "neural_field_rig"
"""Custom property of the cameras that a rig has made: others in its collection are left alone."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A rig around a subject's box; a `distance` of 0 frames all of it."""

    rig: Rig
    bounds: NDArray[np.float64]
    distance: float
    lens: float


def put_rig(
    scene: bpy.types.Scene, collection: bpy.types.Collection | None, wanted: Placement
) -> bpy.types.Collection:
    """Has a collection hold the cameras of a rig, in place of those it has of an earlier one."""
    if collection is None:
        collection = bpy.data.collections.new(NAME)
        scene.collection.children.link(collection)
    cameras = sorted(_own(collection), key=lambda item: item.name)
    data: Any = cameras[0].data if cameras else bpy.data.cameras.new(NAME)
    distance = wanted.distance or _framing(scene, wanted)
    data.sensor_width, data.lens = SENSOR_MM, wanted.lens
    data.display_size = 0.05 * distance
    data.clip_start, data.clip_end = distance / 1000, 10 * distance
    while len(cameras) < wanted.rig.count:
        camera = bpy.data.objects.new(f"Rig {len(cameras) + 1:03d}", data)
        camera[MARK] = True
        collection.objects.link(camera)
        cameras.append(camera)
    for camera in cameras[wanted.rig.count :]:
        bpy.data.objects.remove(camera)
    center = (wanted.bounds[0] + wanted.bounds[1]) / 2
    for camera, direction in zip(cameras, rig_directions(wanted.rig), strict=False):
        place(camera, look_at(center + distance * direction, center))
    return collection


def remove_rig(collection: bpy.types.Collection) -> None:
    """Removes the cameras that a rig has made, and the collection where nothing else is in it."""
    for camera in _own(collection):
        bpy.data.objects.remove(camera)
    if not len(collection.objects) and not len(collection.children):
        bpy.data.collections.remove(collection)


def _own(collection: bpy.types.Collection) -> list[bpy.types.Object]:
    return [item for item in collection.objects if item.get(MARK) and item.library is None]


def _framing(scene: bpy.types.Scene, wanted: Placement) -> float:
    width, height = render_size(scene.render)
    narrower = SENSOR_MM / 2 * min(width, height) / max(width, height)
    return framing_distance(wanted.bounds, math.atan(narrower / wanted.lens))
