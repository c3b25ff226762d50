# SPDX-License-Identifier: GPL-3.0-or-later
"""How a sparse voxel grid grows and learns, and its presets."""

from dataclasses import dataclass
from typing import Annotated

from .base import TrainingProgress
from .limits import LearningRateOrZero, Limits, NumRays, NumSteps, Share, Weight, refuse_more

Resolutions = Annotated[tuple[int, ...], Limits(4, 1024)]
VoxelRate = Annotated[float, Limits(0.0, 10.0)]
InitialDensity = Annotated[float, Limits(-20.0, 10.0)]
"""Before the softplus; -30 is what nothing has."""
_MOST_CELLS_ALONG = 1280
"""Their cube is what the kernels number with 31 bits."""


@dataclass(frozen=True, kw_only=True)
class VoxelGridConfig:
    """How the grid grows and learns.

    `resolutions` count cells along the longest side of the bounds; a finer grid is taken only while
    its cells are no smaller than `cell_pixels` pixels of the pictures and at least `rays_per_voxel`
    rays are left for each voxel; `most_voxels`, of some 300 bytes each, are what memory is meant to
    hold. Of n grids the last is reached at `finest_at` of the budget, the one before at a third of
    that, and so on. Each step draws `rays` rays and makes an update for every `update_rays` of
    them, or for fewer in coarse grids. Rates fall exponentially to `final_rate` of their start,
    and, where there are more than `calm_steps`, the further the more there are. Every
    `smooth_every` steps voxels are drawn to the mean of their neighbours by `smooth_density` and
    `smooth_color` of the way, less as rates fall. `distortion` weighs how far apart a ray's light
    comes from, which makes surfaces thin. From `surface_from` to `surface_until` of the training
    the share `surface` of the error is what each sample would miss if it were all that is seen,
    which leaves surfaces instead of fog: meshes become truer, views a little worse.
    `prune_opacity` is what a cell must hide to be kept and sampled. `shell` is the width, in halves
    of the bounds, that everything outside an unbounded scene's bounds is squeezed into, where
    nothing is learned that fewer than `fewest_views` pictures show. What ends in `_unbounded` takes
    the place of what is called so without it in such scenes, where a voxel is seen from few sides
    and could else be anything.
    """

    steps: NumSteps = 1500
    resolutions: Resolutions = (64, 128, 192, 256, 384)
    degree: Annotated[int, Limits(0, 2)] = 1
    rays: NumRays = 8192
    update_rays: Annotated[int, Limits(4, 2**16)] = 1024
    sample_cells: Annotated[float, Limits(0.1, 4.0)] = 1.0
    cell_pixels: Annotated[float, Limits(0.01, 100.0)] = 0.6
    rays_per_voxel: Annotated[float, Limits(0.0, 1000.0)] = 0.8
    most_voxels: Annotated[int, Limits(1, 10**9)] = 3_600_000
    finest_at: Share = 0.7
    density_rate: VoxelRate = 0.4
    color_rate: VoxelRate = 0.3
    harmonics_rate: VoxelRate = 0.05
    final_rate: Annotated[float, Limits(1e-6, 1.0)] = 0.1
    calm_steps: NumSteps = 1000
    beta2: Annotated[float, Limits(0.0, 0.999999)] = 0.999
    smooth_every: NumSteps = 8
    smooth_density: Share = 0.3
    smooth_color: Share = 0.3
    distortion: Weight = 0.001
    surface: Share = 0.0
    surface_from: Share = 0.2
    surface_until: Share = 0.7
    initial_density: InitialDensity = -2.0
    prune_opacity: Annotated[float, Limits(1e-6, 0.99)] = 0.06
    prune_every: NumSteps = 6
    shell: Annotated[float, Limits(0.05, 1.0)] = 0.5
    fewest_views: Annotated[int, Limits(0, 10**6)] = 5
    resolutions_unbounded: Resolutions = (32, 64, 128)
    density_rate_unbounded: VoxelRate = 0.1
    color_rate_unbounded: VoxelRate = 0.1
    harmonics_rate_unbounded: VoxelRate = 0.005
    smooth_every_unbounded: NumSteps = 4
    smooth_density_unbounded: Share = 0.75
    smooth_color_unbounded: Share = 0.35
    distortion_unbounded: Weight = 0.01
    initial_density_unbounded: InitialDensity = -5.0
    exposure: bool = True
    exposure_rate: LearningRateOrZero = 0.01

    def __post_init__(self) -> None:
        """Raises ValueError where settings contradict each other."""
        refuse_more(self, "surface_from", "surface_until")
        for name in ("resolutions", "resolutions_unbounded"):
            if not getattr(self, name):
                raise ValueError(f"{name} must have at least one number, got none")
        cells = max(self.resolutions_unbounded) * (1 + self.shell)
        if cells > _MOST_CELLS_ALONG:
            raise ValueError(
                f"resolutions_unbounded times 1 + shell must not be more than {_MOST_CELLS_ALONG}, "
                f"got {cells:g}"
            )


SURFACES = ("surface=1", "distortion=0.02")
"""Less of `surface` costs views less, and brings meshes less."""

PRESETS: dict[str, VoxelGridConfig] = {
    "draft": VoxelGridConfig(steps=300, resolutions=(64, 128)),
    "standard": VoxelGridConfig(),
    "final": VoxelGridConfig(steps=12_000, degree=2),
}


def rate_left(config: VoxelGridConfig, progress: TrainingProgress) -> float:
    """Share of the learning rates that is left. A long training ends in calm, a short one must not
    have stopped learning before its end.
    """
    if not progress.step or not progress.fraction:
        return 1.0
    num_steps = progress.step / progress.fraction
    final = config.final_rate * min(1.0, config.calm_steps / num_steps)
    return final**progress.fraction


def stages(config: VoxelGridConfig, finest: int) -> list[int]:
    """The resolutions that the pictures are fine enough for."""
    coarse_enough = [size for size in config.resolutions if size <= finest]
    return coarse_enough or [config.resolutions[0]]


def stage_starts(config: VoxelGridConfig, num_stages: int) -> list[float]:
    """At which fraction of the budget each finer grid is taken."""
    return [config.finest_at / 3 ** (num_stages - 1 - k) for k in range(1, num_stages)]
