# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch

from neural_backend.meshing.isosurface import Isosurface
from neural_backend.meshing.surface import extract_mesh, surface_colors
from tests.analytic import AnalyticConfig, AnalyticMethod, box, position_color, sphere
from tests.neural_backend.meshing.test_marching_cubes import CUBE, finish


def density_surface(solid, peak: float = 300.0) -> Isosurface:
    return Isosurface(lambda points: peak * torch.sigmoid(-solid(points) / 0.01), 100.0, True, CUBE)


@pytest.mark.parametrize(
    "surface",
    [
        Isosurface(sphere(), 0.0, False, CUBE),
        density_surface(sphere()),
        Isosurface(lambda points: 1e4 * (sphere()(points) < 0), 10.0, True, CUBE),
    ],
    ids=["signed distance", "soft density", "hard density"],
)
def test_normals_point_outwards(surface: Isosurface) -> None:
    mesh = finish(extract_mesh(surface, 64))
    truth = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    cosine = (mesh.normals * truth).sum(axis=1)
    assert np.median(cosine) > 0.97
    assert cosine.min() > 0.8
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)


def test_normals_are_the_fields_where_it_is_smooth() -> None:
    mesh = finish(extract_mesh(Isosurface(sphere(), 0.0, False, CUBE), 24))
    truth = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert (mesh.normals * truth).sum(axis=1).min() > 0.999


def test_where_the_box_cuts_a_solid_the_normal_is_the_boxs() -> None:
    mesh = finish(extract_mesh(Isosurface(box((3.0, 3.0, 0.5)), 0.0, False, CUBE), 32))
    on_side = (mesh.vertices[:, 0] == 1) & (np.abs(mesh.vertices[:, 1:]) < 0.4).all(axis=1)
    assert on_side.any()
    np.testing.assert_allclose(mesh.normals[on_side], [[1, 0, 0]] * on_side.sum(), atol=1e-5)


def test_colors_are_those_of_the_surface() -> None:
    method = AnalyticMethod(AnalyticConfig(peak=500.0, softness=0.005))
    surface = Isosurface(method.density, 100.0, True, method.bounds)
    mesh = finish(extract_mesh(surface, 64, color_fn=method.color, density_fn=method.density))
    truth = position_color(torch.from_numpy(mesh.vertices), torch.empty(0)).numpy()
    np.testing.assert_allclose(mesh.colors, truth, atol=0.02)


def test_colors_are_looked_up_where_a_camera_would_see_them() -> None:
    """A thin dark film on a bright solid hardly absorbs anything, so what is seen is the solid."""

    def density(points):
        depth = -points[:, 2]
        return torch.where(depth > 0.05, 1000.0, torch.where(depth > 0, 1.0, 0.0))

    def color(points, directions):
        return torch.where(points[:, 2:] < -0.05, 1.0, 0.0).expand(-1, 3)

    points = torch.tensor([[0.1, 0.2, 0.0], [-0.4, 0.3, 0.0]])
    up = torch.tensor([[0.0, 0.0, 1.0]]).expand(2, 3)
    assert (surface_colors(color, density, points, up, cell=0.04) > 0.99).all()


def test_colors_are_those_that_the_facing_cameras_saw() -> None:
    def color(points, directions):
        return (directions[:, :1] > 0.5).float().expand(-1, 3)

    points, outward = torch.zeros(1, 3), torch.tensor([[-1.0, 0.0, 0.0]])
    in_front = torch.tensor([[-5.0, 0.0, 0.0]] * 3 + [[5.0, 0.0, 0.0]] * 8)
    assert surface_colors(color, None, points, outward, 0.1, in_front).tolist() == [[1, 1, 1]]
    # All cameras stand behind: then it is seen along its normal.
    assert surface_colors(color, None, points, outward, 0.1, in_front[3:]).tolist() == [[1] * 3]


def test_a_crop_box_cuts_the_mesh() -> None:
    surface = Isosurface(sphere(), 0.0, False, CUBE)
    half = surface.cropped(torch.tensor([-1.0, -1.0, 0.1]), torch.tensor([1.0, 1.0, 1.0]))
    mesh = finish(extract_mesh(half, 40))
    assert mesh.vertices[:, 2].min() == pytest.approx(0.1)
    assert mesh.vertices[:, 2].max() == pytest.approx(0.7, abs=1e-3)


def test_progress_names_its_stages_and_ends() -> None:
    steps = list(extract_mesh(Isosurface(sphere(), 0.0, False, CUBE), 40, color_fn=position_color))
    assert list(dict.fromkeys(stage for stage, _, _ in steps)) == [
        "finding the surface",
        "normals",
        "colors",
    ]
    assert all(done <= total for _, done, total in steps)
