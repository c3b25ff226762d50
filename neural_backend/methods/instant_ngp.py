# SPDX-License-Identifier: GPL-3.0-or-later
"""instant-ngp: a hash grid behind an occupancy grid, learned in seconds to minutes."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatch, RayBatches
from ..encodings.spherical_harmonics import spherical_harmonics
from ..fields.instant_ngp import InstantNGPField
from ..geometry.boxes import inside_box, intersect_box
from ..geometry.rays import Rays, RenderedRays
from ..kernels.hash_grid import hash_grid_layout
from ..kernels.instant_ngp import (
    FusedField,
    HashTable,
    LossSettings,
    Moments,
    Occupancy,
    RayTargets,
)
from ..sampling.occupancy_grid import OccupancyGrid
from .base import TrainingProgress


@dataclass(frozen=True, kw_only=True)
class InstantNGPConfig:
    """How the field is built and trained. Lengths are in the unit frame (see `InstantNGPField`).

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 3 and appendix E, and
        the values that its authors' program has come to (8 levels of 4 features).
    """

    steps: int = 4000
    levels: int = 8
    features_per_level: int = 4
    log2_entries: int = 16
    coarsest: int = 16
    finest: int = 1024
    width: int = 64
    color_layers: int = 2
    learning_rate: float = 1e-2
    final_learning_rate: float = 1e-3
    samples_per_step: int = 2**16
    first_rays: int = 512
    most_rays: int = 2**14
    occupancy_resolution: int = 64
    cascades: int = 6
    occupancy_warm_up: int = 100
    occupancy_every: int = 8
    occupancy_visits: int = 2**16
    occupancy_threshold: float = 0.03
    occupancy_decay: float = 0.7
    shortest_step: float = 2 * math.sqrt(3) / 512
    cone: float = 1 / 256
    nearest: float = 0.05
    near_fade: float = 0.2
    density_shift: float = -1.0
    huber: float = 0.1
    exposure: bool = True
    exposure_rate: float = 1e-3


PRESETS: dict[str, InstantNGPConfig] = {
    "draft": InstantNGPConfig(steps=1000),
    "standard": InstantNGPConfig(),
    "final": InstantNGPConfig(steps=20_000, log2_entries=19),
}


class InstantNGP:
    """Learns a hash-grid field from rays through occupied space.

    Source: Müller et al. 2022, "Instant neural graphics primitives".
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
        self.field = InstantNGPField(
            layout,
            bounds.float().cpu(),
            unbounded,
            config.width,
            config.color_layers,
            config.density_shift,
            torch.Generator().manual_seed(seed),
        ).to(self.device)
        cascades = config.cascades if unbounded else 1
        self.occupancy = OccupancyGrid(
            config.occupancy_resolution, cascades, self.device, config.occupancy_decay
        )
        self.log_gains = torch.zeros(num_views, 3, device=self.device)
        self.moments = {
            name: torch.zeros_like(value)
            for name, value in self._learned().items()
            for name in (f"{name}_first", f"{name}_second")
        }
        self.num_rays, self.updates = config.first_rays, 0
        self._fused = self._fuse()

    def _learned(self) -> dict[str, Tensor]:
        return {
            "table": self.field.encoding.table.data,
            "weights": self.field.weights.data,
            "log_gains": self.log_gains,
        }

    def _fuse(self) -> FusedField:
        layout = self.field.encoding.layout
        hashed = HashTable(
            self.field.encoding.table.detach().numpy(),
            np.array(layout.resolutions, np.int64),
            np.array(layout.offsets, np.int64),
            self.unbounded,
            self.config.density_shift,
        )
        moments = Moments(
            *(
                self.moments[f"{name}_{order}"].numpy()
                for name in ("table", "weights")
                for order in ("first", "second")
            )
        )
        return FusedField(
            hashed,
            self.field.weights.detach().numpy(),
            self.config.width,
            self.config.color_layers,
            moments,
        )

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self.field.bounds

    def prepare(self, batches: RayBatches) -> None:
        pass

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        config = self.config
        if self.updates % config.occupancy_every == 0 and self.updates >= config.occupancy_warm_up:
            self.occupancy.update(
                self._unit_density, generator, config.occupancy_visits, config.occupancy_threshold
            )
        self.updates += 1
        batch = batches.draw(self.num_rays, generator)
        jitters = torch.rand(self.num_rays, generator=generator)
        backgrounds = torch.rand(self.num_rays, 3, generator=generator)
        targets = self._targets(batch, jitters, backgrounds)
        rate = config.learning_rate * self._decay(progress.fraction)
        result = self._fused.step(
            targets,
            self._occupancy_view(),
            LossSettings(config.huber, 1 / config.near_fade, 9.2),
            (rate, rate),
            (0.9, 0.99),
            1e-15,
            self.updates,
        )
        self._learn_gains(batch.rays.views, torch.from_numpy(result.d_gains))
        work = 0.3 * result.candidates + 0.7 * result.samples
        wanted = self.num_rays * config.samples_per_step / max(work, 1)
        self.last = result
        self.num_rays = int(
            min(max(wanted, self.num_rays / 2, 64), self.num_rays * 2, config.most_rays)
        )
        return {
            "loss": result.loss / len(jitters),
            "mse": result.squared_error / (3 * len(jitters)),
        }

    def _decay(self, fraction: float) -> float:
        start = 0.3
        if fraction < start:
            return min(1.0, (self.updates + 1) / 20)
        f = (fraction - start) / (1 - start)
        return (self.config.final_learning_rate / self.config.learning_rate) ** f

    def _learn_gains(self, views, slopes):
        if not (self.unbounded and self.config.exposure):
            return
        total = torch.zeros_like(self.log_gains).index_add_(0, views, slopes)
        first, second = self.moments["log_gains_first"], self.moments["log_gains_second"]
        first.mul_(0.9).add_(total, alpha=0.1)
        second.mul_(0.99).addcmul_(total, total, value=0.01)
        t = self.updates
        step = first / (1 - 0.9**t) / ((second / (1 - 0.99**t)).sqrt() + 1e-12)
        self.log_gains -= self.config.exposure_rate * step
        self.log_gains -= self.log_gains.mean(dim=0)

    def _unit_density(self, points):
        return torch.from_numpy(self._fused.density(points.numpy()))

    def _occupancy_view(self):
        return Occupancy(
            self.occupancy.occupied.numpy(),
            self.occupancy.resolution,
            self.config.shortest_step,
            self.config.cone if self.unbounded else 0.0,
        )

    def _segments(self, rays: Rays):
        origins = self.field.to_unit(rays.origins)
        reach = 2.0 ** (self.occupancy.cascades - 1)
        box = torch.tensor([[-reach] * 3, [reach] * 3])
        near, far = intersect_box(origins, rays.directions, box)
        return origins, near.clamp(min=self.config.nearest), far

    def _targets(self, batch: RayBatch, jitters, backgrounds):
        origins, near, far = self._segments(batch.rays)
        alpha = batch.rgba[:, 3:]
        target = batch.rgba[:, :3] * alpha + (1 - alpha) * backgrounds
        arrays = (
            origins,
            batch.rays.directions,
            near,
            far,
            jitters,
            spherical_harmonics(batch.rays.directions, 3),
            target,
            backgrounds,
            self.log_gains[batch.rays.views].exp(),
        )
        return RayTargets(*(a.contiguous().numpy() for a in arrays))

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        origins, near, far = self._segments(rays)
        none = torch.zeros(0, 3)
        arrays = (
            origins,
            rays.directions,
            near,
            far,
            torch.full_like(near, 0.5),
            spherical_harmonics(rays.directions, 3),
            none,
            none,
            none,
        )
        seen = torch.from_numpy(
            self._fused.render(
                RayTargets(*(a.contiguous().numpy() for a in arrays)), self._occupancy_view(), 1e-3
            )
        )
        acc = seen[:, 3]
        depth = torch.where(
            acc > 1e-6, seen[:, 4] / acc.clamp(min=1e-6) * self.field.half, torch.inf
        )
        return RenderedRays(seen[:, :3], acc, depth)
