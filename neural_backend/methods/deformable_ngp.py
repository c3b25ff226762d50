# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash grid behind a deformation: scenes that move, learned in minutes."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets.ray_batches import RayBatches
from ..fields.deformable_ngp import DeformableNGPField, num_time_conditions
from ..fields.instant_ngp import view_harmonics
from ..geometry.boxes import inside_box
from ..geometry.rays import Rays, RenderedRays
from ..kernels.deformable_ngp import DeformationSizes, FusedDeformableField
from ..kernels.instant_ngp import FusedField, StepResult
from ..kernels.instant_ngp_types import AdamSettings, LossSettings, MovingRayTargets, RayTargets
from ..kernels.ray_marching import Guide
from ..sampling.moving_occupancy import MovingOccupancy
from .configuration import for_case
from .deformable_ngp_autograd import AutogradDeformableField
from .hash_grid_method import HashGridMethod
from .instant_ngp_config import (
    SURFACES,
    HardPixelChoices,
    InstantNGPConfig,
    KernelWidth,
    OccupancyVisits,
    SamplesPerStep,
    build_field,
    most_steps,
    multiplies_bfloat16,
)
from .limits import LevelResolution, Levels, Limits, Octaves, Share, ShareBelowOne, Weight
from .moving_hull import moving_hull

__all__ = ["PRESETS", "SURFACES", "DeformableNGP", "DeformableNGPConfig"]

_SIDES = 2
"""Pictures of a moment, on average, that make a capture many-sided."""
_MOST_CELLS = 2**30
"""Of the occupancy of all slices, which the kernels number with 31 bits."""

HandedOn = Annotated[int, Limits(0, 64, multiple_of=4)]
"""The CPU's kernels take features by fours."""
Reach = Annotated[float, Limits(0.0001, 10.0)]
DeformationRate = Annotated[float, Limits(0.0, 10.0)]
Slices = Annotated[int, Limits(1, 256)]


@dataclass(frozen=True, kw_only=True)
class DeformableNGPConfig(InstantNGPConfig):
    """How the field is built and trained; see also `InstantNGPConfig`.

    The deformation network has layers of `deformation_width`, reads `position_octaves` of places
    and `time_octaves` of times, hands on `handed_on` features, and learns at `deformation_rate`
    times the rate of the field. Its displacements are what it gives times `reach` half sides of the
    bounds: the smaller, the calmer is what rests. A displacement by the whole cube costs `rest`
    wherever something is shown. The times that the deformation is told are off by up to
    `time_noise` at first, by nothing from half of the training on. The occupancy of an object has
    `slices` of the time. In each, a cell may be full if a `hull_share` of the moments of the slice
    allow it, and at least one does, or one `hull_margin` cells away.

    What ends in `_unbounded` takes the place of what is called so without it where the scene is:
    surroundings hardly move, and what comes and goes in them no displacement explains; what moves
    is a small part of the pictures, so pixels are drawn by their error, and rates stay high for
    longer. So does what ends in `_many_sided` where every moment of an object is seen from several
    sides: what is there can be learned as it is, in a slice for each moment up to that number, and
    from pixels that are drawn by their error. Seen from one side, only other moments tell a
    moment's depth, and errors would be learned by heart. Pictures of an unbounded scene have an
    `exposure` each only where moments are many-sided. Finer tables help little that moves.

    Source: Yang et al. 2024, "Deformable 3D Gaussians", sec. 3.3 (noise on the time, fading).
    """

    levels_cuda: Levels = 6
    finest_cuda: LevelResolution = 512
    position_octaves: Octaves = 4
    time_octaves: Octaves = 4
    deformation_width: KernelWidth = 64
    handed_on: HandedOn = 0
    reach: Reach = 0.1
    deformation_rate: DeformationRate = 0.2
    rest: Weight = 0.0
    time_noise: Share = 0.0
    slices: Slices = 8
    occupancy_visits: OccupancyVisits = 2**15
    hull_share: Share = 0.5
    hull_margin: Annotated[int, Limits(0, 8)] = 1
    deformation_width_unbounded: KernelWidth = 32
    handed_on_unbounded: HandedOn = 16
    reach_unbounded: Reach = 0.05
    deformation_rate_unbounded: DeformationRate = 0.1
    samples_per_step_unbounded: SamplesPerStep = 2**12
    final_samples_per_step_unbounded: SamplesPerStep = 2**13
    decay_from_unbounded: ShareBelowOne = 0.7
    hard_pixels_unbounded: HardPixelChoices = 4
    handed_on_many_sided: HandedOn = 16
    deformation_rate_many_sided: DeformationRate = 0.4
    slices_many_sided: Slices = 64
    hull_share_many_sided: Share = 0.0
    hard_pixels_many_sided: HardPixelChoices = 4

    def __post_init__(self) -> None:
        """Raises ValueError where settings contradict each other."""
        super().__post_init__()
        for name in ("slices", "slices_many_sided"):
            if getattr(self, name) * self.occupancy_resolution**3 > _MOST_CELLS:
                raise ValueError(
                    f"{name} times the cube of occupancy_resolution must not be more than "
                    f"{_MOST_CELLS}, got {getattr(self, name)} and {self.occupancy_resolution}"
                )


