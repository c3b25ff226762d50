# SPDX-License-Identifier: GPL-3.0-or-later
"""Solids made of solids: boolean operations, placements, offsets and shells.

Minimum and maximum keep distances from being too long. They are exact outside of a union and inside
of an intersection, and bounds elsewhere: the nearest point of a part may be cut away.

Source: Ricci 1973, "A constructive geometry for computer graphics" (minimum and maximum); Quilez,
"Smooth minimum" (iquilezles.org/articles/smin), the quadratic polynomial.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, reduce
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from .shape import DistanceFn, Shape, constant, require_positive


def smooth_minimum(
    first: Float[Tensor, "*batch"], second: Float[Tensor, "*batch"], smoothness: float
) -> Float[Tensor, "*batch"]:
    """The smaller one, rounded where both differ by less than `smoothness`, by a quarter of it.

    Source: Quilez, "Smooth minimum", quadratic polynomial: min(a, b) - h² k / 4 with
        h = max(k - |a - b|, 0) / k.
    """
    smaller = torch.minimum(first, second)
    if smoothness <= 0:
        return smaller
    close = (smoothness - (first - second).abs()).clamp(min=0)
    return smaller - close * close / (4 * smoothness)


@dataclass(frozen=True)
class Union(Shape):
    """All that is in any part; seams are filled over a width of `smoothness`.

    Smooth unions of more than two parts depend a little on their order.
    """

    type: ClassVar[str] = "union"
    parts: tuple[Shape, ...]
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        _require_parts(self, self.parts, self.smoothness)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        distances = (part.distance(points) for part in self.parts)
        return reduce(lambda one, other: smooth_minimum(one, other, self.smoothness), distances)

    def bounds(self) -> Float[Tensor, "2 dim"]:
        boxes = torch.stack([part.bounds() for part in self.parts])
        # Each fold lowers the distance by at most a quarter of the smoothness.
        grown = self.smoothness / 4 * (len(self.parts) - 1)
        return torch.stack([boxes[:, 0].amin(dim=0) - grown, boxes[:, 1].amax(dim=0) + grown])


@dataclass(frozen=True)
class Intersection(Shape):
    """What is in all parts; edges are rounded over a width of `smoothness`."""

    type: ClassVar[str] = "intersection"
    parts: tuple[Shape, ...]
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        _require_parts(self, self.parts, self.smoothness)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        negated = (-part.distance(points) for part in self.parts)
        return -reduce(lambda one, other: smooth_minimum(one, other, self.smoothness), negated)

    def bounds(self) -> Float[Tensor, "2 dim"]:
        boxes = torch.stack([part.bounds() for part in self.parts])
        return torch.stack([boxes[:, 0].amax(dim=0), boxes[:, 1].amin(dim=0)])


@dataclass(frozen=True)
class Difference(Shape):
    """The first part without the others; edges are rounded over a width of `smoothness`."""

    type: ClassVar[str] = "difference"
    parts: tuple[Shape, ...]
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        _require_parts(self, self.parts, self.smoothness)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        first, *others = (part.distance(points) for part in self.parts)
        return -reduce(
            lambda one, other: smooth_minimum(one, other, self.smoothness), others, -first
        )

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return self.parts[0].bounds()


@dataclass(frozen=True)
class Placed(Shape):
    """A part where `matrix` puts it: rows of a matrix from the part's space to that around it.

    The matrix may move, turn, mirror and scale evenly; an uneven scale would bend distances. As
    exact as the part.
    """

    type: ClassVar[str] = "placed"
    part: Shape
    matrix: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        size = len(self.matrix)
        if size < 2 or any(len(row) != size for row in self.matrix):
            raise ValueError(f"the matrix of a placed shape must be square, got {self.matrix}")
        turned = self._turn @ self._turn.T
        even = self._scale > 0 and torch.allclose(turned, torch.eye(size - 1).to(turned), atol=1e-4)
        bottom = torch.tensor(self.matrix[-1], dtype=torch.float64)
        if not even or not torch.allclose(bottom, torch.eye(size).to(bottom)[-1], atol=1e-6):
            raise ValueError(
                "a shape can be moved, turned and scaled evenly, but not stretched or sheared; "
                f"got the matrix {self.matrix}"
            )

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        # Columns of points: what follows is fastest where points are stored by coordinate.
        columns = points.reshape(-1, points.shape[-1]).T
        turn = constant(self._into_part, points)
        local = turn @ (columns - constant(self._origin, points))
        return (self._scale * self.part.distance(local.T)).reshape(points.shape[:-1])

    def bounds(self) -> Float[Tensor, "2 dim"]:
        lower, upper = self.part.bounds()
        # An infinite side reaches along every axis that it is not square to.
        ends = [
            torch.where(self._turn.abs() < 1e-12, 0.0, self._turn * self._scale * side)
            for side in (lower, upper)
        ]
        origin = torch.tensor(self._origin, dtype=torch.float64)[:, 0]
        return torch.stack(
            [
                origin + torch.minimum(*ends).sum(dim=-1),
                origin + torch.maximum(*ends).sum(dim=-1),
            ]
        )

    @cached_property
    def _scale(self) -> float:
        linear = torch.tensor(self.matrix, dtype=torch.float64)[:-1, :-1]
        return float(torch.linalg.det(linear).abs()) ** (1 / len(linear))

    @cached_property
    def _turn(self) -> Float[Tensor, "dim dim"]:
        """The rotation, which may mirror."""
        return torch.tensor(self.matrix, dtype=torch.float64)[:-1, :-1] / (self._scale or 1.0)

    @cached_property
    def _into_part(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(row) for row in (self._turn.T / self._scale).tolist())

    @cached_property
    def _origin(self) -> tuple[tuple[float, ...], ...]:
        """Where the part's origin lies, as a column."""
        return tuple((row[-1],) for row in self.matrix[:-1])


