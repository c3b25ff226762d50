# SPDX-License-Identifier: GPL-3.0-or-later
"""NeRF as it was published: a coarse and a fine MLP, and every part that can be switched off."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.ray_batches import RayBatches
from ..sampling.stratified import generator_for
from .base import TrainingProgress
from .hierarchical_method import HierarchicalMethod
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


class NeRF(HierarchicalMethod):
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

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on the squared errors of both networks (eq. 6); `mse` is the last one's."""
        self._rays.leave_out_misses(batches)
        batch = batches.draw(progress.part_of(self.config.rays), generator)
        _, errors = self._rays.errors(batch, generator_for(self.device, generator))
        loss = torch.stack(errors).sum()
        self._learner.step(loss, progress.fraction)
        return {"loss": loss.detach(), "mse": errors[-1].detach()}
