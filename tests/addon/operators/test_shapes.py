# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes that are learned from Blender's meshes, by a real worker and small fits."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import trimesh
from neural_fields.addon import session, shape_updates
from neural_fields.addon.scene.elements import element_empties
from neural_fields.addon.scene.ply import read_ply
from neural_fields.addon.worker.protocol import messages

from tests.addon.operators.shape_scene import TINY, TINY_FAMILY, bounds, box, select
from tests.worker_python import WORKER_PYTHON, run_with_backend

pytestmark = [pytest.mark.blender, pytest.mark.timeout(300)]

HEIGHTS = {"low": 1.0, "middling": 2.5, "high": 4.0}
FIT = (
    "import sys, neural_backend; run, settings, *meshes = sys.argv[1:]; "
    "neural_backend.fit_shape(run, meshes, preset='draft', steps=600, samples=3000, "
    "settings=tuple(settings.split()), device='cpu')"
)


@pytest.fixture(scope="module", autouse=True)
def _worker() -> Iterator[None]:
    """One for all tests of the module: most of its time goes into starting it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "find_python", lambda _preference: WORKER_PYTHON)
        session.stop()
        yield
        session.stop()


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of boxes that are low, middling and high."""
    folder = tmp_path_factory.mktemp("family")
    meshes = []
    for name, height in HEIGHTS.items():
        meshes.append(folder / f"{name}.ply")
        trimesh.creation.box((4.0, 4.0, height)).export(meshes[-1])
    run_with_backend(FIT, folder / "run", TINY_FAMILY, *meshes)
    return folder / "run"


@pytest.fixture
def family(bpy: ModuleType, learned: Path, tmp_path: Path) -> Any:
    """Its empty, in a file of its own, away from the scene's origin."""
    run = shutil.copytree(learned, tmp_path / "family" / "run")
    bpy.ops.neural_fields.add_field(run=str(run))
    shape = bpy.context.object
    shape.location = (16.0, 3.0, 1.0)
    shape.neural_field.shape.resolution = 32
    return shape


def height(bpy: ModuleType, shape: Any) -> float:
    low, high = bounds(bpy, shape.neural_field.mesh_object)
    return float(high[2] - low[2])


def sent(kind: type) -> Any:
    return next(record.job for record in reversed(session.jobs()) if isinstance(record.job, kind))


def drain(uid: int) -> None:
    keys = (shape_updates.coarse_key(uid), shape_updates.fine_key(uid))
    deadline = time.monotonic() + 120
    while any(session.is_busy(key) for key in keys):
        session.pump(0.05)
        assert time.monotonic() < deadline


def test_one_mesh_becomes_a_shape_where_and_as_large_as_it_is(
    bpy: ModuleType, tmp_path: Path
) -> None:
    item = box(bpy, "Würfel", (2.0, 1.0, 1.0), (5.0, -3.0, 2.0))
    item.rotation_euler, item.scale = (0.0, 0.0, np.pi / 2), (1.0, 1.0, -2.0)
    item.modifiers.new("Wider", "SOLIDIFY").thickness = -0.5
    select(bpy, item)
    expected = bounds(bpy, item)
    bpy.ops.neural_fields.fit_shape(
        run=str(tmp_path / "run"), preset="draft", steps=80, samples=3000, settings=TINY,
        device="cpu",
    )  # fmt: skip
    shape = bpy.context.object
    assert shape.type == "EMPTY"
    assert shape.name == "Neural Shape"
    assert shape.neural_field.shape.method == "neural_sdf"
    assert Path(shape.neural_field.shape.run) == tmp_path / "run"
    mesh = shape.neural_field.mesh_object
    assert mesh.parent == shape
    assert not mesh.data.materials
    assert np.abs(bounds(bpy, mesh) - expected).max() < 0.25
    shape.location.x += 10.0
    moved = expected + np.array([10.0, 0.0, 0.0])
    assert np.abs(bounds(bpy, mesh) - moved).max() < 0.25


