# SPDX-License-Identifier: GPL-3.0-or-later
"""D-NeRF as it was published: a NeRF of time 0, and an MLP that bends all other times to it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.ray_batches import RayBatches
from ..datasets.time_curriculum import TimeCurriculum, views_so_far
from ..fields.base import RadianceField
from ..fields.dnerf import DNeRFWarp
from ..fields.warped import WarpedCondition, WarpedField, warp_points
from ..geometry.rays import Rays
from ..sampling.stratified import generator_for
from .base import TrainingProgress
from .hierarchical_method import HierarchicalMethod
from .hierarchical_rays import HierarchicalRays
from .learner import Learner
from .limits import NumSteps, Octaves, Share, SkipDepth, Width
from .nerf_config import NeRFConfig, make_field, network_names


@dataclass(frozen=True, kw_only=True)
class DNeRFConfig(NeRFConfig):
    """How the canonical field and the deformation are built and trained.

    The defaults are the paper's; what is not named here is NeRF's. `curriculum` is the share of
    the budget in which views join in the order of their times, 0 for all from the start.

    Source: Pumarola et al. 2021, "D-NeRF", sec. 4.1 (frequencies) and 5 (layers, rays, steps,
        learning rates); fine samples, the single network and the curriculum's length (100 of 800
        thousand steps) from the authors' program.
    Differs: each ray of a step may be of another time; the authors' program takes all of one image.
    """

    steps: NumSteps = 800_000
    one_network: bool = True
    deformation_width: Width = 256
    deformation_depth: SkipDepth = 8
    deformation_frequencies: Octaves = 10
    time_frequencies: Octaves = 4
    curriculum: Share = 0.125


PRESETS: dict[str, DNeRFConfig] = {
    "draft": DNeRFConfig(
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
        deformation_width=48,
        deformation_depth=4,
        deformation_frequencies=4,
        time_frequencies=3,
    ),
    "standard": DNeRFConfig(
        steps=6000,
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
        deformation_width=64,
        deformation_depth=4,
        deformation_frequencies=4,
    ),
    "final": DNeRFConfig(),
}
"""Minutes on two CPU cores, most of an hour on them, and the paper, which needs a GPU."""


class DNeRF(HierarchicalMethod):
    """Learns a field at time 0 and where everything is at other times, from rays and their times.

    Source: Pumarola et al. 2021, "D-NeRF", sec. 4 and 5.
    Differs: what differs of `nerf`; the curriculum is in shares of the budget. Pictures that are
        all of one time make a NeRF without deformation.
    """

    name: ClassVar[str] = "dnerf"
    is_dynamic: ClassVar[bool] = True

    def __init__(
        self,
        config: DNeRFConfig,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        num_views: int,
        device: torch.device,
        times: tuple[float, ...] = (),
        seed: int = 0,
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.moves = len(times) > 1
        generator = torch.Generator().manual_seed(seed)
        canonical = {
            name: make_field(config, bounds, unbounded, generator).to(self.device)
            for name in network_names(config)
        }
        self.fields = nn.ModuleDict(canonical)
        networks: list[RadianceField] = list(canonical.values())
        if self.moves:
            self._warp = DNeRFWarp(
                bounds,
                unbounded=unbounded,
                width=config.deformation_width,
                depth=config.deformation_depth,
                position_frequencies=config.deformation_frequencies,
                time_frequencies=config.time_frequencies,
                generator=generator,
            ).to(self.device)
            self.fields["warp"] = self._warp
            networks = [WarpedField(self._warp, network) for network in networks]
        self._rays = HierarchicalRays(
            config, networks, bounds, unbounded, self.device, self._condition
        )
        self._learner = Learner(
            self.name, self.fields, config.learning_rate, config.final_learning_rate
        )
        self._curriculum: TimeCurriculum | None = None

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on the squared errors of the networks; `mse` is the one that is shown's."""
        self._rays.leave_out_misses(batches)
        count = progress.part_of(self.config.rays)
        share, num_views = self.config.curriculum, batches.num_views
        learned_from = views_so_far(progress.fraction, share, num_views)
        if self.moves and learned_from < num_views:
            self._curriculum = self._curriculum or TimeCurriculum(batches)
            batch = self._curriculum.draw(count, learned_from, generator)
        else:
            batch = batches.draw(count, generator)
        _, errors = self._rays.errors(batch, generator_for(self.device, generator))
        loss = torch.stack(errors).sum()
        self._learner.step(loss, progress.fraction)
        return {"loss": loss.detach(), "mse": errors[-1].detach()}

    def to_canonical(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"]
    ) -> Float[Tensor, "points 3"]:
        """Where at time 0 is what lies at `points` at `times`."""
        if not self.moves:
            return points.clone()
        return warp_points(self._warp, points, times[:, None])

    def _condition(self, rays: Rays) -> WarpedCondition | None:
        if not self.moves:
            return None
        times = torch.zeros_like(rays.origins[:, 0]) if rays.times is None else rays.times
        return WarpedCondition(times[:, None, None])
