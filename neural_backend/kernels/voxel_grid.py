# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering and differentiating a sparse voxel grid: by Numba on CPUs, else by Triton or torch."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from . import voxel_grid_reference as reference
from .memory import zeros
from .threads import for_each, spans
from .triton_use import uses_triton

_RAYS_AT_ONCE = 1024


@dataclass(frozen=True)
class Space:
    """Where a grid lies and how rays are cut.

    Positions are measured from `center` in halves (`half` scene units). The grid reaches from
    −extent to extent with `cells_per_unit` cells a half. `step` is the distance of samples, in
    cells. With a `shell` of 0 space ends there; else what lies outside [−1, 1]³ is squeezed into a
    shell of that width (see geometry.contraction, whose shell is 1), steps grow with the square of
    the distance, and density is per half of squeezed space. `near` is in scene units, and so is
    `fade`: closer to a camera gradients are weighed by the square of the distance, so that no
    single view paints what is right before it.
    """

    center: tuple[float, float, float]
    half: float
    extent: tuple[float, float, float]
    cells_per_unit: float
    step: float
    shell: float = 0.0
    near: float = 0.0
    fade: float = 0.0
    density_scale: float = 24.0

    @property
    def sample_length(self) -> float:
        """Length of a sample, in halves."""
        return self.step / self.cells_per_unit

    def packed(self) -> np.ndarray:
        """The same numbers as the kernels read them."""
        numbers = (
            *self.center, 1 / self.half, *self.extent, self.cells_per_unit, self.sample_length,
            self.shell, self.near, self.density_scale,
            1 / self.fade if self.fade > 0 else 0.0,
        )  # fmt: skip
        return np.array(numbers, dtype=np.float32)


@dataclass(frozen=True)
class Grid:
    """A sparse voxel grid: `rows` at the corners of cells.

    `index` holds the row of each corner, −1 where none is stored; `skip` the number of cells that
    may be jumped from each cell, 0 where it must be sampled (only cells with all eight corners
    stored are 0). A row is its raw density, then the coefficients of the `num_basis` spherical
    harmonics, color by color, then padding.
    """

    space: Space
    index: Int[Tensor, "x y z"]
    skip: UInt8[Tensor, "x y z"]
    rows: Float[Tensor, "rows channels"]
    num_basis: int


@dataclass(frozen=True)
class GridRays:
    """Rays to learn from: what was seen, backgrounds to show it over, places of samples.

    `jitters` in [0, 1) move each ray's samples; `gains` multiply the field's color, ray by ray.
    """

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    rgba: Float[Tensor, "rays 4"]
    backgrounds: Float[Tensor, "rays 3"]
    jitters: Float[Tensor, " rays"]
    gains: Float[Tensor, "rays 3"]

    def __getitem__(self, part: slice) -> "GridRays":
        return GridRays(
            self.origins[part], self.directions[part], self.rgba[part], self.backgrounds[part],
            self.jitters[part], self.gains[part],
        )  # fmt: skip


def render(
    grid: Grid, origins: Float[Tensor, "rays 3"], directions: Float[Tensor, "rays 3"]
) -> Float[Tensor, "rays 5"]:
    """Premultiplied color, transmittance, and the sum of weight · distance of each ray."""
    if uses_triton(grid.rows):
        from . import voxel_grid_triton

        return voxel_grid_triton.render(grid, origins, directions)
    if grid.rows.device.type != "cpu":
        return reference.render(grid, origins, directions)
    from . import voxel_grid_numba as numba_kernels

    out = np.empty((len(origins), 5), dtype=np.float32)
    o, d = _array(origins), _array(directions)
    index, skip, rows = grid.index.numpy().reshape(-1), grid.skip.numpy(), grid.rows.numpy()
    space = grid.space.packed()
    parts = spans(len(origins), _RAYS_AT_ONCE)

    def run(part: int) -> None:
        numba_kernels.render(*parts[part], o, d, space, index, skip, rows, grid.num_basis, out)

    for_each(run, len(parts))
    return torch.from_numpy(out)


def learn(
    grid: Grid,
    rays: GridRays,
    gradients: Float[Tensor, "parts rows channels"],
    touched: UInt8[Tensor, " rows"],
    gain_gradient: Float[Tensor, "rays 3"],
    distortion: float = 0.0,
    surface: float = 0.0,
) -> tuple[Tensor | float, int]:
    """Adds the gradient of half the summed squared error to `gradients`, marking `touched` rows.

    `distortion` weighs the summed distances between the samples of a ray, each pair by its weights.
    The share `surface` of the error is the mean of what each sample would miss if it were all that
    is seen, by their weights; what is returned is the squared error all the same.

    On a CPU each part of `gradients` belongs to one thread, so that no two add to the same number
    and the result does not depend on their timing. Returns the summed squared error and the number
    of samples (−1 where counting would wait for the device).
    """
    if uses_triton(grid.rows):
        from . import voxel_grid_triton

        alone = (gradients[0], touched, gain_gradient, distortion, surface)
        return voxel_grid_triton.learn(grid, rays, *alone)
    if grid.rows.device.type != "cpu":
        alone = (gradients[0], touched, gain_gradient, distortion, surface)
        return reference.learn(grid, rays, *alone)
    from . import voxel_grid_training_numba as numba_kernels

    parts = gradients.shape[0]
    totals = np.zeros((parts, 2))
    index, skip, rows = grid.index.numpy().reshape(-1), grid.skip.numpy(), grid.rows.numpy()
    tables, marks, gains = gradients.numpy(), touched.numpy(), gain_gradient.numpy()
    arrays = [_array(value) for value in vars(rays).values()]
    space, count = grid.space.packed(), len(rays.origins)

    def run(part: int) -> None:
        numba_kernels.learn(
            part * count // parts, (part + 1) * count // parts, *arrays, space, index, skip, rows,
            grid.num_basis, np.float32(distortion), np.float32(surface), tables[part], marks, gains,
            totals[part],
        )  # fmt: skip

    for_each(run, parts)
    return float(totals[:, 0].sum()), int(totals[:, 1].sum())


def lookup(
    grid: Grid, places: Float[Tensor, "points 3"], num_channels: int, partial: bool = False
) -> Float[Tensor, "points channels"]:
    """The first channels at positions in cells, interpolated.

    Where a corner is not stored: raw density −30, zeros else; with `partial` the stored corners
    stand in.
    """
    if grid.rows.device.type != "cpu":
        return reference.lookup(grid, places, num_channels, partial)
    from . import voxel_cells_numba as numba_kernels

    found = zeros(len(places), num_channels, like=grid.rows)
    out = found.numpy()
    positions, index, rows = _array(places), grid.index.numpy(), grid.rows.numpy()
    parts = spans(len(places), 1 << 14)

    def run(part: int) -> None:
        numba_kernels.lookup(*parts[part], positions, index, rows, partial, out)

    for_each(run, len(parts))
    return found


def _array(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().numpy(), dtype=np.float32)
