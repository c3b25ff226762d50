# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of instant-ngp, and what follows from it for every method that stands on it."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..fields.instant_ngp import InstantNGPField
from ..kernels.dense_numba import has_fast_bfloat16
from ..kernels.hash_grid import hash_grid_layout
from ..kernels.instant_ngp_numba import TILE
from ..kernels.ray_marching import Guide, Steps
from .limits import (
    FeaturesPerLevel,
    LearningRate,
    LearningRateOrZero,
    LevelResolution,
    Levels,
    Limits,
    Log2Entries,
    NumSteps,
    Share,
    ShareBelowOne,
    Weight,
    refuse_more,
)

KernelWidth = Annotated[int, Limits(4, 512, multiple_of=4)]
"""Of a layer whose rows the CPU's kernels take by fours."""
SamplesPerStep = Annotated[int, Limits(TILE, 2**22)]
"""At least those of one ray."""
HardPixelChoices = Annotated[int, Limits(1, 64)]
OccupancyVisits = Annotated[int, Limits(1, 2**24)]


@dataclass(frozen=True, kw_only=True)
class InstantNGPConfig:
    """How the field is built and trained. Lengths are in the unit frame (see `InstantNGPField`).

    A training step aims at `samples_per_step` samples, growing to `final_samples_per_step`, and on
    CUDA at `cuda_samples_per_step`. The occupancy grid looks at `occupancy_visits` cells every
    `occupancy_every` steps, weighs what it knew by `occupancy_keep`, and takes cells of a smaller
    optical depth than `occupancy_threshold` for empty. Rays look at it in steps of `guide_step`
    cells or, further away, of `guide_cone` times the distance; `explore` is a step's chance of a
    sample where nothing is known to be. Closer to a camera than `near_fade` gradients fade away.
    On processors that are faster at it, networks that are wide enough multiply in `bfloat16`.
    `huber` is the error where the loss turns from square to straight, 0 for never. `distortion`
    makes surfaces thin; from `surface_from` to `surface_until` of the training the share `surface`
    of the error is what each sample would miss if it were all that is seen. Each ray is
    chosen among `hard_pixels` random ones by how wrong the field still is around them; 1 takes any.
    Shown is an average of what was learned that keeps the share `average` of itself at each step,
    or, with 0, what the last step left.
    What ends in `_cuda` takes the place of what is called so without it where a training begins on
    CUDA: a CPU's caches hold smaller tables.

    Source: Müller et al. 2022, "Instant neural graphics primitives", sec. 3 and appendix E, and
        the values that its authors' program has come to (8 levels of 4 features).
    Differs: steps are a sixteenth of the paper's size on a CPU, where many small ones learn faster.
    """

    steps: NumSteps = 6000
    levels: Levels = 6
    features_per_level: FeaturesPerLevel = 4
    log2_entries: Log2Entries = 16
    coarsest: LevelResolution = 16
    finest: LevelResolution = 512
    levels_cuda: Levels = 8
    log2_entries_cuda: Log2Entries = 19
    finest_cuda: LevelResolution = 2048
    width: KernelWidth = 64
    color_layers: Annotated[int, Limits(1, 2)] = 1
    bfloat16: bool = True
    density_shift: Annotated[float, Limits(-20.0, 10.0)] = -1.0
    learning_rate: LearningRate = 1e-2
    final_learning_rate: LearningRate = 1e-3
    decay_from: ShareBelowOne = 0.3
    warm_up_steps: NumSteps = 20
    average: ShareBelowOne = 0.0
    samples_per_step: SamplesPerStep = 2**13
    final_samples_per_step: SamplesPerStep = 2**14
    cuda_samples_per_step: Annotated[int, Limits(TILE, 2**24)] = 2**18
    samples_per_ray: Annotated[int, Limits(2, TILE)] = 32
    samples_per_rendered_ray: Annotated[int, Limits(2, TILE)] = 48
    most_rays: Annotated[int, Limits(64, 2**20)] = 2**14
    hard_pixels: HardPixelChoices = 1
    occupancy_resolution: Annotated[int, Limits(4, 256, multiple_of=4)] = 64
    cascades: Annotated[int, Limits(1, 8)] = 5
    occupancy_every: NumSteps = 16
    occupancy_visits: OccupancyVisits = 2**17
    occupancy_threshold: Annotated[float, Limits(0.0, 10.0)] = 0.03
    occupancy_keep: ShareBelowOne = 0.8
    occupancy_decay: Share = 0.9
    guide_step: Annotated[float, Limits(0.25, 8.0)] = 1.0
    guide_cone: Annotated[float, Limits(0.001, 0.5)] = 1 / 48
    guide_depth: Annotated[float, Limits(0.01, 100.0)] = 1.0
    explore: Share = 0.01
    explore_rendered: Share = 0.003
    nearest: Annotated[float, Limits(0.0, 2.0)] = 0.05
    near_fade: Annotated[float, Limits(0.001, 100.0)] = 0.5
    huber: Share = 0.1
    distortion: Weight = 0.01
    surface: Share = 0.0
    surface_from: Share = 0.2
    surface_until: Share = 0.7
    unbounded_frame: Annotated[float, Limits(0.25, 16.0)] = 2.0
    exposure: bool = True
    exposure_rate: LearningRateOrZero = 1e-3

    def __post_init__(self) -> None:
        """Raises ValueError where settings contradict each other."""
        refuse_more(self, "coarsest", "finest")
        refuse_more(self, "surface_from", "surface_until")
        if self.levels * self.features_per_level % 4:
            raise ValueError(
                "levels times features_per_level must be a multiple of 4, got "
                f"{self.levels} and {self.features_per_level}"
            )


