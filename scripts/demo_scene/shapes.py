# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes for the demo's scene, each from a formula."""

from collections.abc import Sequence
from math import cos, pi, sin

import bmesh
import bpy
from mathutils import Matrix, Vector

GOLDEN_ANGLE = pi * (3 - 5**0.5)


def lathe(
    name: str, profile: Sequence[tuple[float, float]], segments: int = 96
) -> bpy.types.Object:
    """A (radius, height) profile turned around the z axis, smooth-shaded; ends are closed."""
    mesh = bpy.data.meshes.new(name)
    vertices = [
        (radius * cos(2 * pi * turn / segments), radius * sin(2 * pi * turn / segments), height)
        for radius, height in profile
        for turn in range(segments)
    ]
    mesh.from_pydata(vertices, [], tube(len(profile) - 1, segments))
    return finished(name, mesh)


def smooth_profile(
    corners: Sequence[tuple[float, float]], steps: int = 8
) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through the corners of a profile."""
    points = [Vector(corner) for corner in corners]
    padded = [2 * points[0] - points[1], *points, 2 * points[-1] - points[-2]]
    curve = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            t = step / steps
            point = 0.5 * (
                2 * start
                + (end - before) * t
                + (2 * before - 5 * start + 4 * end - after) * t**2
                + (3 * start - before - 3 * end + after) * t**3
            )
            curve.append((max(point.x, 1e-4), point.y))
    return [*curve, tuple(points[-1])]


def ball(name: str, radius: float) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    shape = bmesh.new()
    bmesh.ops.create_uvsphere(shape, u_segments=96, v_segments=48, radius=radius)
    shape.to_mesh(mesh)
    shape.free()
    return finished(name, mesh)


def torus(name: str, major: float, minor: float, flatten: float = 1.0) -> bpy.types.Object:
    """A ring around the z axis; `flatten` scales its height."""
    mesh = bpy.data.meshes.new(name)
    around, across = 96, 48
    vertices = []
    for i in range(around):
        for j in range(across):
            u, v = 2 * pi * i / around, 2 * pi * j / across
            radius = major + minor * cos(v)
            vertices.append((radius * cos(u), radius * sin(u), flatten * minor * sin(v)))
    faces = [
        (
            i * across + j,
            (i + 1) % around * across + j,
            (i + 1) % around * across + (j + 1) % across,
            i * across + (j + 1) % across,
        )
        for i in range(around)
        for j in range(across)
    ]
    mesh.from_pydata(vertices, [], faces)
    return finished(name, mesh)


def rounded_box(name: str, size: float, bevel: float) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    shape = bmesh.new()
    bmesh.ops.create_cube(shape, size=size)
    bmesh.ops.bevel(shape, geom=shape.edges, offset=bevel, segments=3, profile=0.5, affect="EDGES")
    shape.to_mesh(mesh)
    shape.free()
    return finished(name, mesh)


def succulent(name: str, leaves: int = 34, radius: float = 0.2) -> bpy.types.Object:
    """A rosette of plump, pointed leaves in a golden-angle spiral; outer ones lie lower."""
    vertices: list[Vector] = []
    faces: list[tuple[int, ...]] = []
    around, along = 12, 12
    for leaf in range(leaves):
        outward = (leaf / (leaves - 1)) ** 0.6
        length = radius * (0.45 + 0.6 * outward)
        width = radius * (0.12 + 0.06 * outward)
        place = Matrix.Rotation(leaf * GOLDEN_ANGLE, 4, "Z") @ Matrix.Rotation(
            0.12 + 1.08 * outward, 4, "Y"
        )
        first = len(vertices)
        for ring in range(along + 1):
            height = ring / along
            girth = width * (0.35 + sin(pi * height**1.4)) * (1 - height**6)
            bend = 0.12 * length * height**2
            for turn in range(around):
                angle = 2 * pi * turn / around
                # Thinner than wide, and bent up towards the tip.
                local = Vector(
                    (0.55 * girth * cos(angle) - bend, girth * sin(angle), height * length)
                )
                vertices.append(place @ local)
        faces += [tuple(first + corner for corner in face) for face in tube(along, around)]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    return finished(name, mesh)


def tube(rings: int, around: int) -> list[tuple[int, ...]]:
    """The faces of `rings` + 1 rings of vertices, closed at both ends."""
    sides = [
        (
            ring * around + turn,
            ring * around + (turn + 1) % around,
            (ring + 1) * around + (turn + 1) % around,
            (ring + 1) * around + turn,
        )
        for ring in range(rings)
        for turn in range(around)
    ]
    ends = [tuple(range(around))[::-1], tuple(range(rings * around, (rings + 1) * around))]
    return sides + ends


def finished(name: str, mesh: bpy.types.Mesh) -> bpy.types.Object:
    mesh.validate()
    mesh.shade_smooth()
    return bpy.data.objects.new(name, mesh)
