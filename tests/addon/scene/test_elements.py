# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon.scene.elements import (
    element_empties,
    put_elements,
    read_elements,
    write_elements,
)
from neural_fields.addon.scene.errors import SceneError

# isort: split
# Blender's own modules are there once it is.
from mathutils import Matrix, Quaternion

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

ELEMENTS = [
    {
        "center": [1.0, 2.0, 3.0],
        "radii": [0.5, 1.0, 2.0],
        "rotation": list(Quaternion((1.0, 0.3, -0.2, 0.5)).normalized()),
        "constant": -1.5,
    },
    {
        "center": [0.0, -1.0, 0.0],
        "radii": [0.1, 0.2, 0.3],
        "rotation": [0.0, 1.0, 0.0, 0.0],
        "constant": -0.25,
    },
]


@pytest.fixture
def shape(bpy: ModuleType) -> Any:
    item = bpy.data.objects.new("Shape", None)
    item.location, item.rotation_euler, item.scale = (5.0, 0.0, 0.0), (0.5, 0.0, 1.0), (2.0,) * 3
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.update()
    return item


def covariances(elements: list[dict[str, Any]]) -> np.ndarray:
    """What an ellipsoid is, however its axes are named."""
    found = []
    for one in elements:
        turn = np.array(Quaternion(one["rotation"]).normalized().to_matrix())
        found.append(turn @ np.diag(np.square(one["radii"])) @ turn.T)
    return np.array(found)


def test_elements_that_are_shown_and_read_back_are_the_same(shape: Any, tmp_path: Path) -> None:
    file = tmp_path / "elements.json"
    file.write_text(json.dumps({"elements": ELEMENTS}))
    made = put_elements(shape, read_elements(file))
    assert made == element_empties(shape)
    assert [item.parent for item in made] == [shape, shape]
    back = read_elements(write_elements(shape, tmp_path / "new" / "back.json"))
    np.testing.assert_allclose(covariances(back), covariances(ELEMENTS), atol=1e-5)
    for before, after in zip(ELEMENTS, back, strict=True):
        assert after["center"] == pytest.approx(before["center"], abs=1e-6)
        assert after["constant"] == before["constant"]


def test_an_ellipsoid_lies_where_its_element_does(bpy: ModuleType, shape: Any) -> None:
    first, _ = put_elements(shape, ELEMENTS)
    bpy.context.view_layer.update()
    expected = shape.matrix_world @ Matrix.Translation(ELEMENTS[0]["center"])
    np.testing.assert_allclose(
        first.matrix_world.translation, expected.translation, rtol=1e-5, atol=1e-5
    )
    first.matrix_world = Matrix.Translation((0.0, 0.0, 9.0)) @ first.matrix_world
    elements = read_elements(write_elements(shape, Path(bpy.app.tempdir) / "moved.json"))
    moved = shape.matrix_world.to_3x3().inverted() @ Matrix.Translation((0, 0, 9)).translation
    change = np.array(elements[0]["center"]) - ELEMENTS[0]["center"]
    np.testing.assert_allclose(change, moved, atol=1e-4)


def test_showing_again_puts_them_back_and_makes_no_others(bpy: ModuleType, shape: Any) -> None:
    first, second = put_elements(shape, ELEMENTS)
    first.location, first.name = (9.0, 9.0, 9.0), "mine"
    bpy.data.objects.remove(second)
    again = put_elements(shape, ELEMENTS)
    assert again[0] == first
    assert len(element_empties(shape)) == 2
    assert first.location[:] == pytest.approx(ELEMENTS[0]["center"])
    put_elements(shape, ELEMENTS[:1])
    assert element_empties(shape) == [first]


def test_what_is_no_element_any_more_is_explained(
    bpy: ModuleType, shape: Any, tmp_path: Path
) -> None:
    first, second = put_elements(shape, ELEMENTS)
    second.scale.z = 0.0
    with pytest.raises(SceneError, match="scaled to nothing"):
        write_elements(shape, tmp_path / "a.json")
    bpy.data.objects.remove(first)
    with pytest.raises(SceneError, match="no longer one ellipsoid for each"):
        write_elements(shape, tmp_path / "a.json")
    with pytest.raises(SceneError, match="cannot be read"):
        read_elements(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text('{"elements": [{"center": [1, 2]}]}')
    with pytest.raises(SceneError, match="is damaged"):
        read_elements(tmp_path / "bad.json")
