# SPDX-License-Identifier: GPL-3.0-or-later
"""instant-ngp by automatic differentiation: for CUDA, and to test the CPU's kernels against."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..fields.instant_ngp import InstantNGPField
from ..kernels import process_group
from ..kernels.adam import step_size, take_step
from ..kernels.compositing import Composited, composite
from ..kernels.instant_ngp import StepResult
from ..kernels.instant_ngp_types import AdamSettings, LossSettings, MovingRayTargets, RayTargets
from ..kernels.ray_marching import Guide, spread_samples

_RAYS_AT_ONCE = 2**14
_POINTS_AT_ONCE = 2**19


class AutogradField:
    """Evaluates and trains a field wherever it lies; the twin of `kernels.FusedField`.

    Nothing is read back from the device. Changes the field and the moments in place.
    """

    def __init__(
        self,
        field: InstantNGPField,
        moments: tuple[Tensor, Tensor, Tensor, Tensor],
        most_steps: int,
    ) -> None:
        self.field, self.moments, self.most_steps = field, moments, most_steps

    @torch.no_grad()
    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per unit length at positions of the unit frame."""
        parts = [self.field.unit_density(part)[0] for part in points.split(_POINTS_AT_ONCE)]
        return torch.cat(parts) if parts else points.new_zeros(0)

    @torch.no_grad()
    def color(
        self, points: Float[Tensor, "points 3"], harmonics: Float[Tensor, "points harmonics"]
    ) -> Float[Tensor, "points 3"]:
        """Colors at those positions, seen along directions with these harmonics."""
        parts = [
            self.field.unit_color(self.field.unit_density(part)[1], along)
            for part, along in zip(
                points.split(_POINTS_AT_ONCE), harmonics.split(_POINTS_AT_ONCE), strict=True
            )
        ]
        return torch.cat(parts) if parts else points.new_zeros(0, 3)

    @torch.no_grad()
    def render(self, rays: RayTargets | MovingRayTargets, guide: Guide) -> Float[Tensor, "rays 5"]:
        """Red, green, blue, accumulation and weighted depth, in unit lengths, of each ray."""
        seen = []
        for start in range(0, len(rays.origins), _RAYS_AT_ONCE):
            part = type(rays)(*(piece[start : start + _RAYS_AT_ONCE] for piece in rays))
            found = self._look(part, guide, None)
            rest = torch.stack([found.rays.accumulation, found.rays.depth], dim=-1)
            seen.append(torch.cat([found.rays.color, rest], dim=-1))
        return torch.cat(seen) if seen else rays.origins.new_zeros(0, 5)

    def step(
        self, rays: RayTargets, guide: Guide, loss: LossSettings, adam: AdamSettings
    ) -> StepResult:
        """Learns from a batch of rays, and from those of the other processes, if there are any."""
        result, slopes = self._slopes(rays, guide, loss, 0.0)
        process_group.add_up(*slopes)
        self._update(slopes, adam)
        return result

    def _slopes(
        self, rays: RayTargets | MovingRayTargets, guide: Guide, loss: LossSettings, rest: float
    ) -> tuple[StepResult, tuple[Tensor, ...]]:
        """What a step sees, and the gradients of `_parameters`; `rest` weighs displacements."""
        log_gains = rays.gains.log().requires_grad_()
        with torch.enable_grad():
            seen = self._look(rays, guide, loss.inverse_near)
            escaped = 1 - seen.rays.accumulation
            shown = log_gains.exp() * seen.rays.color + escaped[:, None] * rays.backgrounds
            errors = shown - rays.targets
            squares = errors.square()
            costs = squares
            if loss.huber > 0:
                sizes = errors.abs()
                inner = squares / loss.huber
                costs = torch.where(sizes <= loss.huber, inner, 2 * sizes - loss.huber)
            total = costs.sum()
            if loss.distortion > 0:
                total = total + loss.distortion * seen.rays.distortion.sum()
            if seen.shifts is not None:
                far = seen.shifts.square().sum(dim=-1).view(seen.rays.weights.shape)
                total = total + rest * (seen.rays.weights * far).sum()
        *slopes, d_gains = torch.autograd.grad(total, (*self._parameters(), log_gains))
        used = torch.full((), guide.samples * len(rays.origins), device=total.device)
        each = squares.detach().sum(dim=1)
        result = StepResult(each.sum(), total.detach(), used, d_gains, each)
        return result, tuple(slopes)

    def _parameters(self) -> tuple[Tensor, ...]:
        return self.field.encoding.table, self.field.weights

    def _update(self, slopes: tuple[Tensor, ...], adam: AdamSettings) -> None:
        table, weights = self.field.encoding.table.detach(), self.field.weights.detach()
        first, second, weights_first, weights_second = self.moments
        take_adam_step(table, slopes[0], first, second, adam, adam.table_rate)
        take_adam_step(weights, slopes[1], weights_first, weights_second, adam, adam.weight_rate)

    def _spread(self, rays: RayTargets | MovingRayTargets, guide: Guide) -> tuple[Tensor, Tensor]:
        placed = rays.origins, rays.directions, rays.nears, rays.fars, rays.jitters
        return spread_samples(*placed, guide, self.most_steps)

    def _ask(
        self, points: Tensor, rays: RayTargets | MovingRayTargets, samples: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Density, what colors are made from, and displacements where there are any."""
        return *self.field.unit_density(points), None

    def _look(
        self, rays: RayTargets | MovingRayTargets, guide: Guide, inverse_near: float | None
    ) -> "_Seen":
        t_mids, lengths = self._spread(rays, guide)
        points = rays.origins[:, None] + t_mids[..., None] * rays.directions[:, None]
        density, geometry, shifts = self._ask(points.flatten(0, 1), rays, guide.samples)
        harmonics = rays.harmonics.repeat_interleave(guide.samples, dim=0)
        rgb = self.field.unit_color(geometry, harmonics)
        if inverse_near is not None:
            fade = (t_mids.flatten() * inverse_near).clamp(max=1).square()
            density, rgb = _fade(density, fade), _fade(rgb, fade[:, None])
        given = (density.view(t_mids.shape), rgb.view(*t_mids.shape, 3), t_mids, lengths)
        return _Seen(composite(*given), shifts)


class _Seen(NamedTuple):
    """What some rays see, and how far their samples were displaced."""

    rays: Composited
    shifts: Float[Tensor, "all_samples 3"] | None


def _fade(values: Tensor, share: Tensor) -> Tensor:
    """`values`, through which only this share of a gradient passes."""
    return values * share + (values * (1 - share)).detach()


def take_adam_step(
    values: Tensor, slope: Tensor, first: Tensor, second: Tensor, adam: AdamSettings, rate: float
) -> None:
    """One step of Adam, leaving out values whose slope is zero."""
    betas = adam.beta1, adam.beta2
    size = torch.full((), step_size(rate, betas, adam.step), dtype=values.dtype).to(values.device)
    take_step(values, slope, first, second, betas, adam.epsilon, size)
