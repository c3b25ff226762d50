# SPDX-License-Identifier: GPL-3.0-or-later
import mcubes
import numpy as np
import pytest
import torch
import trimesh

from neural_backend.meshing import grid as grid_module
from neural_backend.meshing.grid import BLOCK, Lattice, evaluate_near_surface
from neural_backend.meshing.isosurface import Isosurface
from neural_backend.meshing.marching_cubes import marching_cubes, place_on_edges, polygonize
from tests.analytic import box, sphere, union

CUBE = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def finish(steps):
    """What a generator of progress returns."""
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def mesh_of(surface: Isosurface, resolution: int) -> trimesh.Trimesh:
    vertices, faces = finish(marching_cubes(surface, resolution))
    return trimesh.Trimesh(vertices, faces, process=False)


def density_of(solid, peak: float, softness: float):
    return lambda points: peak * torch.sigmoid(-solid(points) / softness)


SURFACES = {
    "signed distance": Isosurface(sphere(), 0.0, False, CUBE),
    "soft density": Isosurface(density_of(sphere(), 100.0, 0.02), 50.0, True, CUBE),
    "hard density": Isosurface(lambda points: 1e5 * (sphere()(points) < 0), 10.0, True, CUBE),
}


@pytest.mark.parametrize("kind", SURFACES)
def test_a_sphere_is_closed_turned_outwards_and_in_place(kind: str) -> None:
    mesh = mesh_of(SURFACES[kind], 80)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=2e-3)
    cell = 2 / 80
    distance = np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.7)
    assert distance.max() < 0.05 * cell


def test_a_solid_that_leaves_the_box_is_closed_on_its_faces() -> None:
    bounds = torch.tensor([[-0.9, -0.5, -1.0], [1.1, 0.4, 1.0]])
    mesh = mesh_of(Isosurface(box((2.0, 2.0, 0.31)), 0.0, False, bounds), 60)
    assert mesh.is_watertight
    np.testing.assert_allclose(mesh.bounds, [[-0.9, -0.5, -0.31], [1.1, 0.4, 0.31]], atol=1e-6)
    assert mesh.volume == pytest.approx(2.0 * 0.9 * 0.62, rel=1e-4)


def test_a_solid_that_fills_the_box_becomes_the_box() -> None:
    mesh = mesh_of(Isosurface(lambda points: points[:, 0] + 9, 0.0, True, CUBE), 40)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(8.0)


def test_nothing_inside_makes_no_triangles() -> None:
    vertices, faces = finish(marching_cubes(Isosurface(sphere(), -2.0, False, CUBE), 40))
    assert vertices.shape == faces.shape == (0, 3)


def test_values_that_are_no_numbers_are_outside() -> None:
    def value(points):
        return torch.where(points[:, 2] > 0.3, torch.nan, sphere()(points))

    mesh = mesh_of(Isosurface(value, 0.0, False, CUBE), 40)
    assert mesh.is_watertight
    assert mesh.bounds[1, 2] == pytest.approx(0.3, abs=1e-2)


FIELDS = {
    "sphere": sphere(),
    "thin sheet": box((0.8, 0.8, 0.012)),
    "thin wire": box((0.9, 0.01, 0.012), (0.0, 0.13, 0.21)),
    "many parts": union(
        *(sphere(0.09, (x, y, 0.4 * x)) for x in (-0.61, 0.11, 0.7) for y in (-0.5, 0.5))
    ),
    "waves": lambda points: (points * 5.3).sin().prod(dim=-1) + 0.2,
}


def dense(surface: Isosurface, lattice: Lattice):
    """The plain way: every value of the grid in one array."""
    axes = [np.arange(-1, count + 2) for count in lattice.cells]
    indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    inner = ((indices >= 0) & (indices <= lattice.cells)).all(axis=-1)
    points = torch.from_numpy(lattice.world(indices[inner]).astype(np.float32))
    signs = np.full(inner.shape, -1, dtype=np.float32)
    signs[inner] = np.where(surface.signed(points).numpy() >= 0, 1, -1)
    vertices, faces = mcubes.marching_cubes(signs, 0.0)
    return vertices - 1.0, faces


