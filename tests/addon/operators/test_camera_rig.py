# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig's cameras follow its settings at once, and nothing else is touched."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


@pytest.fixture
def rig(bpy: ModuleType) -> Any:
    bpy.ops.mesh.primitive_cube_add(size=2, location=(5.0, 0.0, 0.0))
    bpy.ops.neural_fields.add_camera_rig(count=6, distance=7.0)
    return bpy.context.scene.neural_fields.rig


def cameras(rig: Any) -> list[Any]:
    return sorted(rig.collection.objects, key=lambda item: item.name)


def positions(bpy: ModuleType, rig: Any) -> np.ndarray:
    bpy.context.view_layer.update()
    return np.array([camera.matrix_world.translation for camera in cameras(rig)])


def test_the_same_cameras_move_when_a_setting_changes(bpy: ModuleType, rig: Any) -> None:
    before = cameras(rig)
    rig.distance = 3.0
    np.testing.assert_allclose(
        np.linalg.norm(positions(bpy, rig) - (5, 0, 0), axis=1), 3, rtol=1e-5
    )
    rig.shape, rig.orbit_angle = "ORBIT", 0.0
    np.testing.assert_allclose(positions(bpy, rig)[:, 2], 0, atol=1e-5)
    assert cameras(rig) == before
    rig.lens = 80.0
    assert {camera.data.lens for camera in before} == {80.0}


def test_cameras_come_and_go_with_the_count(bpy: ModuleType, rig: Any) -> None:
    rig.count = 9
    assert len(cameras(rig)) == 9
    rig.count = 2
    assert len(cameras(rig)) == 2
    assert len([item for item in bpy.data.objects if item.type == "CAMERA"]) == 2


def test_what_was_put_into_the_collection_by_hand_stays(bpy: ModuleType, rig: Any) -> None:
    own = bpy.data.objects.new("Mine", bpy.data.cameras.new("Mine"))
    own.location = (1.0, 2.0, 3.0)
    rig.collection.objects.link(own)
    rig.count = 2
    assert own in list(rig.collection.objects)
    assert tuple(own.location) == (1.0, 2.0, 3.0)
    kept = rig.collection
    bpy.ops.neural_fields.remove_camera_rig()
    assert rig.collection is None
    assert list(kept.objects) == [own]


def test_a_rig_that_was_deleted_is_not_brought_back(bpy: ModuleType, rig: Any) -> None:
    for camera in cameras(rig):
        bpy.data.objects.remove(camera)
    bpy.context.scene.collection.children.unlink(rig.collection)
    rig.count = 30
    assert rig.collection is None
    assert not [item for item in bpy.data.objects if item.type == "CAMERA"]


def test_another_rig_leaves_the_first_where_it_is(bpy: ModuleType, rig: Any) -> None:
    first = rig.collection
    before = {camera.name: tuple(camera.location) for camera in first.objects}
    bpy.ops.neural_fields.add_camera_rig(count=3, distance=2.0)
    assert rig.collection != first
    assert {camera.name: tuple(camera.location) for camera in first.objects} == before


def test_each_scene_has_its_own_rig(bpy: ModuleType, rig: Any) -> None:
    other = bpy.data.scenes.new("Other")
    other.neural_fields.rig.count = 40
    assert len(cameras(rig)) == 6
    assert other.neural_fields.rig.collection is None


def test_undo_takes_the_rig_back(bpy: ModuleType) -> None:
    bpy.ops.mesh.primitive_cube_add(size=2)
    bpy.ops.ed.undo_push(message="cube")
    bpy.ops.neural_fields.add_camera_rig(count=4)
    bpy.ops.ed.undo_push(message="rig")
    bpy.context.scene.neural_fields.rig.count = 7
    bpy.ops.ed.undo_push(message="count")
    bpy.ops.ed.undo()
    assert len(cameras(bpy.context.scene.neural_fields.rig)) == 4
    bpy.ops.ed.undo()
    assert bpy.context.scene.neural_fields.rig.collection is None
