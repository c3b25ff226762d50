# SPDX-License-Identifier: GPL-3.0-or-later
"""instant-ngp by automatic differentiation: for CUDA, and to test the CPU's kernels against."""

from collections.abc import Callable
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
from ..kernels.triton_use import uses_triton

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
        if uses_triton(field.encoding.table):
            field.encoding.round_off()

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

        def missed_alone(rgb: Float[Tensor, "rays samples 3"]) -> Float[Tensor, "rays samples 1"]:
            """What each sample would miss if it were all that is seen."""
            errors = log_gains.exp()[:, None] * rgb - rays.targets[:, None]
            return _costs(errors, loss.huber).sum(dim=-1, keepdim=True)

        with torch.enable_grad():
            more = missed_alone if loss.surface > 0 else None
            seen = self._look(rays, guide, loss.inverse_near, more)
            color, escaped = seen.rays.color[:, :3], 1 - seen.rays.accumulation
            shown = log_gains.exp() * color + escaped[:, None] * rays.backgrounds
            errors = shown - rays.targets
            squares = errors.square()
            total = _costs(errors, loss.huber).sum()
            if loss.surface > 0:
                behind = _costs(rays.backgrounds - rays.targets, loss.huber).sum(dim=-1)
                alone = seen.rays.color[:, 3].sum() + (escaped * behind).sum()
                total = torch.lerp(total, alone, loss.surface)
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
        rounded = self.field.encoding.rounded
        take_adam_step(table, slopes[0], first, second, adam, adam.table_rate, rounded)
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
        self,
        rays: RayTargets | MovingRayTargets,
        guide: Guide,
        inverse_near: float | None,
        more: Callable[[Tensor], Tensor] | None = None,
    ) -> "_Seen":
        """`more` makes channels to be composited after red, green and blue from these."""
        t_mids, lengths = self._spread(rays, guide)
        points = rays.origins[:, None] + t_mids[..., None] * rays.directions[:, None]
        density, geometry, shifts = self._ask(points.flatten(0, 1), rays, guide.samples)
        harmonics = rays.harmonics.repeat_interleave(guide.samples, dim=0)
        rgb = self.field.unit_color(geometry, harmonics)
        if inverse_near is not None:
            fade = (t_mids.flatten() * inverse_near).clamp(max=1).square()
            density, rgb = _fade(density, fade), _fade(rgb, fade[:, None])
        rgb = rgb.view(*t_mids.shape, 3)
        if more is not None:
            rgb = torch.cat([rgb, more(rgb)], dim=-1)
        given = (density.view(t_mids.shape), rgb, t_mids, lengths)
        return _Seen(composite(*given), shifts)


class _Seen(NamedTuple):
    """What some rays see, and how far their samples were displaced."""

    rays: Composited
    shifts: Float[Tensor, "all_samples 3"] | None


def _costs(errors: Tensor, huber: float) -> Tensor:
    """The squares of errors, or straight beyond `huber`."""
    squares = errors.square()
    if huber <= 0:
        return squares
    sizes = errors.abs()
    return torch.where(sizes <= huber, squares / huber, 2 * sizes - huber)


def _fade(values: Tensor, share: Tensor) -> Tensor:
    """`values`, through which only this share of a gradient passes."""
    return values * share + (values * (1 - share)).detach()


def take_adam_step(
    values: Tensor,
    slope: Tensor,
    first: Tensor,
    second: Tensor,
    adam: AdamSettings,
    rate: float | Tensor,
    rounded: Tensor | None = None,
) -> None:
    """One step of Adam, leaving out values whose slope is zero; `rounded` copies follow."""
    betas = adam.beta1, adam.beta2
    size = step_size(rate, betas, adam.step)
    if not isinstance(size, Tensor):
        size = torch.full((), size, dtype=values.dtype, device=values.device)
    take_step(values, slope, first, second, betas, adam.epsilon, size, rounded)