def test_a_family_of_meshes_that_stand_apart_shares_one_place(
    bpy: ModuleType, tmp_path: Path
) -> None:
    items = [
        box(bpy, name, (4.0, 4.0, height), (8.0 * number, 3.0, 1.0))
        for number, (name, height) in enumerate(HEIGHTS.items())
    ]
    select(bpy, *items)
    bpy.ops.neural_fields.fit_shape(
        run=str(tmp_path / "run"), preset="draft", steps=60, samples=1000, settings=TINY_FAMILY,
        device="cpu",
    )  # fmt: skip
    shape = bpy.context.object
    settings = shape.neural_field.shape
    assert settings.method == "deep_sdf"
    assert set(settings.shapes.keys()) == set(HEIGHTS)
    # The active mesh was the last one.
    assert shape.location[:] == pytest.approx((16.0, 3.0, 1.0))
    for file in sent(messages.FitShape).meshes:
        extent = np.ptp(read_ply(Path(file)).vertices, axis=0)
        np.testing.assert_allclose(extent, (4.0, 4.0, HEIGHTS[Path(file).stem]), atol=1e-5)
        np.testing.assert_allclose(read_ply(Path(file)).vertices.mean(axis=0), 0, atol=1e-5)
    assert shape.neural_field.mesh_object is not None


def test_the_shapes_of_a_run_on_disk_are_shown_by_name(bpy: ModuleType, family: Any) -> None:
    settings = family.neural_field.shape
    assert list(settings.shapes.keys()) == list(HEIGHTS)
    assert not family.neural_field.run
    for name, expected in HEIGHTS.items():
        settings.shape, settings.blend_to = name, ""
        bpy.ops.neural_fields.update_shape()
        assert height(bpy, family) == pytest.approx(expected, abs=0.5)
        middle = bounds(bpy, family.neural_field.mesh_object).mean(axis=0)
        assert np.abs(middle - family.location).max() < 0.3


def test_a_blend_an_axis_and_a_level_change_the_mesh_in_place(bpy: ModuleType, family: Any) -> None:
    settings = family.neural_field.shape
    settings.shape, settings.blend_to, settings.blend = "low", "high", 0.5
    bpy.ops.neural_fields.update_shape()
    mesh = family.neural_field.mesh_object
    data = mesh.data
    assert 1.3 < height(bpy, family) < 3.7
    settings.blend_to = ""
    bpy.ops.neural_fields.update_shape()
    low = height(bpy, family)
    settings.level = 0.5
    bpy.ops.neural_fields.update_shape()
    assert height(bpy, family) == pytest.approx(low + 1.0, abs=0.3)
    settings.level, settings.axes[0] = 0.0, 0.5
    bpy.ops.neural_fields.update_shape(resolution=24)
    assert abs(height(bpy, family) - low) > 0.1
    assert sent(messages.ExtractMesh).axes == (0.5,)
    assert sent(messages.ExtractMesh).resolution == 24
    assert (family.neural_field.mesh_object, mesh.data) == (mesh, data)
    settings.axes[2] = 1.0
    with pytest.raises(RuntimeError, match="2 principal axes, not 3"):
        bpy.ops.neural_fields.update_shape()


def test_while_a_slider_moves_only_the_newest_request_is_computed(
    bpy: ModuleType, family: Any
) -> None:
    settings = family.neural_field.shape
    settings.coarse_resolution = 12
    settings.shape, settings.blend_to = "low", "high"
    before = len(session.jobs())
    for blend in np.linspace(0.0, 1.0, 20):
        settings.blend = blend
        shape_updates.request(family)
        session.pump()
    drain(family.session_uid)
    records = session.jobs()[before:]
    assert [record.job.resolution for record in records].count(32) == 1
    # One was on its way while all others came.
    coarse = [record.job for record in records if record.job.resolution == 12]
    assert 1 <= len(coarse) < 20
    assert coarse[-1].blend == pytest.approx(1.0)
    assert records[-1].job.blend == pytest.approx(1.0)
    assert records[-1].job.resolution == 32
    assert height(bpy, family) == pytest.approx(4.0, abs=0.5)


