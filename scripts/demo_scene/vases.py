# SPDX-License-Identifier: GPL-3.0-or-later
"""A family of vases, each from a few measures, for the demo of shapes."""

import random
from dataclasses import dataclass

import bmesh
import bpy

from .shapes import lathe, smooth_profile

COLLECTION = "Family"
SPACING = 1.3


@dataclass(frozen=True)
class Vase:
    """Radii from bottom to top, and heights of the belly and the whole, in scene units."""

    foot: float
    belly: float
    neck: float
    lip: float
    belly_height: float
    height: float

    def profile(self) -> list[tuple[float, float]]:
        neck_height = 0.45 * self.belly_height + 0.55 * self.height
        corners = [
            (self.foot, 0.0),
            (0.5 * (self.foot + self.belly), 0.45 * self.belly_height),
            (self.belly, self.belly_height),
            (self.neck, neck_height),
            (self.lip, self.height),
        ]
        return smooth_profile(corners)


UNSEEN = Vase(0.2, 0.42, 0.17, 0.27, 0.5, 1.3)
"""One that is not learned: half of it is completed."""


def build(scene: bpy.types.Scene, count: int, seed: int = 4) -> list[bpy.types.Object]:
    """Vases of different measures in a row, from slender ones to round ones."""
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    draw = random.Random(seed)
    made = []
    for number in range(count):
        share = number / (count - 1)
        vase = Vase(
            foot=draw.uniform(0.14, 0.26),
            belly=0.28 + 0.24 * share + draw.uniform(-0.02, 0.02),
            neck=draw.uniform(0.12, 0.24),
            lip=draw.uniform(0.2, 0.34),
            belly_height=draw.uniform(0.35, 0.65),
            height=1.6 - 0.6 * share + draw.uniform(-0.05, 0.05),
        )
        item = lathe(f"Vase {number + 1}", vase.profile(), segments=64)
        item.location.x = SPACING * (number - (count - 1) / 2)
        collection.objects.link(item)
        made.append(item)
    return made


def half_vase(scene: bpy.types.Scene) -> tuple[bpy.types.Object, bpy.types.Object]:
    """The unseen vase whole and cut in halves, one of which is left, open where it was cut."""
    whole = lathe("Unseen Vase", UNSEEN.profile(), segments=64)
    half = bpy.data.objects.new("Half a Vase", whole.data.copy())
    cut = bmesh.new()
    cut.from_mesh(half.data)
    geometry = [*cut.verts, *cut.edges, *cut.faces]
    bmesh.ops.bisect_plane(
        cut, geom=geometry, plane_co=(0, 0, 0), plane_no=(0, -1, 0), clear_outer=True
    )
    cut.to_mesh(half.data)
    cut.free()
    for item in (whole, half):
        scene.collection.objects.link(item)
        item.location.y = 2 * SPACING
    return whole, half
