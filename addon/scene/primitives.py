# SPDX-License-Identifier: GPL-3.0-or-later
"""Solids with a formula: what they are for the worker, and meshes that show them."""

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from .errors import SceneError
from .meshes import fill_mesh
from .ply import MeshArrays

PRIMITIVES = {
    "sphere": ("Sphere", "A ball"),
    "box": ("Box", "A box with sharp edges"),
    "rounded_box": ("Rounded Box", "A box whose edges are rounded off"),
    "torus": ("Torus", "A ring about the Z axis"),
    "cylinder": ("Cylinder", "A cylinder along the Z axis"),
    "cone": ("Cone", "A cone along the Z axis, which may have a flat top"),
    "capsule": ("Capsule", "A cylinder along the Z axis with half a ball at each end"),
    "plane": ("Plane", "All that is below the plane, without end"),
}
_SEGMENTS = 48
_PLANE_SHOWN = 4.0
"""Half of the side of the square that stands for a plane."""


def description(settings: Any) -> dict[str, Any]:
    """The solid that the properties of a primitive describe, about its origin.

    Raises:
        SceneError: where there is none with these measures.
    """
    half_size = [float(side) / 2 for side in settings.size]
    radius, height = float(settings.radius), float(settings.height)
    kinds: dict[str, dict[str, Any]] = {
        "sphere": {"radius": radius},
        "box": {"half_size": half_size},
        "rounded_box": {"half_size": half_size, "radius": radius},
        "torus": {"ring_radius": radius, "tube_radius": float(settings.tube_radius)},
        "cylinder": {"radius": radius, "half_height": height / 2},
        "cone": {
            "bottom_radius": radius,
            "top_radius": float(settings.top_radius),
            "half_height": height / 2,
        },
        "capsule": {
            "start": [0.0, 0.0, -height / 2],
            "end": [0.0, 0.0, height / 2],
            "radius": radius,
        },
        "plane": {"normal": [0.0, 0.0, 1.0], "offset": 0.0},
    }
    if settings.kind == "rounded_box" and radius > min(half_size):
        raise SceneError(
            f"The rounded box {settings.id_data.name} has a radius of {radius:g}, more than half "
            "of its shortest side.",
            "Choose a smaller radius or a larger size.",
        )
    return {"type": settings.kind, **kinds[settings.kind]}


def shape_primitive(mesh: bpy.types.Mesh, settings: Any) -> None:
    """Replaces a mesh by one that shows the solid of these properties."""
    fill_mesh(mesh, display_mesh(settings))
    if settings.kind in ("box", "cylinder", "cone", "plane"):
        mesh.shade_flat()


def display_mesh(settings: Any) -> MeshArrays:
    """Triangles whose vertices lie on the solid's surface."""
    radius, half = float(settings.radius), float(settings.height) / 2
    kind = settings.kind
    if kind in ("box", "rounded_box"):
        sides = np.array(settings.size, dtype=np.float64) / 2
        rounding = min(radius, float(sides.min())) if kind == "rounded_box" else 0.0
        return _box(sides, rounding)
    if kind == "plane":
        corners = _PLANE_SHOWN * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
        return MeshArrays(corners.astype(np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    turn = np.linspace(-np.pi / 2, np.pi / 2, _SEGMENTS // 2 + 1)
    if kind == "torus":
        around = np.linspace(-np.pi, np.pi, _SEGMENTS // 2 + 1)
        tube = float(settings.tube_radius)
        profile = np.stack([radius + tube * np.cos(around), tube * np.sin(around)], axis=-1)
    elif kind == "cylinder":
        profile = np.array([[0, -half], [radius, -half], [radius, half], [0, half]])
    elif kind == "cone":
        profile = np.array(
            [[0, -half], [radius, -half], [float(settings.top_radius), half], [0, half]]
        )
    else:
        straight = half if kind == "capsule" else 0.0
        heights = radius * np.sin(turn) + straight * np.sign(turn)
        profile = np.stack([radius * np.cos(turn), heights], axis=-1)
    return _lathe(profile)


def _lathe(profile: NDArray[np.float64]) -> MeshArrays:
    """A (radius, height) profile, from bottom to top, turned around the Z axis."""
    angles = np.arange(_SEGMENTS) * 2 * np.pi / _SEGMENTS
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    rings = profile[:, None, :1].clip(min=0) * circle
    heights = np.broadcast_to(profile[:, None, 1:], (len(profile), _SEGMENTS, 1))
    vertices = np.concatenate([rings, heights], axis=-1).reshape(-1, 3)
    return _closed(vertices, len(profile), _SEGMENTS)


def _box(half: NDArray[np.float64], rounding: float) -> MeshArrays:
    """A ball that is pulled apart: each of its vertices goes to the corner that it points to."""
    turn = (np.arange(9) - 4) * np.pi / 8
    if rounding == 0:
        corners = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
        faces = np.array(
            [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
        )
        halves = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
        return MeshArrays((corners * half).astype(np.float32), halves.astype(np.int32))
    # Corners are at odd multiples of 45 degrees, and a quarter of the ball goes to each.
    heights = np.concatenate([turn[:5] + 0.0, turn[4:]])
    lower = np.repeat([-1.0, 1.0], [5, 5])
    quarter = np.linspace(0, np.pi / 2, 5)
    angles = np.concatenate([quarter + number * np.pi / 2 for number in range(4)])
    signs = np.repeat([[1, 1], [-1, 1], [-1, -1], [1, -1]], 5, axis=0)
    ball = np.stack(
        [
            np.cos(heights)[:, None] * np.cos(angles),
            np.cos(heights)[:, None] * np.sin(angles),
            np.broadcast_to(np.sin(heights)[:, None], (len(heights), len(angles))),
        ],
        axis=-1,
    )
    towards = np.concatenate(
        [
            np.broadcast_to(signs[None], (len(heights), *signs.shape)),
            np.broadcast_to(lower[:, None, None], (len(heights), len(angles), 1)),
        ],
        axis=-1,
    )
    vertices = (half - rounding) * towards + rounding * ball
    ends = np.array([[0, 5, 10], [0, 10, 15]])
    ends = np.concatenate([ends[:, ::-1], ends + (len(heights) - 1) * len(angles)])
    return _closed(vertices.reshape(-1, 3), len(heights), len(angles), ends)


def _closed(
    vertices: NDArray[np.float64], rows: int, columns: int, ends: NDArray[np.int64] | None = None
) -> MeshArrays:
    """Triangles between the rings of a tube, and those at its `ends`.

    Vertices at one place become one, and triangles without area are left out.
    """
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    after = (column + 1) % columns
    first, second = row * columns + column, row * columns + after
    third, fourth = second + columns, first + columns
    faces = np.concatenate(
        [
            np.stack([first, second, third], axis=-1).reshape(-1, 3),
            np.stack([first, third, fourth], axis=-1).reshape(-1, 3),
            *([] if ends is None else [ends]),
        ]
    )
    points = vertices.round(9)
    unique, index = np.unique(points, axis=0, return_inverse=True)
    faces = index.reshape(-1)[faces]
    distinct = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return MeshArrays(unique.astype(np.float32), faces[distinct].astype(np.int32))
