# SPDX-License-Identifier: GPL-3.0-or-later
"""What methods on hash grids behind an occupancy guide have in common: how they are trained."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..datasets.hard_pixels import HardPixels
from ..datasets.ray_batches import RayBatch, RayBatches
from ..datasets.silhouettes import pixels_near_silhouettes
from ..fields.instant_ngp import InstantNGPField
from ..geometry.rays import Rays, RenderedRays
from ..kernels import process_group
from ..kernels.instant_ngp import StepResult
from ..kernels.instant_ngp_types import AdamSettings, LossSettings, RayTargets
from ..kernels.ray_budget import RayBudget
from ..kernels.ray_marching import Guide
from ..kernels.repeated_step import ScheduledStep
from ..sampling.moving_occupancy import MovingOccupancy
from ..sampling.occupancy_grid import OccupancyGrid
from ..sampling.stratified import generator_for
from ..training.losses import surface_share
from .base import TrainingProgress
from .instant_ngp_config import InstantNGPConfig, learning_rate, make_guide
from .ray_targets import place_rays, show_pixels
from .weight_averages import WeightAverages

_OPAQUE_DEPTH = 9.2
"""Optical depth behind which less than 1e-4 of a sample is seen (Müller et al., appendix E.1)."""
_LEAST_RAYS = 64
_DRAWN = 4
"""On CUDA, how many times as many rays are drawn as a step could hold at their full length: most
meet less, and those that do not fit are left out.
"""
_BLOCK_ERRORS = "block_errors"


class StepTime(NamedTuple):
    """Where a step stands: its learning rate, its number, counted from 1, and the fraction of the
    training before it: numbers, or tensors on the device whose values change from step to step.

    `surface` is the share of the error that is each sample's own.
    """

    rate: float | Tensor
    update: int | Tensor
    fraction: float | Tensor
    surface: float = 0.0


class _Learned(NamedTuple):
    result: StepResult
    loss: float | Tensor
    mse: float | Tensor


class HashGridMethod(ABC):
    """Batches of rays whose number adapts to what they meet, exposures of photos, the state.

    A method builds its `field`, its `occupancy` and an engine that renders and learns. What it
    learns besides the field is named in `more_learned`.
    """

    name: ClassVar[str]
    randoms_per_ray: ClassVar[int] = 4
    """Background, jitter, and what a method needs of its own."""

    def __init__(
        self,
        config: InstantNGPConfig,
        unbounded: bool,
        num_views: int,
        field: InstantNGPField,
        occupancy: OccupancyGrid | MovingOccupancy,
        more_learned: dict[str, Tensor],
    ) -> None:
        self.unbounded, self.field = unbounded, field
        self.device = field.weights.device
        self._settings, self._around = config, occupancy
        self._log_gains = torch.zeros(num_views, 3, device=self.device)
        self._learned = {
            "table": field.encoding.table.detach(),
            "weights": field.weights.detach(),
            "log_gains": self._log_gains,
            **more_learned,
        }
        averaged = {name: self._learned[name] for name in ("table", "weights", *more_learned)}
        self._averages = WeightAverages(averaged, config.average)
        self._moments = {
            f"{name}_{order}": torch.zeros_like(value)
            for name, value in self._learned.items()
            for order in ("first", "second")
        }
        self._num_rays = config.samples_per_step // config.samples_per_ray
        half = 2.0 ** (occupancy.cascades - 1)
        self._seen_box = torch.tensor([[-half] * 3, [half] * 3], device=self.device)
        self._updates = 0
        self._random: torch.Generator | None = None
        self._repeated = ScheduledStep[_Learned](3, self.device)
        self._batches: RayBatches | None = None
        self._hard_pixels: HardPixels | None = None
        self._block_errors = torch.zeros(0, device=self.device)

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self.field.bounds

    def warm_up(self) -> None:
        """Compiles the kernels by learning from a few rays."""
        tiny = self._untrained()
        center, ones = self.bounds.mean(dim=0), torch.ones(4, 4, device=self.device)
        views = torch.zeros(4, dtype=torch.long, device=self.device)
        rays = Rays(center.expand(4, 3), F.normalize(ones[:, :3], dim=-1), None, views)
        random = torch.rand(4, self.randoms_per_ray, device=self.device)
        for surface in {0.0, self._settings.surface}:
            tiny._learn(RayBatch(rays, ones), random, StepTime(0.0, 1, 0.0, surface))
        tiny.render_rays(rays)
        tiny.density(center[None])
        tiny.color(center[None], rays.directions[:1])

    @abstractmethod
    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """See `Method`."""

    @abstractmethod
    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """See `Method`."""

    @abstractmethod
    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """See `Method`."""

    @abstractmethod
    def _untrained(self) -> "HashGridMethod":
        """A method of the same kind, for one view."""

    @abstractmethod
    def _look_around(self, generator: torch.Generator) -> None:
        """Updates the occupancy."""

    @abstractmethod
    def _render(self, rays: Rays, targets: RayTargets, guide: Guide) -> Float[Tensor, "rays 5"]:
        """Asks the engine."""

    @abstractmethod
    def _step(
        self,
        rays: Rays,
        random: Float[Tensor, "rays more"],
        fraction: float | Tensor,
        targets: RayTargets,
        guide: Guide,
        loss: LossSettings,
        adam: AdamSettings,
    ) -> StepResult:
        """Lets the engine learn; `random` are the method's own random numbers in [0, 1)."""

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes one step of Adam on `loss`, the mean over rays; `mse` is that of color channels."""
        config = self._settings
        self._hide_averages()
        if self._batches is not batches:
            self._take_up(batches)
        self._updates += 1
        generator = self._generator_here(generator)
        if self._updates % config.occupancy_every == 0:
            self._look_around(generator)
        count = progress.part_of(self._rays_to_draw())
        rate = learning_rate(config, self._updates, progress.fraction)
        surface = surface_share(config, progress.fraction)
        now = StepTime(rate, self._updates, progress.fraction, surface)
        if self.device.type == "cuda" and process_group.size() == 1:
            learned = self._repeat(batches, count, now, generator)
        else:
            learned = self._draw_and_learn(batches, count, now, generator)
        self._adapt_rays(learned.result, progress.fraction)
        return {"loss": learned.loss, "mse": learned.mse}

    def _generator_here(self, generator: torch.Generator) -> torch.Generator:
        """One on the device, so that random numbers need not be sent there; always the same, as
        recorded steps know it.
        """
        if self.device.type == generator.device.type:
            return generator
        if self._random is None:
            self._random = generator_for(self.device, generator)
        return self._random

    def _repeat(
        self, batches: RayBatches, count: int, now: StepTime, generator: torch.Generator
    ) -> _Learned:
        """`_draw_and_learn`, recorded once and replayed; the device is never waited for."""

        def work(numbers: Float[Tensor, "3"]) -> _Learned:
            rate, update, fraction = numbers
            then = StepTime(rate, update, fraction, now.surface)
            return self._draw_and_learn(batches, count, then, generator)

        numbers = [float(part) for part in now[:3]]
        return self._repeated(work, (count, now.surface), numbers, generator)

    def _draw_and_learn(
        self, batches: RayBatches, count: int, now: StepTime, generator: torch.Generator
    ) -> _Learned:
        hard_pixels = self._hard_pixels
        draw = batches.draw_pixels if hard_pixels is None else hard_pixels.draw
        drawn = draw(count * process_group.size(), generator)
        pixels = process_group.part(drawn)
        given = count, self.randoms_per_ray, generator, generator.device
        random = process_group.rand(*given).to(self.device)
        result = self._learn(batches.rays(pixels), random, now)
        seen: int | Tensor = len(pixels)
        told = [result.squared_errors]
        if result.looked_at is not None:
            seen = result.looked_at.sum()
            told.append(result.looked_at.float())
        if hard_pixels is not None:
            hard_pixels.learn(drawn, *map(process_group.whole, told))
        return _Learned(result, result.loss / seen, result.squared_error / (3 * seen))

    def _show(self, rays: Rays) -> RenderedRays:
        """What the field shows, without normals."""
        self._show_averages()
        config = self._settings
        nothing = rays.origins.new_zeros(len(rays), 3)
        placed = self._place(rays, rays.origins.new_full((len(rays),), 0.5))
        guide = self._guide(config.samples_per_rendered_ray, config.explore_rendered)
        seen = self._render(rays, RayTargets(*placed, nothing, nothing, nothing), guide)
        accumulation = seen[:, 3].clamp(max=1)
        depth = seen[:, 4] / accumulation.clamp(min=1e-4) * self.field.half
        depth = torch.where(accumulation > 1e-4, depth, torch.inf)
        return RenderedRays(seen[:, :3], accumulation, depth, None)

    def state(self) -> dict[str, Tensor]:
        """What is learned, averages, Adam's moments, the occupancy grid, the number of rays and,
        once there was a step, how wrong the field is in each block of the pictures.
        """
        self._hide_averages()
        return {
            _BLOCK_ERRORS: self._block_errors.clone(),
            **{name: value.clone() for name, value in self._learned.items()},
            **{name: value.clone() for name, value in self._moments.items()},
            **{name: value.clone() for name, value in self._averages.state().items()},
            **{f"occupancy.{name}": value for name, value in self._around.state().items()},
            "schedule": torch.tensor([self._updates, self._num_rays]),
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned.

        Raises:
            ValueError: where names or shapes do not fit; then nothing is changed.
        """
        state = dict(state)
        block_errors = state.pop(_BLOCK_ERRORS, self._block_errors)
        expected = {name: value.shape for name, value in self.state().items()}
        del expected[_BLOCK_ERRORS]
        got = {name: value.shape for name, value in state.items()}
        if got != expected:
            wrong = sorted(n for n in {*expected, *got} if expected.get(n) != got.get(n))
            raise ValueError(f"expected the tensors of an {self.name} state, differing: {wrong}")
        for name, value in {**self._learned, **self._moments, **self._averages.state()}.items():
            value.copy_(state[name])
        self._round_off()
        self._around.load_state(
            {
                name.removeprefix("occupancy."): value
                for name, value in state.items()
                if name.startswith("occupancy.")
            }
        )
        self._updates, self._num_rays = state["schedule"].tolist()
        self._block_errors = block_errors.to(self.device).clone()
        # Recorded steps know tensors that are no longer in use.
        self._batches = None
        self._repeated.forget()

    def _show_averages(self) -> None:
        if self._averages.show(True):
            self._round_off()

    def _hide_averages(self) -> None:
        if self._averages.show(False):
            self._round_off()

    def _round_off(self) -> None:
        if self.field.encoding.rounded is not None:
            self.field.encoding.round_off()

    def _moments_of(self, *names: str) -> tuple[Tensor, ...]:
        """Adam's means of slopes and squares of each of these."""
        orders = "first", "second"
        return tuple(self._moments[f"{name}_{order}"] for name in names for order in orders)

    def _guide(self, samples: int, explore: float) -> Guide:
        return make_guide(
            self._settings,
            self.unbounded,
            self._around.guide,
            self._around.occupied,
            samples,
            explore,
            getattr(self._around, "slices", 1),
        )

    def _place(
        self, rays: Rays, jitters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The first fields of `RayTargets`."""
        placed = place_rays(rays, self.field, self._seen_box, self._settings.nearest)
        origins, nears, fars, harmonics = placed
        return origins, rays.directions, nears, fars, jitters, harmonics

    def _learn(self, batch: RayBatch, random: Tensor, now: StepTime) -> StepResult:
        config, views = self._settings, batch.rays.views
        assert views is not None
        jitters, *wanted = show_pixels(batch.rgba, random, views, self._log_gains)
        targets = RayTargets(*self._place(batch.rays, jitters), *wanted)
        result = self._step(
            batch.rays,
            random[:, 4:],
            now.fraction,
            targets,
            self._guide(config.samples_per_ray, config.explore),
            LossSettings(
                config.huber, 1 / config.near_fade, _OPAQUE_DEPTH, config.distortion, now.surface
            ),
            AdamSettings(now.rate, now.rate, 0.9, 0.99, 1e-15, now.update, self._averages.keep),
        )
        if self.unbounded and config.exposure:
            self._learn_gains(views, result.d_gains, now.update)
        return result

    def _learn_gains(self, views: Tensor, slopes: Tensor, step: int | Tensor) -> None:
        """Adam on the exposures; their mean stays zero, or they could drift with the field."""
        slope = torch.zeros_like(self._log_gains).index_add_(0, views, slopes)
        process_group.add_up(slope)
        first, second = self._moments["log_gains_first"], self._moments["log_gains_second"]
        first.lerp_(slope, 0.1)
        second.lerp_(slope * slope, 0.01)
        mean, square = first / (1 - 0.9**step), second / (1 - 0.99**step)
        self._log_gains -= self._settings.exposure_rate * mean / (square.sqrt() + 1e-15)
        self._log_gains -= self._log_gains.mean(dim=0)

    def _budget(self) -> RayBudget | None:
        """How an engine on CUDA adapts its rays; elsewhere `_adapt_rays` does."""
        return RayBudget(1 / _DRAWN, self.device) if self.device.type == "cuda" else None

    def _rays_to_draw(self) -> int:
        if self.device.type != "cuda":
            return self._num_rays
        return _DRAWN * self._settings.cuda_samples_per_step // self._settings.samples_per_ray

    def _adapt_rays(self, result: StepResult, fraction: float) -> None:
        """As many rays as fill the next step with samples that are not hidden."""
        config = self._settings
        if isinstance(result.samples, Tensor):
            return
        growth = config.final_samples_per_step / config.samples_per_step
        wanted = config.samples_per_step * growth**fraction
        wanted *= self._num_rays / max(result.samples, 1)
        highest = min(2 * self._num_rays, config.most_rays)
        self._num_rays = max(_LEAST_RAYS, min(int(wanted), highest))

    def _take_up(self, batches: RayBatches) -> None:
        """Leaves out pixels so far from every silhouette that their rays cannot meet the scene."""
        if not self.unbounded:
            pixels = pixels_near_silhouettes(batches)
            if len(pixels):
                batches.candidates = pixels
        if self._settings.hard_pixels > 1:
            self._hard_pixels = HardPixels(batches, self._settings.hard_pixels)
            known = self._hard_pixels.squared_errors
            if self._block_errors.shape == known.shape:
                known.copy_(self._block_errors)
            self._block_errors = known
        self._batches = batches
        self._repeated.forget()
