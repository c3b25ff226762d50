# SPDX-License-Identifier: GPL-3.0-or-later
"""Which camera takes a picture at which frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from .errors import SceneError

_GOLDEN_SHARE = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Station:
    """A camera at a frame of the timeline."""

    camera: str
    frame: int


def stations_at(cameras: Sequence[bpy.types.Object], frame: int) -> list[Station]:
    """Each camera once, at one frame."""
    return [Station(camera.name, frame) for camera in cameras]


def stations_in_turn(cameras: Sequence[bpy.types.Object], frames: Sequence[int]) -> list[Station]:
    """The cameras take turns along the timeline: one picture a frame, or several frames with more
    where there are more cameras than frames.

    A rig's cameras are sorted by height, and the lowest ones must not see the first frames alone:
    so each is followed by one far from it.
    """
    count = max(len(cameras), len(frames)) if cameras and frames else 0
    order = np.argsort(np.arange(len(cameras)) * _GOLDEN_SHARE % 1, kind="stable")
    places = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return [
        Station(cameras[order[number % len(order)]].name, frames[place])
        for number, place in enumerate(places)
    ]


def stations_together(cameras: Sequence[bpy.types.Object], frames: Sequence[int]) -> list[Station]:
    """Every camera at every frame."""
    return [Station(camera.name, frame) for frame in frames for camera in cameras]


def stations_of_animation(scene: bpy.types.Scene, frames: Sequence[int]) -> list[Station]:
    """The scene's camera at each frame.

    Raises:
        SceneError: where the scene has no camera.
    """
    if scene.camera is None:
        raise SceneError("The scene has no active camera.", "Choose one in the scene's properties.")
    return [Station(scene.camera.name, frame) for frame in frames]
