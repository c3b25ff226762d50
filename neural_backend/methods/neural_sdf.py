# SPDX-License-Identifier: GPL-3.0-or-later
"""One shape as a signed distance in a hash grid: the fast way from a mesh to a field."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets.shape_set import ShapeSet
from ..fields.neural_sdf import NeuralSDFField
from ..kernels.hash_grid import hash_grid_layout
from ..meshing.isosurface import Isosurface
from ..training.adam_state import Rate, ScheduledAdam
from ..training.shape_losses import distance_slopes, eikonal_error, relative_distance_error
from .limits import (
    FeaturesPerLevel,
    LearningRate,
    LevelResolution,
    Levels,
    Limits,
    Log2Entries,
    NumPoints,
    NumPointsOrZero,
    NumSteps,
    Share,
    Weight,
    Width,
    refuse_more,
)
from .shape_base import OptimizedShapes, at_most_one


@dataclass(frozen=True, kw_only=True)
class NeuralSDFConfig:
    """How the field is built and trained.

    Each step draws `surface`, `near` and `uniform` samples, in instant-ngp's proportions of 4, 3
    and 1, and `slopes` points whose slopes should be 1. Levels beyond the first `first_levels`
    come in evenly until `fine_at` of the training. `floor` is the distance, in unit frames, below
    which errors count absolutely. `eikonal` and `curvature` weigh slopes that are not 1 and
    Laplacians; the latter's weight shrinks with the cells over which they are taken.
    """

    steps: NumSteps = 1200
    levels: Levels = 7
    features_per_level: FeaturesPerLevel = 4
    log2_entries: Log2Entries = 15
    coarsest: LevelResolution = 8
    finest: LevelResolution = 256
    width: Width = 64
    depth: Annotated[int, Limits(1, 32)] = 2
    sharpness: Annotated[float, Limits(0.1, 1000.0)] = 20.0
    surface: NumPointsOrZero = 4096
    near: NumPoints = 3072
    uniform: NumPointsOrZero = 1024
    slopes: NumPoints = 1024
    first_levels: Annotated[float, Limits(0.0, 32.0)] = 2.0
    fine_at: Share = 0.4
    floor: Annotated[float, Limits(0.0001, 10.0)] = 0.02
    eikonal: Weight = 0.05
    curvature: Weight = 5e-6
    learning_rate: LearningRate = 1e-2
    final_learning_rate: LearningRate = 3e-4

    def __post_init__(self) -> None:
        """Raises ValueError where settings contradict each other."""
        refuse_more(self, "coarsest", "finest")


PRESETS: dict[str, NeuralSDFConfig] = {
    "draft": NeuralSDFConfig(steps=400, finest=128, levels=6),
    "standard": NeuralSDFConfig(),
    "final": NeuralSDFConfig(steps=8000, levels=8, finest=512, log2_entries=19),
}


class NeuralSDF(OptimizedShapes):
    """Learns a hash grid of signed distances, coarse levels first.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 5.2; Li et al. 2023,
        "Neuralangelo", sec. 3 (slopes by differences over a cell, coarse to fine, curvature).
    Differs: slopes should be 1 (eikonal) and the surface smooth, where instant-ngp only compares
        distances and leaves a grain; few levels of four features, of which most are dense.
    """

    name: ClassVar[str] = "neural_sdf"
    is_family: ClassVar[bool] = False
    gives_distances: ClassVar[bool] = True

    def __init__(
        self,
        config: NeuralSDFConfig,
        bounds: Float[Tensor, "2 3"],
        num_shapes: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config, self.device = config, torch.device(device)
        layout = hash_grid_layout(
            config.levels,
            config.features_per_level,
            config.log2_entries,
            config.coarsest,
            config.finest,
        )
        generator = torch.Generator().manual_seed(seed)
        self.network: NeuralSDFField = NeuralSDFField(
            layout,
            bounds.detach().to("cpu", torch.float32),
            config.width,
            config.depth,
            config.sharpness,
            generator,
        ).to(self.device)
        parameters = list(self.network.parameters())
        self.optimizer = ScheduledAdam(
            [Rate(parameters, config.learning_rate, config.final_learning_rate)],
            betas=(0.9, 0.99),
            eps=1e-15,
        )

    def warm_up(self) -> None:
        """Compiles the kernels of the hash grid."""
        points = torch.zeros(1, 3, device=self.device)
        self.network(points).sum().backward()
        self.network.zero_grad(set_to_none=True)

    def levels_at(self, fraction: float | Tensor) -> float | Tensor:
        """How many levels count when `fraction` of the training is over."""
        first = min(self.config.first_levels, float(self.config.levels))
        grown = at_most_one(fraction / max(self.config.fine_at, 1e-9))
        return first + (self.config.levels - first) * grown

    def _step(
        self, shapes: ShapeSet, fraction: float | Tensor, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on errors of distances, slopes and curvature."""
        config, levels = self.config, self.levels_at(fraction)
        only = shapes.first
        surface, on_it = shapes.draw("surface", only, config.surface, generator)
        near, near_by = shapes.draw("near", only, config.near, generator)
        uniform, anywhere = shapes.draw("uniform", only, config.uniform, generator)
        points = torch.cat([surface, near, uniform], dim=1)[0]
        true = torch.cat([on_it, near_by, anywhere], dim=1)[0]
        predicted = self.network(points, levels=levels)
        error = relative_distance_error(predicted, true, config.floor).mean()
        half = config.slopes // 2
        sloping = torch.cat([surface[0, :half], near[0, : config.slopes - half]])
        cell = self.network.cell(levels)
        gradients, laplacians = distance_slopes(
            lambda places: self.network(places, levels=levels), sloping, cell
        )
        # As cells shrink the same grain bends the surface ever more.
        bending = laplacians.abs().mean() * (cell / self.network.cell(1)) * config.curvature
        loss = error + config.eikonal * eikonal_error(gradients) + bending
        self.optimizer.step(loss, fraction)
        return {"loss": loss.detach(), "distance": error.detach()}

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        return self.network.isosurface()
