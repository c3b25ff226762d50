# SPDX-License-Identifier: GPL-3.0-or-later
"""Training steps of a hash-grid field on the CPU: spreads `instant_ngp_numba` over the threads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import instant_ngp_numba as kernels
from .instant_ngp_numba import HashTable, LossSettings, Networks, Occupancy, RayTargets, Workspace
from .ray_marching_numba import count_samples
from .threads import for_each, spans

TASKS = 32
"""Pieces of a step, each with sums of its own: more than threads, but few enough to add up."""

Floats = NDArray[np.float32]


def networks_of(weights: Floats, num_features: int, width: int, color_layers: int) -> Networks:
    """The matrices in a flat vector of weights; they share its memory."""
    matrices, start = [], 0
    for rows, columns in network_shapes(num_features, width, color_layers):
        matrices.append(weights[start : start + rows * columns].reshape(rows, columns))
        start += rows * columns
    return Networks(*matrices)


def network_shapes(num_features: int, width: int, color_layers: int) -> list[tuple[int, int]]:
    """The (outputs, inputs) of each matrix of `Networks`."""
    return [
        (width, num_features),
        (kernels.GEOMETRY, width),
        (width, kernels.GEOMETRY),
        (width, kernels.HARMONICS),
        (width if color_layers == 2 else 0, width),
        (4, width),
    ]


@dataclass(frozen=True)
class StepResult:
    """What a step saw: `candidates` were marched to, `samples` of them not hidden behind others."""

    squared_error: float
    loss: float
    candidates: int
    samples: int
    d_gains: Floats


@dataclass
class Moments:
    """Running means of Adam, for the table and the networks."""

    table_first: Floats
    table_second: Floats
    weights_first: Floats
    weights_second: Floats


class FusedField:
    """Trains and evaluates a table and weights, which it changes in place."""

    def __init__(
        self, hashed: HashTable, weights: Floats, width: int, color_layers: int, moments: Moments
    ) -> None:
        self.hashed, self.weights, self.moments = hashed, weights, moments
        self.num_features = hashed.resolutions.shape[0] * hashed.table.shape[1]
        self.shape = (self.num_features, width, color_layers)
        self.networks = networks_of(weights, *self.shape)
        levels, per_level = hashed.resolutions.shape[0], hashed.table.shape[1]
        self.table_gradient = np.zeros_like(hashed.table)
        self.weight_gradients = np.zeros((TASKS, weights.shape[0]), np.float32)
        self.points = np.zeros((0, 3), np.float32)
        self.d_features = np.zeros((levels, 0, per_level), np.float32)
        self._free: list[Workspace] = []

    def density(self, points: Floats) -> Floats:
        """Density per unit length at (points, 3) positions of the unit frame."""
        density = np.empty(len(points), np.float32)

        def query(work: Workspace, first: int, last: int) -> None:
            kernels.query_density(self.networks, self.hashed, work, points, density, first, last)

        self._spread(query, len(points), 8 * kernels.TILE)
        return density

    def color(self, points: Floats, harmonics: Floats) -> Floats:
        """Colors at those positions, seen along directions with these harmonics."""
        rgb = np.empty((len(points), 3), np.float32)

        def query(work: Workspace, first: int, last: int) -> None:
            kernels.query_color(
                self.networks, self.hashed, work, points, harmonics, rgb, first, last
            )

        self._spread(query, len(points), 8 * kernels.TILE)
        return rgb

    def render(self, batch: RayTargets, occupancy: Occupancy, opaque: float) -> Floats:
        """Rows of red, green, blue, accumulation and weighted depth, one for each ray."""
        seen = np.empty((len(batch.origins), 5), np.float32)

        def render(work: Workspace, first: int, last: int) -> None:
            kernels.render_tiles(
                self.networks, self.hashed, occupancy, batch, opaque, work, seen, first, last
            )

        self._spread(render, len(seen), 4 * kernels.MAX_RAYS)
        return seen

    def _spread(
        self, task: Callable[[Workspace, int, int], None], count: int, longest: int
    ) -> None:
        pieces = spans(count, longest)

        def work(number: int) -> None:
            workspace = self._borrow()
            task(workspace, *pieces[number])
            self._free.append(workspace)

        for_each(work, len(pieces))

    def step(
        self,
        batch: RayTargets,
        occupancy: Occupancy,
        loss: LossSettings,
        rates: tuple[float, float],
        betas: tuple[float, float],
        epsilon: float,
        step: int,
    ) -> StepResult:
        """Learns from a batch of rays; `rates` are those of the table and the weights, `step` ≥ 1."""
        counts = self._count(batch, occupancy)
        tiles, room = cut_tiles(counts)
        self._make_room(room)
        used = np.zeros(len(tiles), np.int64)
        d_gains = np.zeros((len(counts), 3), np.float32)
        pieces = spans(len(tiles), max(1, -(-len(tiles) // TASKS)))
        sums = np.zeros((len(pieces), 2))
        self.weight_gradients[:] = 0

        def learn(task: int) -> None:
            gradients = networks_of(self.weight_gradients[task], *self.shape)
            work = self._borrow()
            kernels.train_tiles(
                self.networks,
                self.hashed,
                occupancy,
                batch,
                loss,
                work,
                gradients,
                tiles,
                *pieces[task],
                self.points,
                self.d_features,
                d_gains,
                used,
                sums[task],
            )
            self._free.append(work)

        for_each(learn, len(pieces))
        num_levels = self.hashed.resolutions.shape[0]
        weight_gradient = self.weight_gradients.sum(axis=0)

        def update(task: int) -> None:
            if task == 0:
                rows = (-1, 4)
                kernels.adam_rows(
                    self.weights.reshape(rows),
                    weight_gradient.reshape(rows),
                    self.moments.weights_first.reshape(rows),
                    self.moments.weights_second.reshape(rows),
                    0,
                    self.weights.shape[0] // 4,
                    rates[1],
                    betas,
                    epsilon,
                    step,
                )
                return
            kernels.update_level(
                self.hashed,
                self.points,
                self.d_features,
                tiles,
                used,
                num_levels - task,
                self.table_gradient,
                self.moments.table_first,
                self.moments.table_second,
                rates[0],
                betas,
                epsilon,
                step,
            )

        for_each(update, 1 + num_levels)
        squared_error, total = sums.sum(axis=0)
        return StepResult(
            float(squared_error), float(total), int(counts.sum()), int(used.sum()), d_gains
        )

    def _count(self, batch: RayTargets, occupancy: Occupancy) -> NDArray[np.int64]:
        num_rays = batch.origins.shape[0]
        counts = np.zeros(num_rays, np.int64)
        pieces = spans(num_rays, 512)

        def count(task: int) -> None:
            count_samples(
                batch.origins,
                batch.directions,
                batch.nears,
                batch.fars,
                batch.jitters,
                occupancy.grid,
                occupancy.resolution,
                (occupancy.shortest, occupancy.cone),
                kernels.TILE,
                counts,
                *pieces[task],
            )

        for_each(count, len(pieces))
        return counts

    def _make_room(self, samples: int) -> None:
        if samples > self.points.shape[0]:
            room = samples + samples // 4
            levels, _, per_level = self.d_features.shape
            self.points = np.zeros((room, 3), np.float32)
            self.d_features = np.zeros((levels, room, per_level), np.float32)

    def _borrow(self) -> Workspace:
        try:
            return self._free.pop()
        except IndexError:
            return kernels.make_workspace(self.num_features, self.shape[1])


def cut_tiles(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Runs of rays that fit into a tile: rows (first ray, end, place of the first sample).

    Also returns the number of samples in all.
    """
    ends = np.cumsum(counts)
    rows = []
    first = place = 0
    while first < len(counts):
        last = int(np.searchsorted(ends, place + kernels.TILE, side="right"))
        last = min(last, first + kernels.MAX_RAYS)
        rows.append((first, last, place))
        first, place = last, int(ends[last - 1])
    return np.array(rows, np.int64).reshape(-1, 3), place
