# SPDX-License-Identifier: GPL-3.0-or-later
"""What was written as USD is what Blender shows, frame by frame."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon import compat
from neural_fields.addon.scene import mesh_sequences, meshes
from neural_fields.addon.scene.ply import MeshArrays, read_ply
from neural_fields.addon.scene.usd_meshes import linear_from_srgb, write_usd

from neural_backend.meshing.mesh import Mesh, write_mesh

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def arrays(frame: int, count: int | None = None) -> MeshArrays:
    """Triangles in no order, another number of them at each frame unless `count` says one."""
    random = np.random.default_rng(frame + 100)
    count = 5 + frame % 7 if count is None else count
    normals = random.normal(size=(3 * count, 3)).astype(np.float32)
    return MeshArrays(
        random.uniform(-2, 3, (3 * count, 3)).astype(np.float32),
        random.permutation(3 * count).reshape(-1, 3).astype(np.int32),
        np.concatenate([random.random((3 * count, 3)), np.ones((3 * count, 1))], 1).astype("f4"),
        normals / np.linalg.norm(normals, axis=1, keepdims=True),
    )


def shown(bpy: ModuleType, item: Any, frame: int) -> dict[str, np.ndarray]:
    bpy.context.scene.frame_set(frame)
    mesh = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    found = {}
    for name, data, key, width in (
        ("points", mesh.vertices, "co", 3),
        ("corners", mesh.loops, "vertex_index", 1),
        ("colors", mesh.color_attributes["Col"].data, "color", 4),
        ("normals", mesh.corner_normals, "vector", 3),
    ):
        values = np.empty(width * len(data), np.int32 if key == "vertex_index" else np.float32)
        data.foreach_get(key, values)
        found[name] = values.reshape(-1, width)
    return found


def files_of(folder: Path, frames: list[int], count: int | None = None) -> list[Path]:
    folder.mkdir(exist_ok=True, parents=True)
    paths = []
    for frame in frames:
        one = arrays(frame, count)
        path = folder / f"mesh_{frame:04d}.ply"
        write_mesh(Mesh(one.vertices, one.faces, one.normals, one.colors[:, :3]), path)
        paths.append(path)
    return paths


@pytest.fixture
def field(bpy: ModuleType) -> Any:
    return meshes.add_field_empty("Neural Field", bpy.context.scene.collection)


@pytest.fixture(params=["usdc", "usda"])
def ending(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With Blender's own USD modules, and without."""
    if request.param == "usda":
        monkeypatch.setattr(mesh_sequences, "usd_modules", lambda: None)
    elif compat.usd_modules() is None:
        pytest.skip("this Blender has no USD modules for Python")
    return request.param


@pytest.mark.parametrize("count", [None, 6], ids=["changing topology", "equal counts"])
def test_each_frame_shows_its_own_mesh_exactly(
    bpy: ModuleType, field: Any, tmp_path: Path, ending: str, count: int | None
) -> None:
    frames = [-3, -2, 11, 12, 13, 14, 300, 1001]
    files = files_of(tmp_path / "ä meshes", frames, count)
    item = mesh_sequences.put_mesh_sequence(field, None, files, frames, 24.0)
    assert (tmp_path / "ä meshes" / f"sequence_001.{ending}").is_file()
    for frame, file in zip(frames, files, strict=True):
        expected, found = read_ply(file), shown(bpy, item, frame)
        assert found["points"].shape == expected.vertices.shape
        np.testing.assert_allclose(found["points"], expected.vertices, atol=2e-5)
        np.testing.assert_array_equal(found["corners"].ravel(), expected.faces.ravel())
        linear = linear_from_srgb(expected.colors[:, :3])
        np.testing.assert_allclose(found["colors"][:, :3], linear, atol=6e-4, rtol=2e-3)
        normals = expected.normals[expected.faces.ravel()]
        np.testing.assert_allclose(found["normals"], normals, atol=6e-3)


