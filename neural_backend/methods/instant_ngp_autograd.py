# SPDX-License-Identifier: GPL-3.0-or-later
"""instant-ngp by automatic differentiation: for CUDA, and to test the CPU's kernels against."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..fields.instant_ngp import InstantNGPField
from ..kernels import process_group
from ..kernels.adam import step_size, take_step
from ..kernels.compositing import Composited, composite, fade_gradients
from ..kernels.instant_ngp import StepResult
from ..kernels.instant_ngp_types import AdamSettings, LossSettings, MovingRayTargets, RayTargets
from ..kernels.packed_samples import PackedSamples, keep_visible
from ..kernels.ray_budget import RayBudget
from ..kernels.ray_loss import costs, ray_loss
from ..kernels.ray_marching import Guide, march
from ..kernels.triton_use import uses_triton
from .sample_places import place_samples

_RAYS_AT_ONCE = 2**17
_POINTS_AT_ONCE = 2**19

_CANDIDATES = 2
"""How many times as many samples are looked for as there is room for visible ones."""


class AutogradField:
    """Evaluates and trains a field wherever it lies; the twin of `kernels.FusedField`.

    Steps read nothing back from the device. They look at all rays that they are given, or, with a
    `budget`, at as many as it allows. Changes the field, the moments and the averages in place.
    """

    def __init__(
        self,
        field: InstantNGPField,
        moments: tuple[Tensor, ...],
        most_steps: int,
        budget: RayBudget | None = None,
        averages: tuple[Tensor, ...] = (),
    ) -> None:
        self.field, self.moments, self.most_steps = field, moments, most_steps
        self.budget, self._averages = budget, averages
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
        parts = [
            self._render(
                type(rays)(*(piece[start : start + _RAYS_AT_ONCE] for piece in rays)), guide
            )
            for start in range(0, len(rays.origins), _RAYS_AT_ONCE)
        ]
        return torch.cat(parts) if parts else rays.origins.new_zeros(0, 5)

    def _render(self, rays: RayTargets | MovingRayTargets, guide: Guide) -> Tensor:
        count = len(rays.origins)
        samples = self._march(rays, guide, count * guide.samples, None)
        # The one number that is read back: slots of nobody need not be asked about.
        used = int(samples.wanted)
        if used == 0:
            return rays.origins.new_zeros(count, 5)
        slots = (part[:used].split(_POINTS_AT_ONCE) for part in (samples.rays, samples.t_mids))
        found = []
        for owners, t_mids in zip(*slots, strict=True):
            density, geometry, _ = self._ask(rays, owners, t_mids)
            found.append((density, self._color(rays, owners, geometry)))
        density, rgb = (torch.cat(pieces) for pieces in zip(*found, strict=True))
        seen = composite(density, rgb, samples)
        return torch.cat([seen.color, torch.stack([seen.accumulation, seen.depth], dim=-1)], dim=-1)

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

        def missed_alone(rgb: Float[Tensor, "slots 3"]) -> Float[Tensor, "slots 1"]:
            """What each sample would miss if it were all that is seen."""
            gains, targets = (
                part.index_select(0, samples.rays) for part in (log_gains.exp(), rays.targets)
            )
            return costs(gains * rgb - targets, loss.huber).sum(dim=-1, keepdim=True)

        samples = self._visible(rays, guide, loss.opaque_depth)
        looked_at = samples.looked_at
        with torch.enable_grad():
            more = missed_alone if loss.surface > 0 else None
            seen, shifts = self._look(rays, samples, loss.inverse_near, more)
            missed = ray_loss(seen, log_gains, rays, looked_at, loss)
            total = missed.total
            if shifts is not None:
                total = total + rest * (seen.weights * shifts.square().sum(dim=-1)).sum()
        *slopes, d_gains = torch.autograd.grad(total, (*self._parameters(), log_gains))
        result = StepResult(
            missed.squared_error,
            total.detach(),
            samples.counts.sum(),
            d_gains,
            missed.squared_errors,
            looked_at,
        )
        return result, tuple(slopes)

    def _parameters(self) -> tuple[Tensor, ...]:
        return self.field.encoding.table, self.field.weights

    def _update(self, slopes: tuple[Tensor, ...], adam: AdamSettings) -> None:
        table, weights = self.field.encoding.table.detach(), self.field.weights.detach()
        first, second, weights_first, weights_second = self.moments
        rounded = self.field.encoding.rounded
        averages = self._averages or (None, None)
        size = adam_size(table, adam, adam.table_rate)
        given = table, slopes[0], first, second
        take_adam_step(*given, adam, size, rounded, averages[0])
        if adam.weight_rate is not adam.table_rate:
            size = adam_size(weights, adam, adam.weight_rate)
        given = weights, slopes[1], weights_first, weights_second
        take_adam_step(*given, adam, size, None, averages[1])

    def _visible(
        self, rays: RayTargets | MovingRayTargets, guide: Guide, opaque_depth: float
    ) -> PackedSamples:
        """The samples of a step: those that the field as it is does not hide."""
        count, most, budget = len(rays.origins), guide.samples, self.budget
        room = candidates = count * most
        asked = None
        if budget is not None:
            room, asked = budget.slots(count, most), budget.asked(count)
            candidates = min(candidates, _CANDIDATES * room)
        found = self._march(rays, guide, candidates, asked)
        with torch.no_grad():
            density, _, _ = self._ask(rays, found.rays, found.t_mids)
        kept = keep_visible(density, found, room, opaque_depth)
        if budget is not None:
            budget.adapt(found, kept)
        return kept

    def _march(
        self,
        rays: RayTargets | MovingRayTargets,
        guide: Guide,
        slots: int,
        asked: Int[Tensor, ""] | None,
    ) -> PackedSamples:
        times = rays.times if isinstance(rays, MovingRayTargets) else None
        placed = rays.origins, rays.directions, rays.nears, rays.fars, rays.jitters
        return march(*placed, guide, self.most_steps, slots, asked, times)

    def _ask(
        self,
        rays: RayTargets | MovingRayTargets,
        owners: Int[Tensor, " slots"],
        t_mids: Float[Tensor, " slots"],
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Density, what colors are made from, and displacements where there are any."""
        places = place_samples(rays, owners, t_mids, self.field)
        return *self.field.density_in_cube(*places), None

    def _color(
        self, rays: RayTargets | MovingRayTargets, owners: Int[Tensor, " slots"], geometry: Tensor
    ) -> Float[Tensor, "slots 3"]:
        return self.field.unit_color(geometry, rays.harmonics, owners)

    def _look(
        self,
        rays: RayTargets | MovingRayTargets,
        samples: PackedSamples,
        inverse_near: float,
        more: Callable[[Tensor], Tensor] | None,
    ) -> tuple[Composited, Tensor | None]:
        """What a step sees, and how far samples were displaced; `more` makes channels to be
        composited after red, green and blue from these.
        """
        owners, t_mids = samples.rays, samples.t_mids
        density, geometry, shifts = self._ask(rays, owners, t_mids)
        rgb = self._color(rays, owners, geometry)
        if more is not None:
            faded = fade_gradients(rgb, t_mids[:, None], inverse_near)
            rgb = torch.cat([rgb, more(faded)], dim=-1)
        return composite(density, rgb, samples, inverse_near), shifts


def adam_size(values: Tensor, adam: AdamSettings, rate: float | Tensor) -> Float[Tensor, ""]:
    """What `take_adam_step` is told of a learning rate, beside the values."""
    size = step_size(rate, (adam.beta1, adam.beta2), adam.step)
    if isinstance(size, Tensor):
        return size
    return torch.full((), size, dtype=values.dtype, device=values.device)


def take_adam_step(
    values: Tensor,
    slope: Tensor,
    first: Tensor,
    second: Tensor,
    adam: AdamSettings,
    size: Float[Tensor, ""],
    rounded: Tensor | None = None,
    average: Tensor | None = None,
) -> None:
    """One step of Adam, leaving out values whose slope is zero; copies and averages follow."""
    betas = adam.beta1, adam.beta2
    take_step(values, slope, first, second, betas, adam.epsilon, size, rounded, average, adam.keep)
