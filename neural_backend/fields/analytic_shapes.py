# SPDX-License-Identifier: GPL-3.0-or-later
"""Solids whose distance has a formula.

All lie about the origin; those with an axis stand along Z, as Blender's primitives do. Sphere, box,
rounded box, capsule and plane have as many dimensions as the points that they are asked about: a
circle is a sphere in the plane.

Source: Hart 1996, "Sphere tracing", appendix A; Quilez, "Distance functions"
(iquilezles.org/articles/distfunctions).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from .shape import Shape, box_about_origin, constant, length, length_of, require_positive


@dataclass(frozen=True)
class Sphere(Shape):
    """All points within `radius`. Exact. `dimensions` matters for its bounds only."""

    type: ClassVar[str] = "sphere"
    radius: float = 1.0
    dimensions: int = 3

    def __post_init__(self) -> None:
        require_positive(self, radius=self.radius)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        return length(points) - self.radius

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return box_about_origin(*[self.radius] * self.dimensions)


@dataclass(frozen=True)
class Box(Shape):
    """A box that reaches `half_size` from the origin along each axis. Exact."""

    type: ClassVar[str] = "box"
    half_size: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for half in self.half_size:
            require_positive(self, half_size=half)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        return box_distance(points, self.half_size)

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return box_about_origin(*self.half_size)


@dataclass(frozen=True)
class RoundedBox(Shape):
    """A box of `half_size` whose edges are rounded off by `radius`. Exact."""

    type: ClassVar[str] = "rounded_box"
    half_size: tuple[float, ...] = (1.0, 1.0, 1.0)
    radius: float = 0.25

    def __post_init__(self) -> None:
        require_positive(self, radius=self.radius)
        if self.radius > min(self.half_size):
            raise ValueError(
                f"the radius of a rounded_box must not exceed its half_size, got {self.radius}"
            )

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        return (
            box_distance(points, tuple(half - self.radius for half in self.half_size)) - self.radius
        )

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return box_about_origin(*self.half_size)


@dataclass(frozen=True)
class Torus(Shape):
    """A tube of `tube_radius` around a circle of `ring_radius` in the plane of X and Y. Exact."""

    type: ClassVar[str] = "torus"
    ring_radius: float = 1.0
    tube_radius: float = 0.25

    def __post_init__(self) -> None:
        require_positive(self, ring_radius=self.ring_radius, tube_radius=self.tube_radius)
        if self.tube_radius > self.ring_radius:
            raise ValueError(
                f"the tube_radius of a torus must not exceed its ring_radius, "
                f"got {self.tube_radius} and {self.ring_radius}"
            )

    def distance(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        from_ring = length(points[..., :2]) - self.ring_radius
        return length_of(from_ring, points[..., 2]) - self.tube_radius

    def bounds(self) -> Float[Tensor, "2 3"]:
        reach = self.ring_radius + self.tube_radius
        return box_about_origin(reach, reach, self.tube_radius)


@dataclass(frozen=True)
class Cylinder(Shape):
    """A cylinder along Z that reaches `half_height` up and down. Exact."""

    type: ClassVar[str] = "cylinder"
    radius: float = 1.0
    half_height: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, radius=self.radius, half_height=self.half_height)

    def distance(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        beyond_side = length(points[..., :2]) - self.radius
        beyond_caps = points[..., 2].abs() - self.half_height
        outside = length_of(beyond_side.clamp(min=0), beyond_caps.clamp(min=0))
        return outside + torch.maximum(beyond_side, beyond_caps).clamp(max=0)

    def bounds(self) -> Float[Tensor, "2 3"]:
        return box_about_origin(self.radius, self.radius, self.half_height)


@dataclass(frozen=True)
class Cone(Shape):
    """A cone along Z, its tip cut off where `top_radius` is not 0. Exact.

    The bottom, of `bottom_radius`, lies at -`half_height`, the top at `half_height`.
    """

    type: ClassVar[str] = "cone"
    bottom_radius: float = 1.0
    top_radius: float = 0.0
    half_height: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, half_height=self.half_height)
        radii = (self.bottom_radius, self.top_radius)
        if min(radii) < 0 or not 0 < max(radii) < math.inf:
            raise ValueError(f"the radii of a cone must not be negative nor both 0, got {radii}")

    def distance(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        across, up = length(points[..., :2]), points[..., 2]
        cap_radius = torch.where(up < 0, self.bottom_radius, self.top_radius).to(across)
        beyond_caps = up.abs() - self.half_height
        to_cap = length_of((across - cap_radius).clamp(min=0), beyond_caps)
        widening, height = self.top_radius - self.bottom_radius, 2 * self.half_height
        from_top, below_top = across - self.top_radius, up - self.half_height
        share = (-from_top * widening - below_top * height) / (widening**2 + height**2)
        share = share.clamp(0, 1)
        off_side_across, off_side_up = from_top + widening * share, below_top + height * share
        to_side = length_of(off_side_across, off_side_up)
        inside = (off_side_across < 0) & (beyond_caps < 0)
        return torch.where(inside, -1.0, 1.0).to(across) * torch.minimum(to_cap, to_side)

    def bounds(self) -> Float[Tensor, "2 3"]:
        radius = max(self.bottom_radius, self.top_radius)
        return box_about_origin(radius, radius, self.half_height)


@dataclass(frozen=True)
class Capsule(Shape):
    """All points within `radius` of the line from `start` to `end`. Exact."""

    type: ClassVar[str] = "capsule"
    start: tuple[float, ...] = (0.0, 0.0, -1.0)
    end: tuple[float, ...] = (0.0, 0.0, 1.0)
    radius: float = 0.5

    def __post_init__(self) -> None:
        require_positive(self, radius=self.radius)
        if len(self.start) != len(self.end):
            raise ValueError(
                f"the start and end of a capsule must have equally many numbers, "
                f"got {self.start} and {self.end}"
            )

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        start = constant(self.start, points)
        along = constant(self.end, points) - start
        squared = (along * along).sum().clamp(min=1e-30)
        from_start = points - start
        share = ((from_start * along).sum(dim=-1) / squared).clamp(0, 1)
        return length(from_start - share[..., None] * along) - self.radius

    def bounds(self) -> Float[Tensor, "2 dim"]:
        ends = torch.tensor([self.start, self.end], dtype=torch.float64)
        return torch.stack([ends.amin(dim=0) - self.radius, ends.amax(dim=0) + self.radius])


@dataclass(frozen=True)
class Plane(Shape):
    """Everything below a plane: `normal` points out of it, `offset` is where it lies along. Exact.

    Its bounds are infinite; intersect it with something to mesh it.
    """

    type: ClassVar[str] = "plane"
    normal: tuple[float, ...] = (0.0, 0.0, 1.0)
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < math.hypot(*self.normal) < math.inf:
            raise ValueError(f"the normal of a plane must have a length, got {self.normal}")

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        size = math.hypot(*self.normal)
        unit = constant(tuple(part / size for part in self.normal), points)
        return (points * unit).sum(dim=-1) - self.offset

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return box_about_origin(*[math.inf] * len(self.normal))


def box_distance(
    points: Float[Tensor, "*batch dim"], half_size: tuple[float, ...]
) -> Float[Tensor, "*batch"]:
    """Distance to a box about the origin, of which a side may have no length."""
    beyond = points.abs() - constant(half_size, points)
    return length(beyond.clamp(min=0)) + beyond.amax(dim=-1).clamp(max=0)
