# SPDX-License-Identifier: GPL-3.0-or-later
"""A family of shapes as one network and a code for each."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..datasets.shape_set import ShapeSet
from ..fields.deep_sdf import DeepSDFField
from ..kernels import process_group
from ..kernels.adam import step_size, take_step
from ..kernels.repeated_step import RepeatedStep
from ..meshing.isosurface import Isosurface
from ..sampling.bends import Bends, draw_bends
from ..sampling.stratified import generator_for
from ..training.adam_state import Rate, ScheduledAdam
from ..training.shape_losses import clamped_distance_error, code_prior
from .limits import (
    LearningRate,
    LearningRateOrZero,
    Limits,
    NumPointsOrZero,
    NumSteps,
    Octaves,
    ShareBelowOne,
    Weight,
    Width,
    refuse_no_points,
)
from .shape_base import Observation, OptimizedShapes, at_most_one

_POINTS_TO_COMPARE = 512
"""By so many points the known code that a search starts from is chosen."""
_BETAS = 0.9, 0.999


@dataclass(frozen=True, kw_only=True)
class DeepSDFConfig:
    """How the network and the codes are built, trained and sought; the defaults are the paper's.

    Source: Park et al. 2019, "DeepSDF", secs. 4 and 5 and the authors' program: 64 shapes and
        16384 points of each a step, clamped to 0.1, the codes' prior weighted 1e-4, codes drawn
        with a deviation of 0.01, learning rates that halve every 500 of 2000 passes.
    Differs: `steps` count steps, not passes; rates fall evenly. `fit_*` are for codes of shapes
        that were not learned. Each shape is learned in `variants`, itself and bent ones with codes
        of their own, so that few shapes make a family in which others are found: axes are bent by
        up to `swing` and stretched by up to `stretch`.
    """

    steps: NumSteps = 100_000
    latent_dim: Width = 256
    width: Width = 512
    depth: Annotated[int, Limits(2, 32, multiple_of=2)] = 8
    frequencies: Octaves = 0
    shapes: Annotated[int, Limits(1, 4096)] = 64
    near: NumPointsOrZero = 15_564
    uniform: NumPointsOrZero = 820
    limit: Annotated[float, Limits(0.0001, 100.0)] = 0.1
    prior: Weight = 1e-4
    code_deviation: Annotated[float, Limits(0.0, 10.0)] = 0.01
    learning_rate: LearningRate = 5e-4
    final_learning_rate: LearningRate = 3e-5
    code_rate: LearningRate = 1e-3
    final_code_rate: LearningRate = 6e-5
    fit_steps: Annotated[int, Limits(0, 10**6)] = 800
    fit_points: Annotated[int, Limits(4, 2**18)] = 8000
    fit_rate: LearningRateOrZero = 5e-3
    fit_prior: Weight = 1e-4
    variants: Annotated[int, Limits(1, 1024)] = 1
    swing: ShareBelowOne = 0.5
    stretch: ShareBelowOne = 0.15

    def __post_init__(self) -> None:
        """Raises ValueError where settings contradict each other."""
        refuse_no_points(self, "near", "uniform")


_SMALL = DeepSDFConfig(
    steps=12_000,
    latent_dim=256,
    width=128,
    depth=6,
    frequencies=4,
    shapes=16,
    near=224,
    uniform=32,
    learning_rate=2e-3,
    final_learning_rate=1e-4,
    code_rate=4e-3,
    final_code_rate=4e-4,
    fit_steps=200,
    fit_points=1024,
    fit_rate=2e-2,
    variants=6,
)

_DRAFT = {"steps": 2000, "width": 96, "depth": 4, "variants": 1}

PRESETS: dict[str, DeepSDFConfig] = {
    "draft": DeepSDFConfig(**{**vars(_SMALL), **_DRAFT}),
    "standard": _SMALL,
    "final": DeepSDFConfig(),
}
"""A minute and a quarter of an hour on two CPU cores, and the paper, which needs a GPU."""


class _CodedShapes(nn.Module):
    """The network and the codes of what it learns from: the shapes, then their bent variants."""

    def __init__(self, field: DeepSDFField, codes: Float[Tensor, "shapes latent"]) -> None:
        super().__init__()
        self.field = field
        self.codes = nn.Parameter(codes)


class DeepSDF(OptimizedShapes):
    """Learns a network and a code for each shape at once; a code for a new shape is sought.

    Source: Park et al. 2019, "DeepSDF", sec. 4.
    Differs: the search for a code starts from the known one that fits best, not from zero; bent
        variants of the shapes are learned too.
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
        self._num_shapes, num_codes = num_shapes, num_shapes * config.variants
        codes = torch.randn(num_codes, config.latent_dim, generator=generator)
        bends = draw_bends(num_codes, config.swing, config.stretch, generator, self.device)
        # The first of all variants are the shapes as they are.
        as_given = torch.arange(num_codes, device=self.device)[:, None, None] < num_shapes
        still = draw_bends(num_codes, 0.0, 0.0, generator, self.device)
        pairs = zip(still, bends, strict=True)
        self._bends = Bends(*(torch.where(as_given, *pair) for pair in pairs))
        self.network: _CodedShapes = _CodedShapes(field, codes * config.code_deviation)
        self.network.to(self.device)
        self.optimizer = ScheduledAdam(
            [
                Rate(list(field.parameters()), config.learning_rate, config.final_learning_rate),
                Rate([self.network.codes], config.code_rate, config.final_code_rate),
            ]
        )

    def _step(
        self, shapes: ShapeSet, fraction: float | Tensor, generator: torch.Generator
    ) -> dict[str, float | Tensor]:
        """Takes a step on some shapes: clamped distances, and the prior on their codes (eq. 9)."""
        config = self.config
        num_codes = len(self.network.codes)
        count = min(num_codes, config.shapes * process_group.size())
        here = generator.device
        chosen = torch.randperm(num_codes, generator=generator, device=here)[:count]
        near, near_by = shapes.draw("near", chosen % len(shapes), config.near, generator)
        uniform, anywhere = shapes.draw("uniform", chosen % len(shapes), config.uniform, generator)
        drawn = (chosen.to(self.device), near, near_by, uniform, anywhere)
        chosen, near, near_by, uniform, anywhere = map(process_group.part, drawn)
        codes, bends = self.network.codes[chosen], Bends(*(part[chosen] for part in self._bends))
        points = torch.cat([near, uniform], dim=1)
        predicted = self.network.field.each(bends.move(points), codes)
        true = torch.cat([near_by, anywhere], dim=1) * bends.magnification(points)
        # The mean over what all processes take: some may have got one shape more than others.
        share = len(chosen) * process_group.size() / count
        error = clamped_distance_error(predicted, true, config.limit).mean() * share
        # As in the authors' program, the prior comes in over the first hundredth.
        trust = at_most_one(fraction * 100)
        loss = error + config.prior * trust * share * code_prior(codes)
        self.optimizer.step(loss, fraction)
        return {"loss": loss.detach(), "distance": error.detach()}

    def codes(self) -> Float[Tensor, "shapes latent"]:
        return self.network.codes.detach()[: self._num_shapes]

    def fit_latent(
        self, seen: Observation, generator: torch.Generator, steps: int = 0
    ) -> Float[Tensor, " latent"]:
        """The likeliest code for the network as it is (eq. 10), from the known one that fits best.

        Free space must be outside and may be at most its clearance away from the surface.
        """
        config = self.config
        steps = steps or config.fit_steps
        if not len(seen.surface) + len(seen.points):
            raise ValueError("expected points on or about a surface, got none")
        some = _drawn(seen, _POINTS_TO_COMPARE, generator)
        with torch.no_grad():
            start = self._misfit(some, self.codes()).mean(dim=1).argmin()
        code = self.codes()[start].clone().requires_grad_(True)
        first, second = torch.zeros(2, config.latent_dim, device=self.device)
        number = torch.zeros((), device=self.device)
        drawing = generator_for(self.device, generator)

        def step() -> Tensor:
            # Rates fall to a hundredth.
            rate = config.fit_rate * 0.01 ** (number / steps)
            number.add_(1)
            drawn = _drawn(seen, config.fit_points, drawing)
            loss = self._misfit(drawn, code[None]).mean()
            loss = loss + config.fit_prior * code_prior(code[None])
            (slope,) = torch.autograd.grad(loss, code)
            size = torch.as_tensor(step_size(rate, _BETAS, number))
            take_step(code.detach(), slope, first, second, _BETAS, 1e-8, size)
            return loss.detach()

        fit = RepeatedStep(step, drawing)
        for _ in range(steps):
            fit()
        return code.detach()

    def _misfit(
        self, seen: Observation, codes: Float[Tensor, "shapes latent"]
    ) -> Float[Tensor, "shapes points"]:
        """How little each code explains each of the points."""
        limit = self.config.limit
        points = torch.cat([seen.points, seen.surface, seen.free])
        predicted = self.network.field.each(points.expand(len(codes), -1, 3), codes)
        about = len(seen.points) + len(seen.surface)
        true = torch.cat([seen.distances, torch.zeros_like(seen.surface[:, 0])])
        known = clamped_distance_error(predicted[:, :about], true, limit)
        free = predicted[:, about:]
        inside = torch.relu(-free).clamp(max=limit)
        too_far = torch.relu(free.clamp(max=limit) - seen.clearance.clamp(max=limit))
        return torch.cat([known, inside + too_far], dim=1)

    def isosurface(self, latent: Float[Tensor, " latent"] | None = None) -> Isosurface:
        return self.network.field.isosurface(latent)

    @property
    def numbers_shared(self) -> int:
        return sum(parameter.numel() for parameter in self.network.field.parameters())

    @property
    def numbers_per_shape(self) -> int:
        return self.config.latent_dim


def _drawn(seen: Observation, count: int, generator: torch.Generator) -> Observation:
    """`count` random points, or a few less: half about the surface, a half on it and in free space.

    Kinds that there are none of leave their share to the others.
    """
    device = generator.device
    kinds = [len(seen.points), len(seen.surface), len(seen.free)]
    shares = [share if size else 0 for share, size in zip((2, 1, 1), kinds, strict=True)]
    picks = [
        torch.randint(
            max(size, 1), (count * share // sum(shares),), generator=generator, device=device
        ).to(seen.surface.device)
        for size, share in zip(kinds, shares, strict=True)
    ]
    about, on_it, free = picks
    return Observation(
        seen.surface[on_it], seen.points[about], seen.distances[about],
        seen.free[free], seen.clearance[free],
    )  # fmt: skip
