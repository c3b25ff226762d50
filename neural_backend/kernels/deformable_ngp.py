# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash-grid field behind a deformation on the CPU: spreads its kernels over the threads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from . import deformable_ngp_numba as kernels
from . import instant_ngp_numba, instant_ngp_training_numba
from .deformation_numba import Bent, make_bent
from .instant_ngp import TASKS, FusedField, StepResult, cut_tiles
from .instant_ngp_numba import Workspace
from .instant_ngp_types import AdamSettings, Deformation, LossSettings, MovingRayTargets
from .ray_marching import Guide
from .threads import for_each, spans

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class DeformationSizes:
    """The network: position's octaves and condition → width → width → displacement and features.

    `features` is how many the deformation hands on to the field behind it. Displacements in the
    cube are `reach` times what the network gives: with Adam, whose steps are as long whatever the
    slope, that is how fast they change.
    """

    octaves: int
    num_conditions: int
    width: int
    features: int
    reach: float

    @property
    def num_inputs(self) -> int:
        """A position, its octaves, and ones to fill up to a multiple of 4, at least one."""
        return (3 + 6 * self.octaves) // 4 * 4 + 4

    @property
    def num_outputs(self) -> int:
        return -(-(3 + self.features) // 4) * 4

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The (outputs, inputs) of each matrix in `Deformation`."""
        return [
            (self.width, self.num_inputs),
            (self.width, self.num_conditions),
            (self.width, self.width),
            (self.num_outputs, self.width),
        ]

    def cut(self, weights: Floats) -> Deformation:
        """The matrices in a flat vector of weights; they share its memory."""
        matrices, start = [], 0
        for rows, columns in self.shapes:
            matrices.append(weights[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        from_position, from_condition, hidden, out = matrices
        return Deformation(from_position, from_condition, hidden, out, self.reach)


class FusedDeformableField:
    """Evaluates and trains a deformation and the `canonical` field behind it, in place.

    `moments` are Adam's means of slopes and squares of the deformation's weights, `average` that of
    the weights themselves, where there is one. A displacement costs `rest` times its square where
    something is shown.
    """

    def __init__(
        self,
        canonical: FusedField,
        weights: Tensor,
        moments: tuple[Tensor, ...],
        sizes: DeformationSizes,
        average: Tensor | None = None,
    ) -> None:
        self.canonical, self.sizes, self.average = canonical, sizes, average
        self.weights = weights.detach().numpy()
        self.moments = [moment.numpy() for moment in moments]
        self.deformation = sizes.cut(self.weights)
        self.gradients = np.zeros((TASKS, len(self.weights)), np.float32)
        self._free: list[Bent] = []

    def density(
        self, points: Float[Tensor, "points 3"], conditions: Float[Tensor, "points conditions"]
    ) -> Float[Tensor, " points"]:
        """Density per unit length at positions of the unit frame."""
        places, told = _array(points), _array(conditions)
        density = np.empty(len(points), np.float32)
        fields = (self.canonical.networks, self.deformation, self.canonical.hashed)

        def query(work: Workspace, bent: Bent, first: int, last: int) -> None:
            kernels.query_density(*fields, work, bent, places, told, density, first, last)

        self._spread(query, len(places), 4096)
        return torch.from_numpy(density)

    def color(
        self,
        points: Float[Tensor, "points 3"],
        conditions: Float[Tensor, "points conditions"],
        harmonics: Float[Tensor, "points harmonics"],
    ) -> Float[Tensor, "points 3"]:
        """Colors at those positions, seen along directions with these harmonics."""
        places, told, along = _array(points), _array(conditions), _array(harmonics)
        rgb = np.empty((len(points), 3), np.float32)
        fields = (self.canonical.networks, self.deformation, self.canonical.hashed)

        def query(work: Workspace, bent: Bent, first: int, last: int) -> None:
            kernels.query_color(*fields, work, bent, places, told, along, rgb, first, last)

        self._spread(query, len(places), 4096)
        return torch.from_numpy(rgb)

    def canonical_cube(
        self, points: Float[Tensor, "points 3"], conditions: Float[Tensor, "points conditions"]
    ) -> Float[Tensor, "points 3"]:
        """Where positions of the unit frame lie in the cube of the canonical hash grid."""
        places, told = _array(points), _array(conditions)
        found = np.empty((len(points), 3), np.float32)
        fields = (self.deformation, self.canonical.hashed)

        def query(work: Workspace, bent: Bent, first: int, last: int) -> None:
            kernels.query_canonical(*fields, work, bent, places, told, found, first, last)

        self._spread(query, len(places), 4096)
        return torch.from_numpy(found)

    def render(self, rays: MovingRayTargets, guide: Guide) -> Float[Tensor, "rays 5"]:
        """Red, green, blue, accumulation and weighted depth, in unit lengths, of each ray."""
        batch, known = _arrays(rays), guide.as_arrays()
        seen = np.empty((len(batch.origins), 5), np.float32)
        fields = (self.canonical.networks, self.deformation, self.canonical.hashed)

        def render(work: Workspace, bent: Bent, first: int, last: int) -> None:
            kernels.render_rays(*fields, known, batch, work, bent, seen, first, last)

        self._spread(render, len(seen), 4 * instant_ngp_numba.MAX_RAYS)
        return torch.from_numpy(seen)

    def step(
        self,
        rays: MovingRayTargets,
        guide: Guide,
        loss: LossSettings,
        adam: AdamSettings,
        deformation_rate: float,
        rest: float,
    ) -> StepResult:
        """Learns from a batch of rays. The result does not depend on the number of threads."""
        batch, known = _arrays(rays), guide.as_arrays()
        field, num_rays = self.canonical, len(batch.origins)
        tiles = cut_tiles(num_rays, guide.samples)
        field.make_room(num_rays * guide.samples)
        used = np.zeros(len(tiles), np.int64)
        per_ray = np.zeros((num_rays, 4), np.float32)
        pieces = spans(len(tiles), max(1, -(-len(tiles) // TASKS)))
        sums = np.zeros((len(pieces), 2))
        field.weight_gradients[: len(pieces)] = 0
        self.gradients[: len(pieces)] = 0

        def learn(task: int) -> None:
            work, bent = field.borrow(), self._borrow()
            kernels.train_tiles(
                field.networks,
                self.deformation,
                field.hashed,
                known,
                batch,
                loss,
                rest,
                work,
                bent,
                field.sizes.cut(field.weight_gradients[task]),
                self.sizes.cut(self.gradients[task]),
                tiles,
                *pieces[task],
                field.points,
                field.d_features,
                per_ray,
                used,
                sums[task],
            )
            self._free.append(bent)
            field.give_back(work)

        for_each(learn, len(pieces))
        field.update(tiles, used, field.weight_gradients[: len(pieces)].sum(axis=0), adam)
        gradient = self.gradients[: len(pieces)].sum(axis=0)
        rows = [part.reshape(-1, 4) for part in (self.weights, gradient, *self.moments)]
        instant_ngp_training_numba.adam_rows(*rows, 0, len(rows[0]), adam, deformation_rate)
        if self.average is not None:
            self.average.lerp_(torch.from_numpy(self.weights), 1 - adam.keep)
        squares, total = sums.sum(axis=0)
        told = torch.from_numpy(per_ray)
        return StepResult(float(squares), float(total), int(used.sum()), told[:, :3], told[:, 3])

    def _spread(
        self, task: Callable[[Workspace, Bent, int, int], None], count: int, longest: int
    ) -> None:
        pieces = spans(count, longest)

        def work(number: int) -> None:
            workspace, bent = self.canonical.borrow(), self._borrow()
            task(workspace, bent, *pieces[number])
            self._free.append(bent)
            self.canonical.give_back(workspace)

        for_each(work, len(pieces))

    def _borrow(self) -> Bent:
        try:
            return self._free.pop()
        except IndexError:
            sizes = self.sizes
            return make_bent(sizes.num_inputs, sizes.num_conditions, sizes.width, sizes.num_outputs)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().float().contiguous().numpy()


def _arrays(rays: MovingRayTargets) -> MovingRayTargets:
    return MovingRayTargets(*(_array(part) for part in rays))
