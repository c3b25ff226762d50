# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
import torch
import trimesh

from neural_backend.meshing.decimation import decimated, target_faces
from neural_backend.meshing.isosurface import Isosurface
from neural_backend.meshing.mesh import Mesh
from neural_backend.meshing.surface import extract_mesh


def sphere() -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=4)
    return Mesh(made.vertices.astype(np.float32), made.faces.astype(np.int64))


@pytest.mark.parametrize(("keep", "wanted"), [(1.0, 5120), (0.25, 1280), (600, 600), (9e9, 5120)])
def test_a_share_or_a_number_of_the_faces_stays(keep: float, wanted: int) -> None:
    assert target_faces(5120, keep) == wanted
    fewer = decimated(sphere(), keep)
    assert len(fewer.faces) == pytest.approx(wanted, rel=0.01)


def test_the_surface_stays_closed_and_where_it_was() -> None:
    fewer = decimated(sphere(), 0.1)
    closed = trimesh.Trimesh(fewer.vertices, fewer.faces, process=False)
    assert closed.is_watertight
    assert closed.volume == pytest.approx(4 / 3 * np.pi, rel=0.02)
    assert np.abs(np.linalg.norm(fewer.vertices, axis=1) - 1).max() < 0.02


def test_nothing_of_a_mesh_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="above 0"):
        decimated(sphere(), 0.0)


def test_colors_of_a_simplified_mesh_are_those_of_the_field_at_its_vertices() -> None:
    surface = Isosurface(
        lambda points: points.norm(dim=-1), 0.7, False, torch.tensor([[-1.0] * 3, [1.0] * 3])
    )
    steps = extract_mesh(
        surface, 48, color_fn=lambda points, _directions: points / 2 + 0.5, keep_faces=0.1
    )
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            mesh = finished.value
            break
    assert 500 < len(mesh.faces) < 2500
    np.testing.assert_allclose(mesh.colors, mesh.vertices / 2 + 0.5, atol=0.06)
    assert mesh.normals is not None
    outward = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert (mesh.normals * outward).sum(axis=1).min() > 0.98
