# SPDX-License-Identifier: GPL-3.0-or-later
"""NeRF as it was published: a coarse and a fine MLP, and every part that can be switched off."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.ray_batches import RayBatches
from ..geometry.rays import Rays, RenderedRays
from ..sampling.stratified import generator_for
from .base import TrainingProgress
from .hierarchical_rays import HierarchicalRays
from .learner import Learner
from .nerf_config import NeRFConfig, make_field, network_names

__all__ = ["PRESETS", "NeRF", "NeRFConfig"]


PRESETS: dict[str, NeRFConfig] = {
    "draft": NeRFConfig(
        steps=1500,
        rays=512,
        coarse_samples=24,
        fine_samples=24,
        width=64,
        depth=4,
        position_frequencies=6,
        direction_frequencies=2,
        density_activation="softplus",
        background="random",
        learning_rate=5e-3,
        final_learning_rate=5e-4,
    ),
    "standard": NeRFConfig(
        steps=5000,
        rays=1024,
        coarse_samples=32,
        fine_samples=48,
        width=96,
        depth=6,
        position_frequencies=8,
        density_activation="softplus",
        background="random",
        learning_rate=2e-3,
        final_learning_rate=1e-4,
    ),
    "final": NeRFConfig(),
}
"""Minutes on two CPU cores, most of an hour on them, and the paper, which needs a GPU."""


class NeRF:
    """Learns a coarse and a fine field from rays.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.
    Differs: each ray is sampled where it crosses the bounds, and what it does not meet there stays
        transparent (the authors' program lets the last sample reach to infinity). Unbounded scenes
        are contracted and sampled evenly near, evenly in 1/distance far away, instead of warped to
        normalised device coordinates, which only suit cameras that face one way. Products run in
        bfloat16 where that is fast.
    """

    name: ClassVar[str] = "nerf"

    def __init__(
        self,
        config: NeRFConfig,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        num_views: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        generator = torch.Generator().manual_seed(seed)
        networks = {
            name: make_field(config, bounds, unbounded, generator).to(self.device)
            for name in network_names(config)
        }
        self.fields = nn.ModuleDict(networks)
        self._rays = HierarchicalRays(
            config, list(networks.values()), bounds, unbounded, self.device
        )
        self._learner = Learner(
            self.name, self.fields, config.learning_rate, config.final_learning_rate
        )

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        return self._rays.bounds

    def prepare(self, batches: RayBatches) -> None:
        """There is nothing to prepare: what a resumed training needs too is done in its steps."""

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on the squared errors of both networks (eq. 6); `mse` is the last one's."""
        self._rays.leave_out_misses(batches)
        batch = batches.draw(self.config.rays, generator)
        _, errors = self._rays.errors(batch, generator_for(self.device, generator))
        loss = torch.stack(errors).sum()
        self._learner.step(loss, progress.fraction)
        return {"loss": loss.detach(), "mse": errors[-1].detach()}

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the field shows, samples at the middles and quantiles of their parts."""
        return self._rays.render_rays(rays, normals)

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per scene unit; passes gradients on where `points` ask for them."""
        return self._rays.density(points)

    def color(
        self, points: Float[Tensor, "points 3"], directions: Float[Tensor, "points 3"]
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` seen along `directions`."""
        return self._rays.color(points, directions)

    def state(self) -> dict[str, Tensor]:
        """Copies of both networks and of Adam's moments."""
        return self._learner.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned. Raises ValueError where names or shapes do not fit."""
        self._learner.load_state(state)
