# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes that are given as triangle meshes, measured for methods to learn."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..geometry.mesh_distance import mesh_report, signed_distance
from ..geometry.surface_samples import sample_surface
from .mesh_files import load_shape
from .shape_samples import NormalizedShape, sample_sdf_as_deepsdf
from .shape_set import ShapeFrame, ShapeSamples

UNIFORM_SHARE = 0.25
"""Points anywhere, as a share of those about the surface."""


def sample_mesh_file(path: Path, name: str, count: int, seed: int) -> ShapeSamples:
    """Measures `count` points about the surface of a mesh file and more anywhere around it.

    Raises:
        JobError: where the file cannot be read, or the mesh has no inside.
    """
    vertices, faces = load_shape(path)
    return sample_mesh(vertices, faces, name, count, seed)


def sample_mesh(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], name: str, count: int, seed: int
) -> ShapeSamples:
    """The same of a mesh in memory, in its unit sphere; `count` points lie on the surface too.

    Raises:
        JobError: where the mesh has no inside.
    """
    mesh_report(vertices, faces)
    generator = torch.Generator().manual_seed(seed)
    shape = NormalizedShape.in_unit_sphere(vertices, faces)
    surface, _ = sample_surface(shape.vertices, shape.faces, count, generator)
    near, near_distances = sample_sdf_as_deepsdf(shape, count, generator, near_share=1.0)
    anywhere = max(1, round(UNIFORM_SHARE * count))
    random = torch.rand(anywhere, 3, dtype=torch.float64, generator=generator)
    uniform: NDArray[np.float64] = (2 * random - 1).numpy()
    x, y, z = shape.center.tolist()
    return ShapeSamples(
        name,
        as_tensor(surface),
        as_tensor(near),
        as_tensor(near_distances),
        as_tensor(uniform),
        as_tensor(signed_distance(shape.vertices, shape.faces, uniform)),
        ShapeFrame((x, y, z), float(shape.scale)),
        num_vertices=len(vertices),
        num_faces=len(faces),
    )


def as_tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
