# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import session
from neural_fields.addon.operators.bounds import crop_of
from neural_fields.addon.scene.bounds import box_of
from neural_fields.addon.scene.errors import SceneError

from neural_backend.datasets.loading import load_capture
from tests.neural_backend.datasets.small_captures import write_small_capture
from tests.worker_python import WORKER_PYTHON

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def add_cube(bpy: ModuleType, **placed: Any) -> Any:
    bpy.ops.mesh.primitive_cube_add(**placed)
    return bpy.context.object


def test_the_box_is_around_the_selection_and_is_where_the_artist_moves_it(bpy: ModuleType) -> None:
    add_cube(bpy, location=(50.0, 0.0, 0.0))
    add_cube(bpy, location=(1.0, 2.0, 3.0), scale=(1.0, 2.0, 0.5))
    bpy.ops.neural_fields.add_bounds()
    empty = bpy.context.object
    assert bpy.context.scene.neural_fields.capture.bounds_box == empty
    np.testing.assert_allclose(box_of(empty), [[-0.02, -0.04, 2.49], [2.02, 4.04, 3.51]], atol=1e-5)
    empty.location.x += 5
    empty.scale.z *= 2
    bpy.context.view_layer.update()
    np.testing.assert_allclose(box_of(empty), [[4.98, -0.04, 1.98], [7.02, 4.04, 4.02]], atol=1e-5)


def test_a_turned_box_counts_with_its_outline_and_a_flat_one_is_refused(bpy: ModuleType) -> None:
    bpy.ops.neural_fields.add_bounds()
    empty = bpy.context.object
    empty.rotation_euler.z = np.pi / 4
    bpy.context.view_layer.update()
    reach = 1.02 * np.sqrt(2)
    np.testing.assert_allclose(box_of(empty)[1], [reach, reach, 1.02], rtol=1e-5)
    empty.scale.x = 0.0
    bpy.context.view_layer.update()
    with pytest.raises(SceneError, match="is flat"):
        box_of(empty)


def test_a_rendered_capture_has_the_boxs_bounds(bpy: ModuleType, tmp_path: Path) -> None:
    cube = add_cube(bpy)
    bpy.ops.neural_fields.add_camera_rig(count=2)
    bpy.ops.object.select_all(action="DESELECT")
    bpy.ops.neural_fields.add_bounds()
    bpy.context.object.scale = (3.0, 3.0, 4.0)
    bpy.context.scene.render.resolution_x = bpy.context.scene.render.resolution_y = 8
    bpy.context.scene.cycles.samples = 1
    bpy.ops.neural_fields.render_capture(folder=str(tmp_path / "capture"))
    np.testing.assert_allclose(
        load_capture(tmp_path / "capture").bounds, [[-3, -3, -4], [3, 3, 4]], atol=1e-5
    )
    assert cube is not None


def test_an_imported_capture_is_learned_with_the_boxs_bounds(
    bpy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = write_small_capture(tmp_path / "capture")
    assert not bpy.ops.neural_fields.apply_bounds.poll()
    bpy.ops.neural_fields.add_bounds()
    scene = bpy.context.scene
    scene.neural_fields.training.capture = str(capture)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    monkeypatch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
    try:
        bpy.ops.neural_fields.apply_bounds()
    finally:
        session.stop()
    chosen = bpy.path.abspath(scene.neural_fields.training.capture)
    assert Path(chosen) != capture
    np.testing.assert_allclose(load_capture(chosen).bounds, [[-1.02] * 3, [1.02] * 3], atol=1e-5)


def test_a_crop_box_is_the_fields_own_and_moves_with_it(bpy: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "capture.json").write_text(
        '{"neural_fields": {"bounds": [[-1, -2, -3], [1, 2, 3]]}}', encoding="utf-8"
    )
    with pytest.raises(RuntimeError, match="no field to crop"):
        bpy.ops.neural_fields.add_bounds(purpose="MESH")
    bpy.ops.neural_fields.add_field(run=str(tmp_path))
    field = bpy.context.object
    field.location, field.scale = (9.0, 0.0, 0.0), (2.0, 2.0, 2.0)
    bpy.context.view_layer.update()
    bpy.ops.neural_fields.add_bounds(purpose="MESH")
    box = field.neural_field.mesh.crop_box
    assert box.parent == field
    expected = 1.02 * np.array([[-1.0, -2.0, -3.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(box_of(box, field), expected, rtol=1e-5)
    field.rotation_euler = (0.4, 0.3, 1.0)
    box.location.x += 0.5
    bpy.context.view_layer.update()
    np.testing.assert_allclose(box_of(box, field), expected + np.array([0.5, 0, 0]), atol=1e-5)


class Given:
    """An operator as `crop_of` sees it."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)
        self.properties = self

    def is_property_set(self, name: str) -> bool:
        return name in self.__dict__


def test_corners_that_are_given_count_more_than_the_box_and_it_more_than_stored_ones(
    bpy: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    bpy.ops.neural_fields.add_field(run=str(tmp_path))
    field = bpy.context.object
    stored = field.neural_field.mesh
    assert crop_of(Given(), stored, field) == ((), ())
    stored.use_crop = True
    assert crop_of(Given(), stored, field)[1] == (1.0, 1.0, 1.0)
    bpy.ops.neural_fields.add_bounds(purpose="MESH")
    assert crop_of(Given(), stored, field)[1] == pytest.approx((1.02, 1.02, 1.02))
    given = Given(use_crop=True, crop_min=(-2, -2, -2), crop_max=(3, 3, 3))
    assert crop_of(given, stored, field) == ((-2, -2, -2), (3, 3, 3))
    assert crop_of(Given(use_crop=False), stored, field) == ((), ())
