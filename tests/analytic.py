# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields whose answers are known exactly: opaque solids given by their signed distance."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from neural_backend.geometry.rays import Rays, RenderedRays
from neural_backend.methods import registry

Solid = Callable[[Tensor], Tensor]


def sphere(radius: float = 0.7, center: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Solid:
    return lambda points: (points - torch.tensor(center)).norm(dim=-1) - radius


def box(half: tuple[float, float, float], center: tuple[float, float, float] = (0, 0, 0)) -> Solid:
    def distance(points: Tensor) -> Tensor:
        beyond = (points - torch.tensor(center)).abs() - torch.tensor(half)
        return beyond.clamp(min=0).norm(dim=-1) + beyond.amax(dim=-1).clamp(max=0)

    return distance


def union(*solids: Solid) -> Solid:
    return lambda points: torch.stack([solid(points) for solid in solids]).amin(dim=0)


SCENES: dict[str, Solid] = {
    "sphere": sphere(),
    "two_spheres": union(sphere(0.6, (-0.3, 0, 0)), sphere(0.05, (0.8, 0.8, 0.8))),
    "box": box((0.5, 0.3, 0.4)),
    # Fills the lower half of the bounds, so that a camera above it looks at a plane.
    "floor": lambda points: points[..., 2],
}


def position_color(points: Tensor, directions: Tensor) -> Tensor:
    """A different color everywhere, the same from all sides."""
    return (points * 0.5 + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class AnalyticConfig:
    """`peak` density within, falling off over `softness` scene units around the surface."""

    scene: str = "sphere"
    peak: float = 200.0
    softness: float = 0.0


PRESETS = {name: AnalyticConfig() for name in ("draft", "standard", "final")}


def register() -> None:
    """Makes the method known as `analytic` in this process."""
    registry.METHODS["analytic"] = f"{__name__}:AnalyticMethod"


class AnalyticMethod:
    """An opaque solid that takes the place of a trained method."""

    name = "analytic"

    def __init__(self, config=None, bounds=None, unbounded=False, num_views=0, device=None):
        self.config = config or AnalyticConfig()
        self.device = device or torch.device("cpu")
        self.solid = SCENES[self.config.scene]
        self._bounds = torch.tensor([[-1.0] * 3, [1.0] * 3]) if bounds is None else bounds

    @property
    def bounds(self):
        return self._bounds

    def density(self, points):
        distance = self.solid(points)
        if self.config.softness == 0:
            return self.config.peak * (distance <= 0).float()
        return self.config.peak * torch.sigmoid(-distance / self.config.softness)

    def color(self, points, directions):
        return position_color(points, directions)

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """By sphere tracing: exact to about 1e-5 scene units."""
        t = torch.zeros(len(rays))
        for _ in range(128):
            t = t + self.solid(rays.origins + t[:, None] * rays.directions).clamp(max=10.0)
        points = rays.origins + t[:, None] * rays.directions
        hit = (self.solid(points).abs() < 1e-3) & (t > 0)
        hit &= ((points >= self._bounds[0] - 1e-3) & (points <= self._bounds[1] + 1e-3)).all(dim=-1)
        return RenderedRays(
            rgb=self.color(points, rays.directions) * hit[:, None],
            accumulation=hit.float(),
            depth=torch.where(hit, t, torch.inf),
            normals=self._normals(points) * hit[:, None] if normals else None,
        )

    def _normals(self, points):
        with torch.enable_grad():
            points = points.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.solid(points).sum(), points)
        return torch.nn.functional.normalize(gradient, dim=-1)

    def prepare(self, batches):
        pass

    def train_step(self, batches, progress, generator):
        return {"loss": 0.0}

    def state(self):
        return {"peak": torch.tensor(self.config.peak)}

    def load_state(self, state):
        if set(state) != {"peak"}:
            raise ValueError(f"expected peak, got {sorted(state)}")


def config_values(config: AnalyticConfig) -> dict:
    return asdict(config)
