# SPDX-License-Identifier: GPL-3.0-or-later
"""Where rays meet a surface that is given by its distance.

A ray may advance by the distance to the nearest surface without passing through one. Bundles of
neighboring rays first advance as one cone while nothing is near; then each goes on alone, and those
that have ended leave the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..geometry.boxes import intersect_box
from ..geometry.gradients import tetrahedron_gradient
from ..geometry.rays import Rays, RenderedRays

DistanceFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]

BLOCK = 8
"""Pixels along the side of a bundle in a picture."""

_NARROWEST = 0.5
"""A cone ends where the free way ahead of it is shorter than this share of its radius."""

_LONGEST_CHUNK = 1 << 15
"""Points evaluated at once: what becomes of them on the way stays within a processor's cache."""


@dataclass(frozen=True)
class TracedRays:
    """What rays meet first.

    `depth` is the distance along the ray in scene units, infinite where nothing is `hit`. `normals`
    are those of the surface, unit vectors out of the solid; zero where nothing is hit.
    """

    hit: Bool[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    normals: Float[Tensor, "rays 3"]


@dataclass(frozen=True)
class TracingOptions:
    """How carefully rays are traced.

    `step_scale` shortens every step, for distances that may be too long: 1 over the steepest slope
    of the distance. `tolerance` is how near to the surface a ray has met it, as a share of the
    box's diagonal; a ray that has not come so near after `max_steps` misses.
    """

    step_scale: float = 1.0
    tolerance: float = 1e-4
    max_steps: int = 160
    max_cone_steps: int = 64


def trace(
    distance_fn: DistanceFn,
    rays: Rays,
    bounds: Float[Tensor, "2 3"],
    options: TracingOptions | None = None,
    bundle: int = 1,
) -> TracedRays:
    """Follows rays through a box to the surface where `distance_fn` is zero.

    A ray that starts within the solid meets its surface from within. What lies outside of the box
    is not seen; a ray that enters the box within the solid meets it there. Every `bundle` rays in a
    row begin as one cone: worthwhile where they are neighbors in a picture.

    Source: Hart 1996, "Sphere tracing", sec. 2.2; bundles as cones: Amanatides 1984, "Ray tracing
        with cones".
    Differs: a step that ends behind the surface, as with distances that are too long, is put right
        by the crossing between it and the step before; the last step is the secant's, so that depth
        is much more exact than `tolerance`.
    """
    options = options or TracingOptions()
    reach = float((bounds[1] - bounds[0]).norm())
    options = replace(options, tolerance=options.tolerance * reach)

    def in_chunks(points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        if len(points) <= _LONGEST_CHUNK:
            return distance_fn(points)
        return torch.cat([distance_fn(part) for part in points.split(_LONGEST_CHUNK)])

    depth = _depth(in_chunks, rays, bounds, options, bundle)
    hit = depth.isfinite()
    normals = torch.zeros_like(rays.directions)
    points = rays.origins[hit] + depth[hit, None] * rays.directions[hit]
    gradients = tetrahedron_gradient(in_chunks, points, options.tolerance)
    normals[hit] = torch.nn.functional.normalize(gradients, dim=-1)
    return TracedRays(hit, depth, normals)


def trace_view(
    distance_fn: DistanceFn,
    rays: Rays,
    size: tuple[int, int],
    bounds: Float[Tensor, "2 3"],
    options: TracingOptions | None = None,
) -> TracedRays:
    """`trace` for all pixels of a picture, row by row; `size` is (height, width)."""
    order = _in_blocks(*size, rays.origins.device)
    seen = trace(distance_fn, rays[order], bounds, options, BLOCK * BLOCK)
    # A block that reaches beyond the picture has copies of the pixels at its edge.
    count = len(rays)
    hit, depth = seen.hit.new_empty(count), seen.depth.new_empty(count)
    normals = seen.normals.new_empty(count, 3)
    hit[order], depth[order], normals[order] = seen.hit, seen.depth, seen.normals
    return TracedRays(hit, depth, normals)


def shaded(
    traced: TracedRays, rays: Rays, color: tuple[float, float, float] = (0.8, 0.8, 0.8)
) -> RenderedRays:
    """A matte solid in the light of a lamp that is above and behind the viewer."""
    normals = traced.normals
    facing = -(normals * rays.directions).sum(dim=-1, keepdim=True)
    # From within, the surface's other side is seen.
    normals = torch.where(facing < 0, -normals, normals)
    aside_and_up = torch.tensor([-0.4, 0.0, 0.8]).to(normals)
    towards_light = torch.nn.functional.normalize(aside_and_up - rays.directions, dim=-1)
    light = 0.25 + 0.75 * (normals * towards_light).sum(dim=-1, keepdim=True).clamp(min=0)
    rgb = torch.where(traced.hit[:, None], light * torch.tensor(color).to(light), 0.0)
    return RenderedRays(rgb.clamp(0, 1), traced.hit.to(rgb.dtype), traced.depth, normals)


def _depth(
    distance_fn: DistanceFn,
    rays: Rays,
    bounds: Float[Tensor, "2 3"],
    options: TracingOptions,
    bundle: int,
) -> Float[Tensor, " rays"]:
    """Where rays meet the surface; infinite where they do not."""
    near, far = intersect_box(rays.origins, rays.directions, bounds)
    lines = torch.stack([rays.origins.T, rays.directions.T])
    if bundle > 1:
        near = _after_cones(distance_fn, lines, near, far, options, bundle)
    depth = torch.full_like(near, torch.inf)
    ray = (near < far).nonzero().squeeze(-1)
    lines, t, far = lines[..., ray], near[ray], far[ray]
    value = distance_fn(_points(lines, t))
    # Entering the box within the solid is meeting it; starting there is looking from within.
    from_within = (value < 0) & (t <= 0)
    side = torch.where(from_within, -1.0, 1.0).to(value)
    value, before, value_before = value * side, t, value * side
    for number in range(options.max_steps):
        met = value < options.tolerance
        if bool(met.any()):
            meeting = _crossing(before[met], value_before[met], t[met], value[met])
            depth[ray[met]] = torch.minimum(meeting, far[met])
        step = options.step_scale * value
        going = (~met & (t + step < far)).nonzero().squeeze(-1)
        if not len(going) or number + 1 == options.max_steps:
            break
        if len(going) < len(ray):
            lines, ray = lines[..., going], ray[going]
            far, side, t, value, step = (one[going] for one in (far, side, t, value, step))
        before, value_before = t, value
        t = t + step
        value = side * distance_fn(_points(lines, t))
    return depth


def _crossing(
    before: Float[Tensor, " rays"],
    value_before: Float[Tensor, " rays"],
    after: Float[Tensor, " rays"],
    value_after: Float[Tensor, " rays"],
) -> Float[Tensor, " rays"]:
    """Where the line through two values along each ray is zero, at most a little after both.

    A ray that hardly nears the surface at its end would be sent far away.
    """
    slope = (value_before - value_after).clamp(min=1e-12)
    length = value_after * (after - before) / slope
    return after + torch.minimum(length, 4 * value_after.abs())


def _after_cones(
    distance_fn: DistanceFn,
    lines: Float[Tensor, "2 3 rays"],
    near: Float[Tensor, " rays"],
    far: Float[Tensor, " rays"],
    options: TracingOptions,
    bundle: int,
) -> Float[Tensor, " rays"]:
    """Where each ray comes near something, as far as its bundle's cone tells.

    All rays of a bundle are within `spread + t * opening` of its axis at t. Where a ball around the
    axis is free, so is each ray for the ball's radius less that distance.
    """
    count = len(near)
    missing = -count % bundle
    if missing:
        lines = torch.cat([lines, lines[..., -1:].expand(-1, -1, missing)], dim=-1)
        near, far = (torch.cat([one, one[-1:].expand(missing)]) for one in (near, far))
    of_bundle = lines.reshape(2, 3, -1, bundle)
    axes = of_bundle.mean(dim=-1)
    off_axis = (of_bundle - axes[..., None]).square().sum(dim=1).sqrt().amax(dim=-1)
    spread, opening = off_axis
    enters = torch.where(near < far, near, torch.inf)
    t, last = enters.reshape(-1, bundle).amin(dim=-1), far.reshape(-1, bundle).amax(dim=-1)
    cone = (t < last).nonzero().squeeze(-1)
    for _ in range(options.max_cone_steps):
        if not len(cone):
            break
        radius = spread[cone] + t[cone] * opening[cone]
        ball = options.step_scale * distance_fn(_points(axes[..., cone], t[cone]))
        free = ball - radius
        going = free > torch.maximum(_NARROWEST * radius, radius.new_tensor(options.tolerance))
        cone, free = cone[going], free[going]
        t[cone] += free
        cone = cone[t[cone] < last[cone]]
    free_until = t.repeat_interleave(bundle)
    # A bundle that meets the box nowhere was never followed.
    free_until = torch.where(free_until.isfinite(), free_until, near)
    return torch.maximum(near, torch.minimum(free_until, far))[:count]


def _points(lines: Float[Tensor, "2 3 rays"], t: Float[Tensor, " rays"]) -> Float[Tensor, "rays 3"]:
    """Positions along rays, stored by coordinate."""
    return (lines[0] + t * lines[1]).T


def _in_blocks(height: int, width: int, device: torch.device) -> Int[Tensor, " pixels"]:
    """The pixels of a picture block by block; those beyond its edges are the edges' own again."""
    rows = torch.arange(-(-height // BLOCK) * BLOCK, device=device).clamp(max=height - 1)
    columns = torch.arange(-(-width // BLOCK) * BLOCK, device=device).clamp(max=width - 1)
    pixels = (rows[:, None] * width + columns).reshape(-1, BLOCK, len(columns) // BLOCK, BLOCK)
    return pixels.transpose(1, 2).reshape(-1)
