# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from neural_fields.addon.scene.errors import SceneError
from neural_fields.addon.scene.mesh_files import evaluated_mesh, rigid_part, write_meshes
from neural_fields.addon.scene.ply import MeshArrays, read_ply

from tests.addon.operators.shape_scene import box

# isort: split
# Blender's own modules are there once it is.
from mathutils import Euler, Matrix

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def enclosed(mesh: MeshArrays) -> float:
    first, second, third = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float((first * np.cross(second, third)).sum() / 6)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mesh_is_taken_as_it_is_seen_and_right_side_out(bpy: ModuleType, mirrored: bool) -> None:
    item = box(bpy, "Box", (2.0, 2.0, 2.0), (1.0, 2.0, 3.0))
    item.modifiers.new("Twice", "ARRAY").count = 2
    item.scale = (-1.0 if mirrored else 1.0, 1.0, 3.0)
    bpy.context.view_layer.update()
    mesh = evaluated_mesh(item, bpy.context.evaluated_depsgraph_get())
    assert enclosed(mesh) == pytest.approx(2 * 8 * 3, rel=1e-5)
    low = (-2.0, 1.0, 0.0) if mirrored else (0.0, 1.0, 0.0)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), low, atol=1e-5)


def test_a_rigid_part_keeps_neither_scale_nor_mirroring() -> None:
    turn = Euler((0.3, -1.0, 2.0))
    for scale in ((2.0, 2.0, 2.0), (1.0, -3.0, 0.5)):
        rigid = rigid_part(Matrix.LocRotScale((1, 2, 3), turn, scale))
        linear = np.array(rigid)[:3, :3]
        np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(linear) == pytest.approx(1, abs=1e-5)
        assert rigid.translation[:] == pytest.approx((1, 2, 3))


def test_a_mesh_in_its_own_space_comes_back_to_its_place(bpy: ModuleType, tmp_path: Path) -> None:
    """Whatever turns, scales and shears it."""
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale = (1.0, 2.0, 1.0)
    item = box(bpy, "Kiste/1", (2.0, 1.0, 3.0), (4.0, 0.0, 1.0))
    other = box(bpy, "Kiste 1", (2.0, 1.0, 3.0), (0.0, 0.0, 0.0))
    item.parent, item.rotation_euler, item.scale = parent, (0.4, 0.5, -1.0), (1.0, -2.0, 1.5)
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    files = write_meshes([item, other], depsgraph, None, tmp_path / "ä")
    assert [file.name for file in files] == ["Kiste_1.ply", "Kiste_1_2.ply"]
    read = read_ply(files[0])
    matrix = np.array(rigid_part(item.matrix_world))
    world = evaluated_mesh(item, depsgraph)
    np.testing.assert_allclose(
        read.vertices @ matrix[:3, :3].T + matrix[:3, 3], world.vertices, atol=1e-5
    )
    np.testing.assert_array_equal(read.faces, world.faces)
    assert enclosed(world) > 0


def test_what_has_no_faces_is_named(bpy: ModuleType, tmp_path: Path) -> None:
    item = bpy.data.objects.new("Leer", bpy.data.meshes.new("Leer"))
    bpy.context.scene.collection.objects.link(item)
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    with pytest.raises(SceneError, match="Leer has no faces"):
        write_meshes([item], depsgraph, None, tmp_path)
    solid = box(bpy, "Voll", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    depsgraph = bpy.context.evaluated_depsgraph_get()
    with pytest.raises(SceneError, match="scaled to nothing"):
        write_meshes([solid], depsgraph, Matrix.Diagonal((1, 1, 0, 1)), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SceneError, match="cannot be written"):
        write_meshes([solid], depsgraph, None, tmp_path / "file")
