# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.datasets.voxel_shapes import VoxelShape, fill_voxels, sample_voxels


def solid_box(size=16, low=4, high=12) -> np.ndarray:
    voxels = np.zeros((size,) * 3, dtype=bool)
    voxels[low:high, low:high, low:high] = True
    return voxels


def test_a_shell_is_filled_even_where_it_touches_the_grid_and_a_bowl_is_not():
    voxels = solid_box(low=0, high=16)
    hollow = voxels.copy()
    hollow[1:-1, 1:-1, 1:-1] = False
    assert np.array_equal(fill_voxels(hollow), voxels)
    bowl = hollow.copy()
    bowl[:, :, -1] = False
    assert np.array_equal(fill_voxels(bowl), bowl)


def test_distances_to_a_box_are_exact_in_front_of_its_faces():
    """Faces lie between centers, where [-1, 1] is cut into voxels."""
    shape = VoxelShape(solid_box())
    z = torch.linspace(-1.4, -0.1, 15)
    points = torch.stack([torch.full_like(z, 0.03), torch.full_like(z, -0.02), z], dim=-1)
    torch.testing.assert_close(shape.distances(points), -0.5 - z, atol=1e-5, rtol=0)


def test_axes_keep_their_order():
    voxels = np.zeros((8, 8, 8), dtype=bool)
    voxels[6, 1, 3] = True
    center = (torch.tensor([[6.0, 1.0, 3.0]]) + 0.5) / 8 * 2 - 1
    shape = VoxelShape(voxels)
    assert shape.distances(center) == pytest.approx(-0.125)
    assert shape.occupied(center).item()
    assert not shape.occupied(center.flip(-1)).item()
    assert float(shape.distances(center.flip(-1))) > 0.5


def test_the_outside_of_a_shape_that_fills_the_grid_lies_beyond_it():
    shape = VoxelShape(np.ones((8, 8, 8), dtype=bool))
    points = torch.tensor([[0.0, 0.0, 1.2], [0.0, 0.0, 0.9], [9.0, 0.0, 0.0]])
    distances = shape.distances(points)
    torch.testing.assert_close(distances, torch.tensor([0.2, -0.1, 8.0]), atol=0.07, rtol=0)
    assert shape.occupied(points).tolist() == [False, True, False]


def test_inside_is_where_voxel_centers_are_full():
    generator = np.random.default_rng(0)
    voxels = fill_voxels(generator.random((8, 8, 8)) < 0.3)
    axis = (torch.arange(8) + 0.5) / 4 - 1
    centers = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    shape = VoxelShape(voxels)
    flat = centers.reshape(-1, 3)
    assert np.array_equal(shape.distances(flat).numpy().reshape(8, 8, 8) < 0, voxels)
    assert np.array_equal(shape.occupied(flat).numpy().reshape(8, 8, 8), voxels)


def test_samples_lie_where_they_are_said_to_and_repeat():
    shape = VoxelShape(solid_box())

    def draw():
        return sample_voxels(shape, "box", 500, 400, 300, torch.Generator().manual_seed(3))

    samples = draw()
    assert shape.distances(samples.surface).abs().max() < 0.02
    torch.testing.assert_close(samples.near_distances, shape.distances(samples.near))
    assert samples.near_distances.abs().mean() < 0.1
    assert samples.uniform.abs().max() > 0.9
    assert samples.name == "box"
    assert torch.equal(draw().near, samples.near)


def test_what_is_no_shape_is_refused():
    with pytest.raises(ValueError, match="no full voxel"):
        VoxelShape(np.zeros((4, 4, 4), dtype=bool))
    with pytest.raises(ValueError, match="cube of voxels"):
        VoxelShape(np.ones((4, 4, 5), dtype=bool))
