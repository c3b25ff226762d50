# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample: toadstools on a patch of moss, small enough to be learned in seconds."""

from collections.abc import Sequence
from math import cos, pi, radians, sin
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from ..compat import shader_nodes
from .meshes import put_geometry
from .rigs import look_at

NAME = "Neural Fields Sample"
WIDTH = 2.0
"""How wide the sample is, in scene units."""

Color = tuple[float, float, float]
MOSS, STEM, CAP, DOT = (0.10, 0.25, 0.04), (0.80, 0.71, 0.55), (0.70, 0.03, 0.02), (0.9, 0.87, 0.8)
STONE, SMALL_CAP = (0.30, 0.31, 0.34), (0.80, 0.32, 0.03)
SEGMENTS, GOLDEN_ANGLE = 48, pi * (3 - 5**0.5)


def build_sample() -> bpy.types.Scene:
    """A scene of its own, with lights, a camera, and settings that render quickly."""
    scene = bpy.data.scenes.new(NAME)
    collection = bpy.data.collections.new("Toadstools")
    scene.collection.children.link(collection)
    paints = {color: _paint(color) for color in (MOSS, STEM, CAP, DOT, STONE, SMALL_CAP)}
    for name, color, vertices, faces in _parts():
        mesh = bpy.data.meshes.new(name)
        put_geometry(mesh, vertices, faces)
        mesh.shade_smooth()
        mesh.materials.append(paints[color])
        item = bpy.data.objects.new(name, mesh)
        item.color = (*color, 1.0)
        collection.objects.link(item)
    for light in _lights():
        scene.collection.objects.link(light)
    scene.world = _sky()
    scene.camera = _camera()
    scene.collection.objects.link(scene.camera)
    _render_quickly(scene)
    return scene


def objects_of(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """What the sample's pictures are of."""
    return [item for item in scene.objects if item.type == "MESH"]


Part = tuple[str, Color, NDArray[np.float64], NDArray[np.int64]]
"""Name, color, vertices and faces."""


def _parts() -> list[Part]:
    moss = [(0.0, -0.10), (0.62, -0.09), (0.84, -0.05), (0.88, 0.0), (0.75, 0.04), (0.0, 0.07)]
    parts = [_lathe("Moss", MOSS, moss, (0.0, 0.0, 0.0))]
    for name, place, size, color in (
        ("Toadstool", (-0.12, 0.05, 0.05), 1.0, CAP),
        ("Young Toadstool", (0.45, -0.28, 0.05), 0.55, SMALL_CAP),
    ):
        stem = [(0.0, 0.0), (0.17, 0.01), (0.13, 0.2), (0.10, 0.5), (0.10, 0.72), (0.0, 0.74)]
        lip = [(0.07, 0.62), (0.25, 0.58), (0.38, 0.55), (0.46, 0.55)]
        cap = [*lip, *(_on_cap(angle) for angle in np.linspace(0.52 * pi, 0.0, 17))]
        parts.append(_lathe(f"{name} Stem", STEM, _scaled(stem, size), place))
        parts.append(_lathe(f"{name} Cap", color, _scaled(cap, size), place))
        parts.extend(_dots(name, size, Vector(place)))
    for number, (x, y, radius) in enumerate(((-0.55, -0.4, 0.13), (-0.42, -0.55, 0.08))):
        ball = [(radius * sin(t), radius * 0.75 * -cos(t)) for t in np.linspace(0, pi, 13)]
        parts.append(_lathe(f"Pebble {number + 1}", STONE, ball, (x, y, 0.09)))
    return parts


def _dots(name: str, size: float, place: Vector) -> list[Part]:
    """White dots, spread over the cap by the golden angle."""
    dots = []
    for number in range(9):
        radius, height = _on_cap(radians(14.0 + 8.0 * number))
        turn = number * GOLDEN_ANGLE
        center = Vector((radius * cos(turn), radius * sin(turn), height)) * size + place
        ball = 0.075 * size * (1.0 if number % 2 else 0.8)
        profile = [(ball * sin(t), ball * -cos(t)) for t in np.linspace(0, pi, 9)]
        dots.append(_lathe(f"{name} Dot {number + 1}", DOT, profile, center[:]))
    return dots


def _on_cap(angle: float) -> tuple[float, float]:
    """Radius and height of the cap at an angle from its top."""
    return 0.48 * sin(angle), 0.60 + 0.36 * cos(angle)


def _scaled(profile: Sequence[tuple[float, float]], size: float) -> list[tuple[float, float]]:
    return [(radius * size, height * size) for radius, height in profile]


def _lathe(
    name: str,
    color: Color,
    profile: Sequence[tuple[float, float]],
    place: Sequence[float],
) -> Part:
    """A (radius, height) profile turned around the z axis at a place."""
    angles = np.arange(SEGMENTS) * 2 * pi / SEGMENTS
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(SEGMENTS)], axis=1)
    rings = np.array([(max(radius, 1e-4), 0.0, height) for radius, height in profile])
    vertices = rings[:, None, :1] * circle + rings[:, None] * (0.0, 0.0, 1.0) + place
    corner = np.arange(len(profile) * SEGMENTS).reshape(-1, SEGMENTS)
    beside = np.roll(corner, -1, axis=1)
    faces = np.stack([corner[:-1], beside[:-1], beside[1:], corner[1:]], axis=-1)
    return name, color, vertices.reshape(-1, 3), faces.reshape(-1, 4)


def _paint(color: Color) -> bpy.types.Material:
    material = bpy.data.materials.new("Sample Paint")
    material.diffuse_color = (*color, 1.0)
    shader = shader_nodes(material).nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*color, 1.0)
    shader.inputs["Roughness"].default_value = 0.55
    return material


def _lights() -> list[bpy.types.Object]:
    sun = bpy.data.lights.new("Sample Sun", "SUN")
    sun.energy, sun.angle, sun.color = 2.6, radians(12.0), (1.0, 0.94, 0.84)
    item = bpy.data.objects.new(sun.name, sun)
    item.rotation_euler = (radians(38.0), radians(-18.0), radians(25.0))
    return [item]


def _sky() -> bpy.types.World:
    world = bpy.data.worlds.new("Sample Sky")
    background = shader_nodes(world).nodes["Background"]
    background.inputs["Color"].default_value = (0.62, 0.74, 0.95, 1.0)
    background.inputs["Strength"].default_value = 0.75
    return world


def _camera() -> bpy.types.Object:
    camera = bpy.data.objects.new("Sample Camera", bpy.data.cameras.new("Sample Camera"))
    position = np.array([1.9, -3.0, 1.9])
    camera.matrix_world = look_at(position, np.array([0.0, 0.0, 0.35])).T.tolist()
    camera.data.lens = 42.0
    return camera


def _render_quickly(scene: bpy.types.Scene) -> None:
    render: Any = scene.render  # the stubs know engines that are built in only
    render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 16, False
    scene.cycles.max_bounces = 3
    scene.render.resolution_x = scene.render.resolution_y = 128
    scene.view_settings.view_transform = "Standard"
