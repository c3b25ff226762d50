# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes as methods learn them: points with signed distances, in a frame of about unit size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Pool = Literal["surface", "near", "uniform"]


@dataclass(frozen=True)
class ShapeFrame:
    """Where a shape's unit frame lies: x there is at `center + scale · x` in the scene."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0


@dataclass(frozen=True)
class ShapeSamples:
    """What is known of one shape, in its unit frame; distances are negative inside.

    `surface` lies on it, `near` about it, `uniform` evenly over a box that holds it.
    """

    name: str
    surface: Float[Tensor, "surface 3"]
    near: Float[Tensor, "near 3"]
    near_distances: Float[Tensor, " near"]
    uniform: Float[Tensor, "uniform 3"]
    uniform_distances: Float[Tensor, " uniform"]
    frame: ShapeFrame = ShapeFrame()
    num_vertices: int = 0
    num_faces: int = 0


class ShapeSet:
    """Shapes to learn together, on one device.

    Raises:
        ValueError: if there is none, or two have different numbers of samples.
    """

    def __init__(self, shapes: Sequence[ShapeSamples], device: torch.device | str = "cpu") -> None:
        counts = {(len(one.surface), len(one.near), len(one.uniform)) for one in shapes}
        if len(counts) != 1:
            raise ValueError(f"expected shapes with the same numbers of samples, got {counts}")
        self.names = tuple(shape.name for shape in shapes)
        self.frames = tuple(shape.frame for shape in shapes)
        self.device = torch.device(device)
        surface = torch.stack([shape.surface for shape in shapes])
        near = torch.stack([shape.near for shape in shapes])
        uniform = torch.stack([shape.uniform for shape in shapes])
        self._points: dict[str, Tensor] = {"surface": surface, "near": near, "uniform": uniform}
        self._distances: dict[str, Tensor] = {
            "surface": torch.zeros(surface.shape[:2]),
            "near": torch.stack([shape.near_distances for shape in shapes]),
            "uniform": torch.stack([shape.uniform_distances for shape in shapes]),
        }
        for pool in (self._points, self._distances):
            for name, values in pool.items():
                pool[name] = values.to(self.device, torch.float32).contiguous()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def first(self) -> Int[Tensor, "1"]:
        """The first shape, to draw from it alone."""
        return torch.zeros(1, dtype=torch.long, device=self.device)

    def surface(self, shape: int) -> Float[Tensor, "surface 3"]:
        return self._points["surface"][shape]

    def bounds(self, margin: float = 0.05) -> Float[Tensor, "2 3"]:
        """The box around all shapes, wider on all sides by `margin` of its longest."""
        points = self._points["surface"].reshape(-1, 3)
        low, high = points.amin(dim=0), points.amax(dim=0)
        wider = margin * (high - low).max()
        return torch.stack([low - wider, high + wider])

    def draw(
        self,
        pool: Pool,
        shapes: Int[Tensor, " shapes"],
        count: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, "shapes count 3"], Float[Tensor, "shapes count"]]:
        """`count` random samples, with repetition, of each of some shapes, and their distances.

        Nothing is sent where `shapes` and the `generator` lie on the set's device.
        """
        points, distances = self._points[pool], self._distances[pool]
        size, device = (len(shapes), count), generator.device
        index = torch.randint(points.shape[1], size, generator=generator, device=device)
        rows = shapes.to(self.device)[:, None]
        index = index.to(self.device)
        return points[rows, index], distances[rows, index]