@dataclass(frozen=True)
class Moved(Shape):
    """A part that is scaled, then turned, then moved: Blender's location, rotation and scale.

    `rotation_deg` are angles about X, then Y, then Z; one angle in the plane.
    """

    type: ClassVar[str] = "moved"
    part: Shape
    location: tuple[float, ...] = (0.0, 0.0, 0.0)
    rotation_deg: tuple[float, ...] = (0.0, 0.0, 0.0)
    scale: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, scale=self.scale)
        if (len(self.location), len(self.rotation_deg)) not in ((3, 3), (2, 1)):
            raise ValueError(
                "a moved shape has three numbers for location and rotation_deg each, or two and "
                f"one in the plane, got {self.location} and {self.rotation_deg}"
            )

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        return self._placed.distance(points)

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return self._placed.bounds()

    @cached_property
    def _placed(self) -> Placed:
        size = len(self.location)
        matrix = torch.eye(size + 1, dtype=torch.float64)
        for number, angle in enumerate(self.rotation_deg):
            axes = [axis for axis in range(size) if size == 2 or axis != number]
            cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            # About Y the plane of rotation is spanned by Z and X, in this order.
            sine = -sine if size == 3 and number == 1 else sine
            turn = torch.eye(size + 1, dtype=torch.float64)
            first, second = axes
            turn[first, first] = turn[second, second] = cosine
            turn[first, second], turn[second, first] = -sine, sine
            matrix = turn @ matrix
        matrix[:-1, :-1] *= self.scale
        matrix[:-1, -1] = torch.tensor(self.location, dtype=torch.float64)
        return Placed(self.part, tuple(tuple(row) for row in matrix.tolist()))


@dataclass(frozen=True)
class Offset(Shape):
    """A part grown by `amount` on all sides, which rounds its outer edges; shrunken if negative.

    Exact outside where the part is exact outside.
    """

    type: ClassVar[str] = "offset"
    part: Shape
    amount: float

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        return self.part.distance(points) - self.amount

    def bounds(self) -> Float[Tensor, "2 dim"]:
        grown = max(self.amount, 0.0)
        return self.part.bounds() + torch.tensor([[-grown], [grown]], dtype=torch.float64)


@dataclass(frozen=True)
class Shell(Shape):
    """The layer around a part's surface, half of `thickness` to either side."""

    type: ClassVar[str] = "shell"
    part: Shape
    thickness: float

    def __post_init__(self) -> None:
        require_positive(self, thickness=self.thickness)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        return self.part.distance(points).abs() - self.thickness / 2

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return Offset(self.part, self.thickness / 2).bounds()


@dataclass(frozen=True)
class FileShape(Shape):
    """A shape in a file or folder, such as a mesh or a trained field, before it is loaded.

    `bind` puts what it stands for in its place. Of a family of learned shapes, `run#name`, it may
    be one on the way to another, `blend` of 0 to 1 or beyond, and steps along the family's
    principal axes.
    """

    type: ClassVar[str] = "file"
    path: str
    blend_to: str = ""
    blend: float = 0.0
    axes: tuple[float, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether it is another shape than that of the path."""
        return bool(self.blend_to or self.blend or self.axes)

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        raise ValueError(f"the shape in {self.path} has not been loaded; call bind first")

    def bounds(self) -> Float[Tensor, "2 dim"]:
        raise ValueError(f"the shape in {self.path} has not been loaded; call bind first")


@dataclass(frozen=True)
class FunctionShape(Shape):
    """A shape that a function of points (num, dim) describes, such as a learned field.

    As exact as the function. It has no description: put a `FileShape` there.
    """

    type: ClassVar[str] = "function"
    distance_fn: DistanceFn
    box: Float[Tensor, "2 dim"]

    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        return self.distance_fn(points.reshape(-1, points.shape[-1])).reshape(points.shape[:-1])

    def bounds(self) -> Float[Tensor, "2 dim"]:
        return self.box.double().cpu()


def bind(shape: Shape, load_fn: Callable[[FileShape], Shape]) -> Shape:
    """The same tree with what `load_fn` makes of it in the place of each `FileShape`."""
    if isinstance(shape, FileShape):
        return load_fn(shape)
    changed: dict[str, Shape | tuple[Shape, ...]] = {}
    for one in fields(shape):  # type: ignore[arg-type]
        value = getattr(shape, one.name)
        if one.name == "part":
            changed["part"] = bind(value, load_fn)
        elif one.name == "parts":
            changed["parts"] = tuple(bind(part, load_fn) for part in value)
    return replace(shape, **changed) if changed else shape  # type: ignore[type-var]


def _require_parts(shape: Shape, parts: tuple[Shape, ...], smoothness: float) -> None:
    if not parts:
        raise ValueError(f"the parts of a {shape.type} must be at least one, got none")
    if not 0 <= smoothness < math.inf:
        raise ValueError(f"the smoothness of a {shape.type} must not be negative, got {smoothness}")