_WIDE = 128
"""Width from which bfloat16 pays: a step of 128 wide networks takes a seventh less time, and a view
a fifth; at 64 products are a fifth of a step, and nothing is won."""

SURFACES = ("surface=0.3",)
"""More of it costs networks much more in their views than it costs voxels."""

PRESETS: dict[str, InstantNGPConfig] = {
    "draft": InstantNGPConfig(steps=1500),
    "standard": InstantNGPConfig(),
    "final": InstantNGPConfig(
        steps=30_000, log2_entries=19, finest=2048, final_samples_per_step=2**15
    ),
}


def build_field(
    config: InstantNGPConfig,
    bounds: Float[Tensor, "2 3"],
    unbounded: bool,
    generator: torch.Generator,
    more_features: int = 0,
) -> InstantNGPField:
    """An untrained field of this configuration."""
    layout = hash_grid_layout(
        config.levels,
        config.features_per_level,
        config.log2_entries,
        config.coarsest,
        config.finest,
    )
    return InstantNGPField(
        layout,
        bounds.detach().to("cpu", torch.float32),
        unbounded,
        config.width,
        config.color_layers,
        config.density_shift,
        config.unbounded_frame if unbounded else 1.0,
        generator,
        more_features,
    )


def multiplies_bfloat16(config: InstantNGPConfig) -> bool:
    """Whether the networks' products are taken in bfloat16 on this computer's processor."""
    return config.bfloat16 and config.width >= _WIDE and has_fast_bfloat16()


def make_guide(
    config: InstantNGPConfig,
    unbounded: bool,
    density: Float[Tensor, " cells"],
    occupied: UInt8[Tensor, " eighths"],
    samples: int,
    explore: float,
    slices: int = 1,
) -> Guide:
    """How rays are sampled by what an occupancy grid knows."""
    return Guide(
        density=density,
        occupied=occupied,
        resolution=config.occupancy_resolution,
        shortest=2 / config.occupancy_resolution * config.guide_step,
        cone=config.guide_cone if unbounded else 0.0,
        most_depth=config.guide_depth,
        explore=explore,
        opaque=1e-3,
        samples=samples,
        slices=slices,
    )


def most_steps(config: InstantNGPConfig, unbounded: bool) -> int:
    """Steps that any ray can take through the guide."""
    guide = make_guide(config, unbounded, torch.empty(0), torch.empty(0), 2, 0.0)
    steps = Steps(guide.shortest, guide.cone)
    nearest = torch.tensor(config.nearest)
    cascades = config.cascades if unbounded else 1
    farthest = nearest + 2 * math.sqrt(3) * 2.0 ** (cascades - 1)
    return math.ceil(float(steps.at(farthest) - steps.at(nearest))) + 1


def learning_rate(config: InstantNGPConfig, updates: int, fraction: float) -> float:
    """The rate after so many steps, the last at this fraction of the training."""
    rate = config.learning_rate * min(1.0, updates / config.warm_up_steps)
    late = max(0.0, fraction - config.decay_from) / (1 - config.decay_from)
    return rate * (config.final_learning_rate / config.learning_rate) ** late
