# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from neural_backend.datasets.mesh_files import load_shape
from neural_backend.geometry.mesh_distance import (
    mesh_report,
    nearest_points,
    signed_distance,
    unsigned_distance,
    weld,
    winding_number,
)
from neural_backend.protocol.errors import JobError

BOX = trimesh.creation.box((1, 2, 3))
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
SQUARE_FACES = np.array([[0, 1, 2], [0, 2, 3]])


def points_around(mesh: trimesh.Trimesh, count: int, seed: int = 0) -> NDArray[np.float64]:
    lower, upper = mesh.bounds
    share = 1.4 * np.random.default_rng(seed).random((count, 3)) - 0.2
    return lower + (upper - lower) * share


def box_distance(points: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    beyond = np.abs(points) - size / 2
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=-1)
    return outside + np.minimum(beyond.max(axis=-1), 0)


def slow_winding_number(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], point: NDArray[np.float64]
) -> float:
    """The solid angles of all faces as seen from a point (van Oosterom and Strackee 1983)."""
    a, b, c = (vertices[faces[:, corner]] - point for corner in range(3))
    long_a, long_b, long_c = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    above = (a * np.cross(b, c)).sum(axis=-1)
    below = (
        long_a * long_b * long_c
        + (a * b).sum(axis=-1) * long_c
        + (b * c).sum(axis=-1) * long_a
        + (c * a).sum(axis=-1) * long_b
    )
    return float(2 * np.arctan2(above, below).sum() / (4 * np.pi))


