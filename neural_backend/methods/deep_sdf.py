# SPDX-License-Identifier: GPL-3.0-or-later
"""A family of shapes as one network and a code for each."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.shape_set import ShapeSet
from ..fields.deep_sdf import DeepSDFField
from ..meshing.isosurface import Isosurface
from ..training.adam_state import Rate, ScheduledAdam
from ..training.shape_losses import clamped_distance_error, code_prior
from .shape_base import Observation, OptimizedShapes, TrainingProgress


@dataclass(frozen=True, kw_only=True)
class DeepSDFConfig:
    """How the network and the codes are built, trained and sought; the defaults are the paper's.

    Source: Park et al. 2019, "DeepSDF", secs. 4 and 5 and the authors' program: 64 shapes and
        16384 points of each a step, clamped to 0.1, the codes' prior weighted 1e-4, codes drawn
        with a deviation of 0.01, learning rates that halve every 500 of 2000 passes.
    Differs: `steps` count steps, not passes; rates fall evenly. `fit_*` are for codes of shapes
        that were not learned.
    """

    steps: int = 100_000
    latent_dim: int = 256
    width: int = 512
    depth: int = 8
    frequencies: int = 0
    shapes: int = 64
    near: int = 15_564
    uniform: int = 820
    limit: float = 0.1
    prior: float = 1e-4
    code_deviation: float = 0.01
    learning_rate: float = 5e-4
    final_learning_rate: float = 3e-5
    code_rate: float = 1e-3
    final_code_rate: float = 6e-5
    fit_steps: int = 800
    fit_points: int = 8000
    fit_rate: float = 5e-3
    fit_prior: float = 1e-4


_SMALL = DeepSDFConfig(
    steps=8000,
    latent_dim=256,
    width=192,
    depth=6,
    frequencies=4,
    shapes=16,
    near=448,
    uniform=64,
    learning_rate=2e-3,
    final_learning_rate=1e-4,
    code_rate=4e-3,
    final_code_rate=4e-4,
    fit_steps=100,
    fit_points=2048,
    fit_rate=2e-2,
)

PRESETS: dict[str, DeepSDFConfig] = {
    "draft": DeepSDFConfig(**{**vars(_SMALL), "steps": 2000, "width": 96, "depth": 4}),
    "standard": _SMALL,
    "final": DeepSDFConfig(),
}
"""A minute and a quarter of an hour on two CPU cores, and the paper, which needs a GPU."""


class _CodedShapes(nn.Module):
    """The network and the codes of the shapes that it learns from."""

    def __init__(self, field: DeepSDFField, codes: Float[Tensor, "shapes latent"]) -> None:
        super().__init__()
        self.field = field
        self.codes = nn.Parameter(codes)


class DeepSDF(OptimizedShapes):
    """Learns a network and a code for each shape at once; a code for a new shape is sought.

    Source: Park et al. 2019, "DeepSDF", sec. 4.
    """

    name: ClassVar[str] = "deep_sdf"
    is_family: ClassVar[bool] = True
    gives_distances: ClassVar[bool] = True

    def __init__(
        self,
        config: DeepSDFConfig,
        bounds: Float[Tensor, "2 3"],
        num_shapes: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config, self.device = config, torch.device(device)
        generator = torch.Generator().manual_seed(seed)
        field = DeepSDFField(
            bounds.detach().to("cpu", torch.float32),
            config.latent_dim,
            config.width,
            config.depth,
            config.frequencies,
            generator,
        )
        codes = torch.randn(num_shapes, config.latent_dim, generator=generator)
        self.network: _CodedShapes = _CodedShapes(field, codes * config.code_deviation)
        self.network.to(self.device)
        self.optimizer = ScheduledAdam(
            [
                Rate(list(field.parameters()), config.learning_rate, config.final_learning_rate),
                Rate([self.network.codes], config.code_rate, config.final_code_rate),
            ]
        )

    def train_step(
        self, shapes: ShapeSet, progress: TrainingProgress, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on some shapes: clamped distances, and the prior on their codes (eq. 9)."""
        config = self.config
        count = min(config.shapes, len(shapes))
        chosen = torch.randperm(len(shapes), generator=generator)[:count]
        near, near_by = shapes.draw("near", chosen, config.near, generator)
        uniform, anywhere = shapes.draw("uniform", chosen, config.uniform, generator)
        codes = self.network.codes[chosen.to(self.device)]
        predicted = self.network.field.each(torch.cat([near, uniform], dim=1), codes)
        true = torch.cat([near_by, anywhere], dim=1)
        error = clamped_distance_error(predicted, true, config.limit).mean()
        # As in the authors' program, the prior comes in over the first hundredth.
        trust = min(1.0, progress.fraction * 100)
        loss = error + config.prior * trust * code_prior(codes)
        self.optimizer.step(loss, progress.fraction)
        return {"loss": loss.detach(), "distance": error.detach()}

    def codes(self) -> Float[Tensor, "shapes latent"]:
        return self.network.codes.detach()

    def fit_latent(
        self, seen: Observation, generator: torch.Generator, steps: int = 0
    ) -> Float[Tensor, " latent"]:
        """The likeliest code, with the network as it is (eq. 10), from the mean of the known ones.

        Free space must be outside and may be at most its clearance away from the surface.
        """
        config, field = self.config, self.network.field
        steps = steps or config.fit_steps
        code = self.codes().mean(dim=0).clone().requires_grad_(True)
        adam = torch.optim.Adam([code], lr=config.fit_rate, fused=True)
        parts = (
            (seen.points, seen.distances),
            (seen.surface, torch.zeros_like(seen.surface[:, 0])),
            (seen.free, seen.clearance),
        )
        shares = [min(len(part), config.fit_points // 2) for part, _ in parts]
        if not sum(shares[:2]):
            raise ValueError("expected points on or about a surface, got none")
        for step in range(steps):
            adam.param_groups[0]["lr"] = config.fit_rate * (1 - step / steps) + 1e-4
            drawn = []
            for (points, values), share in zip(parts, shares, strict=True):
                index = torch.randint(max(len(points), 1), (share,), generator=generator)
                drawn.append((points[index], values[index]))
            predicted = field(torch.cat([points for points, _ in drawn]), code)
            inside, on_it, free = predicted.split(shares)
            limit = config.limit
            errors = [
                clamped_distance_error(inside, drawn[0][1], limit),
                clamped_distance_error(on_it, drawn[1][1], limit),
                torch.relu(-free).clamp(max=limit)
                + torch.relu(free.clamp(max=limit) - drawn[2][1].clamp(max=limit)),
            ]
            loss = torch.cat(errors).mean() + config.fit_prior * code_prior(code[None])
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
        return self.config.latent_dim