PRESETS: dict[str, DeformableNGPConfig] = {
    "draft": DeformableNGPConfig(steps=1500),
    "standard": DeformableNGPConfig(),
    "final": DeformableNGPConfig(steps=30_000),
}


class DeformableNGP(HashGridMethod):
    """Learns a canonical hash-grid field and the deformation of space that leads to it.

    Rays are sampled by an occupancy grid for each of a few slices of the time.

    Source: Pumarola et al. 2021, "D-NeRF" (deformation to a canonical field); Müller et al. 2022,
        "Instant neural graphics primitives" (that field, and how it is trained).
    Differs: no time is canonical, the deformation is learned at all of them; what it hands on lets
        the canonical field change with the time; objects with alpha start inside a hull for each
        slice. On the CPU a step is one kernel, the slope of the hash grid by its points included.
    """

    name: ClassVar[str] = "deformable_ngp"
    is_dynamic: ClassVar[bool] = True
    randoms_per_ray: ClassVar[int] = 5

    def __init__(
        self,
        config: DeformableNGPConfig,
        bounds: Float[Tensor, "2 3"],
        unbounded: bool,
        num_views: int,
        device: torch.device,
        times: tuple[float, ...] = (),
        seed: int = 0,
    ) -> None:
        many_sided = len(times) > 0 and num_views >= _SIDES * len(times)
        if unbounded:
            # How bright a moment's only picture is, the field learns as what happens then: that
            # also tells how bright the moments between are, which no picture shows.
            exposure = config.exposure and (many_sided or not times)
            config = replace(for_case(config, "unbounded"), exposure=exposure)
        elif many_sided:
            config = for_case(config, "many_sided")
            config = replace(config, slices=min(len(times), config.slices))
        self.config, self.times = config, times
        generator = torch.Generator().manual_seed(seed)
        canonical = build_field(config, bounds, unbounded, generator, config.handed_on)
        sizes = DeformationSizes(
            config.position_octaves,
            num_time_conditions(config.time_octaves),
            config.deformation_width,
            config.handed_on,
            # The cube of an unbounded field also holds what lies around the bounds, contracted.
            config.reach / (4 * config.unbounded_frame if unbounded else 2),
        )
        self.moving = DeformableNGPField(canonical, sizes, config.time_octaves, generator)
        self.moving = self.moving.to(device)
        self.occupancy = MovingOccupancy(
            config.slices if times and not unbounded else 1,
            config.occupancy_resolution,
            config.cascades if unbounded else 1,
            torch.device(device),
            config.occupancy_keep,
            config.occupancy_decay,
        )
        learned = {"deformation": self.moving.weights.detach()}
        field = self.moving.canonical
        super().__init__(config, unbounded, num_views, field, self.occupancy, learned)
        self._engine = self._make_engine()

    def prepare(self, batches: RayBatches) -> None:
        """Forbids what the silhouettes of a slice of time say is empty during it."""
        if self.unbounded or bool((batches.pixels[:, 3] == 255).all()):
            return
        possible = moving_hull(
            batches,
            self.field.center.double().cpu().numpy(),
            self.field.half,
            self.config.occupancy_resolution,
            self.occupancy.slices,
            self.config.hull_share,
            self.config.hull_margin,
        )
        self.occupancy.forbid(~possible.to(self.device))

    def render_rays(self, rays: Rays, normals: bool = False) -> RenderedRays:
        """What the field shows at the rays' times; normals are left to others."""
        return self._show(rays)

    def density(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"] | None = None
    ) -> Float[Tensor, " points"]:
        """Density per scene unit; 0 outside the bounds of an object and in empty cells."""
        self._show_averages()
        times = points.new_zeros(len(points)) if times is None else times
        unit_points = self.field.to_unit(points)
        density = self._engine.density(unit_points, self.moving.conditions(times))
        shown = self.occupancy.contains(unit_points, times)
        if not self.unbounded:
            shown &= inside_box(points, self.bounds)
        return density / self.field.half * shown

    def color(
        self,
        points: Float[Tensor, "points 3"],
        directions: Float[Tensor, "points 3"],
        times: Float[Tensor, " points"] | None = None,
    ) -> Float[Tensor, "points 3"]:
        """Color in [0, 1] of the field at `points` and `times` seen along `directions`."""
        self._show_averages()
        times = points.new_zeros(len(points)) if times is None else times
        conditions = self.moving.conditions(times)
        harmonics = view_harmonics(directions)
        return self._engine.color(self.field.to_unit(points), conditions, harmonics)

    def to_canonical(
        self, points: Float[Tensor, "points 3"], times: Float[Tensor, " points"]
    ) -> Float[Tensor, "points 3"]:
        """Where in the canonical field, in scene units, lies what is at `points` at `times`."""
        self._show_averages()
        conditions = self.moving.conditions(times)
        cube = self._engine.canonical_cube(self.field.to_unit(points), conditions)
        return self.field.from_cube(cube.clamp(0, 1))

    def _untrained(self) -> "DeformableNGP":
        return DeformableNGP(
            self.config, self.bounds, self.unbounded, 1, self.device, self.times[:1]
        )

    def _look_around(self, generator: torch.Generator) -> None:
        config = self.config

        def density(points: Tensor, times: Tensor) -> Tensor:
            return self._engine.density(points, self.moving.conditions(times))

        visits, threshold = config.occupancy_visits, config.occupancy_threshold
        self.occupancy.update(density, generator, visits, threshold)

    def _render(self, rays: Rays, targets: RayTargets, guide: Guide) -> Float[Tensor, "rays 5"]:
        times = _times_of(rays)
        moving = MovingRayTargets(*targets, times, self.moving.conditions(times))
        return self._engine.render(moving, guide)

    def _step(
        self,
        rays: Rays,
        random: Float[Tensor, "rays more"],
        fraction: float | Tensor,
        targets: RayTargets,
        guide: Guide,
        loss: LossSettings,
        adam: AdamSettings,
    ) -> StepResult:
        config, times = self.config, _times_of(rays)
        calm = (1 - 2 * torch.as_tensor(fraction)).clamp(min=0)
        noise = config.time_noise * calm * (2 * random[:, 0] - 1)
        moved = (times + noise).clamp(0, 1) if self.times else times
        moving = MovingRayTargets(*targets, times, self.moving.conditions(moved))
        rate = config.deformation_rate * adam.weight_rate
        return self._engine.step(moving, guide, loss, adam, rate, config.rest)

    def _make_engine(self) -> FusedDeformableField | AutogradDeformableField:
        if self.device.type != "cpu":
            return self._autograd_field()
        field = self.field
        canonical = FusedField(
            field.encoding.table,
            field.weights,
            self._moments_of("table", "weights"),
            field.encoding.layout,
            self.unbounded,
            field.sizes,
            multiplies_bfloat16(self.config),
            self._averages.of("table", "weights"),
        )
        weights, sizes = self.moving.weights, self.moving.sizes
        average = next(iter(self._averages.of("deformation")), None)
        moments = self._moments_of("deformation")
        return FusedDeformableField(canonical, weights, moments, sizes, average)

    def _autograd_field(self) -> AutogradDeformableField:
        moments = self._moments_of("table", "weights"), self._moments_of("deformation")
        most = most_steps(self.config, self.unbounded)
        averages = self._averages.of("table", "weights", "deformation")
        return AutogradDeformableField(self.moving, *moments, most, self._budget(), averages)


def _times_of(rays: Rays) -> Float[Tensor, " rays"]:
    return rays.origins.new_zeros(len(rays)) if rays.times is None else rays.times
