# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash-grid field on the CPU: spreads the kernels of `instant_ngp_numba` over the threads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from . import instant_ngp_numba as kernels
from . import instant_ngp_training_numba as training
from .fused_mlp import Layers
from .hash_grid import HashGridLayout
from .instant_ngp_numba import Workspace
from .instant_ngp_types import (
    GEOMETRY,
    HARMONICS,
    AdamSettings,
    HashTable,
    LossSettings,
    Networks,
    RayTargets,
)
from .ray_marching import Guide
from .threads import for_each, spans

TASKS = 32
"""Pieces of a step, each with sums of its own: more than threads, but few enough to add up."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NetworkSizes:
    """The two networks: features → width → geometry, and geometry, direction → width (→ width) → 3.

    Geometry's first channel is the logarithm of the density before `density_shift` is added.
    """

    num_features: int
    width: int
    color_layers: int
    density_shift: float

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The (outputs, inputs) of each matrix in `kernels.Networks`."""
        return [
            (self.width, self.num_features),
            (GEOMETRY, self.width),
            (self.width, GEOMETRY),
            (self.width, HARMONICS),
            (self.width if self.color_layers == 2 else 0, self.width),
            (4, self.width),
        ]

    @property
    def density_network(self) -> Layers:
        """Where the first network's matrices lie."""
        return Layers(0, tuple(self.shapes[:2]))

    @property
    def color_network(self) -> Layers:
        """Where the second's lie, which gathers directions."""
        start = sum(rows * columns for rows, columns in self.shapes[:2])
        shapes = tuple(shape for shape in self.shapes[2:] if shape[0])
        return Layers(start, shapes, gathers=True)

    def cut(self, weights: Floats) -> Networks:
        """The matrices in a flat vector of weights; they share its memory."""
        matrices, start = [], 0
        for rows, columns in self.shapes:
            matrices.append(weights[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        return Networks(*matrices)


@dataclass(frozen=True)
class StepResult:
    """What a step saw; `samples` are those not hidden behind others.

    `d_gains` are the slopes of the loss by the logarithms of the rays' gains; `squared_errors` add
    up to `squared_error`. Without `looked_at` no ray was left out.
    """

    squared_error: float | Tensor
    loss: float | Tensor
    samples: int | Tensor
    d_gains: Float[Tensor, "rays 3"]
    squared_errors: Float[Tensor, " rays"]
    looked_at: Bool[Tensor, " rays"] | None = None


class FusedField:
    """Evaluates and trains a table and weights on the CPU; changes them and their moments in place.

    `moments` are Adam's means of slopes and squares, of the table and then of the weights;
    `averages`, where there are any, those of the two themselves. With `bfloat16` the wide
    layers' products take their factors in it.
    """

    def __init__(
        self,
        table: Tensor,
        weights: Tensor,
        moments: tuple[Tensor, ...],
        layout: HashGridLayout,
        contracted: bool,
        sizes: NetworkSizes,
        bfloat16: bool = False,
        averages: tuple[Tensor, ...] = (),
    ) -> None:
        self.bfloat16 = bfloat16
        self.hashed = HashTable(
            table.detach().numpy(),
            np.array(layout.resolutions, np.int64),
            np.array(layout.offsets, np.int64),
            contracted,
            sizes.density_shift,
        )
        self.weights = weights.detach().numpy()
        self.moments = [moment.numpy() for moment in moments]
        self._averages = list(zip(averages, (table.detach(), weights.detach()), strict=False))
        self.sizes = sizes
        self.networks = sizes.cut(self.weights)
        self.table_gradient = np.zeros_like(self.hashed.table)
        self.weight_gradients = np.zeros((TASKS, len(self.weights)), np.float32)
        self.points = np.zeros((3, 0), np.float32)
        self.d_features = np.zeros((len(layout.resolutions), 0, table.shape[1]), np.float32)
        self._free: list[Workspace] = []

    def density(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Density per unit length at positions of the unit frame."""
        places, density = _array(points), np.empty(len(points), np.float32)

        def query(work: Workspace, first: int, last: int) -> None:
            kernels.query_density(self.networks, self.hashed, work, places, density, first, last)

        self._spread(query, len(places), 8 * kernels.TILE)
        return torch.from_numpy(density)

    def color(
        self, points: Float[Tensor, "points 3"], harmonics: Float[Tensor, "points harmonics"]
    ) -> Float[Tensor, "points 3"]:
        """Colors at those positions, seen along directions with these harmonics."""
        places, along = _array(points), _array(harmonics)
        rgb = np.empty((len(points), 3), np.float32)

        def query(work: Workspace, first: int, last: int) -> None:
            kernels.query_color(self.networks, self.hashed, work, places, along, rgb, first, last)

        self._spread(query, len(places), 8 * kernels.TILE)
        return torch.from_numpy(rgb)

    def render(self, rays: RayTargets, guide: Guide) -> Float[Tensor, "rays 5"]:
        """Red, green, blue, accumulation and weighted depth, in unit lengths, of each ray."""
        batch, known = _arrays(rays), guide.as_arrays()
        seen = np.empty((len(batch.origins), 5), np.float32)

        def render(work: Workspace, first: int, last: int) -> None:
            kernels.render_rays(self.networks, self.hashed, known, batch, work, seen, first, last)

        self._spread(render, len(seen), 4 * kernels.MAX_RAYS)
        return torch.from_numpy(seen)

    def step(
        self, rays: RayTargets, guide: Guide, loss: LossSettings, adam: AdamSettings
    ) -> StepResult:
        """Learns from a batch of rays. The result does not depend on the number of threads."""
        batch, known = _arrays(rays), guide.as_arrays()
        num_rays = len(batch.origins)
        tiles = cut_tiles(num_rays, guide.samples)
        self.make_room(num_rays * guide.samples)
        used = np.zeros(len(tiles), np.int64)
        per_ray = np.zeros((num_rays, 4), np.float32)
        pieces = spans(len(tiles), max(1, -(-len(tiles) // TASKS)))
        sums = np.zeros((len(pieces), 2))
        self.weight_gradients[: len(pieces)] = 0

        def learn(task: int) -> None:
            work = self.borrow()
            training.train_tiles(
                self.networks,
                self.hashed,
                known,
                batch,
                loss,
                work,
                self.sizes.cut(self.weight_gradients[task]),
                tiles,
                *pieces[task],
                self.points,
                self.d_features,
                per_ray,
                used,
                sums[task],
            )
            self.give_back(work)

        for_each(learn, len(pieces))
        self.update(tiles, used, self.weight_gradients[: len(pieces)].sum(axis=0), adam)
        squares, total = sums.sum(axis=0)
        told = torch.from_numpy(per_ray)
        return StepResult(float(squares), float(total), int(used.sum()), told[:, :3], told[:, 3])

    def update(
        self,
        tiles: NDArray[np.int64],
        used: NDArray[np.int64],
        gradient: Floats,
        adam: AdamSettings,
    ) -> None:
        """Takes the step of Adam that the samples handed over and the weights' gradient ask for."""
        num_levels = len(self.hashed.resolutions)
        table_first, table_second, weights_first, weights_second = self.moments

        def update(task: int) -> None:
            if task == num_levels:
                vectors = (self.weights, gradient, weights_first, weights_second)
                rows = [vector.reshape(-1, 4) for vector in vectors]
                training.adam_rows(*rows, 0, len(rows[0]), adam, adam.weight_rate)
                return
            training.update_level(
                self.hashed,
                self.points,
                self.d_features,
                tiles,
                used,
                # The finest levels take longest: first come, first served.
                num_levels - 1 - task,
                self.table_gradient,
                table_first,
                table_second,
                adam,
            )

        for_each(update, num_levels + 1)
        for average, learned in self._averages:
            average.lerp_(learned, 1 - adam.keep)

    def make_room(self, samples: int) -> None:
        """Memory for what the samples of a step hand over."""
        if samples > self.points.shape[1]:
            levels, _, per_level = self.d_features.shape
            self.points = np.zeros((3, samples), np.float32)
            self.d_features = np.zeros((levels, samples, per_level), np.float32)

    def _spread(
        self, task: Callable[[Workspace, int, int], None], count: int, longest: int
    ) -> None:
        pieces = spans(count, longest)

        def work(number: int) -> None:
            workspace = self.borrow()
            task(workspace, *pieces[number])
            self.give_back(workspace)

        for_each(work, len(pieces))

    def borrow(self) -> Workspace:
        """Room for a tile, to be given back with `give_back`."""
        try:
            return self._free.pop()
        except IndexError:
            sizes = self.sizes
            return kernels.make_workspace(sizes.num_features, sizes.width, self.bfloat16)

    def give_back(self, work: Workspace) -> None:
        """Takes the room of a tile back for the next."""
        self._free.append(work)


def cut_tiles(num_rays: int, samples_per_ray: int) -> NDArray[np.int64]:
    """Runs of rays that fit into a tile: rows (first ray, end, place of the first sample)."""
    pieces = spans(num_rays, min(kernels.TILE // samples_per_ray, kernels.MAX_RAYS))
    rows = [(first, last, first * samples_per_ray) for first, last in pieces]
    return np.array(rows, np.int64).reshape(-1, 3)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().float().contiguous().numpy()


def _arrays(rays: RayTargets) -> RayTargets:
    return RayTargets(*(_array(part) for part in rays))
