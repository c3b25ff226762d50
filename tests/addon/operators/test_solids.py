# SPDX-License-Identifier: GPL-3.0-or-later
"""Constructive solid geometry with objects, by a real worker; sizes are known from formulas."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import preferences, session
from neural_fields.addon.worker.protocol import messages

from tests.addon.operators.shape_scene import TINY, bounds, box, select, volume
from tests.worker_python import WORKER_PYTHON

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
        session.stop()
        yield
        session.stop()


@pytest.fixture(autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "runs_folder", lambda: tmp_path)


def add(bpy: ModuleType, kind: str, location: tuple[float, ...] = (0, 0, 0), **values: Any) -> Any:
    bpy.ops.neural_fields.add_csg_primitive(kind=kind, location=location)
    item = bpy.context.object
    for name, value in values.items():
        setattr(item.neural_field.primitive, name, value)
    return item


def meshed(bpy: ModuleType, *items: Any, **options: Any) -> Any:
    """The solid of these objects, the first one first."""
    select(bpy, *items[1:], items[0])
    bpy.ops.neural_fields.mesh_csg(**{"resolution": 40, "device": "cpu"} | options)
    return bpy.context.object


def test_the_mesh_that_shows_a_primitive_is_closed_and_of_its_size(bpy: ModuleType) -> None:
    expected = {
        "sphere": 4 / 3 * math.pi,
        "box": 8.0,
        "torus": 2 * math.pi**2 * 0.25**2,
        "cylinder": 2 * math.pi,
        "cone": 2 / 3 * math.pi,
        "capsule": 4 / 3 * math.pi + 2 * math.pi,
    }
    side, radius = 1.5, 0.25
    # A box, a slab on each side, a quarter of a cylinder at each edge, and a ball at the corners.
    expected["rounded_box"] = (
        side**3 + 6 * side**2 * radius + 3 * math.pi * side * radius**2
        + 4 / 3 * math.pi * radius**3
    )  # fmt: skip
    for kind, size in expected.items():
        item = add(bpy, kind)
        assert volume(item) == pytest.approx(size, rel=0.02), kind
        counts = Counter(key for face in item.data.polygons for key in face.edge_keys)
        assert set(counts.values()) == {2}, kind
        assert item.display_type == "WIRE"
        assert item.hide_render


def test_a_measure_that_changes_is_shown_at_once(bpy: ModuleType) -> None:
    item = add(bpy, "sphere", (1.0, 0.0, 0.0))
    item.neural_field.primitive.radius = 2.0
    np.testing.assert_allclose(bounds(bpy, item), [[-1, -2, -2], [3, 2, 2]], atol=1e-5)
    item.neural_field.primitive.kind = "box"
    item.neural_field.primitive.size = (2.0, 4.0, 6.0)
    np.testing.assert_allclose(bounds(bpy, item), [[0, -2, -3], [2, 2, 3]], atol=1e-5)


@pytest.mark.parametrize("operation", ["union", "difference", "intersection"])
def test_two_balls_are_put_together_as_their_places_say(bpy: ModuleType, operation: str) -> None:
    solid = meshed(bpy, add(bpy, "sphere"), add(bpy, "sphere", (1.0, 0, 0)), operation=operation)
    ball, lens = 4 / 3 * math.pi, 5 / 12 * math.pi
    expected = {"union": 2 * ball - lens, "difference": ball - lens, "intersection": lens}
    mesh = solid.neural_field.mesh_object
    assert mesh.parent == solid
    assert volume(mesh) == pytest.approx(expected[operation], rel=0.03)


def test_a_solid_follows_its_parts_when_it_is_meshed_again(bpy: ModuleType) -> None:
    block = add(bpy, "box")
    # A stretched box is a box.
    block.scale, block.rotation_euler = (2.0, 1.0, 0.5), (0.0, 0.0, math.pi / 2)
    drill = add(bpy, "cylinder", radius=0.5, height=6.0)
    solid = meshed(bpy, block, drill, operation="difference")
    mesh, data = solid.neural_field.mesh_object, solid.neural_field.mesh_object.data
    np.testing.assert_allclose(bounds(bpy, mesh), [[-1, -2, -0.5], [1, 2, 0.5]], atol=0.03)
    assert volume(mesh) == pytest.approx(8 - math.pi / 4, rel=0.03)
    block.location, drill.location = (10.0, 0.0, 0.0), (10.0, 50.0, 0.0)
    solid.location = (0.0, 0.0, 7.0)
    select(bpy, mesh)
    bpy.ops.neural_fields.mesh_csg()
    assert bpy.context.object == solid
    assert (solid.neural_field.mesh_object, mesh.data) == (mesh, data)
    # Where the parts are, wherever the solid's empty is.
    np.testing.assert_allclose(bounds(bpy, mesh), [[9, -2, -0.5], [11, 2, 0.5]], atol=0.03)
    assert volume(mesh) == pytest.approx(8, rel=0.03)


def test_smoothness_fills_the_seam_of_a_union(bpy: ModuleType) -> None:
    balls = add(bpy, "sphere"), add(bpy, "sphere", (1.5, 0.0, 0.0))
    solid = meshed(bpy, *balls)
    sharp = volume(solid.neural_field.mesh_object)
    bpy.ops.neural_fields.mesh_csg(smoothness=0.5)
    assert volume(solid.neural_field.mesh_object) > sharp + 0.05
    assert solid.neural_field.solid.smoothness == 0.5
    assert (sent().resolution, sent().level, sent().device) == (40, 0.0, "cpu")
    bpy.ops.neural_fields.mesh_csg(smoothness=0.0, level=0.25)
    grown = bounds(bpy, solid.neural_field.mesh_object)
    np.testing.assert_allclose(grown, [[-1.25, -1.25, -1.25], [2.75, 1.25, 1.25]], atol=0.05)


def test_meshes_and_learned_shapes_are_parts_and_solids_are_parts_of_solids(
    bpy: ModuleType, tmp_path: Path
) -> None:
    item = box(bpy, "Block", (2.0, 2.0, 2.0), (3.0, 0.0, 0.0))
    select(bpy, item)
    bpy.ops.neural_fields.fit_shape(
        run=str(tmp_path / "run"), preset="draft", steps=80, samples=3000, settings=TINY,
        device="cpu",
    )  # fmt: skip
    shape = bpy.context.object
    shape.scale, shape.rotation_euler = (2.0,) * 3, (0.0, 0.0, math.pi / 2)
    stretched = box(bpy, "Mesh", (1.0, 1.0, 1.0), (3.0, 0.0, 3.0))
    stretched.scale = (1.0, 1.0, 3.0)
    inner = meshed(bpy, shape.neural_field.mesh_object, stretched, operation="union")
    described = json.loads(Path(sent().shape).read_text())
    assert described["parts"][0]["part"] == {"type": "file", "path": f"{tmp_path}/run#"}
    mesh = inner.neural_field.mesh_object
    np.testing.assert_allclose(bounds(bpy, mesh), [[1, -2, -2], [5, 2, 4.5]], atol=0.4)
    drill = add(bpy, "box", (3.0, 0.0, 4.5), size=(9.0, 9.0, 3.0))
    outer = meshed(bpy, inner, drill, operation="difference")
    shown = bounds(bpy, outer.neural_field.mesh_object)
    assert shown[1, 2] == pytest.approx(3.0, abs=0.15)
    inner.neural_field.solid.parts.add().part = outer
    with pytest.raises(RuntimeError, match="is a part of itself"):
        bpy.ops.neural_fields.mesh_csg()


def sent() -> Any:
    return next(
        record.job
        for record in reversed(session.jobs())
        if isinstance(record.job, messages.MeshShape)
    )


def test_what_is_no_solid_is_explained_and_leaves_nothing(bpy: ModuleType) -> None:
    ball, egg = add(bpy, "sphere"), add(bpy, "sphere", (1.0, 0.0, 0.0))
    egg.scale = (1.0, 1.0, 2.0)
    count = len(bpy.data.objects)
    with pytest.raises(RuntimeError, match=r"Solid Sphere\.001 is scaled unevenly"):
        meshed(bpy, ball, egg)
    lamp = bpy.data.objects.new("Lampe", None)
    bpy.context.scene.collection.objects.link(lamp)
    with pytest.raises(RuntimeError, match="Lampe is no solid"):
        meshed(bpy, ball, lamp)
    with pytest.raises(RuntimeError, match="parts do not meet"):
        meshed(bpy, ball, add(bpy, "sphere", (9.0, 0, 0)), operation="intersection")
    with pytest.raises(RuntimeError, match="no end"):
        meshed(bpy, ball, add(bpy, "plane"))
    assert len(bpy.data.objects) == count + 3
    egg.scale = (1.0, 1.0, 1.0)
    solid = meshed(bpy, ball, egg)
    bpy.data.objects.remove(egg)
    select(bpy, solid)
    with pytest.raises(RuntimeError, match="1 of the parts of Neural Solid are gone"):
        bpy.ops.neural_fields.mesh_csg()
