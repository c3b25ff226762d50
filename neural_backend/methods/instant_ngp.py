# SPDX-License-Identifier: GPL-3.0-or-later
"""instant-ngp: a hash grid behind an occupancy grid, learned in seconds to minutes."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatch, RayBatches
from ..datasets.silhouettes import pixels_near_silhouettes, silhouettes
from ..fields.instant_ngp import InstantNGPField, view_harmonics
from ..geometry.boxes import inside_box, intersect_box
from ..geometry.gradients import smoothed_gradient
from ..geometry.rays import Rays, RenderedRays
from ..kernels.hash_grid import hash_grid_layout
from ..kernels.instant_ngp import FusedField, StepResult
from ..kernels.instant_ngp_types import AdamSettings, LossSettings, RayTargets
from ..kernels.ray_marching import Guide, Steps
from ..sampling.occupancy_grid import OccupancyGrid
from ..sampling.visual_hull import visual_hull
from ..training.losses import pictures_over_background
from .base import TrainingProgress
from .instant_ngp_autograd import AutogradField

_OPAQUE_DEPTH = 9.2
"""Optical depth behind which less than 1e-4 of a sample is seen (Müller et al., appendix E.1)."""
_LEAST_RAYS = 64
_STATE = ("table", "weights", "log_gains")


@dataclass(frozen=True, kw_only=True)
class InstantNGPConfig:
    """How the field is built and trained. Lengths are in the unit frame (see `InstantNGPField`).

    A training step aims at `samples_per_step` samples, growing to `final_samples_per_step`, and on
    CUDA at `cuda_samples_per_step`. The occupancy grid looks at `occupancy_visits` cells every
    `occupancy_every` steps, weighs what it knew by `occupancy_keep`, and takes cells of a smaller
    optical depth than `occupancy_threshold` for empty. Rays look at it in steps of `guide_step`
    cells or, further away, of `guide_cone` times the distance; `explore` is a step's chance of a
    sample where nothing is known to be. Closer to a camera than `near_fade` gradients fade away.
    `huber` is the error where the loss turns from square to straight, 0 for never.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 3 and appendix E, and
        the values that its authors' program has come to (8 levels of 4 features).
    Differs: steps are a sixteenth of the paper's size on a CPU, where many small ones learn faster.
    """

    steps: int = 6000
    levels: int = 6
    features_per_level: int = 4
    log2_entries: int = 16
    coarsest: int = 16
    finest: int = 512
    width: int = 64
    color_layers: int = 1
    density_shift: float = -1.0
    learning_rate: float = 1e-2
    final_learning_rate: float = 1e-3
    decay_from: float = 0.3
    warm_up_steps: int = 20
    samples_per_step: int = 2**13
    final_samples_per_step: int = 2**14
    cuda_samples_per_step: int = 2**18
    samples_per_ray: int = 32
    samples_per_rendered_ray: int = 48
    most_rays: int = 2**14
    occupancy_resolution: int = 64
    cascades: int = 5
    occupancy_every: int = 16
    occupancy_visits: int = 2**17
    occupancy_threshold: float = 0.03
    occupancy_keep: float = 0.8
    occupancy_decay: float = 0.9
    guide_step: float = 1.0
    guide_cone: float = 1 / 48
    guide_depth: float = 1.0
    explore: float = 0.01
    explore_rendered: float = 0.003
    nearest: float = 0.05
    near_fade: float = 0.5
    huber: float = 0.1
    distortion: float = 0.01
    unbounded_frame: float = 2.0
    exposure: bool = True
    exposure_rate: float = 1e-3


PRESETS: dict[str, InstantNGPConfig] = {
    "draft": InstantNGPConfig(steps=1500),
    "standard": InstantNGPConfig(),
    "final": InstantNGPConfig(
        steps=30_000, log2_entries=19, finest=2048, final_samples_per_step=2**15
    ),
}


class InstantNGP:
    """Learns a hash-grid field from rays sampled where an occupancy grid knows of something.

    Source: Müller et al. 2022, "Instant neural graphics primitives".
    Differs: samples are spread by the occupancy grid's densities (`spread_samples`) rather than
        evenly over occupied cells; space outside the bounds is contracted; objects with alpha start
        inside their visual hull; photos have an exposure each. On the CPU a step is one kernel.
    """

    name: ClassVar[str] = "instant_ngp"

    def __init__(
        self,
        config: InstantNGPConfig,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        num_views: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config, self.unbounded, self.device = config, unbounded, torch.device(device)
        layout = hash_grid_layout(
            config.levels,
            config.features_per_level,
            config.log2_entries,
            config.coarsest,
            config.finest,
        )
        generator = torch.Generator().manual_seed(seed)
        self.field = InstantNGPField(
            layout,
            bounds.detach().to("cpu", torch.float32),
            unbounded,
            config.width,
            config.color_layers,
            config.density_shift,
            config.unbounded_frame if unbounded else 1.0,
            generator,
        ).to(self.device)
        self.occupancy = OccupancyGrid(
            config.occupancy_resolution,
            config.cascades if unbounded else 1,
            self.device,
            config.occupancy_keep,
            config.occupancy_decay,
        )
        self._log_gains = torch.zeros(num_views, 3, device=self.device)
        self._moments = {
            f"{name}_{order}": torch.zeros_like(value)
            for name, value in self._learned().items()
            for order in ("first", "second")
        }
        self._num_rays = config.samples_per_step // config.samples_per_ray
        self._updates = 0
        self._batches: RayBatches | None = None
        self._engine = self._make_engine()

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self.field.bounds

    def warm_up(self) -> None:
        """Compiles the kernels by learning from a few rays."""
        if self.device.type != "cpu":
            return
        tiny = InstantNGP(self.config, self.bounds, self.unbounded, 1, self.device)
        center = self.bounds.mean(dim=0)
        rays = Rays(
            center.expand(4, 3), F.normalize(torch.ones(4, 3), dim=-1), None, torch.zeros(4).long()
        )
        tiny._learn(RayBatch(rays, torch.ones(4, 4)), torch.rand(4, 4), 0.0)
        tiny.render_rays(rays)
        tiny.density(center[None])
        tiny.color(center[None], rays.directions[:1])

    def prepare(self, batches: RayBatches) -> None:
        """Starts inside the visual hull where the pictures have alpha."""
        if self.unbounded or bool((batches.pixels[:, 3] == 255).all()):
            return
        center = self.field.center.double().numpy()
        box = np.stack([center - self.field.half, center + self.field.half])
        hull = visual_hull(
            silhouettes(batches),
            [view.intrinsics for view in batches.views],
            np.array([view.camera_to_world for view in batches.views]),
            box,
            self.config.occupancy_resolution,
        )
        if hull.any():
            # One cell more on all sides: silhouettes are cut at pixels.
            wide = F.max_pool3d(torch.from_numpy(hull)[None].float(), 3, stride=1, padding=1)
            self.occupancy.forbid((wide == 0).flatten().to(self.device))

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes one step of Adam on `loss`, the mean over rays; `mse` is that of color channels."""
        config = self.config
        if self._batches is not batches:
            self._choose_candidates(batches)
            self._batches = batches
        self._updates += 1
        if self._updates % config.occupancy_every == 0:
            self.occupancy.update(
                self._engine.density,
                generator,
                config.occupancy_visits,
                config.occupancy_threshold,
            )
        batch = batches.draw(self._num_rays, generator)
        random = torch.rand(self._num_rays, 4, generator=generator).to(self.device)
        result = self._learn(batch, random, progress.fraction)
        count = len(batch.rays)
        self._adapt_rays(result, progress.fraction)
        return {"loss": result.loss / count, "mse": result.squared_error / (3 * count)}

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the field shows; normals are those of the density where the ray ends on average."""
        config = self.config
        nothing = rays.origins.new_zeros(len(rays), 3)
        placed = self._place(rays, rays.origins.new_full((len(rays),), 0.5))
        guide = self._guide(config.samples_per_rendered_ray, config.explore_rendered)
        seen = self._engine.render(RayTargets(*placed, nothing, nothing, nothing), guide)
        accumulation = seen[:, 3].clamp(max=1)
        visible = accumulation > 1e-4
        depth = seen[:, 4] / accumulation.clamp(min=1e-4) * self.field.half
        depth = torch.where(visible, depth, torch.inf)
        facing = None
        if normals:
            points = rays.origins + torch.where(visible, depth, 0.0)[:, None] * rays.directions
            width = 2 * self.field.half / config.finest
            slope = smoothed_gradient(self.density, points, 2 * width)
            facing = -F.normalize(slope, dim=-1) * visible[:, None]
        return RenderedRays(seen[:, :3], accumulation, depth, facing)

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit; 0 outside the bounds of an object and in empty cells."""
        unit_points = self.field.to_unit(points)
        density = self._engine.density(unit_points) / self.field.half
        shown = self.occupancy.contains(unit_points)
        if not self.unbounded:
            shown &= inside_box(points, self.bounds)
        return density * shown

    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` seen along `directions`."""
        return self._engine.color(self.field.to_unit(points), view_harmonics(directions))

    def state(self) -> dict[str, Tensor]:
        """What is learned, Adam's moments, the occupancy grid and the number of rays."""
        return {
            **{name: value.clone() for name, value in self._learned().items()},
            **{name: value.clone() for name, value in self._moments.items()},
            **{f"occupancy.{name}": value for name, value in self.occupancy.state().items()},
            "schedule": torch.tensor([self._updates, self._num_rays]),
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned.

        Raises:
            ValueError: where names or shapes do not fit; then nothing is changed.
        """
        expected = {name: value.shape for name, value in self.state().items()}
        got = {name: value.shape for name, value in state.items()}
        if got != expected:
            wrong = sorted(n for n in {*expected, *got} if expected.get(n) != got.get(n))
            raise ValueError(f"expected the tensors of an instant_ngp state, differing: {wrong}")
        for name, value in {**self._learned(), **self._moments}.items():
            value.copy_(state[name])
        self.occupancy.load_state(
            {
                name.removeprefix("occupancy."): value
                for name, value in state.items()
                if name.startswith("occupancy.")
            }
        )
        self._updates, self._num_rays = state["schedule"].tolist()

    def _learned(self) -> dict[str, Tensor]:
        tensors = (self.field.encoding.table.detach(), self.field.weights.detach(), self._log_gains)
        return dict(zip(_STATE, tensors, strict=True))

    def _make_engine(self) -> FusedField | AutogradField:
        field, names = self.field, ("table", "weights")
        first, second, third, fourth = (
            self._moments[f"{name}_{order}"] for name in names for order in ("first", "second")
        )
        moments = (first, second, third, fourth)
        if self.device.type == "cpu":
            return FusedField(
                field.encoding.table,
                field.weights,
                moments,
                field.encoding.layout,
                self.unbounded,
                field.sizes,
            )
        return AutogradField(field, moments, self._most_steps())

    def _most_steps(self) -> int:
        """Steps that any ray can take through the guide."""
        guide = self._guide(2, 0.0)
        steps = Steps(guide.shortest, guide.cone)
        nearest = torch.tensor(self.config.nearest)
        farthest = nearest + 2 * math.sqrt(3) * 2.0 ** (self.occupancy.cascades - 1)
        return math.ceil(float(steps.at(farthest) - steps.at(nearest))) + 1

    def _guide(self, samples: int, explore: float) -> Guide:
        cell = 2 / self.config.occupancy_resolution
        return Guide(
            density=self.occupancy.guide,
            resolution=self.config.occupancy_resolution,
            shortest=cell * self.config.guide_step,
            cone=self.config.guide_cone if self.unbounded else 0.0,
            most_depth=self.config.guide_depth,
            explore=explore,
            opaque=1e-3,
            samples=samples,
        )

    def _place(
        self, rays: Rays, jitters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The first fields of `RayTargets`."""
        origins = self.field.to_unit(rays.origins)
        box = origins.new_tensor([[-1.0] * 3, [1.0] * 3]) * 2.0 ** (self.occupancy.cascades - 1)
        nears, fars = intersect_box(origins, rays.directions, box)
        nears = nears.clamp(min=self.config.nearest)
        return origins, rays.directions, nears, fars, jitters, view_harmonics(rays.directions)

    def _learn(self, batch: RayBatch, random: Tensor, fraction: float) -> StepResult:
        config, views = self.config, batch.rays.views
        assert views is not None
        backgrounds, jitters = random[:, :3].contiguous(), random[:, 3].contiguous()
        targets = pictures_over_background(batch.rgba, backgrounds)
        gains = self._log_gains[views].exp()
        rays = RayTargets(*self._place(batch.rays, jitters), targets, backgrounds, gains)
        rate = config.learning_rate * min(1.0, self._updates / config.warm_up_steps)
        late = max(0.0, fraction - config.decay_from) / (1 - config.decay_from)
        rate *= (config.final_learning_rate / config.learning_rate) ** late
        result = self._engine.step(
            rays,
            self._guide(config.samples_per_ray, config.explore),
            LossSettings(config.huber, 1 / config.near_fade, _OPAQUE_DEPTH, config.distortion),
            AdamSettings(rate, rate, 0.9, 0.99, 1e-15, max(1, self._updates)),
        )
        if self.unbounded and config.exposure:
            self._learn_gains(views, result.d_gains)
        return result

    def _learn_gains(self, views: Tensor, slopes: Tensor) -> None:
        """Adam on the exposures; their mean stays zero, or they could drift with the field."""
        slope = torch.zeros_like(self._log_gains).index_add_(0, views, slopes)
        first, second = self._moments["log_gains_first"], self._moments["log_gains_second"]
        first.lerp_(slope, 0.1)
        second.lerp_(slope * slope, 0.01)
        step = max(1, self._updates)
        mean, square = first / (1 - 0.9**step), second / (1 - 0.99**step)
        self._log_gains -= self.config.exposure_rate * mean / (square.sqrt() + 1e-15)
        self._log_gains -= self._log_gains.mean(dim=0)

    def _adapt_rays(self, result: StepResult, fraction: float) -> None:
        """As many rays as fill the next step with samples that are not hidden."""
        config = self.config
        if isinstance(result.samples, Tensor):
            self._num_rays = config.cuda_samples_per_step // config.samples_per_ray
            return
        growth = config.final_samples_per_step / config.samples_per_step
        wanted = config.samples_per_step * growth**fraction
        wanted *= self._num_rays / max(result.samples, 1)
        highest = min(2 * self._num_rays, config.most_rays)
        self._num_rays = max(_LEAST_RAYS, min(int(wanted), highest))

    def _choose_candidates(self, batches: RayBatches) -> None:
        """Leaves out pixels so far from every silhouette that their rays cannot meet the scene."""
        if not self.unbounded:
            pixels = pixels_near_silhouettes(batches)
            if len(pixels):
                batches.candidates = pixels
