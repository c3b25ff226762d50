# SPDX-License-Identifier: GPL-3.0-or-later
"""Which density the surface of a trained field has.

Density says how fast light is absorbed, not where a surface is: its values inside a wall range
from tens to thousands per scene unit and differ between methods and scenes. What can be checked is
where rays end. So the level is the one at which a ray first reaches the surface where half
of its light is absorbed, for as many rays as possible, while rays that see through meet none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..geometry.boxes import intersect_box
from ..geometry.rays import Rays
from .isosurface import MAX_POINTS

DensityFn = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]

_CANDIDATES = 96
_HALF = 0.6931472
"""Optical depth that lets half of the light through."""

_FARTHEST_ERROR = 0.02
"""Share of the box's diagonal at which an error counts in full: beyond it is merely wrong."""


@dataclass(frozen=True)
class DensityLevel:
    """A level and how well it fits: the mean error of depth along rays, in scene units."""

    level: float
    depth_error: float


def choose_level(
    density_fn: DensityFn,
    rays: Rays,
    bounds: Float[Tensor, "2 3"],
    samples: int = 384,
    seed: int = 0,
) -> DensityLevel | None:
    """The level of density whose first crossing agrees best with where `rays` end.

    Errors are capped, so that floaters and unfinished parts of a scene do not decide. Of the levels
    that fit about equally well the lowest is taken: it leaves the fewest pits in what was learned
    unevenly. None where no ray of those that meet the box is stopped in it.
    """
    near, far = intersect_box(rays.origins, rays.directions, bounds)
    meets = far > near
    if not meets.any():
        return None
    rays, near, far = rays[meets], near[meets], far[meets]
    t_mids, lengths = _sample_along(near, far, samples, seed)
    density = _density_along(density_fn, rays, t_mids)
    depth = _median_depth(density, t_mids, lengths)
    stopped = depth.isfinite()
    if not stopped.any():
        return None
    candidates = _candidates(density, lengths)
    worst = _FARTHEST_ERROR * float((bounds[1] - bounds[0]).norm())
    errors = torch.stack(
        [_depth_error(density, t_mids, depth, level, worst) for level in candidates]
    )
    # A tenth of a sample is less than the samples can tell apart.
    fits = errors <= errors.min() * 1.3 + 0.1 * lengths.mean()
    best = _run_around(fits, int(errors.argmin()))
    level = candidates[best[0]]
    return DensityLevel(float(level), float(errors.min()))


def random_rays_into(bounds: Float[Tensor, "2 3"], count: int, seed: int = 0) -> Rays:
    """Rays from a sphere around a box towards random points in it, where no cameras are known."""
    random = torch.Generator().manual_seed(seed)
    lower, upper = bounds.cpu()
    outward = torch.nn.functional.normalize(torch.randn(count, 3, generator=random), dim=-1)
    origins = (lower + upper) / 2 + outward * (upper - lower).norm()
    targets = lower + (upper - lower) * torch.rand(count, 3, generator=random)
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    return Rays(origins, directions).to(bounds.device)


def _sample_along(
    near: Float[Tensor, " rays"], far: Float[Tensor, " rays"], samples: int, seed: int
) -> tuple[Float[Tensor, "rays samples"], Float[Tensor, "rays 1"]]:
    """Evenly spaced samples with one random shift a ray, and their spacing."""
    lengths = (far - near)[:, None] / samples
    shift = torch.rand(len(near), 1, generator=torch.Generator().manual_seed(seed))
    steps = torch.arange(samples, device=near.device) + shift.to(near.device)
    return near[:, None] + steps * lengths, lengths


def _density_along(
    density_fn: DensityFn, rays: Rays, t_mids: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    rows = max(1, MAX_POINTS // t_mids.shape[1])
    parts = []
    for start in range(0, len(rays), rows):
        part, t = rays[start : start + rows], t_mids[start : start + rows]
        points = part.origins[:, None] + t[..., None] * part.directions[:, None]
        parts.append(density_fn(points.reshape(-1, 3)).detach().float().reshape(t.shape))
    return torch.nan_to_num(torch.cat(parts), nan=0.0, posinf=1e30).clamp(min=0.0)


def _median_depth(
    density: Float[Tensor, "rays samples"],
    t_mids: Float[Tensor, "rays samples"],
    lengths: Float[Tensor, "rays 1"],
) -> Float[Tensor, " rays"]:
    """Where half of a ray's light is absorbed; infinite where less is."""
    absorbed = (density * lengths).cumsum(dim=-1)
    stopped = absorbed[:, -1] >= _HALF
    last = (absorbed >= _HALF).int().argmax(dim=-1, keepdim=True)
    own = (density * lengths).gather(1, last)
    before = absorbed.gather(1, last) - own
    start = t_mids.gather(1, last) - lengths / 2
    depth = (start + lengths * (_HALF - before) / own.clamp(min=1e-30)).squeeze(1)
    return torch.where(stopped, depth, torch.inf)


def _candidates(
    density: Float[Tensor, "rays samples"], lengths: Float[Tensor, "rays 1"]
) -> Float[Tensor, " candidates"]:
    """Levels, evenly spaced in their logarithm, between fog that stops no ray and the densest."""
    positive = density[density > 0]
    # A few of the densest points may be a thousand times denser than any surface.
    highest = positive.kthvalue(max(1, int(0.999 * len(positive)))).values
    # What fills the whole box and would stop a ray only at its far side is the thinnest there is.
    lowest = torch.minimum(_HALF / (lengths.amax() * density.shape[1]), highest / 2)
    return torch.logspace(
        float(lowest.log10()), float(highest.log10()), _CANDIDATES, device=density.device
    )[:-1]


def _depth_error(
    density: Float[Tensor, "rays samples"],
    t_mids: Float[Tensor, "rays samples"],
    depth: Float[Tensor, " rays"],
    level: Tensor,
    worst: float,
) -> Tensor:
    reached = density >= level
    meets = reached.any(dim=-1)
    first = reached.int().argmax(dim=-1, keepdim=True)
    before = (first - 1).clamp(min=0)
    high, low = density.gather(1, first), density.gather(1, before)
    share = torch.where(high > low, (level - low) / (high - low).clamp(min=1e-30), 1.0).clamp(0, 1)
    t_before, t_first = t_mids.gather(1, before), t_mids.gather(1, first)
    crossing = (t_before + share * (t_first - t_before)).squeeze(1)
    crossing = torch.where(meets, crossing, torch.inf)
    # Both infinite: seen through, and rightly so.
    error = torch.where(crossing == depth, 0.0, (crossing - depth).abs())
    return error.clamp(max=worst).mean()


def _run_around(fits: Tensor, index: int) -> tuple[int, int]:
    first = last = index
    while first > 0 and bool(fits[first - 1]):
        first -= 1
    while last + 1 < len(fits) and bool(fits[last + 1]):
        last += 1
    return first, last
