# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch
import trimesh

from neural_backend.datasets.shape_samples import (
    NormalizedShape,
    sample_occupancy_uniform,
    sample_sdf_as_deepsdf,
)

AWAY = np.array([10.0, -20, 5])
SPHERE = trimesh.creation.icosphere(4, 3.0)
BOX = trimesh.creation.box((2, 4, 1))


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_shape_in_the_unit_sphere_touches_its_buffer_and_comes_back() -> None:
    stray = np.concatenate([BOX.vertices + AWAY, [[500.0, 0, 0]]])  # no face uses the last
    shape = NormalizedShape.in_unit_sphere(stray, BOX.faces)
    used = shape.vertices[:-1]
    np.testing.assert_allclose(np.linalg.norm(used, axis=-1).max(), 1 / 1.03)
    np.testing.assert_allclose(shape.center, AWAY)
    np.testing.assert_allclose(shape.to_scene(shape.vertices), stray, atol=1e-12)
    np.testing.assert_allclose(shape.to_unit(stray), shape.vertices)


def test_a_shape_in_the_unit_cube_fills_its_longest_side() -> None:
    shape = NormalizedShape.in_unit_cube(BOX.vertices + AWAY, BOX.faces)
    np.testing.assert_allclose(np.abs(shape.vertices).max(axis=0), [0.25, 0.5, 0.125])
    assert shape.scale == pytest.approx(4)


def test_a_shape_without_extent_is_refused() -> None:
    with pytest.raises(ValueError, match="extent"):
        NormalizedShape.in_unit_cube(np.ones((3, 3)), np.array([[0, 1, 2]]))


def test_sdf_samples_are_spread_as_in_the_paper_with_true_distances() -> None:
    shape = NormalizedShape.in_unit_sphere(SPHERE.vertices + AWAY, SPHERE.faces)
    count = 40000
    points, distances = sample_sdf_as_deepsdf(shape, count, random())
    radius = 1 / 1.03
    np.testing.assert_allclose(distances, np.linalg.norm(points, axis=-1) - radius, atol=3e-3)
    # Near samples alone: their distance from a nearly flat surface has the noise's variances.
    points, distances = sample_sdf_as_deepsdf(
        shape, count, random(), near_share=1.0, variances=(0.0004, 0.00004)
    )
    assert np.mean(distances**2) == pytest.approx(0.00022, rel=0.05)
    wide = np.mean(np.abs(distances) > 0.02)
    # P(|x| > 0.02) for deviations 0.02 and 0.00632: 0.3173 and 0.0016.
    assert wide == pytest.approx((0.3173 + 0.0016) / 2, abs=0.01)
    points, distances = sample_sdf_as_deepsdf(shape, count, random(), near_share=0.0)
    radii = np.linalg.norm(points, axis=-1)
    assert radii.max() <= 1
    assert np.mean(radii**3) == pytest.approx(0.5, abs=0.01)


def test_five_percent_of_the_sdf_samples_are_far_and_the_order_is_random() -> None:
    shape = NormalizedShape.in_unit_sphere(SPHERE.vertices, SPHERE.faces)
    _, distances = sample_sdf_as_deepsdf(shape, 20000, random(), variances=(1e-8, 1e-8))
    far = np.abs(distances) > 0.01
    # Of the uniform samples about 3 % lie that near by chance.
    assert far.mean() == pytest.approx(0.05, abs=0.004)
    assert far[:10000].mean() == pytest.approx(far[10000:].mean(), abs=0.01)


def test_samples_repeat_with_their_generator() -> None:
    shape = NormalizedShape.in_unit_sphere(BOX.vertices, BOX.faces)
    first, again = (sample_sdf_as_deepsdf(shape, 100, random(3))[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_occupancy_samples_fill_the_padded_cube_and_know_the_inside() -> None:
    shape = NormalizedShape.in_unit_cube(BOX.vertices + AWAY, BOX.faces)
    points, inside = sample_occupancy_uniform(shape, 20000, random())
    assert np.abs(points).max() == pytest.approx(0.55, abs=0.001)
    np.testing.assert_array_equal(inside, (np.abs(points) < [0.25, 0.5, 0.125]).all(axis=-1))
    assert inside.mean() == pytest.approx(0.5 * 0.25 / 1.1**3, abs=0.01)
