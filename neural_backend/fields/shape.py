# SPDX-License-Identifier: GPL-3.0-or-later
"""What every exact shape is: a distance to its surface, and the box around it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..geometry.gradients import gradient

DistanceFn = Callable[[Float[Tensor, "points dim"]], Float[Tensor, " points"]]

_SQUARE_OF_NOTHING = 1e-30
"""Below it the root's infinite slope would make gradients NaN."""


class Shape(ABC):
    """A solid, as a function of points of any batch shape; differentiable in them.

    `distance` is negative inside. It never exceeds the distance to the surface, so that a step of
    its length meets nothing; where the docstring of a shape says "exact", it is that distance.
    Lengths are scene units.
    """

    type: ClassVar[str]
    """The shape's name in descriptions."""

    @abstractmethod
    def distance(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """Signed distance to the surface."""

    @abstractmethod
    def bounds(self) -> Float[Tensor, "2 dim"]:
        """A box around the solid, in float64; infinite where the solid is."""

    def normals(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Unit vectors that point straight away from the surface; zero at a ridge's middle."""
        return torch.nn.functional.normalize(gradient(self.distance, points), dim=-1)


def length(vectors: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
    """Euclidean length of the last axis; its gradient at zero is zero.

    As sums, not by `vector_norm`, which takes fifty times as long where points are stored by
    coordinate, the layout in which everything else here is fastest.
    """
    return (vectors * vectors).sum(dim=-1).clamp(min=_SQUARE_OF_NOTHING).sqrt()


def length_of(
    first: Float[Tensor, "*batch"], second: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Length of a vector with two parts, as `length` has it."""
    return (first * first + second * second).clamp(min=_SQUARE_OF_NOTHING).sqrt()


def constant(values: tuple, like: Tensor) -> Tensor:
    """A tensor of numbers, with the type and on the device of another; not to be written to."""
    return _constant(values, like.dtype, like.device)


@lru_cache(maxsize=1 << 14)
def _constant(values: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    # One made in inference mode could never take part in a gradient.
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def box_about_origin(*half_size: float) -> Float[Tensor, "2 dim"]:
    """The box that reaches `half_size` from the origin along each axis."""
    half = torch.tensor(half_size, dtype=torch.float64)
    return torch.stack([-half, half])


def require_positive(shape: Shape, **lengths: float) -> None:
    """Raises ValueError, naming the shape and the length, for one that is not positive."""
    for name, length in lengths.items():
        if not 0 < length < float("inf"):
            raise ValueError(f"the {name} of a {shape.type} must be positive, got {length}")
