# SPDX-License-Identifier: GPL-3.0-or-later
"""One shape as a template of Gaussians that can be looked at and moved."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..datasets.shape_set import ShapeSet
from ..fields.structured_implicit import LEVEL, StructuredImplicitField
from ..meshing.isosurface import Isosurface
from ..training.adam_state import Rate, ScheduledAdam
from .limits import LearningRate, Limits, NumPoints, NumSteps, Weight, Width
from .shape_base import OptimizedShapes


@dataclass(frozen=True, kw_only=True)
class StructuredImplicitConfig:
    """How the elements are made and fitted; the constants of the losses are the papers'.

    `local_dim` of 0 is SIF; more is LDIF, which the paper has 32 of. Each step draws `uniform`
    points and `near` ones, whose errors weigh `near_weight`. `sharpness` is how fast the sum is
    taken from inside to outside around its level.

    Source: Genova et al. 2019, secs. 3 and 4 (sharpness 100); Genova et al. 2020, secs. 3 and 4
        (32 elements, near points weighted 0.1).
    Differs: near points weigh more, for here every step has them; elements start at `first_radius`
        times the mean distance of inner points from the nearest element.
    """

    steps: NumSteps = 1500
    elements: Annotated[int, Limits(1, 1024)] = 32
    rotated: bool = True
    local_dim: Annotated[int, Limits(0, 1024)] = 0
    local_width: Width = 32
    uniform: NumPoints = 2048
    near: NumPoints = 2048
    near_weight: Weight = 0.5
    sharpness: Annotated[float, Limits(0.1, 10000.0)] = 100.0
    first_radius: Annotated[float, Limits(0.001, 100.0)] = 0.5
    learning_rate: LearningRate = 2e-2
    final_learning_rate: LearningRate = 5e-4


PRESETS: dict[str, StructuredImplicitConfig] = {
    "draft": StructuredImplicitConfig(steps=500),
    "standard": StructuredImplicitConfig(),
    "final": StructuredImplicitConfig(
        steps=4000, local_dim=32, learning_rate=1e-2, final_learning_rate=1e-4
    ),
}
"""SIF at two lengths, and LDIF."""


class StructuredImplicit(OptimizedShapes):
    """Fits Gaussians, and with `local_dim` what small networks add to them, to one shape.

    Source: Genova et al. 2019, "Learning shape templates with structured implicit functions";
        Genova et al. 2020, "Local deep implicit functions for 3D shape".
    Differs: the parameters themselves are optimised, from elements spread over the inside by
        farthest points, where the papers train a network that predicts them; so no loss is needed
        that draws elements into the shape.
    """

    name: ClassVar[str] = "structured_implicit"
    is_family: ClassVar[bool] = False
    gives_distances: ClassVar[bool] = False

    def __init__(
        self,
        config: StructuredImplicitConfig,
        bounds: Float[Tensor, "2 3"],
        num_shapes: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config, self.device, self._seed = config, torch.device(device), seed
        self.network: StructuredImplicitField = StructuredImplicitField(
            bounds.detach().to("cpu", torch.float32),
            config.elements,
            config.rotated,
            config.local_dim,
            config.local_width,
            torch.Generator().manual_seed(seed),
        ).to(self.device)
        learned = [one for one in self.network.parameters() if one.requires_grad]
        self.optimizer = ScheduledAdam(
            [Rate(learned, config.learning_rate, config.final_learning_rate)]
        )

    def prepare(self, shapes: ShapeSet) -> None:
        """Spreads the elements over the inside of the shape."""
        generator = torch.Generator().manual_seed(self._seed)
        inside = inside_points(shapes, generator)
        chosen = farthest_points(inside, self.config.elements)
        centers = inside[chosen]
        spacing = torch.cdist(inside, centers).amin(dim=1).mean()
        self.network.place(centers, float(self.config.first_radius * spacing.clamp(min=1e-3)))

    def _step(
        self, shapes: ShapeSet, fraction: float | Tensor, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on the squared error of softened occupancies (2019, eq. 4; 2020, eq. 3)."""
        config, only = self.config, shapes.first
        near, near_by = shapes.draw("near", only, config.near, generator)
        uniform, anywhere = shapes.draw("uniform", only, config.uniform, generator)
        points = torch.cat([uniform, near], dim=1)[0]
        outside = (torch.cat([anywhere, near_by], dim=1)[0] > 0).float()
        softened = torch.sigmoid(config.sharpness * (self.network(points) - LEVEL))
        errors = (softened - outside).square()
        loss = (
            errors[: config.uniform].mean() + config.near_weight * errors[config.uniform :].mean()
        )
        self.optimizer.step(loss, fraction)
        return {"loss": loss.detach()}

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        return self.network.isosurface()


def inside_points(
    shapes: ShapeSet, generator: torch.Generator, count: int = 4096
) -> Float[Tensor, "points 3"]:
    """Some samples of the first shape that lie inside, or on the surface of one without inside."""
    only = shapes.first
    drawn = [shapes.draw(pool, only, 8 * count, generator) for pool in ("uniform", "near")]
    inside = torch.cat([points[0][distances[0] < 0] for points, distances in drawn])
    if len(inside) < count // 8:
        inside = torch.cat([inside, shapes.draw("surface", only, count, generator)[0][0]])
    order = torch.randperm(len(inside), generator=generator)[:count]
    return inside[order.to(inside.device)]


def farthest_points(points: Float[Tensor, "points 3"], count: int) -> Int[Tensor, " count"]:
    """Points each of which is farthest from those before it, from the one nearest the middle on.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance".
    """
    first = (points - points.mean(dim=0)).norm(dim=-1).argmin()
    chosen = [first]
    distance = (points - points[first]).norm(dim=-1)
    while len(chosen) < count:
        chosen.append(distance.argmax())
        distance = torch.minimum(distance, (points - points[chosen[-1]]).norm(dim=-1))
    return torch.stack(chosen)
