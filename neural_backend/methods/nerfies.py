# SPDX-License-Identifier: GPL-3.0-or-later
"""Nerfies as they were published: a NeRF behind an elastic field of rigid motions."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.ray_batches import RayBatches
from ..fields.base import RadianceField
from ..fields.latent_codes import TimeCodes, ViewCodes
from ..fields.nerf import DensityActivation
from ..fields.nerfies import SE3Warp
from ..fields.warped import WarpedCondition, WarpedField, warp_points
from ..geometry.jacobians import jacobians
from ..geometry.rays import Rays
from ..sampling.box_shell import sample_box_shell
from ..sampling.stratified import generator_for
from ..sampling.weighted_choice import choose_by_weight
from ..training.deformation_losses import elastic_energy, geman_mcclure, squared_displacement
from .base import TrainingProgress
from .hierarchical_method import HierarchicalMethod
from .hierarchical_rays import HierarchicalRays, Shown
from .learner import Learner
from .limits import (
    LearningRate,
    Limits,
    NumPoints,
    NumRays,
    NumSteps,
    Octaves,
    Share,
    SkipDepth,
    Weight,
    Width,
)
from .nerf_config import NeRFConfig, Samples, make_field, network_names


@dataclass(frozen=True, kw_only=True)
class NerfiesConfig(NeRFConfig):
    """How the template and the deformation are built and trained; the defaults are the paper's.

    What is not named here is NeRF's. The warp's waves have all eased in at `annealed_at` of the
    budget, one after the other. Each step takes the elastic loss of `elastic_rays` samples and the
    background loss of `background_points` points. `appearance_dim` 0 leaves the codes of views out.

    Source: Park et al. 2021, "Nerfies", sec. 3 and its implementation details (frequencies,
        annealing in 80 of 100 thousand steps, weights of the losses, sizes); rays, samples,
        frequencies of positions and learning rates from the authors' configuration of the paper's
        validation rig, whose rate has come to 1e-3 / √10 at the end.
    """

    steps: NumSteps = 100_000
    rays: NumRays = 6144
    coarse_samples: Samples = 128
    position_frequencies: Octaves = 8
    density_activation: DensityActivation = "softplus"
    learning_rate: LearningRate = 1e-3
    final_learning_rate: LearningRate = 3.16e-4
    deformation_width: Width = 128
    deformation_depth: SkipDepth = 6
    deformation_frequencies: Octaves = 6
    deformation_dim: Annotated[int, Limits(1, 1024)] = 8
    appearance_dim: Annotated[int, Limits(0, 1024)] = 8
    annealed_at: Share = 0.8
    elastic_weight: Weight = 1e-3
    elastic_rays: NumRays = 6144
    background_weight: Weight = 1e-3
    background_points: NumPoints = 16384
    robust_scale: Annotated[float, Limits(1e-6, 1000.0)] = 0.03


PRESETS: dict[str, NerfiesConfig] = {
    "draft": NerfiesConfig(
        steps=1500,
        rays=512,
        coarse_samples=24,
        fine_samples=24,
        one_network=True,
        width=64,
        depth=4,
        position_frequencies=6,
        direction_frequencies=2,
        background="random",
        learning_rate=5e-3,
        final_learning_rate=5e-4,
        deformation_width=48,
        deformation_depth=4,
        deformation_frequencies=4,
        elastic_rays=128,
        background_points=256,
    ),
    "standard": NerfiesConfig(
        steps=6000,
        rays=1024,
        coarse_samples=32,
        fine_samples=48,
        one_network=True,
        width=96,
        depth=6,
        position_frequencies=8,
        background="random",
        learning_rate=2e-3,
        final_learning_rate=1e-4,
        deformation_width=64,
        deformation_depth=5,
        elastic_rays=256,
        background_points=512,
    ),
    "final": NerfiesConfig(),
}
"""Minutes on two CPU cores, most of an hour on them, and the paper, which needs GPUs."""


class Nerfies(HierarchicalMethod):
    """Learns a template and how every time's code bends space into it.

    Source: Park et al. 2021, "Nerfies", sec. 3.
    Differs: what differs of `nerf`. The background loss wants points that are known to stand still:
        the paper takes those of structure from motion, which captures do not keep, so that unless
        `static_points` are given it takes random ones from the shell between the bounds and a box
        of twice their size (photos: what moves is inside), or on the bounds' faces (objects on
        alpha: it holds the frame in place). It is robust like the elastic loss, as in the authors'
        program. The elastic loss, which the paper sums over all samples of the coarse rays by
        their weights, is estimated from one sample a ray, drawn by them (with `one_network`, of
        the fine rays). Frames of one time share a code. Pictures that are all of one time make a
        NeRF without deformation.
    """

    name: ClassVar[str] = "nerfies"
    is_dynamic: ClassVar[bool] = True

    def __init__(
        self,
        config: NerfiesConfig,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        num_views: int,
        device: torch.device,
        times: tuple[float, ...] = (),
        seed: int = 0,
        static_points: Float[Tensor, "points 3"] | None = None,
    ) -> None:
        """`static_points` are not saved: a training that is resumed takes them again."""
        self.config = config
        self.device = torch.device(device)
        self.moves = len(times) > 1
        self._static = None if static_points is None else static_points.to(self.device)
        self._shell = 1.0 if unbounded else 0.0
        generator = torch.Generator().manual_seed(seed)
        networks: list[RadianceField] = []
        self.fields = nn.ModuleDict()
        for name in network_names(config):
            network = make_field(config, bounds, unbounded, generator, config.appearance_dim)
            self.fields[name] = network.to(self.device)
            networks.append(network)
        if config.appearance_dim:
            self._appearances = ViewCodes(num_views, config.appearance_dim, generator)
            self.fields["appearances"] = self._appearances.to(self.device)
        if self.moves:
            self._warp = SE3Warp(
                bounds,
                unbounded=unbounded,
                code_dim=config.deformation_dim,
                width=config.deformation_width,
                depth=config.deformation_depth,
                num_frequencies=config.deformation_frequencies,
                generator=generator,
            ).to(self.device)
            self._codes = TimeCodes(times, config.deformation_dim, generator).to(self.device)
            self.fields["warp"], self.fields["codes"] = self._warp, self._codes
            networks = [WarpedField(self._warp, network) for network in networks]
        self._rays = HierarchicalRays(
            config, networks, bounds, unbounded, self.device, self._condition
        )
        self._learner = Learner(
            self.name, self.fields, config.learning_rate, config.final_learning_rate
        )

    def train_step(
        self, batches: RayBatches, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on the errors of the pictures and both regularisers; `mse` is the shown's.

        `elastic` and `background` are these two before their weights.
        """
        self._rays.leave_out_misses(batches)
        if self.moves:
            self._warp.alpha.fill_(self._alpha(progress.fraction))
        batch = batches.draw(progress.part_of(self.config.rays), generator)
        random = generator_for(self.device, generator)
        shown, errors = self._rays.errors(batch, random)
        loss = torch.stack(errors).sum()
        values: dict[str, float | Tensor] = {"mse": errors[-1].detach()}
        if self.moves and self.config.elastic_weight > 0:
            elastic = self._elastic_loss(batch.rays, shown[0], random)
            loss = loss + self.config.elastic_weight * elastic
            values["elastic"] = elastic.detach()
        if self.moves and self.config.background_weight > 0:
            background = self._background_loss(random)
            loss = loss + self.config.background_weight * background
            values["background"] = background.detach()
        self._learner.step(loss, progress.fraction)
        return {"loss": loss.detach(), **values}

    def to_canonical(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"]
    ) -> Float[Tensor, "points 3"]:
        """Where in the template, which need not be the scene at any time, `points` belong."""
        if not self.moves:
            return points.clone()
        with torch.no_grad():
            codes = self._codes(times)
        return warp_points(self._warp, points, codes)

    def _condition(self, rays: Rays) -> WarpedCondition | Tensor | None:
        appearance = None
        if self.config.appearance_dim:
            appearance = self._appearances(rays.views, len(rays))[:, None]
        if not self.moves:
            return appearance
        return WarpedCondition(self._codes(_times(rays))[:, None], appearance)

    def _alpha(self, fraction: float) -> float:
        """How many of the warp's waves have eased in (sec. 3.5)."""
        annealed = fraction / self.config.annealed_at if self.config.annealed_at > 0 else 1.0
        return self.config.deformation_frequencies * min(annealed, 1.0)

    def _elastic_loss(self, rays: Rays, shown: Shown, generator: torch.Generator) -> Tensor:
        """The robust elastic energy of what the first rays see (sec. 3.3)."""
        count = min(self.config.elastic_rays, len(rays))
        weights = shown.weights[:count].detach()
        chosen = choose_by_weight(weights, generator)
        points = shown.points[torch.arange(count, device=self.device), chosen]
        codes = self._codes(_times(rays[:count]).to(self.device))
        energy = elastic_energy(jacobians(lambda at: self._warp(at, codes), points))
        # The mean over a ray's samples by weight, times the sum of the weights, is their sum.
        return (weights.sum(dim=-1) * geman_mcclure(energy, self.config.robust_scale)).mean()

    def _background_loss(self, generator: torch.Generator) -> Tensor:
        """How far points that stand still are moved at random times, in half sides (sec. 3.4)."""
        count = self.config.background_points
        if self._static is None:
            points = sample_box_shell(self.bounds, self._shell, count, generator)
        else:
            high = len(self._static)
            points = self._static[
                torch.randint(high, (count,), generator=generator, device=self.device)
            ]
        high = len(self._codes.codes)
        times = torch.randint(high, (count,), generator=generator, device=self.device)
        moved = self._warp(points, self._codes.codes[times])
        squared = squared_displacement(moved, points) / self._warp.half_side**2
        return geman_mcclure(squared, self.config.robust_scale).mean()


def _times(rays: Rays) -> Tensor:
    return torch.zeros_like(rays.origins[:, 0]) if rays.times is None else rays.times
