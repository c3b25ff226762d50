# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest
from neural_fields.addon.scene.rigs import Rig, framing_distance, look_at, rig_directions

SHAPES = ("HEMISPHERE", "SPHERE", "ORBIT", "SPIRAL")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_directions_have_length_one_and_come_out_the_same_each_time(shape: str, count: int) -> None:
    directions = rig_directions(Rig(shape=shape, count=count))
    assert directions.shape == (count, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(directions, rig_directions(Rig(shape=shape, count=count)))


@pytest.mark.parametrize("shape", ["HEMISPHERE", "SPHERE"])
def test_no_camera_is_crowded_and_no_gap_is_left(shape: str) -> None:
    """On the ideal lattice each point owns an equal share of the area; a random one fails this."""
    rig = Rig(shape=shape, count=200, lowest_angle=0.0)
    directions = rig_directions(rig)
    angles = np.arccos(np.clip(directions @ directions.T, -1, 1)) + 9 * np.eye(200)
    area = (2 if shape == "HEMISPHERE" else 4) * math.pi / 200
    nearest = angles.min(axis=1) / math.sqrt(area)
    assert nearest.min() > 0.6
    assert nearest.max() < 1.3
    seeded = rig_directions(Rig(shape=shape, count=200, lowest_angle=0.0, seed=3))
    assert np.abs(seeded - directions).max() > 0.01


def test_a_sphere_is_balanced_and_a_hemisphere_keeps_above_its_lowest_angle() -> None:
    sphere = rig_directions(Rig(shape="SPHERE", count=300))
    np.testing.assert_allclose(sphere.mean(axis=0), 0, atol=0.01)
    lowest = math.radians(10)
    hemisphere = rig_directions(Rig(shape="HEMISPHERE", count=300, lowest_angle=lowest))
    assert hemisphere[:, 2].min() > math.sin(lowest)
    assert hemisphere[:, 2].max() > 0.99


def test_an_orbit_is_a_level_circle_and_a_spiral_climbs_as_it_winds() -> None:
    orbit = rig_directions(Rig(shape="ORBIT", count=36, orbit_angle=0.4))
    np.testing.assert_allclose(orbit[:, 2], math.sin(0.4))
    np.testing.assert_allclose((orbit * np.roll(orbit, 1, axis=0)).sum(-1), (orbit[0] @ orbit[-1]))
    spiral = rig_directions(Rig(shape="SPIRAL", count=100, turns=3))
    assert (np.diff(spiral[:, 2]) > 0).all()
    turned = np.unwrap(np.arctan2(spiral[:, 1], spiral[:, 0]))
    assert turned[-1] - turned[0] == pytest.approx(6 * math.pi)


@pytest.mark.parametrize("position", [(3, 1, 2), (0, 0, 4), (0, 0, -4), (1e-9, 0, 2)])
def test_a_camera_looks_at_the_centre_with_its_head_up(position: tuple[float, ...]) -> None:
    center = np.array([0.1, 0.2, 0.3])
    matrix = look_at(center + position, center)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    assert matrix[2, 1] >= 0
    ahead = -matrix[:3, 2] * np.linalg.norm(position)
    np.testing.assert_allclose(matrix[:3, 3] + ahead, center, atol=1e-6)


def test_the_framing_distance_has_the_whole_box_in_sight() -> None:
    bounds = np.array([[-1.0, -2.0, 0.0], [1.0, 2.0, 3.0]])
    half_angle = 0.3
    distance = framing_distance(bounds, half_angle)
    center = bounds.mean(axis=0)
    corners = np.array(
        [[bounds[i, 0], bounds[j, 1], bounds[k, 2]] for i, j, k in np.ndindex(2, 2, 2)]
    )
    for direction in rig_directions(Rig(shape="SPHERE", count=50)):
        view = np.linalg.inv(look_at(center + distance * direction, center))
        seen = corners @ view[:3, :3].T + view[:3, 3]
        assert (np.abs(seen[:, :2]) < -seen[:, 2:] * math.tan(half_angle)).all()


def test_an_unknown_shape_or_no_camera_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="CUBE"):
        rig_directions(Rig(shape="CUBE", count=3))
    with pytest.raises(ValueError, match="at least one"):
        rig_directions(Rig(shape="ORBIT", count=0))