@pytest.mark.parametrize(("fps", "base"), [(24, 1.0), (25, 1.0), (30, 1.001), (60, 1.0), (7, 1.3)])
def test_frames_keep_their_meshes_at_any_rate(
    bpy: ModuleType, field: Any, tmp_path: Path, fps: int, base: float
) -> None:
    """The rate is set after the sequence came in: meshes belong to frames, not to seconds."""
    frames = list(range(3, 60))
    files = files_of(tmp_path, frames)
    item = mesh_sequences.put_mesh_sequence(field, None, files, frames, 24.0)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base
    counts = [len(shown(bpy, item, frame)["points"]) for frame in frames]
    assert counts == [len(arrays(frame).vertices) for frame in frames]


def test_before_and_after_its_frames_the_sequence_stands_still(
    bpy: ModuleType, field: Any, tmp_path: Path, ending: str
) -> None:
    files = files_of(tmp_path, [8, 5])
    item = mesh_sequences.put_mesh_sequence(field, None, files, [8, 5], 24.0)
    first, last = shown(bpy, item, 5)["points"], shown(bpy, item, 8)["points"]
    np.testing.assert_allclose(first, arrays(5).vertices, atol=2e-5)
    np.testing.assert_array_equal(shown(bpy, item, 1)["points"], first)
    np.testing.assert_array_equal(shown(bpy, item, 99)["points"], last)


def test_what_leaves_and_comes_back_is_empty_meanwhile(
    bpy: ModuleType, field: Any, tmp_path: Path, ending: str
) -> None:
    files = files_of(tmp_path, [1, 2, 3])
    write_mesh(Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), int)), files[1])
    item = mesh_sequences.put_mesh_sequence(field, None, files, [1, 2, 3], 24.0)
    mesh = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    bpy.context.scene.frame_set(2)
    mesh = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert len(mesh.polygons) == 0
    assert len(shown(bpy, item, 3)["points"]) == len(arrays(3).vertices)


