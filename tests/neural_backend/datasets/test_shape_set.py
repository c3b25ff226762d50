# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest
import torch
import trimesh

from neural_backend.datasets.mesh_shapes import sample_mesh_file
from neural_backend.datasets.shape_set import ShapeSet
from neural_backend.protocol.errors import JobError
from tests.simple_shapes import ball, measured, torus


def shapes() -> ShapeSet:
    return ShapeSet([measured(ball(), "ball", 500), measured(torus(), "ring", 500)])


@pytest.mark.parametrize("pool", ["surface", "near", "uniform"])
def test_what_is_drawn_belongs_to_the_shape_that_was_asked_for(pool):
    chosen = torch.tensor([1, 0, 1])
    points, distances = shapes().draw(pool, chosen, 64, torch.Generator().manual_seed(0))
    for number, distance_fn in enumerate((torus(), ball(), torus())):
        true = distance_fn(points[number])
        torch.testing.assert_close(distances[number], true, atol=1e-4, rtol=0)
    assert not torch.equal(points[0], points[2])


def test_the_first_shape_is_known_by_its_number():
    both = shapes()
    points, _ = both.draw("surface", both.first, 64, torch.Generator().manual_seed(0))
    torch.testing.assert_close(ball()(points), torch.zeros(1, 64), atol=1e-4, rtol=0)


def test_draws_follow_the_generator():
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return shapes().draw("near", torch.tensor([0]), 32, generator)[0]

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_bounds_hold_all_shapes_with_a_margin():
    low, high = shapes().bounds(0.1)
    torch.testing.assert_close(low, torch.tensor([-0.96, -0.96, -0.76]), atol=0.05, rtol=0)
    torch.testing.assert_close(high, -low, atol=0.05, rtol=0)


def test_shapes_of_different_sizes_and_none_are_refused():
    with pytest.raises(ValueError, match="same numbers of samples"):
        ShapeSet([measured(ball(), count=10), measured(ball(), count=11)])
    with pytest.raises(ValueError, match="same numbers of samples"):
        ShapeSet([])


def test_a_mesh_file_is_measured_in_its_unit_frame(tmp_path: Path):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=2.0)
    mesh.apply_translation([5.0, 0.0, -1.0])
    mesh.export(tmp_path / "Kugel.ply")
    sampled = sample_mesh_file(tmp_path / "Kugel.ply", "ball", 2000, seed=1)
    assert sampled.frame.center == pytest.approx((5.0, 0.0, -1.0), abs=1e-5)
    assert sampled.frame.scale == pytest.approx(2.0 * 1.03, rel=1e-4)
    unit = ball(1 / 1.03)
    torch.testing.assert_close(sampled.near_distances, unit(sampled.near), atol=3e-3, rtol=0)
    torch.testing.assert_close(sampled.uniform_distances, unit(sampled.uniform), atol=3e-3, rtol=0)
    assert unit(sampled.surface).abs().max() < 3e-3
    assert (sampled.num_vertices, sampled.num_faces) == (len(mesh.vertices), len(mesh.faces))
    assert len(sampled.uniform) == 500


def test_a_sheet_has_no_inside_to_learn(tmp_path: Path):
    trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]).export(tmp_path / "sheet.ply")
    with pytest.raises(JobError, match="too open"):
        sample_mesh_file(tmp_path / "sheet.ply", "sheet", 100, seed=0)
