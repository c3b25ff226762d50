# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

pytest.importorskip("bpy", reason="needs the bpy wheel")
from mathutils.bvhtree import BVHTree

from scripts.demo_run import geometry

pytestmark = pytest.mark.blender

FACES = np.array(
    [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
)
TRIANGLES = np.concatenate([FACES[:, [0, 1, 2]], FACES[:, [0, 2, 3]]])
AROUND = np.array(
    [(x, y, z) for x in (-6.0, 6.0) for y in (-5.0, 5.0) for z in (-4.0, 4.0)]
    + [(0.0, 0.0, 7.0), (0.0, 0.0, -7.0), (7.0, 0.3, 0.0), (-7.0, 0.0, 0.2), (0.0, 7.0, 0.1)]
)


def boxes(*sizes_and_centers: tuple[float, tuple[float, float, float]]) -> geometry.Surface:
    vertices, triangles = [], []
    for number, (size, center) in enumerate(sizes_and_centers):
        corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5
        vertices.append(size * corners + center)
        triangles.append(TRIANGLES + 8 * number)
    points, corners = np.concatenate(vertices), np.concatenate(triangles)
    return geometry.Surface(
        points, corners, BVHTree.FromPolygons(points.tolist(), corners.tolist())
    )


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "NUM_SAMPLES", 1500)


def test_a_surface_is_at_no_distance_from_itself() -> None:
    box = boxes((2.0, (0, 0, 0)))
    found = geometry.compare(box, box, AROUND)
    assert found.chamfer == pytest.approx(0, abs=1e-6)
    assert found.f_score == 1
    assert found.diagonal == pytest.approx(2 * 3**0.5)


def test_a_box_in_a_box_is_half_the_difference_of_their_sizes_away() -> None:
    """From a face of the small one straight out; from the large one mostly straight in."""
    small, large = boxes((2.0, (0, 0, 0))), boxes((2.1, (0, 0, 0)))
    found = geometry.compare(small, large, AROUND)
    assert found.chamfer == pytest.approx(0.05, rel=0.03)
    assert found.f_score == 0


def test_what_no_camera_sees_counts_for_neither_side() -> None:
    plain = boxes((2.0, (0, 0, 0)))
    with_kernel = boxes((2.0, (0, 0, 0)), (0.5, (0, 0, 0)))
    for reference, mesh in ((plain, with_kernel), (with_kernel, plain)):
        assert geometry.compare(reference, mesh, AROUND).chamfer == pytest.approx(0, abs=1e-6)


def test_a_floater_lowers_precision_and_a_hole_lowers_recall() -> None:
    whole = boxes((2.0, (0, 0, 0)))
    with_floater = boxes((2.0, (0, 0, 0)), (1.0, (2.5, 0, 0)))
    extra = geometry.compare(whole, with_floater, AROUND)
    assert extra.precision < 0.9
    assert extra.recall == 1
    missing = geometry.compare(with_floater, whole, AROUND)
    assert missing.recall < 0.9
    assert missing.precision == 1


def test_a_mesh_that_no_camera_sees_is_refused() -> None:
    box = boxes((2.0, (0, 0, 0)))
    shell = boxes((2.0, (0, 0, 0)), (3.0, (0, 0, 0)))
    inner = geometry.Surface(box.vertices, box.triangles, shell.tree)
    with pytest.raises(ValueError, match="no camera sees"):
        geometry.compare(inner, box, AROUND)
