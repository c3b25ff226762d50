# SPDX-License-Identifier: GPL-3.0-or-later
"""A family of shapes as one network that is shown points on a shape's surface."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.shape_set import Pool, ShapeSet
from ..fields.occupancy_network import OccupancyNetworkField
from ..meshing.isosurface import Isosurface
from ..sampling.bends import draw_bends
from ..sampling.grafts import draw_grafts
from ..sampling.leans import draw_leans
from ..training.adam_state import Rate, ScheduledAdam
from ..training.shape_losses import occupancy_error
from .limits import (
    LearningRate,
    LearningRateOrZero,
    Limits,
    NumPointsOrZero,
    NumSteps,
    Octaves,
    Share,
    ShareBelowOne,
    Weight,
    Width,
    refuse_no_points,
)
from .shape_base import Observation, OptimizedShapes

_LEAST_SPREAD = 1e-4
"""Of a component of the codes, by which its changes are measured."""


@dataclass(frozen=True, kw_only=True)
class OccupancyNetworkConfig:
    """How the network is built and trained; the defaults are the paper's.

    Each step shows `cloud` points on the surface, off it by `cloud_noise`, of each of `shapes`
    shapes, and asks for `uniform` points in the box and `near` ones about the surface. Each
    time shapes are bent anew, along each axis by up to `swing`, in length by up to `stretch`, and
    across the axes by slopes up to `lean`,
    and a share `grafted` of them is one shape above a plane and another below it. A new shape's
    code is the encoder's, then changed in `fit_steps` steps of `fit_rate` deviations so that the
    surface goes through its points; staying as it was counts by `fit_prior`.

    Source: Mescheder et al. 2019, "Occupancy networks", sec. 4 (300 points with noise of 0.05 of a
        tenth of the box), supplementary sec. 1 and 2 and the authors' program (64 shapes, 2048
        points, rate 1e-4, threshold 0.2).
    Differs: points about the surface, bent and grafted shapes and the search for a code are
        extensions; the paper has none.
    """

    steps: NumSteps = 300_000
    latent_dim: Width = 512
    encoder_width: Width = 512
    width: Width = 256
    blocks: Annotated[int, Limits(1, 32)] = 5
    frequencies: Octaves = 0
    threshold: Annotated[float, Limits(0.001, 0.999)] = 0.2
    shapes: Annotated[int, Limits(1, 4096)] = 64
    cloud: Annotated[int, Limits(1, 2**16)] = 300
    cloud_noise: Share = 0.01
    uniform: NumPointsOrZero = 2048
    near: NumPointsOrZero = 0
    swing: ShareBelowOne = 0.0
    stretch: ShareBelowOne = 0.0
    lean: Share = 0.0
    grafted: Share = 0.0
    fit_steps: Annotated[int, Limits(0, 10**6)] = 0
    fit_rate: LearningRateOrZero = 0.01
    fit_prior: Weight = 1.0
    learning_rate: LearningRate = 1e-4
    final_learning_rate: LearningRate = 1e-4

    def __post_init__(self) -> None:
        """Raises ValueError where settings contradict each other."""
        refuse_no_points(self, "uniform", "near")


_SMALL = OccupancyNetworkConfig(
    steps=6000,
    latent_dim=128,
    encoder_width=48,
    width=96,
    blocks=3,
    frequencies=3,
    threshold=0.5,
    shapes=24,
    uniform=96,
    near=96,
    swing=0.5,
    stretch=0.15,
    lean=0.3,
    grafted=0.5,
    fit_steps=100,
    learning_rate=2e-3,
    final_learning_rate=1e-4,
)

PRESETS: dict[str, OccupancyNetworkConfig] = {
    "draft": OccupancyNetworkConfig(**{**vars(_SMALL), "steps": 1500, "width": 64, "blocks": 2}),
    "standard": _SMALL,
    "final": OccupancyNetworkConfig(),
}
"""A minute and ten minutes on two CPU cores, and the paper, which needs a GPU."""


class _Conditioned(nn.Module):
    """The network and the clouds by which the learned shapes are known."""

    clouds: Float[Tensor, "shapes points 3"]

    def __init__(self, field: OccupancyNetworkField, num_shapes: int, points: int) -> None:
        super().__init__()
        self.field = field
        self.register_buffer("clouds", torch.zeros(num_shapes, points, 3))


class OccupancyNetwork(OptimizedShapes):
    """Learns an encoder of point clouds and a decoder to occupancies.

    A shape's code is what the encoder makes of points on its surface, so that a new shape takes no
    search.

    Source: Mescheder et al. 2019, "Occupancy networks", sec. 3.
    Differs: meshes come from the package's coarse-to-fine grid, which does what MISE does: it
        refines cells whose corners or random samples differ, and whatever the surface leads to.
    """

    name: ClassVar[str] = "occupancy_network"
    is_family: ClassVar[bool] = True
    gives_distances: ClassVar[bool] = False

    def __init__(
        self,
        config: OccupancyNetworkConfig,
        bounds: Float[Tensor, "2 3"],
        num_shapes: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config, self.device = config, torch.device(device)
        field = OccupancyNetworkField(
            bounds.detach().to("cpu", torch.float32),
            config.latent_dim,
            config.encoder_width,
            config.width,
            config.blocks,
            config.frequencies,
            config.threshold,
            torch.Generator().manual_seed(seed),
        )
        self.network: _Conditioned = _Conditioned(field, num_shapes, config.cloud)
        self.network.to(self.device)
        rate = Rate(list(field.parameters()), config.learning_rate, config.final_learning_rate)
        self.optimizer = ScheduledAdam([rate])

    def prepare(self, shapes: ShapeSet) -> None:
        """Keeps some surface points of each shape, from which its code is made."""
        for number in range(len(shapes)):
            surface = shapes.surface(number)
            chosen = torch.linspace(0, len(surface) - 1, self.config.cloud).long()
            self.network.clouds[number] = surface[chosen]

    def _step(
        self, shapes: ShapeSet, fraction: float | Tensor, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on the cross entropy of occupancies (eq. 3)."""
        config = self.config
        count = min(config.shapes, len(shapes))
        here = generator.device
        chosen = torch.randperm(len(shapes), generator=generator, device=here)[:count]
        others = torch.randperm(len(shapes), generator=generator, device=here)[:count]
        is_whole = torch.rand(count, generator=generator, device=here) >= config.grafted
        pair = chosen, torch.where(is_whole, chosen, others)
        grafts = draw_grafts(count, generator, self.device)

        def drawn(pool: Pool, number: int) -> tuple[Tensor, Tensor]:
            above, below = (shapes.draw(pool, part, number, generator) for part in pair)
            return grafts.join(above, below, generator)

        clouds, _ = drawn("surface", config.cloud)
        near, near_by = drawn("near", config.near)
        uniform, anywhere = drawn("uniform", config.uniform)
        noise = torch.randn(clouds.shape, generator=generator, device=here).to(self.device)
        points = torch.cat([near, uniform], dim=1)
        inside = (torch.cat([near_by, anywhere], dim=1) < 0).float()
        bends = draw_bends(count, config.swing, config.stretch, generator, self.device)
        leans = draw_leans(count, config.lean, generator, self.device)
        clouds, points = (leans.move(bends.move(part)) for part in (clouds, points))
        self.network.train()
        codes = self.network.field.encode(clouds + config.cloud_noise * noise)
        loss = occupancy_error(self.network.field.each(points, codes), inside)
        self.optimizer.step(loss, fraction)
        return {"loss": loss.detach()}

    @torch.no_grad()
    def codes(self) -> Float[Tensor, "shapes latent"]:
        return self.network.field.encode(self.network.clouds)

    def fit_latent(
        self, seen: Observation, generator: torch.Generator, steps: int = 0
    ) -> Float[Tensor, " latent"]:
        """The code of as many of the surface points as a cloud has, changed so that they fit.

        Raises:
            ValueError: without points on the surface.
        """
        if not len(seen.surface):
            raise ValueError("expected points on a surface, got none")
        config, field = self.config, self.network.field
        index = torch.randperm(len(seen.surface), generator=generator)[: config.cloud]
        cloud = seen.surface[index][None]
        self.network.eval()
        with torch.no_grad():
            guess = field.encode(cloud)[0]
            spread = self.codes().std(dim=0, correction=0).clamp(min=_LEAST_SPREAD)
        code = guess.clone().requires_grad_(True)
        adam = torch.optim.Adam([code], lr=config.fit_rate * float(spread.mean()))
        for _ in range(steps or config.fit_steps):
            chance = torch.sigmoid(field.each(cloud, code[None]) - field.level)
            change = ((code - guess) / spread).square().mean()
            loss = (2 * chance - 1).square().mean() + config.fit_prior * change
            (code.grad,) = torch.autograd.grad(loss, code)
            adam.step()
        return code.detach()

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        return self.network.field.isosurface(latent)

    @property
    def numbers_shared(self) -> int:
        return sum(parameter.numel() for parameter in self.network.field.parameters())

    @property
    def numbers_per_shape(self) -> int:
        return 3 * self.config.cloud
