# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.meshing.isosurface import Isosurface
from neural_backend.meshing.surface import extract_mesh
from neural_backend.meshing.visibility import without_unseen
from tests.analytic import sphere
from tests.analytic_run import lens, looking_at_origin
from tests.neural_backend.meshing.test_marching_cubes import CUBE, finish

AROUND = [
    (lens(80, 60), looking_at_origin(position))
    for position in ((4, 0, 0.5), (-4, 0, 0.5), (0, 4, -0.5), (0, -4, -0.5), (1, 0, 4), (1, 0, -4))
]


def mesh_of(solid, resolution: int = 64):
    return finish(extract_mesh(Isosurface(solid, 0.0, False, CUBE), resolution))


def hollow(points: torch.Tensor) -> torch.Tensor:
    """A ball with a cavity in it, and a smaller ball within that."""
    distance = points.norm(dim=-1)
    shell = torch.maximum(distance - 0.7, 0.5 - distance)
    return torch.minimum(shell, distance - 0.2)


def seen(mesh, cameras, resolution: int = 64):
    return finish(without_unseen(mesh, mesh.normals, cameras, 2 / resolution))


def test_what_lies_within_a_solid_is_removed_and_its_outside_stays_whole() -> None:
    mesh = mesh_of(hollow)
    radii = np.linalg.norm(mesh.vertices, axis=1)
    assert radii.min() < 0.21
    kept = seen(mesh, AROUND)
    np.testing.assert_allclose(np.linalg.norm(kept.vertices, axis=1), 0.7, atol=0.01)
    assert len(kept.vertices) == (radii > 0.6).sum()


def test_one_camera_sees_the_half_that_faces_it() -> None:
    mesh = mesh_of(sphere(0.7))
    kept = seen(mesh, AROUND[:1])
    facing = mesh.vertices @ AROUND[0][1][:3, 3] / (0.7 * np.linalg.norm(AROUND[0][1][:3, 3]))
    # Of a ball of radius 0.7, 4 units away, the cap of 80° can be seen.
    assert len(kept.vertices) == pytest.approx((facing > 0.7 / 4).sum(), rel=0.25)
    assert kept.colors is None
    assert kept.normals.shape == kept.vertices.shape


def test_what_stands_behind_something_is_removed() -> None:
    """A large ball hides a small one from the only camera."""

    def pair(points: torch.Tensor) -> torch.Tensor:
        return torch.minimum(sphere(0.45, (0.4, 0, 0))(points), sphere(0.2, (-0.6, 0, 0))(points))

    camera = (lens(80, 60), looking_at_origin((5.0, 0.0, 0.0)))
    mesh = mesh_of(pair)
    assert mesh.vertices[:, 0].min() < -0.7
    assert seen(mesh, [camera]).vertices[:, 0].min() > 0.2
    beside = (lens(80, 60), looking_at_origin((0.0, 5.0, 0.0)))
    assert seen(mesh, [camera, beside]).vertices[:, 0].min() < -0.7


def test_what_is_out_of_view_is_removed() -> None:
    mesh = mesh_of(sphere(0.9))
    intrinsics, pose = lens(80, 60), looking_at_origin((2.0, 0.0, 0.0))
    kept = seen(mesh, [(intrinsics, pose)])
    assert 0 < len(kept.vertices) < len(mesh.vertices) / 2
    assert np.abs(kept.vertices[:, 2]).max() < 0.6
    away = pose.copy()
    away[:3, :3] = pose[:3, :3] @ np.diag([-1, 1, -1])
    assert not len(seen(mesh, [(intrinsics, away)]).faces)


def test_crevices_leave_no_holes() -> None:
    """The bottom of a deep narrow shaft is seen by nobody, but the surface goes through it."""

    def drilled(points: torch.Tensor) -> torch.Tensor:
        shaft = torch.maximum(points[:, :2].norm(dim=-1) - 0.08, 0.45 - points[:, 2])
        return torch.maximum(sphere(0.7)(points), -shaft)

    mesh = mesh_of(drilled)
    slanted = [looking_at_origin((x, y, 3)) for x, y in ((3, 0), (-3, 0), (0, 3), (0, -3))]
    kept = seen(mesh, [(lens(80, 60), pose) for pose in slanted])
    bottom = np.abs(kept.vertices - (0, 0, 0.45)).max(axis=1) < 0.05
    assert bottom.any()
