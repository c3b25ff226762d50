# SPDX-License-Identifier: GPL-3.0-or-later
"""Learns a sparse voxel grid, coarse to fine: the fast method for CPUs."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..datasets.silhouettes import pixels_near_silhouettes, silhouettes
from ..fields.voxel_grid import VoxelGridField, grid_shape
from ..geometry.cameras import Intrinsics
from ..geometry.gradients import smoothed_gradient
from ..geometry.rays import Rays, RenderedRays
from ..kernels import process_group
from ..kernels import voxel_grid as kernels
from ..kernels.compilation import num_threads
from ..kernels.repeated_step import ScheduledStep
from ..kernels.triton_use import uses_triton
from ..kernels.voxel_grid import GridRays
from ..sampling.stratified import generator_for
from ..sampling.visual_hull import visual_hull
from ..training.losses import surface_share
from ..training.sparse_adam import SparseAdam
from .base import TrainingProgress
from .configuration import for_case
from .voxel_grid_config import (
    PRESETS,
    SURFACES,
    VoxelGridConfig,
    rate_left,
    stage_starts,
    stages,
)
from .voxel_space import corners_in_hull, corners_shown_by, space_over

__all__ = ["PRESETS", "SURFACES", "VoxelGrid", "VoxelGridConfig"]

_HULL_RESOLUTION = 96
_LOOK_RESOLUTION = 32
"""Cells along the bounds at which it is counted how many pictures show a place."""
_VOXELS_PER_RAY = 700
"""Of an update, where there are few voxels."""
_MOST_PARTS = 8
"""Threads with a gradient table of their own; more would not pay for adding them up."""


class VoxelGrid:
    """Voxels of density and harmonics, carved by the pictures' alpha, refined where something is.

    Source: Fridovich-Keil et al. 2022, "Plenoxels"; Sun et al. 2022, "Direct Voxel Grid
        Optimization"; Barron et al. 2022, "Mip-NeRF 360", sec. 2 (unbounded scenes' contraction);
        Zhang et al. 2025, "Radiance surfaces" (samples held to pixels alone, for meshes).
    Differs: the visual hull is carved before the first step; Adam, without momentum, on
        touched voxels; every ray is shown over a random background of its own; unbounded space that
        few pictures show stays empty, and smoothing is apart from Adam.
    """

    name: ClassVar[str] = "voxel_grid"

    def __init__(
        self,
        config: VoxelGridConfig,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        num_views: int,
        device: torch.device,
    ) -> None:
        self.config = config = for_case(config, "unbounded") if unbounded else config
        self.unbounded = unbounded
        self.device = torch.device(device)
        self._bounds = bounds.detach().to("cpu", torch.float32)
        self._parts = min(num_threads(), _MOST_PARTS) if self.device.type == "cpu" else 1
        self._exposure = SparseAdam(torch.zeros(num_views, 3, device=self.device))
        self._stage = 0
        self._rays_seen = 0
        self._finest = max(config.resolutions)
        self._pruned_at = 0
        self._batches: RayBatches | None = None
        self._random: torch.Generator | None = None
        self._repeated = ScheduledStep[float | Tensor](1, self.device)
        space = space_over(self._bounds, config.resolutions[0], self.config, self.unbounded)
        stored = torch.ones(grid_shape(space), dtype=torch.bool, device=self.device)
        self._set_field(VoxelGridField(space, stored, config.degree, config.initial_density))

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self._bounds.to(self.device)

    @property
    def _used(self) -> int:
        """Channels of a row that hold something; the rest pads it to whole vectors."""
        return 1 + 3 * self._field.num_basis

    def warm_up(self) -> None:
        """Compiles the kernels by learning from a few rays."""
        tiny = VoxelGrid(
            replace(self.config, resolutions=(8,), resolutions_unbounded=(8,)),
            self._bounds,
            self.unbounded,
            1,
            self.device,
        )
        center, ones = self.bounds.mean(dim=0), torch.ones(4, 4, device=self.device)
        whole = ones[:, :3].contiguous()
        rays = Rays(center - 2.0 * whole, F.normalize(whole, dim=-1))
        tiny.render_rays(rays)
        tiny.density(center[None])
        shown = GridRays(rays.origins, rays.directions, ones, whole, whole[:, 0] / 2, whole)
        tiny._update(shown, 1.0, 0.0)
        lens = Intrinsics(
            width=2, height=2, focal_x_px=2.0, focal_y_px=2.0, center_x_px=1.0, center_y_px=1.0
        )
        visual_hull([np.ones((2, 2), dtype=bool)], [lens], np.eye(4)[None], np.eye(2, 3), 4)
        tiny._smooth(1.0)
        tiny._field.refine(tiny._field.space.cells_per_unit * 1.5, 1e-6)

    def prepare(self, batches: RayBatches) -> None:
        """Starts inside the visual hull, or, without alpha, where enough pictures look."""
        if self.unbounded:
            self._leave_out_what_few_see(batches)
        else:
            self._carve(batches)
        self._choose_finest(batches)

    def _carve(self, batches: RayBatches) -> None:
        """Starts anew inside the visual hull."""
        bounds = self._bounds.numpy().astype(np.float64)
        hull = visual_hull(
            silhouettes(batches),
            [view.intrinsics for view in batches.views],
            np.array([view.camera_to_world for view in batches.views]),
            bounds,
            _HULL_RESOLUTION,
        )
        if not hull.any():
            return
        cell = float((bounds[1] - bounds[0]).max()) / _HULL_RESOLUTION
        full = np.argwhere(hull)
        tight = np.stack([full.min(axis=0) - 0.5, full.max(axis=0) + 1.5]) * cell + bounds[0]
        self._bounds = torch.from_numpy(tight).float()
        space = space_over(self._bounds, self.config.resolutions[0], self.config, self.unbounded)
        stored = corners_in_hull(space, torch.from_numpy(hull), bounds[0], cell)
        self._set_field(
            VoxelGridField(
                space, stored.to(self.device), self.config.degree, self.config.initial_density
            )
        )

    def _leave_out_what_few_see(self, batches: RayBatches) -> None:
        """Starts anew where enough pictures look: before one camera anything fits its picture."""
        coarse = space_over(self._bounds, _LOOK_RESOLUTION, self.config, self.unbounded)
        space = space_over(self._bounds, self.config.resolutions[0], self.config, self.unbounded)
        kept = corners_shown_by(batches, self.config.fewest_views, coarse, space)
        if kept.any():
            degree, density = self.config.degree, self.config.initial_density
            self._set_field(VoxelGridField(space, kept.to(self.device), degree, density))

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Draws rays and makes several updates; `loss` is the mean squared error over them."""
        if self._batches is not batches:
            self._choose_candidates(batches)
            self._batches = batches
            self._repeated.forget()
        self._refine_if_due(progress.fraction)
        self._prune_if_due(progress.step)
        count, rate = progress.part_of(self.config.rays), rate_left(self.config, progress)
        alone = surface_share(self.config, progress.fraction)
        learn = self._repeat if self._is_recorded() else self._draw_and_learn
        loss = learn(batches, count, rate, alone, generator)
        if progress.step % self.config.smooth_every == 0:
            self._smooth(rate)
        self._rays_seen += count
        return {"loss": loss}

    def _is_recorded(self) -> bool:
        """On CUDA, but for plain torch, which reads back whether all rays have ended."""
        there = self.device.type == "cuda" and uses_triton(self._field.rows)
        return there and process_group.size() == 1

    def _repeat(
        self, batches: RayBatches, count: int, rate: float, alone: float, generator: torch.Generator
    ) -> float | Tensor:
        """`_draw_and_learn`, recorded once and replayed; the device is never waited for."""
        if self._random is None:
            # Recorded steps know the generator, so that it stays the same.
            self._random = generator_for(self.device, generator)
        random = self._random

        def work(numbers: Float[Tensor, "1"]) -> float | Tensor:
            return self._draw_and_learn(batches, count, numbers[0], alone, random)

        return self._repeated(work, (count, alone), [rate], random)

    def _draw_and_learn(
        self,
        batches: RayBatches,
        count: int,
        rate: float | Tensor,
        alone: float,
        generator: torch.Generator,
    ) -> float | Tensor:
        """All updates of a step, at this share of the learning rates. Returns the loss."""
        batch = batches.draw(count, generator)
        here = generator.device
        random = torch.rand(count, 4, generator=generator, device=here).to(self.device)
        views = batch.rays.views
        assert views is not None
        uses_exposure = self.config.exposure and self.unbounded
        gains = (
            torch.exp(self._exposure.values[views])
            if uses_exposure
            else torch.ones(count, 3, device=self.device)
        )
        rays = GridRays(
            batch.rays.origins, batch.rays.directions, batch.rgba,
            random[:, :3].contiguous(), random[:, 3].contiguous(), gains,
        )  # fmt: skip
        size = self._rays_of_an_update()
        results = [self._update(rays[at : at + size], rate, alone) for at in range(0, count, size)]
        if uses_exposure:
            slope = torch.zeros_like(self._exposure.values)
            slope.index_add_(0, views, torch.cat([gradient for _, gradient in results]) * gains)
            self._exposure.step(slope / count, self.config.exposure_rate * rate)
            self._exposure.values -= self._exposure.values.mean(dim=0)
        return sum(error for error, _ in results) / (3 * count)

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the grid shows; normals are those of the density where the ray ends on average."""
        out = kernels.render(self._field.grid, rays.origins, rays.directions)
        accumulation = 1 - out[:, 3]
        visible = accumulation > 1e-4
        depth = torch.where(visible, out[:, 4] / accumulation.clamp(min=1e-4), torch.inf)
        facing = None
        if normals:
            points = rays.origins + torch.where(visible, depth, 0.0)[:, None] * rays.directions
            slope = smoothed_gradient(self.density, points, 1.5 * self._field.cell_size)
            facing = -F.normalize(slope, dim=-1) * visible[:, None]
        return RenderedRays(out[:, :3], accumulation, depth, facing)

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit; 0 outside what was learned."""
        return self._field.density(points)

    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` seen along `directions`."""
        return self._field.color(points, directions)

    def state(self) -> dict[str, Tensor]:
        """The grid, Adam's squares, exposures and the place in the schedule."""
        space = self._field.space
        return {
            "cells": self._field.cells.clone(),
            "skip": self._field.skip.clone(),
            "bounds": self._bounds.clone(),
            "cells_per_unit": torch.tensor(space.cells_per_unit, dtype=torch.float64),
            "schedule": torch.tensor(
                [self._stage, self._rays_seen, self._finest, self._parts, self._pruned_at]
            ),
            **{f"adam.{name}": tensor for name, tensor in self._adam.state(self._used).items()},
            **{f"exposure.{name}": tensor for name, tensor in self._exposure.state().items()},
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned.

        Raises:
            ValueError: where names or shapes do not fit; then nothing is changed.
        """
        if state.keys() != self.state().keys():
            different = sorted(state.keys() ^ self.state().keys())
            raise ValueError(f"expected the tensors of a voxel_grid state, differing: {different}")
        exposure = self._exposure.values.shape
        rows = state["adam.values"]
        if rows.shape[1:] != (self._used,) or state["exposure.values"].shape != exposure:
            raise ValueError(
                f"expected rows of {self._used} channels and exposures {tuple(exposure)}, got "
                f"{tuple(rows.shape)} and {tuple(state['exposure.values'].shape)}"
            )
        self._bounds = state["bounds"].cpu().float()
        space = replace(
            space_over(self._bounds, self.config.resolutions[0], self.config, self.unbounded),
            cells_per_unit=float(state["cells_per_unit"]),
        )
        stored = torch.zeros(grid_shape(space), dtype=torch.bool)
        stored.view(-1)[state["cells"].long().cpu()] = True
        field = VoxelGridField(
            space, stored.to(self.device), self.config.degree, self.config.initial_density
        )
        field.skip = state["skip"].to(self.device).clone()
        numbers = state["schedule"].tolist()
        self._stage, self._rays_seen, self._finest, self._parts, self._pruned_at = numbers
        self._set_field(field)
        self._adam.load_state(_named(state, "adam."))
        self._exposure.load_state(_named(state, "exposure."))

    def _set_field(self, field: VoxelGridField) -> None:
        self._repeated.forget()
        self._field = field
        self._adam = SparseAdam(field.rows, self._parts, self.config.beta2)
        field.rows = self._adam.values
        config = self.config
        rates = config.density_rate, config.color_rate, config.harmonics_rate
        self._rates = self._by_channel(*rates)
        self._shares = self._by_channel(config.smooth_density, *2 * [config.smooth_color])

    def _by_channel(
        self, density: float, color: float, harmonics: float
    ) -> Float[Tensor, " channels"]:
        """What is multiplied by the share of the rates that is left, on the device."""
        values = torch.full((self._field.rows.shape[1],), harmonics, dtype=torch.float64)
        values[0], values[1:4] = density, color
        return values.to(self.device)

    def _update(
        self, rays: GridRays, rate: float | Tensor, surface: float
    ) -> tuple[float | Tensor, Tensor]:
        """One update from some rays. Returns the sum of squares and the gains' gradient."""
        config, field = self.config, self._field
        gain_gradient = torch.empty_like(rays.gains)
        adam, spread = self._adam, config.distortion
        error, _ = kernels.learn(
            field.grid, rays, adam.gradients, adam.touched, gain_gradient, spread, surface
        )
        count = len(rays.origins)
        self._adam.update(self._rates * rate, 1 / count)
        return error, gain_gradient

    def _rays_of_an_update(self) -> int:
        """Fewer in coarse grids, whose voxels are met as often by them."""
        most = self.config.update_rays
        return min(max(len(self._field.rows) // _VOXELS_PER_RAY, most // 4), most)

    def _smooth(self, rate: float) -> None:
        config, field = self.config, self._field
        if config.smooth_density or config.smooth_color:
            self._adam.smooth(field.cells, field.index, field.strides, self._shares * rate)

    def _refine_if_due(self, fraction: float) -> None:
        resolutions = stages(self.config, self._finest)
        due = sum(fraction >= at for at in stage_starts(self.config, len(resolutions)))
        while self._stage < due:
            self._stage += 1
            now = self._field.space.cells_per_unit * 2
            left = self._rays_seen * (1 - fraction) / max(fraction, 1e-6)
            # Surfaces grow with the square of the resolution.
            room = math.sqrt(self.config.most_voxels / len(self._field.rows))
            finer = min(float(resolutions[self._stage]), now * room)
            voxels = len(self._field.rows) * (finer / now) ** 2
            if finer > now and left >= self.config.rays_per_voxel * voxels:
                self._repeated.forget()  # which holds what an update of the whole table takes
                self._field.refine(finer / 2, self.config.prune_opacity)
                del self._adam  # whose table is as large as all else together
                self._set_field(self._field)

    def _prune_if_due(self, step: int) -> None:
        """Looks again at what is empty; less often as the grid grows finer and settles."""
        every = self.config.prune_every * (1 + self._stage) * (1 + min(step, 1000) // 100)
        if step - self._pruned_at >= every:
            self._field.refresh_skip(self._field.raw_of_opacity(self.config.prune_opacity))
            self._pruned_at = step

    def _choose_finest(self, batches: RayBatches) -> None:
        """The finest resolution whose cells are still as large as the pixels that show them."""
        center = self._bounds.mean(dim=0).numpy()
        sizes = [
            np.linalg.norm(view.camera_to_world[:3, 3] - center) / view.intrinsics.focal_x_px
            for view in batches.views
        ]
        side = float((self._bounds[1] - self._bounds[0]).max())
        pixel = max(float(np.median(sizes)), side * 1e-4)
        self._finest = math.ceil(side / (self.config.cell_pixels * pixel))

    def _choose_candidates(self, batches: RayBatches) -> None:
        """Leaves out pixels so far from every silhouette that their rays cannot meet the scene."""
        if self.unbounded:
            return
        pixels = pixels_near_silhouettes(batches)
        if len(pixels):
            batches.candidates = pixels


def _named(state: dict[str, Tensor], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
