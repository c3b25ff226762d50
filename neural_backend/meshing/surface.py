# SPDX-License-Identifier: GPL-3.0-or-later
"""From a field to a coloured mesh."""

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..geometry.gradients import smoothed_gradient
from .decimation import decimated
from .grid import Lattice
from .isosurface import MAX_POINTS, Isosurface, ValueFn
from .marching_cubes import marching_cubes
from .mesh import Mesh
from .visibility import Camera, without_unseen

ColorFn = Callable[
    [Float[Tensor, "points 3"], Float[Tensor, "points 3"]], Float[Tensor, "points 3"]
]

Step = tuple[str, float, float]
Result = TypeVar("Result")

_CELLS_OUTSIDE, _CELLS_INSIDE = 1.0, 3.0
"""How far in front of and behind a vertex its color is gathered, in cells of the grid."""

_SAMPLES = 8
_MOST_CAMERAS = 96
_CAMERAS = 3
"""Cameras that face a vertex best, whose views of it are averaged."""


def extract_mesh(
    surface: Isosurface,
    resolution: int,
    keep_components: float = 0.02,
    color_fn: ColorFn | None = None,
    cameras: Sequence[Camera] = (),
    keep_unseen: bool = True,
    density_fn: ValueFn | None = None,
    seed: int = 0,
    keep_faces: float = 1.0,
) -> Generator[Step, None, Mesh]:
    """The mesh of a surface, with normals and, where there is a `color_fn`, colors.

    A `density_fn` tells how deep under the surface the color lies that cameras see.

    `resolution` is the number of cells along the longest side. Connected parts smaller than
    `keep_components` of the largest are left out, and, unless `keep_unseen`, what none of the
    `cameras` can see. `keep_faces` is the share of the faces that stays, or their number. Yields
    (stage, done, total) as it goes.
    """
    vertices, faces = yield from _named(
        "finding the surface", marching_cubes(surface, resolution, seed)
    )
    mesh = Mesh(vertices, faces).without_floaters(keep_components)
    cell = cell_size(surface, resolution)
    if not keep_unseen and cameras and len(mesh.faces):
        chosen = _spread(cameras, _MOST_CAMERAS)
        hidden = without_unseen(mesh, mesh.vertex_normals(), chosen, cell)
        seen = yield from _named("removing hidden parts", hidden)
        mesh = seen.without_floaters(keep_components)
    if keep_faces != 1 and len(mesh.faces):
        yield "simplifying", 0, 1
        mesh = decimated(mesh, keep_faces)
    yield "normals", 0, 1
    normals = surface_normals(surface, mesh, cell)
    colors = None
    if color_fn is not None:
        colors = yield from colors_of_points(
            surface, color_fn, density_fn, mesh.vertices, normals, cell, cameras
        )
    return Mesh(mesh.vertices, mesh.faces, normals, colors)


def cell_size(surface: Isosurface, resolution: int) -> float:
    """Longest side of a cell of the grid that a surface is looked for in."""
    return float(Lattice.over(surface.bounds, resolution).cell.max())


def _named(
    stage: str, steps: Generator[tuple[int, int], None, Result]
) -> Generator[Step, None, Result]:
    while True:
        try:
            done, total = next(steps)
        except StopIteration as finished:
            return finished.value
        yield stage, done, total