def test_a_fine_mesh_that_is_overtaken_is_cancelled_and_not_shown(
    bpy: ModuleType, family: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shape_updates, "QUIET_S", 0.0)
    settings = family.neural_field.shape
    settings.shape, settings.blend_to, settings.resolution = "high", "", 200
    shape_updates.request(family)
    uid = family.session_uid
    while not any(record.key == shape_updates.fine_key(uid) for record in session.running()):
        session.pump(0.01)
    settings.shape, settings.resolution = "low", 24
    shape_updates.request(family)
    drain(uid)
    overtaken = next(
        record for record in reversed(session.jobs()) if getattr(record.job, "resolution", 0) == 200
    )
    assert overtaken.cancel_asked
    mesh = family.neural_field.mesh_object
    assert mesh["neural_field_resolution"] == 24
    assert height(bpy, family) == pytest.approx(1.0, abs=0.5)


def test_a_morph_is_baked_into_a_sequence_that_plays_by_itself(
    bpy: ModuleType, family: Any, tmp_path: Path
) -> None:
    settings, scene = family.neural_field.shape, bpy.context.scene
    settings.shape, settings.blend_to, settings.resolution = "low", "high", 24
    for frame, blend in ((11, 0.0), (13, 1.0)):
        settings.blend = blend
        settings.keyframe_insert("blend", frame=frame)
    bpy.ops.neural_fields.update_shape()
    scene.frame_start, scene.frame_end = 10, 14
    scene.frame_set(12)
    bpy.ops.neural_fields.bake_shape(output=str(tmp_path / "sequence"))
    assert scene.frame_current == 12
    # Before and after the keys nothing changes: three meshes serve five frames.
    assert len(list((tmp_path / "sequence").glob("mesh_*.ply"))) == 3
    shown = family.neural_field.sequence_object
    assert shown.parent == family
    assert [modifier.type for modifier in shown.modifiers] == ["MESH_SEQUENCE_CACHE"]
    assert not shown.data.materials
    assert family.neural_field.mesh_object.hide_render
    heights = []
    for frame in (10, 11, 12, 13, 14):
        scene.frame_set(frame)
        low, high = bounds(bpy, shown)
        heights.append(float(high[2] - low[2]))
        assert abs((low[0] + high[0]) / 2 - family.location.x) < 0.3
    assert heights[0] == heights[1] < heights[2] < heights[3] == heights[4]
    assert (heights[0], heights[4]) == pytest.approx((1.0, 4.0), abs=0.5)
    bpy.ops.neural_fields.update_shape()
    assert not family.neural_field.mesh_object.hide_render
    assert shown.hide_render


def test_half_a_mesh_is_completed_in_the_family(bpy: ModuleType, family: Any) -> None:
    half = bpy.data.objects.new("half", bpy.data.meshes.new("half"))
    half.location = (-20.0, 0.0, 0.0)
    bpy.context.scene.collection.objects.link(half)
    # Only what lies at x < 0 is left of it, without the cut being closed.
    corners = [(x, y, z) for z in (-1.7, 1.7) for y in (-2.0, 2.0) for x in (-2.0, 0.0)]
    faces = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2)]
    half.data.from_pydata(corners, [], faces)
    select(bpy, half, family)
    bpy.ops.neural_fields.fit_latent(partial=True, shape_name="completed", device="cpu")
    settings = family.neural_field.shape
    assert settings.shape == "completed"
    assert "completed" in settings.shapes
    low, high = bounds(bpy, family.neural_field.mesh_object)
    assert high[2] - low[2] == pytest.approx(3.4, abs=0.7)
    assert high[0] - low[0] == pytest.approx(4.0, abs=0.5)
    assert np.abs((low + high) / 2 - family.location).max() < 0.5


def test_a_part_may_have_been_seen_from_the_camera(bpy: ModuleType, family: Any) -> None:
    item = box(bpy, "seen", (4.0, 4.0, 2.0), (1.0, 2.0, 3.0))
    item.rotation_euler.z = np.pi / 2
    bpy.context.view_layer.update()
    select(bpy, item, family)
    with pytest.raises(RuntimeError, match="The scene has no camera"):
        bpy.ops.neural_fields.fit_latent(partial=True, use_viewpoint=True)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location = (9.0, 2.0, 3.0)
    bpy.context.view_layer.update()
    bpy.ops.neural_fields.fit_latent(partial=True, use_viewpoint=True, steps=5, device="cpu")
    # As it is seen from where the mesh stands, turned by a quarter.
    assert sent(messages.FitLatent).viewpoint == pytest.approx((0.0, -8.0, 0.0), abs=1e-5)


