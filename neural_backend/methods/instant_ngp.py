# SPDX-License-Identifier: GPL-3.0-or-later
"""instant-ngp: a hash grid behind an occupancy grid, learned in seconds to minutes."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..datasets.silhouettes import silhouettes
from ..fields.instant_ngp import view_harmonics
from ..geometry.boxes import inside_box
from ..geometry.gradients import smoothed_gradient
from ..geometry.rays import Rays, RenderedRays
from ..kernels import process_group
from ..kernels.instant_ngp import FusedField, StepResult
from ..kernels.instant_ngp_types import AdamSettings, LossSettings, RayTargets
from ..kernels.ray_marching import Guide
from ..sampling.occupancy_grid import OccupancyGrid
from ..sampling.visual_hull import visual_hull
from .hash_grid_method import HashGridMethod
from .instant_ngp_autograd import AutogradField
from .instant_ngp_config import (
    PRESETS,
    SURFACES,
    InstantNGPConfig,
    build_field,
    most_steps,
    multiplies_bfloat16,
)

__all__ = ["PRESETS", "SURFACES", "InstantNGP", "InstantNGPConfig"]


class InstantNGP(HashGridMethod):
    """Learns a hash-grid field from rays sampled where an occupancy grid knows of something.

    Source: Müller et al. 2022, "Instant neural graphics primitives"; Zhang et al. 2025, "Radiance
        surfaces" (samples held to pixels alone, for meshes).
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
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        field = build_field(config, bounds, unbounded, generator).to(device)
        self.occupancy = OccupancyGrid(
            config.occupancy_resolution,
            config.cascades if unbounded else 1,
            torch.device(device),
            config.occupancy_keep,
            config.occupancy_decay,
        )
        super().__init__(config, unbounded, num_views, field, self.occupancy, {})
        self._engine = self._make_engine()
        self._learner = self._make_learner()

    def prepare(self, batches: RayBatches) -> None:
        """Starts inside the visual hull where the pictures have alpha."""
        if self.unbounded or bool((batches.pixels[:, 3] == 255).all()):
            return
        center = self.field.center.double().cpu().numpy()
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

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the field shows; normals are those of the density where the ray ends on average."""
        shown = self._show(rays)
        if not normals:
            return shown
        visible = shown.depth.isfinite()
        points = rays.origins + torch.where(visible, shown.depth, 0.0)[:, None] * rays.directions
        width = 2 * self.field.half / self.config.finest
        slope = smoothed_gradient(self.density, points, 2 * width)
        return replace(shown, normals=-F.normalize(slope, dim=-1) * visible[:, None])

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit; 0 outside the bounds of an object and in empty cells."""
        self._show_averages()
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
        self._show_averages()
        return self._engine.color(self.field.to_unit(points), view_harmonics(directions))

    def _untrained(self) -> "InstantNGP":
        return InstantNGP(self.config, self.bounds, self.unbounded, 1, self.device)

    def _look_around(self, generator: torch.Generator) -> None:
        config = self.config
        self.occupancy.update(
            self._engine.density, generator, config.occupancy_visits, config.occupancy_threshold
        )

    def _render(self, rays: Rays, targets: RayTargets, guide: Guide) -> Float[Tensor, "rays 5"]:
        return self._engine.render(targets, guide)

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
        return self._learner.step(targets, guide, loss, adam)

    def _make_engine(self) -> FusedField | AutogradField:
        field = self.field
        if self.device.type != "cpu":
            return self._autograd_field()
        return FusedField(
            field.encoding.table,
            field.weights,
            self._moments_of("table", "weights"),
            field.encoding.layout,
            self.unbounded,
            field.sizes,
            multiplies_bfloat16(self.config),
            self._averages.of("table", "weights"),
        )

    def _make_learner(self) -> FusedField | AutogradField:
        """The engine, unless gradients are to be added up with those of other processes: the CPU's
        kernels never hold a whole one.
        """
        return self._engine if process_group.size() == 1 else self._autograd_field()

    def _autograd_field(self) -> AutogradField:
        most = most_steps(self.config, self.unbounded)
        moments = self._moments_of("table", "weights")
        averages = self._averages.of("table", "weights")
        return AutogradField(self.field, moments, most, self._budget(), averages)
