# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch
import trimesh

from neural_backend.meshing.comparison import compare_meshes, compare_points, volumetric_iou


def random() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def box(size: float, center: tuple[float, float, float] = (0, 0, 0)) -> tuple:
    mesh = trimesh.creation.box((size,) * 3)
    return mesh.vertices + np.array(center), mesh.faces


def test_a_mesh_is_perfect_against_itself_however_it_is_cut_into_triangles() -> None:
    mesh = trimesh.creation.box((1, 2, 3))
    finer = mesh.subdivide().subdivide()
    scores = compare_meshes(
        (mesh.vertices, mesh.faces), (finer.vertices, finer.faces), random(), num_samples=2000
    )
    assert scores.chamfer == pytest.approx(0, abs=1e-12)
    assert scores.f_score == 1.0
    assert scores.normal_consistency == pytest.approx(1.0)
    assert scores.diagonal == pytest.approx(14**0.5)


def test_spheres_are_the_difference_of_their_radii_apart() -> None:
    small, large = trimesh.creation.icosphere(5, 1.0), trimesh.creation.icosphere(5, 1.1)
    scores = compare_meshes(
        (small.vertices, small.faces), (large.vertices, large.faces), random(), 0.02, 5000
    )
    assert scores.accuracy == pytest.approx(0.1, rel=0.01)
    assert scores.completeness == pytest.approx(0.1, rel=0.01)
    assert scores.chamfer_percent == pytest.approx(100 * 0.1 / (2.2 * 3**0.5), rel=0.01)
    assert scores.threshold == pytest.approx(0.02 * scores.diagonal)
    assert scores.f_score == 0.0
    assert scores.normal_consistency > 0.999


def test_a_floater_costs_precision_and_a_missing_part_recall() -> None:
    whole = box(1)
    floater = box(1, (5, 0, 0))
    both = np.concatenate([whole[0], floater[0]]), np.concatenate([whole[1], floater[1] + 8])
    extra = compare_meshes(both, whole, random(), num_samples=4000)
    assert extra.precision == pytest.approx(0.5, abs=0.03)
    assert extra.recall == 1.0
    missing = compare_meshes(whole, both, random(), num_samples=4000)
    assert missing.precision == 1.0
    assert missing.recall == pytest.approx(0.5, abs=0.03)
    assert missing.f_score == pytest.approx(2 / 3, abs=0.03)


def test_normals_that_face_the_other_way_agree_and_crossed_ones_do_not() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    turned = compare_meshes((square, faces[:, ::-1]), (square, faces), random(), num_samples=500)
    assert turned.normal_consistency == pytest.approx(1.0)
    upright = square[:, [0, 2, 1]]
    crossed = compare_meshes((upright, faces), (square, faces), random(), num_samples=500)
    assert crossed.normal_consistency == pytest.approx(0.0, abs=1e-9)


def test_moving_a_plane_gives_that_chamfer_distance() -> None:
    numbers = np.random.default_rng(1)
    plane = np.concatenate([numbers.random((4000, 2)), np.zeros((4000, 1))], axis=1)
    offset = np.array([0, 0, 0.3])
    scores = compare_points(plane + offset, plane, threshold=0.2)
    assert scores.chamfer == pytest.approx(0.3)
    assert scores.f_score == 0.0
    assert compare_points(plane + offset, plane, threshold=0.31).f_score == 1.0


def test_a_missing_half_costs_recall_and_not_precision() -> None:
    line = np.stack([np.linspace(0, 1, 1001), np.zeros(1001), np.zeros(1001)], axis=1)
    scores = compare_points(line[:501], line, threshold=0.01)
    assert scores.precision == 1.0
    assert scores.recall == pytest.approx(0.51, abs=0.002)
    assert scores.accuracy == 0.0
    assert scores.completeness == pytest.approx(0.125, abs=0.002)


def test_no_points_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="got 0 and 5"):
        compare_points(np.zeros((0, 3)), np.zeros((5, 3)), 0.1)


def test_iou_is_shared_over_joint_volume() -> None:
    x = np.linspace(0, 1, 1001)
    assert volumetric_iou(x < 0.5, x < 0.25) == pytest.approx(0.5, abs=0.002)
    assert volumetric_iou(x < 0.25, x > 0.5) == 0.0
    assert volumetric_iou(x < 2, x < 2) == 1.0
    assert volumetric_iou(x > 2, x > 2) == 1.0
    with pytest.raises(ValueError, match="equal shapes"):
        volumetric_iou(x < 1, (x < 1)[None])