def test_a_mesh_can_be_found_where_it_lies_under_a_name_of_its_own(
    bpy: ModuleType, family: Any
) -> None:
    other = box(bpy, "between", (4.0, 4.0, 3.2), tuple(family.location))
    low = box(bpy, "low", (4.0, 4.0, 1.0), (-9.0, 0.0, 0.0))
    select(bpy, other, family)
    bpy.ops.neural_fields.fit_latent(space="SHAPE", device="cpu")
    assert family.neural_field.shape.shape == "between"
    assert height(bpy, family) == pytest.approx(3.2, abs=0.6)
    select(bpy, low, family)
    bpy.ops.neural_fields.fit_latent(device="cpu")
    assert family.neural_field.shape.shape == "low found"
    select(bpy, low, other, family)
    with pytest.raises(RuntimeError, match="2 meshes are selected"):
        bpy.ops.neural_fields.fit_latent(device="cpu")


def test_meshes_that_cannot_be_learned_are_explained(bpy: ModuleType, tmp_path: Path) -> None:
    sheet = bpy.data.objects.new("Blatt", bpy.data.meshes.new("Blatt"))
    bpy.context.scene.collection.objects.link(sheet)
    bpy.context.view_layer.update()
    select(bpy, sheet)
    run = str(tmp_path / "run")
    with pytest.raises(RuntimeError, match=r"Blatt has no faces\. Select meshes"):
        bpy.ops.neural_fields.fit_shape(run=run)
    sheet.data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    with pytest.raises(RuntimeError, match="inside"):
        bpy.ops.neural_fields.fit_shape(run=run)
    assert not any(item.neural_field.shape.run for item in bpy.data.objects)


def test_the_gaussians_of_a_shape_can_be_moved_by_hand(bpy: ModuleType, tmp_path: Path) -> None:
    item = box(bpy, "Kiste", (2.0, 2.0, 2.0), (4.0, 0.0, 0.0))
    select(bpy, item)
    bpy.ops.neural_fields.fit_shape(
        run=str(tmp_path / "run"), method="structured_implicit", preset="draft", steps=60,
        samples=3000, settings="elements=8", device="cpu",
    )  # fmt: skip
    shape = bpy.context.object
    shape.neural_field.shape.resolution = 32
    bpy.ops.neural_fields.update_shape()
    before = bounds(bpy, shape.neural_field.mesh_object)
    bpy.ops.neural_fields.show_elements()
    empties = element_empties(shape)
    assert len(empties) == 8
    assert all(empty.empty_display_type == "SPHERE" for empty in empties)
    bpy.ops.neural_fields.update_shape()
    still = bounds(bpy, shape.neural_field.mesh_object)
    assert sent(messages.ExtractMesh).elements
    np.testing.assert_allclose(still, before, atol=0.01)
    moved = []
    for _ in range(2):
        for empty in empties:
            empty.location.z += 1.5
        bpy.ops.neural_fields.update_shape()
        moved.append(bounds(bpy, shape.neural_field.mesh_object))
    assert moved[0][1][2] > still[1][2] + 1
    np.testing.assert_allclose(moved[1] - moved[0], [(0.0, 0.0, 1.5)] * 2, atol=0.02)
    bpy.data.objects.remove(empties[0])
    with pytest.raises(RuntimeError, match="no longer one ellipsoid for each"):
        bpy.ops.neural_fields.update_shape()
    bpy.ops.neural_fields.show_elements()
    assert len(element_empties(shape)) == 8


def test_only_gaussians_have_elements(bpy: ModuleType, family: Any) -> None:
    with pytest.raises(RuntimeError, match="no elements that could be shown"):
        bpy.ops.neural_fields.show_elements()