def test_the_object_hangs_on_the_field_with_the_colour_material_and_nothing_else_changes(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 2, 77, 25
    bpy.context.view_layer.objects.active = field
    field.select_set(True)
    field.location.x = 4.0
    item = mesh_sequences.put_mesh_sequence(field, None, files_of(tmp_path, [5, 6]), [5, 6], 25.0)
    bpy.context.view_layer.update()
    assert item.parent == field
    assert item.matrix_world.translation.x == 4.0
    assert [material.name for material in item.data.materials] == [meshes.MATERIAL]
    assert item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.materials[0] is not None
    assert bpy.context.view_layer.objects.active == field
    assert field.select_get()
    assert not item.select_get()
    assert (scene.frame_start, scene.frame_end, scene.render.fps) == (2, 77, 25)
    assert len(bpy.data.objects) == 2
    assert list(item.users_collection) == list(field.users_collection)


def test_the_colours_are_rendered_as_they_were_learned(
    bpy: ModuleType, field: Any, tmp_path: Path, ending: str
) -> None:
    from PIL import Image

    color = np.array([0.8, 0.4, 0.1])
    corners = np.array([[-9, -9, 0], [9, -9, 0], [0, 9, 0]], np.float32)
    files = []
    for frame, shade in ((1, color), (2, color[::-1])):
        files.append(tmp_path / f"mesh_{frame}.ply")
        one = Mesh(corners, np.array([[0, 1, 2]]), None, np.tile(shade, (3, 1)).astype(np.float32))
        write_mesh(one, files[-1])
    mesh_sequences.put_mesh_sequence(field, None, files, [1, 2], 24.0)
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location.z = 5.0
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 8
    for frame, expected in ((1, color), (2, color[::-1])):
        scene.frame_set(frame)
        scene.render.filepath = str(tmp_path / f"seen_{frame}.png")
        bpy.ops.render.render(write_still=True)
        with Image.open(scene.render.filepath) as picture:
            seen = np.array(picture)[4, 4, :3] / 255
        np.testing.assert_allclose(seen, expected, atol=0.01)


def test_a_second_sequence_takes_the_place_of_the_first_in_the_same_object(
    bpy: ModuleType, field: Any, tmp_path: Path, ending: str
) -> None:
    item = mesh_sequences.put_mesh_sequence(field, None, files_of(tmp_path, [1, 2]), [1, 2], 24.0)
    item.name, item.location.y = "My Dancer", 3.0
    item.modifiers.new("Smooth", "SMOOTH").factor = 0.0
    shown(bpy, item, 2)
    files = files_of(tmp_path, [7, 8])
    again = mesh_sequences.put_mesh_sequence(field, item, files, [1, 2], 24.0)
    assert again == item
    assert (again.name, again.location.y) == ("My Dancer", 3.0)
    assert [modifier.type for modifier in again.modifiers] == ["MESH_SEQUENCE_CACHE", "SMOOTH"]
    np.testing.assert_allclose(shown(bpy, item, 2)["points"], arrays(8).vertices, atol=2e-5)
    assert [path.name for path in tmp_path.glob("sequence*")] == [f"sequence_002.{ending}"]


def test_a_single_frame_is_a_plain_mesh_until_more_come(
    bpy: ModuleType, field: Any, tmp_path: Path, ending: str
) -> None:
    item = mesh_sequences.put_mesh_sequence(field, None, files_of(tmp_path, [4]), [4], 24.0)
    np.testing.assert_allclose(shown(bpy, item, 4)["points"], arrays(4).vertices, atol=2e-5)
    item = mesh_sequences.put_mesh_sequence(field, item, files_of(tmp_path, [4, 5]), [4, 5], 24.0)
    np.testing.assert_allclose(shown(bpy, item, 5)["points"], arrays(5).vertices, atol=2e-5)
    assert sum(one.type == "MESH" for one in bpy.data.objects) == 1


def test_the_file_is_found_again_when_the_project_has_moved(
    bpy: ModuleType, field: Any, tmp_path: Path, ending: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "scene.blend"))
    files = files_of(project / "run", [1, 2])
    item = mesh_sequences.put_mesh_sequence(field, None, files, [1, 2], 24.0)
    assert item.modifiers[0].cache_file.filepath == f"//run/sequence_001.{ending}"
    bpy.ops.wm.save_mainfile()
    moved = project.rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(moved / "scene.blend"))
    item = bpy.data.objects["Neural Field Mesh Sequence"]
    np.testing.assert_allclose(shown(bpy, item, 2)["points"], arrays(2).vertices, atol=2e-5)


def test_text_keeps_positions_far_from_the_origin_and_stays_small(tmp_path: Path) -> None:
    count = 400
    one = arrays(1, count)
    far = MeshArrays(one.vertices + np.float32(100), one.faces, one.colors, one.normals)
    path = write_usd(tmp_path / "far", [1], [far], 24.0)
    text = path.read_text(encoding="ascii")
    start = text.index("point3f[] points.timeSamples")
    body = text[text.index(":[", start) + 3 : text.index(")]", start)]
    found = np.array([row.split(",") for row in body.split("),(")], dtype=np.float64)
    np.testing.assert_allclose(found, far.vertices, atol=2e-5)
    near = write_usd(tmp_path / "near", [1], [one], 24.0)
    assert near.stat().st_size < 90 * 3 * count


def test_a_sequence_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    def broken():
        yield arrays(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_usd(tmp_path / "a", [1, 2], broken(), 24.0)
    assert not list(tmp_path.iterdir())


def test_foreign_usd_modules_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    foreign = ModuleType("pxr")
    foreign.__file__ = "/usr/lib/python3/pxr/__init__.py"
    monkeypatch.setitem(sys.modules, "pxr", foreign)
    assert compat.usd_modules() is None