def cap(below: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The part of a unit sphere with triangles that lie below a height."""
    sphere = trimesh.creation.icosphere(3)
    return sphere.vertices, sphere.faces[sphere.triangles_center[:, 2] < below]


def test_distances_to_a_box_are_those_of_its_formula() -> None:
    points = points_around(BOX, 2000)
    expected = box_distance(points, np.array([1.0, 2, 3]))
    found = signed_distance(BOX.vertices, BOX.faces, points)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert (found < 0).sum() > 200
    np.testing.assert_allclose(
        unsigned_distance(BOX.vertices, BOX.faces, points), np.abs(expected), atol=1e-9
    )


def test_the_nearest_point_is_as_far_away_as_said_and_lies_on_its_face() -> None:
    mesh = trimesh.creation.icosphere(2)
    points = points_around(mesh, 300)
    distance, face, position = nearest_points(mesh.vertices, mesh.faces, points)
    np.testing.assert_allclose(np.linalg.norm(points - position, axis=-1), distance, atol=1e-12)
    off_plane = ((position - mesh.triangles[face, 0]) * mesh.face_normals[face]).sum(axis=-1)
    np.testing.assert_allclose(off_plane, 0, atol=1e-9)


@pytest.mark.parametrize("below", [-0.5, 0.3, 2.0])
def test_winding_numbers_are_sums_of_solid_angles_on_open_meshes_too(below: float) -> None:
    vertices, faces = cap(below)
    points = 1.5 * (2 * np.random.default_rng(1).random((200, 3)) - 1)
    exact = [slow_winding_number(vertices, faces, point) for point in points]
    np.testing.assert_allclose(winding_number(vertices, faces, points), exact, atol=0.01)


def test_overlapping_and_turned_parts_are_solid() -> None:
    """A point in both of two overlapping boxes is wound around twice."""
    second = BOX.copy()
    second.apply_translation((0.5, 0, 0))
    both = trimesh.util.concatenate([BOX, second])
    inner = np.array([[0.25, 0.0, 0.0]])
    assert winding_number(both.vertices, both.faces, inner)[0] == pytest.approx(2, abs=0.01)
    assert signed_distance(both.vertices, both.faces, inner)[0] < 0
    turned = BOX.faces[:, ::-1]
    np.testing.assert_allclose(
        signed_distance(BOX.vertices, turned, inner),
        signed_distance(BOX.vertices, BOX.faces, inner),
    )
    assert mesh_report(BOX.vertices, turned).inside_out
    assert not mesh_report(BOX.vertices, BOX.faces).inside_out


def test_a_hole_does_not_turn_the_sign() -> None:
    vertices, faces = cap(0.8)
    radii = np.array([0.3, 0.7, 0.95, 1.05, 1.5])
    down = np.array([0.0, 0.6, -0.8])
    found = signed_distance(vertices, faces, radii[:, None] * down)
    np.testing.assert_allclose(found, radii - 1, atol=0.01)


def test_a_solid_is_reported_as_such_even_where_every_face_has_its_own_vertices() -> None:
    soup = BOX.vertices[BOX.faces].reshape(-1, 3)
    report = mesh_report(soup, np.arange(36).reshape(-1, 3))
    assert report.watertight
    assert (report.num_vertices, report.num_faces, report.degenerate_faces) == (8, 12, 0)
    assert report.openness == 0
    assert report.area == pytest.approx(2 * (2 + 3 + 6))
    np.testing.assert_allclose(report.bounds, [[-0.5, -1, -1.5], [0.5, 1, 1.5]])


def test_edges_with_one_face_or_too_many_are_counted() -> None:
    without_one = mesh_report(BOX.vertices, BOX.faces[1:])
    assert without_one.boundary_edges == 3
    assert not without_one.watertight
    flipped = BOX.faces.copy()
    flipped[0] = flipped[0, ::-1]
    assert mesh_report(BOX.vertices, flipped).nonmanifold_edges == 3
    fins = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, -1, 0]], float)
    three = mesh_report(fins, np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]), signed=False)
    assert (three.boundary_edges, three.nonmanifold_edges) == (6, 1)


def test_faces_without_area_are_counted_and_do_not_open_a_solid() -> None:
    faces = np.concatenate([BOX.faces, [[0, 0, 1], [2, 2, 2]]])
    report = mesh_report(BOX.vertices, faces)
    assert report.degenerate_faces == 2
    assert report.watertight


def test_openness_grows_with_the_hole() -> None:
    openness = [mesh_report(*cap(below), signed=False).openness for below in (2, 0.3, 0, -0.3)]
    assert openness[0] == 0
    assert openness == sorted(openness)
    assert mesh_report(SQUARE, SQUARE_FACES, signed=False).openness == 1.0


BROKEN = {
    "no faces": (SQUARE, np.zeros((0, 3), int)),
    "not numbers": (np.where(SQUARE == 1, np.nan, SQUARE), SQUARE_FACES),
    "no area": (SQUARE * [1, 0, 0], SQUARE_FACES),
    "names vertex 7": (SQUARE, np.array([[0, 1, 7]])),
    "too open .* 100%": (SQUARE, SQUARE_FACES),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_mesh_without_distances_is_explained(message: str) -> None:
    with pytest.raises(JobError, match=message) as refused:
        mesh_report(*BROKEN[message])
    assert refused.value.remedy


def test_what_has_no_inside_still_has_unsigned_distances() -> None:
    with pytest.raises(JobError, match="unsigned"):
        mesh_report(SQUARE, SQUARE_FACES)
    mesh_report(SQUARE, SQUARE_FACES, signed=False)
    found = unsigned_distance(SQUARE, SQUARE_FACES, np.array([[0.5, 0.5, 0.25], [2, 0.5, 0]]))
    np.testing.assert_allclose(found, [0.25, 1.0])


def test_arrays_that_would_be_read_beyond_their_ends_are_refused() -> None:
    with pytest.raises(ValueError, match="vertices"):
        signed_distance(SQUARE, np.array([[0, 1, 9]]), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="finite points"):
        unsigned_distance(SQUARE, SQUARE_FACES, np.full((1, 3), np.nan))
    assert signed_distance(SQUARE, SQUARE_FACES, np.zeros((0, 3))).shape == (0,)


def test_welding_keeps_places_and_the_order_of_faces() -> None:
    vertices = np.array([[9, 9, 9], [0, 0, 0], [1, 0, 0], [0, 1, 0], [-0.0, 0, 0]], float)
    places, faces = weld(vertices, np.array([[4, 2, 3], [1, 3, 2]]))
    assert len(places) == 3
    np.testing.assert_array_equal(places[faces[0]], vertices[[4, 2, 3]] + 0.0)
    np.testing.assert_array_equal(places[faces[1]], vertices[[1, 3, 2]])


@pytest.mark.parametrize(
    ("name", "watertight", "open_share"),
    [
        ("bunny_holes.obj", False, 0.02),
        ("bunny_watertight.obj", True, 0.0),
        ("spot.obj", True, 0.0),
        ("fertility.off", True, 0.0),
    ],
)
def test_meshes_of_the_field_are_known_for_what_they_are(
    shared_data: Path, name: str, watertight: bool, open_share: float
) -> None:
    report = mesh_report(*load_shape(shared_data / "meshes" / name))
    assert report.watertight == watertight
    assert report.openness == pytest.approx(open_share, abs=0.02)