def colors_of_points(
    surface: Isosurface,
    color_fn: ColorFn,
    density_fn: ValueFn | None,
    vertices: NDArray[np.floating],
    normals: NDArray[np.floating],
    cell: float,
    cameras: Sequence[Camera],
    stage: str = "colors",
) -> Generator[Step, None, NDArray[np.float32]]:
    """`surface_colors` at any number of points of the surface, (points, 3), a part at a time."""
    positions = None
    if cameras:
        positions = _tensor(np.array([pose[:3, 3] for _, pose in cameras]), surface)
    parts = [np.zeros((0, 3), dtype=np.float32)]
    rows = max(1, MAX_POINTS // _SAMPLES)
    for start in range(0, len(vertices), rows):
        yield stage, start, len(vertices)
        points = _tensor(vertices[start : start + rows], surface)
        outward = _tensor(normals[start : start + rows], surface)
        seen = surface_colors(color_fn, density_fn, points, outward, cell, positions)
        parts.append(seen.cpu().numpy())
    return np.concatenate(parts)


def _spread(cameras: Sequence[Camera], count: int) -> list[Camera]:
    chosen = np.linspace(0, len(cameras) - 1, min(count, len(cameras))).astype(int)
    return [cameras[index] for index in chosen]


def surface_normals(surface: Isosurface, mesh: Mesh, cell: float) -> NDArray[np.float32]:
    """Unit normals (vertices, 3) from the field's gradient, pointing outwards.

    Values are squeezed into (-1, 1) first: density inside a solid is noise of a thousand times the
    level, and would drown the step at the surface. Where the gradient contradicts the triangles,
    and on the box's faces, where the mesh is cut, the triangles decide.
    """
    points = _tensor(mesh.vertices, surface)
    scale = _typical_size(surface, points, cell)

    def squeezed(points: Tensor) -> Tensor:
        signed = surface.signed(points)
        return signed / (signed.abs() + scale)

    gradient = smoothed_gradient(squeezed, points, cell)
    normals = -torch.nn.functional.normalize(gradient, dim=-1).double().cpu().numpy()
    of_triangles = mesh.vertex_normals()
    trusted = (normals * of_triangles).sum(axis=-1, keepdims=True) > 0.5
    on_cut = _on_faces(mesh.vertices, surface)[:, None]
    return np.where(trusted & ~on_cut, normals, of_triangles).astype(np.float32)


def surface_colors(
    color_fn: ColorFn,
    density_fn: ValueFn | None,
    points: Float[Tensor, "points 3"],
    normals: Float[Tensor, "points 3"],
    cell: float,
    camera_positions: Float[Tensor, "cameras 3"] | None = None,
) -> Float[Tensor, "points 3"]:
    """Colors of the surface as seen from outside.

    What a camera shows is gathered through a thin layer, so the color is taken at the mean depth of
    what a short ray against the normal meets. It is the mean over the cameras that face the point
    best; a field's color from where no camera was is a guess.
    """
    t_edges = torch.linspace(-_CELLS_OUTSIDE, _CELLS_INSIDE, _SAMPLES + 1, device=points.device)
    t_edges = t_edges * cell
    t_mids = (t_edges[1:] + t_edges[:-1]) / 2
    layer = points[:, None] - t_mids[:, None] * normals[:, None]
    if density_fn is not None:
        values = density_fn(layer.reshape(-1, 3)).detach().float().reshape(len(points), -1)
        optical_depth = torch.nan_to_num(values, posinf=1e30).clamp(0, 1e30) * t_edges.diff()
        in_front = torch.nn.functional.pad(optical_depth.cumsum(dim=-1)[:, :-1], (1, 0))
        weights = torch.exp(-in_front) * -torch.expm1(-optical_depth)
        total = weights.sum(dim=-1)
        depth = (weights * t_mids).sum(dim=-1) / total.clamp(min=1e-6)
        points = points - torch.where(total > 0.05, depth, 0.0)[:, None] * normals
    directions = _viewing_directions(points, normals, camera_positions)
    colors = [color_fn(points, direction).detach().float() for direction in directions]
    return torch.stack(colors).mean(dim=0).clamp(0.0, 1.0)


def _viewing_directions(
    points: Float[Tensor, "points 3"],
    normals: Float[Tensor, "points 3"],
    camera_positions: Float[Tensor, "cameras 3"] | None,
) -> list[Float[Tensor, "points 3"]]:
    if camera_positions is None or not len(camera_positions):
        return [-normals]
    # In two steps: all pairs of points and cameras at once would take gigabytes.
    facing = torch.empty(len(points), len(camera_positions), device=points.device)
    for number, position in enumerate(camera_positions.to(points)):
        towards = torch.nn.functional.normalize(position - points, dim=-1)
        facing[:, number] = (towards * normals).sum(dim=-1)
    count = min(_CAMERAS, len(camera_positions))
    best, which = facing.topk(count, dim=-1)
    directions = []
    for rank in range(count):
        towards = camera_positions.to(points)[which[:, rank]] - points
        direction = -torch.nn.functional.normalize(towards, dim=-1)
        # From behind, the camera cannot have seen the point.
        directions.append(torch.where(best[:, rank : rank + 1] > 0.1, direction, -normals))
    return directions


def _typical_size(
    surface: Isosurface, points: Float[Tensor, "points 3"], cell: float
) -> Float[Tensor, ""]:
    """A few times the median difference from the level half a cell from the surface.

    A field that is linear across a cell then stays nearly so when squeezed by it.
    """
    some = points[:: max(1, len(points) // 4096)]
    if not len(some):
        return torch.ones((), device=points.device)
    step = cell / 2 * torch.eye(3, device=points.device)
    around = torch.cat([some[:, None] + step, some[:, None] - step])
    return surface.signed(around.reshape(-1, 3)).abs().median().clamp(min=1e-12) * 4


def _on_faces(vertices: NDArray[np.float32], surface: Isosurface) -> NDArray[np.bool_]:
    lower, upper = surface.bounds.detach().cpu().float().numpy()
    return ((vertices <= lower) | (vertices >= upper)).any(axis=-1)


def _tensor(values: NDArray[np.floating], surface: Isosurface) -> Tensor:
    device = surface.bounds.device
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)
