# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.geometry.surface_samples import face_normals, sample_surface

VERTICES = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 5], [0, 2, 5], [1, 0, 5]], float)
FACES = np.array([[0, 0, 1], [0, 1, 2], [3, 4, 5], [1, 1, 1]])


def test_samples_are_spread_by_area_and_never_on_faces_without_any() -> None:
    points, normals = sample_surface(VERTICES, FACES, 20000, torch.Generator().manual_seed(5))
    assert np.isfinite(normals).all()
    on_large = points[:, 2] == 0
    assert on_large.mean() == pytest.approx(0.75, abs=0.02)
    large = points[on_large]
    # All moments up to the second, of the uniform distribution on the triangle.
    np.testing.assert_allclose(large.mean(axis=0), [1, 2 / 3, 0], atol=0.03)
    np.testing.assert_allclose(large.var(axis=0), [9 / 18, 4 / 18, 0], atol=0.02)
    assert (large[:, 0] / 3 + large[:, 1] / 2 <= 1 + 1e-9).all()
    np.testing.assert_array_equal(normals[on_large], np.tile([0.0, 0, 1], (on_large.sum(), 1)))
    np.testing.assert_array_equal(normals[~on_large], np.tile([0.0, 0, -1], ((~on_large).sum(), 1)))


def test_samples_repeat_with_their_generator() -> None:
    first, _ = sample_surface(VERTICES, FACES, 50, torch.Generator().manual_seed(1))
    again, _ = sample_surface(VERTICES, FACES, 50, torch.Generator().manual_seed(1))
    other, _ = sample_surface(VERTICES, FACES, 50, torch.Generator().manual_seed(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_normals_are_as_long_as_twice_the_area() -> None:
    lengths = np.linalg.norm(face_normals(VERTICES, FACES), axis=-1)
    np.testing.assert_allclose(lengths, [0, 6, 2, 0])


def test_a_mesh_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="without any"):
        sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]), 10, torch.Generator())
