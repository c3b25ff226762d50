# SPDX-License-Identifier: GPL-3.0-or-later
"""The voxel grid's kernels in plain torch, on any device: the twin of the others.

In float64 where the rows are.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from .voxel_grid import Grid, GridRays, Space

NOTHING = -30.0
"""Raw density where no voxel is stored."""
_MAX_SAMPLES = 1024
_FARTHEST = 0.995
"""Unbounded rays end where 1 − 1/reach is larger."""


def render(grid: "Grid", origins: Tensor, directions: Tensor) -> Float[Tensor, "rays 5"]:
    """See `kernels.voxel_grid.render`."""
    with torch.no_grad():
        jitters = torch.full_like(origins[:, 0], 0.5)
        seen = trace(grid, grid.rows, origins, directions, jitters)
    return torch.cat([seen.color, seen.transmittance[:, None], seen.depth[:, None]], dim=-1)


def learn(
    grid: "Grid",
    rays: "GridRays",
    gradient: Tensor,
    touched: Tensor,
    gain_gradient: Tensor,
    distortion: float = 0.0,
    surface: float = 0.0,
) -> tuple[Tensor, int]:
    """See `kernels.voxel_grid.learn`; by automatic differentiation."""
    with torch.enable_grad():
        rows = grid.rows.detach().requires_grad_()
        gains = rays.gains.detach().to(rows.dtype).requires_grad_()
        seen = trace(grid, rows, rays.origins, rays.directions, rays.jitters)
        alpha, escaped = rays.rgba[:, 3:], seen.transmittance[:, None]
        target = rays.rgba[:, :3] * alpha + (1 - alpha) * rays.backgrounds
        error = gains * seen.color + escaped * rays.backgrounds - target
        squares = error.square().sum()
        alone = gains[seen.rays] * seen.sample_colors - target[seen.rays]
        missed = (seen.weights[:, None] * alone.square()).sum()
        missed = missed + (escaped * (rays.backgrounds - target).square()).sum()
        loss = torch.lerp(squares, missed, surface) / 2 + distortion * seen.distortion.sum()
        by_rows, by_gains = torch.autograd.grad(loss, (rows, gains))
    gradient += by_rows
    touched |= (by_rows != 0).any(dim=-1).to(touched.dtype)
    gain_gradient.copy_(by_gains)
    return squares.detach(), -1


def lookup(
    grid: "Grid", places: Float[Tensor, "points 3"], num_channels: int, partial: bool = False
) -> Float[Tensor, "points channels"]:
    """See `kernels.voxel_grid.lookup`."""
    stored, corners, weights = _corners(grid.index, places.to(grid.rows), partial)
    total = weights.sum(dim=-1, keepdim=True)
    values = (weights[..., None] * grid.rows[corners, :num_channels]).sum(dim=-2)
    nothing = torch.zeros_like(values[:1])
    nothing[:, 0] = NOTHING
    found = stored[:, None] & (total >= 1e-6)
    return torch.where(found, values / total.clamp(min=1e-6), nothing)


class Traced(NamedTuple):
    """What rays see: premultiplied color, transmittance, the sum of weight · distance, distortion;
    and of all their samples the ray, the weight and the color.
    """

    color: Float[Tensor, "rays 3"]
    transmittance: Float[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    distortion: Float[Tensor, " rays"]
    rays: Int[Tensor, " samples"]
    weights: Float[Tensor, " samples"]
    sample_colors: Float[Tensor, "samples 3"]


def trace(
    grid: "Grid", rows: Tensor, origins: Tensor, directions: Tensor, jitters: Tensor
) -> Traced:
    """Follows rays through the grid; differentiable in `rows`."""
    space = grid.space
    with torch.no_grad():
        t, kept = _march(grid, origins.to(rows), directions.to(rows), jitters.to(rows))
    ray, _ = kept.nonzero(as_tuple=True)
    distance = t[kept]
    points = origins.to(rows)[ray] + distance[:, None] * directions.to(rows)[ray]
    _, corners, weights = _corners(grid.index, squeeze(space, points)[0])
    features = (weights[..., None] * rows[corners]).sum(dim=-2)
    if space.fade > 0:
        nearness = (distance / space.fade).square().clamp(max=1)[:, None]
        features = features * nearness + (features * (1 - nearness)).detach()
    optical_depth = space.density_scale * F.softplus(features[:, 0]) * space.sample_length
    basis = harmonics(directions.to(rows), grid.num_basis)[ray]
    coefficients = features[:, 1 : 1 + 3 * grid.num_basis].reshape(-1, grid.num_basis, 3)
    color = torch.sigmoid((coefficients * basis[..., None]).sum(dim=-2))

    in_grid = torch.zeros_like(t).masked_scatter(kept, optical_depth)
    in_front = F.pad(in_grid.cumsum(dim=-1)[:, :-1], (1, 0))
    all_weights = torch.exp(-in_front) * -torch.expm1(-in_grid)
    weight = all_weights[kept]
    out = torch.zeros_like(origins.to(rows)).index_add(0, ray, weight[:, None] * color)
    depth = torch.zeros_like(t[:, 0]).index_add(0, ray, weight * distance)
    spread = _distortion(space, torch.where(kept, t, 0), all_weights)
    return Traced(out, torch.exp(-in_grid.sum(dim=-1)), depth, spread, ray, weight, color)


def _distortion(
    space: "Space", t: Float[Tensor, "rays samples"], weights: Float[Tensor, "rays samples"]
) -> Float[Tensor, " rays"]:
    """The sum over all pairs of a ray's samples of weight · weight · distance; see the other twin.

    Samples are in order, so each is compared at once with all before it.
    """
    places = t / space.half
    if space.shell > 0:
        places = places / (1 + places)
    moments = weights * places
    before = F.pad(weights.cumsum(dim=-1)[:, :-1], (1, 0))
    moments_before = F.pad(moments.cumsum(dim=-1)[:, :-1], (1, 0))
    return 2 * (weights * (places * before - moments_before)).sum(dim=-1)


def harmonics(directions: Float[Tensor, "rays 3"], num_basis: int) -> Float[Tensor, "rays basis"]:
    """Real spherical harmonics, to degree 2."""
    x, y, z = directions.unbind(dim=-1)
    values = [
        torch.full_like(x, 0.28209479177387814),
        -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x,
        1.0925484305920792 * x * y, -1.0925484305920792 * y * z,
        0.31539156525252005 * (3 * z * z - 1),
        -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y),
    ]  # fmt: skip
    return torch.stack(values[:num_basis], dim=-1)


def squeeze(
    space: "Space", points: Float[Tensor, "*batch 3"]
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch"]]:
    """Positions in cells of world `points`, and how many halves out they are (1 inside)."""
    units = (points - points.new_tensor(space.center)) / space.half
    reach = torch.ones_like(units[..., 0])
    if space.shell > 0:
        reach = units.abs().amax(dim=-1).clamp(min=1)
        units = units * ((1 + space.shell - space.shell / reach) / reach)[..., None]
    return (units + units.new_tensor(space.extent)) * space.cells_per_unit, reach


def unsqueeze(space: "Space", places: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """The world points of positions in cells, the inverse of `squeeze`; inf at the outer border."""
    units = places / space.cells_per_unit - places.new_tensor(space.extent)
    if space.shell > 0:
        radius = units.abs().amax(dim=-1, keepdim=True).clamp(min=1)
        reach = space.shell / (1 + space.shell - radius).clamp(min=0)
        units = units / radius * reach
    return units * space.half + units.new_tensor(space.center)


def _corners(
    index: Tensor, places: Float[Tensor, "points 3"], partial: bool = False
) -> tuple[Bool[Tensor, " points"], Tensor, Float[Tensor, "points 8"]]:
    """Which points have all eight corners stored (any, if `partial`); their rows and weights."""
    shape = torch.tensor(index.shape, device=places.device)
    offsets = torch.tensor([[c >> 2, (c >> 1) & 1, c & 1] for c in range(8)], device=places.device)
    cell = places.floor().long()
    corners = cell[:, None] + offsets
    inside = ((corners >= 0) & (corners < shape)).all(dim=-1)
    x, y, z = torch.where(inside[..., None], corners, 0).unbind(dim=-1)
    rows = torch.where(inside, index[x, y, z].long(), -1)
    fraction = (places - cell)[:, None]
    weights = torch.where(offsets.bool(), fraction, 1 - fraction).prod(dim=-1)
    found = rows >= 0
    stored = found.any(dim=-1) if partial else found.all(dim=-1)
    return stored, rows.clamp(min=0), weights * found


def _march(
    grid: "Grid", origins: Tensor, directions: Tensor, jitters: Tensor
) -> tuple[Tensor, Tensor]:
    """Distances of the samples of each ray, and which of them are used.

    One step of all rays at a time; a ray ends behind what is opaque, as in the other twins.
    """
    space = grid.space
    start = (origins - origins.new_tensor(space.center)) / space.half
    slope = directions / space.half
    step = space.sample_length * space.half
    t = torch.full_like(jitters, space.near)
    end = torch.full_like(t, 1e30)
    if space.shell == 0:
        extent = start.new_tensor(space.extent)
        slope_safe = torch.where(slope.abs() > 1e-12, slope, 1e-12)
        planes = torch.stack([(-extent - start) / slope_safe, (extent - start) / slope_safe])
        t = torch.maximum(t, planes.amin(dim=0).amax(dim=-1))
        end = planes.amax(dim=0).amin(dim=-1)
    t = t + jitters * step
    transmittance = torch.ones_like(t)
    distances, used = [], []
    for _ in range(16 * _MAX_SAMPLES):
        alive = (t < end) & (transmittance >= 1e-3)
        if not bool(alive.any()):
            break
        places, reach = squeeze(space, origins + t[:, None] * directions)
        alive &= 1 - 1 / reach <= _FARTHEST
        end = torch.where(alive, end, -torch.inf)
        stored, corners, weights = _corners(grid.index, places)
        cell = places.floor().long()
        shape = torch.tensor(grid.skip.shape, device=t.device)
        inside = ((places >= 0) & (cell < shape - 1)).all(dim=-1)
        x, y, z = torch.where(inside[:, None], cell, 0).unbind(dim=-1)
        jump = torch.where(inside, grid.skip[x, y, z].long(), 1)
        sampled = alive & inside & (jump == 0) & stored
        raw = (weights * grid.rows[corners, 0]).sum(dim=-1)
        optical_depth = space.density_scale * F.softplus(raw) * space.sample_length
        transmittance = torch.where(
            sampled, transmittance * torch.exp(-optical_depth), transmittance
        )
        distances.append(t)
        used.append(sampled)
        cells_a_step = space.sample_length * space.cells_per_unit
        jumped = torch.floor(jump / cells_a_step).clamp(min=1)
        t = t + step * torch.where(reach > 1, reach.square(), jumped)
    if not distances:
        return t[:, None], torch.zeros_like(t[:, None], dtype=torch.bool)
    return torch.stack(distances, dim=-1), torch.stack(used, dim=-1)
