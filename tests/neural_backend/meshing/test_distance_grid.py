# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_backend.meshing.distance_grid import evaluate_by_distance
from neural_backend.meshing.grid import BLOCK, Lattice
from neural_backend.meshing.isosurface import Isosurface
from neural_backend.meshing.marching_cubes import marching_cubes
from tests.simple_shapes import ball, torus

BOUNDS = torch.tensor([[-1.0, -0.8, -1.0], [1.0, 1.0, 1.1]])


def finished(steps):
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def cut_off(points):
    """A ring, and a ball that reaches out of the box."""
    return torch.minimum(torus()(points), ball(0.3)(points - 0.9))


def full(points):
    return ball(9.0)(points)


def empty(points):
    return ball(0.5)(points - 9)


def dense(surface: Isosurface, lattice: Lattice) -> np.ndarray:
    """Which points are inside, each asked for, with a layer of outside around them."""
    axes = [np.arange(count + 1) for count in lattice.cells]
    indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    points = torch.from_numpy(lattice.world(indices).astype(np.float32)).reshape(-1, 3)
    return np.pad((surface.signed(points) >= 0).numpy().reshape(indices.shape[:3]), 1)


@pytest.mark.parametrize("resolution", [5, 31, 63, 70])
@pytest.mark.parametrize("value_fn", [cut_off, full, empty])
@pytest.mark.parametrize("inside_above", [False, True])
def test_every_point_has_the_sign_that_a_dense_evaluation_finds(value_fn, resolution, inside_above):
    surface = Isosurface(value_fn, 0.02, inside_above, BOUNDS, steepest=1.0)
    lattice = Lattice.over(BOUNDS, resolution)
    grid = finished(evaluate_by_distance(surface, lattice))
    found = np.zeros([BLOCK * (count + 1) + 1 for count in lattice.num_blocks], dtype=bool)
    for (x, y, z), inside in sorted({**grid.uniform, **grid.blocks}.items()):
        place = tuple(slice(BLOCK * i, BLOCK * i + BLOCK + 1) for i in (x, y, z))
        found[place] = inside
    true = dense(surface, lattice)
    everywhere = np.zeros_like(found)
    everywhere[tuple(slice(0, count) for count in true.shape)] = true
    for block in np.argwhere(np.ones(lattice.num_blocks, dtype=bool)).tolist():
        place = tuple(slice(BLOCK * i, BLOCK * i + BLOCK + 1) for i in block)
        if tuple(block) in grid.blocks or tuple(block) in grid.uniform:
            assert np.array_equal(found[place], everywhere[place])
        else:
            assert everywhere[place].all() or not everywhere[place].any()


def test_the_mesh_is_that_of_the_patient_search_from_a_fraction_of_the_points():
    asked = []

    def counted(points):
        asked.append(len(points))
        return cut_off(points)

    meshes, counts = [], []
    for steepest in (0.0, 1.0):
        asked.clear()
        surface = Isosurface(counted, 0.0, False, BOUNDS, steepest)
        meshes.append(finished(marching_cubes(surface, 96)))
        counts.append(sum(asked))
    (vertices, faces), (others, other_faces) = meshes
    assert np.array_equal(faces, other_faces)
    # Vertices of a smooth field are sought in fewer steps; at creases that is a little less exact.
    cell = 2.1 / 96
    np.testing.assert_allclose(vertices, others, atol=0.05 * cell)
    assert np.abs(vertices - others).mean() < 1e-3 * cell
    assert counts[1] < counts[0] / 4


def test_without_a_slope_there_is_no_search_by_distance():
    surface = Isosurface(cut_off, 0.0, False, BOUNDS)
    with pytest.raises(ValueError, match="positive slope"):
        finished(evaluate_by_distance(surface, Lattice.over(BOUNDS, 8)))


@pytest.mark.parametrize("distances", [True, False])
def test_a_placed_surface_lies_in_the_scene_and_distances_grow_with_it(distances):
    center, scale = torch.tensor([3.0, -1.0, 0.5]), 2.5
    unit = Isosurface(ball(0.5), 0.1, False, BOUNDS, steepest=1.0)
    placed = unit.placed(center, scale, distances)
    points = torch.randn(40, 3)
    factor = scale if distances else 1.0
    torch.testing.assert_close(
        placed.signed(points * scale + center), factor * unit.signed(points), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(placed.bounds, BOUNDS * scale + center)
    assert placed.steepest == pytest.approx(factor / scale)
    assert replace(placed, level=0.0).level == 0.0
    with pytest.raises(ValueError, match="positive scale"):
        unit.placed(center, 0.0, distances)
