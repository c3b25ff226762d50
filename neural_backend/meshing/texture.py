# SPDX-License-Identifier: GPL-3.0-or-later
"""A texture with a field's colors for a mesh: unwrapped, baked texel by texel, padded.

A texture shows the field as finely as it has texels, however few vertices the mesh has.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ..kernels.uv_raster_numba import rasterize
from .isosurface import Isosurface, ValueFn
from .mesh import Mesh
from .surface import ColorFn, Step, colors_of_points
from .visibility import Camera

PADDING_PX = 4
"""Texels between charts, so that bilinear filtering and two mip levels stay within one."""

_LARGEST_SIZE = 16384


@dataclass(frozen=True)
class Texture:
    """`corner_uvs` (faces, 3, 2) in [0, 1], v upwards; `pixels` (size, size, 3), rows downwards."""

    corner_uvs: NDArray[np.float32]
    pixels: NDArray[np.uint8]


def unwrap(mesh: Mesh, size: int) -> NDArray[np.float32]:
    """Texture coordinates (faces, 3, 2) of each face's corners, no two faces over each other.

    The mesh is cut into charts that are flattened and packed.

    Source: xatlas, after Lévy et al. 2002, "Least squares conformal maps for automatic texture
    atlas generation".
    """
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(
        np.ascontiguousarray(mesh.vertices, np.float32),
        np.ascontiguousarray(mesh.faces, np.uint32),
    )
    packing = xatlas.PackOptions()
    packing.resolution = size
    packing.padding = PADDING_PX
    packing.bilinear = True
    atlas.generate(xatlas.ChartOptions(), packing)
    _, corners, uvs = atlas[0]
    return np.asarray(uvs, np.float32)[np.asarray(corners, np.int64)]


def bake_texture(
    surface: Isosurface,
    mesh: Mesh,
    size: int,
    color_fn: ColorFn,
    density_fn: ValueFn | None,
    cell: float,
    cameras: Sequence[Camera] = (),
) -> Generator[Step, None, Texture]:
    """Evaluates the field at each texel's place on the mesh, as `extract_mesh` does at vertices.

    Raises:
        ValueError: if the mesh has no normals, or the size is impossible.
    """
    if mesh.normals is None:
        raise ValueError("expected a mesh with normals")
    if not 1 <= size <= _LARGEST_SIZE:
        raise ValueError(f"expected a size from 1 to {_LARGEST_SIZE}, got {size}")
    yield "unwrapping", 0, 1
    uvs = unwrap(mesh, size)
    faces, shares = texels_of(uvs, size)
    covered = faces >= 0
    corners, weights = mesh.faces[faces[covered]], shares[covered][..., None]
    points = (mesh.vertices[corners] * weights).sum(axis=1)
    normals = (mesh.normals[corners] * weights).sum(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    found = yield from colors_of_points(
        surface, color_fn, density_fn, points, normals, cell, cameras, "baking the texture"
    )
    pixels = np.zeros((size, size, 3), dtype=np.uint8)
    pixels[covered] = np.round(found * 255).astype(np.uint8)
    return Texture(uvs, padded(pixels, covered))


def texels_of(
    corner_uvs: NDArray[np.floating], size: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The face over each texel, (size, size), −1 for none, and where on it, (size, size, 3)."""
    corners = np.empty(corner_uvs.shape, dtype=np.float64)
    corners[..., 0] = corner_uvs[..., 0] * size
    corners[..., 1] = (1 - corner_uvs[..., 1].astype(np.float64)) * size
    faces = np.full((size, size), -1, dtype=np.int32)
    shares = np.zeros((size, size, 3), dtype=np.float32)
    rasterize(corners, faces, shares)
    return faces, shares


def padded(pixels: NDArray[np.uint8], covered: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture with the nearest covered texel's color wherever none is covered."""
    if covered.all() or not covered.any():
        return pixels
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return pixels[tuple(nearest)]