@pytest.mark.parametrize("name", FIELDS)
def test_looking_near_the_surface_alone_misses_none_of_it(name: str) -> None:
    surface = Isosurface(FIELDS[name], 0.0, False, CUBE)
    lattice = Lattice.over(CUBE, 110)
    sparse = finish(evaluate_near_surface(surface, lattice))
    vertices, faces = polygonize(sparse)
    expected_vertices, expected_faces = dense(surface, lattice)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    expected = trimesh.Trimesh(expected_vertices, expected_faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(expected.volume, rel=1e-9)
    assert mesh.area == pytest.approx(expected.area, rel=1e-9)
    np.testing.assert_allclose(mesh.bounds, expected.bounds)


def test_a_surface_is_followed_from_the_one_block_where_it_was_found(monkeypatch) -> None:
    """As if the coarse pass had met a long thin wire at a single place."""
    surface = Isosurface(FIELDS["thin wire"], 0.0, False, CUBE)
    lattice = Lattice.over(CUBE, 160)

    def one_block(surface, lattice, seed):
        yield 0, 1
        index = (np.array([0.0, 0.13, 0.21]) - lattice.lower) / lattice.cell
        return [tuple(int(value) for value in (index + 1) // BLOCK)]

    whole = finish(evaluate_near_surface(surface, lattice))
    monkeypatch.setattr(grid_module, "_blocks_near_surface", one_block)
    followed = finish(evaluate_near_surface(surface, lattice))
    assert set(followed.blocks) == set(whole.blocks)
    assert len(followed.blocks) >= 5


def test_five_hundred_and_twelve_cells_a_side_fit_in_memory() -> None:
    """Dense, 513³ values and what marching cubes makes of them would take gigabytes."""
    lattice = Lattice.over(CUBE, 512)
    assert lattice.cells == (512, 512, 512)
    grid = finish(evaluate_near_surface(Isosurface(sphere(0.25), 0.0, False, CUBE), lattice))
    megabytes = sum(block.nbytes for block in grid.blocks.values()) / 2**20
    assert 0 < megabytes < 10
    assert grid.num_evaluated < 0.1 * np.prod(lattice.num_blocks)


def test_cells_fill_a_flat_box_exactly_and_are_nearly_cubic() -> None:
    lattice = Lattice.over(torch.tensor([[0.0, 0.0, 0.0], [10.0, 3.0, 0.01]]), 100)
    assert lattice.cells == (100, 30, 1)
    np.testing.assert_allclose(lattice.world(np.array(lattice.cells)), [10.0, 3.0, 0.01], rtol=1e-6)
    with pytest.raises(ValueError, match="box with volume"):
        Lattice.over(torch.zeros(2, 3), 100)


def test_vertices_are_placed_by_the_field_and_not_the_grid() -> None:
    """A hard step has no slope to interpolate by."""
    surface = SURFACES["hard density"]
    lattice = Lattice.over(CUBE, 40)
    rough, _ = polygonize(finish(evaluate_near_surface(surface, lattice)))
    error_before = np.abs(np.linalg.norm(lattice.world(rough), axis=1) - 0.7)
    error_after = np.abs(
        np.linalg.norm(lattice.world(place_on_edges(surface, lattice, rough)), axis=1) - 0.7
    )
    assert error_before.mean() > 10 * error_after.mean()


def test_a_crop_box_beside_the_bounds_is_refused() -> None:
    surface = SURFACES["signed distance"]
    cropped = surface.cropped(torch.tensor([-2.0, 0.0, -2.0]), torch.tensor([2.0, 2.0, 2.0]))
    assert cropped.bounds.tolist() == [[-1.0, 0.0, -1.0], [1.0, 1.0, 1.0]]
    with pytest.raises(ValueError, match="overlaps"):
        surface.cropped(torch.full((3,), 3.0), torch.full((3,), 4.0))
