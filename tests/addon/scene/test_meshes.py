# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon.scene import meshes
from neural_fields.addon.scene.ply import MeshArrays
from PIL import Image

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]


def arrays(size: float = 1.0, color: tuple[float, ...] = (0.8, 0.4, 0.1)) -> MeshArrays:
    """A tetrahedron of one colour, whose normals point up."""
    vertices = size * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    return MeshArrays(
        vertices,
        np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], dtype=np.int32),
        np.tile(np.float32([*color, 1.0]), (4, 1)),
        np.tile(np.float32([0, 0, 2]), (4, 1)),
    )


@pytest.fixture
def field(bpy: ModuleType) -> Any:
    return meshes.add_field_empty("Neural Field", bpy.context.scene.collection)


def read(mesh: Any, attribute: str, key: str, width: int) -> np.ndarray:
    data = mesh.attributes[attribute].data
    values = np.empty(width * len(data), np.float32)
    data.foreach_get(key, values)
    return values.reshape(-1, width)


def test_geometry_colours_and_normals_arrive_as_they_are(field: Any) -> None:
    given = arrays()
    surface = meshes.put_mesh(field, None, given)
    mesh = surface.data
    np.testing.assert_allclose([vertex.co for vertex in mesh.vertices], given.vertices)
    assert [list(polygon.vertices) for polygon in mesh.polygons] == given.faces.tolist()
    np.testing.assert_allclose(read(mesh, "Col", "color_srgb", 4), given.colors, atol=1 / 255)
    assert mesh.color_attributes.active_color.name == "Col"
    assert mesh.color_attributes[mesh.color_attributes.render_color_index].name == "Col"
    assert mesh.has_custom_normals
    normals = np.array([corner.vector for corner in mesh.corner_normals])
    np.testing.assert_allclose(normals, np.tile([0, 0, 1], (12, 1)), atol=1e-3)


def test_normals_of_no_length_become_the_surfaces_own(field: Any) -> None:
    given = arrays()
    nothing = MeshArrays(given.vertices, given.faces, given.colors, np.zeros((4, 3), np.float32))
    mesh = meshes.put_mesh(field, None, nothing).data
    normals = np.array([corner.vector for corner in mesh.corner_normals])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-3)
    assert normals[0] @ (-1, -1, -1) > 0


def test_the_mesh_hangs_on_the_fields_empty_and_follows_it(bpy: ModuleType, field: Any) -> None:
    surface = meshes.put_mesh(field, None, arrays())
    field.location = (1.0, 2.0, 3.0)
    bpy.context.view_layer.update()
    assert surface.parent == field
    assert tuple(surface.matrix_world.translation) == (1.0, 2.0, 3.0)
    assert bpy.context.scene.objects.get(surface.name) is not None


def test_a_second_extraction_replaces_the_geometry_and_nothing_else(
    bpy: ModuleType, field: Any
) -> None:
    surface = meshes.put_mesh(field, None, arrays())
    surface.modifiers.new("Smooth", "SMOOTH")
    surface.name = "My Sculpture"
    surface.location.x = 4.0
    mine = bpy.data.materials.new("Mine")
    surface.data.materials[0] = mine
    again = meshes.put_mesh(field, surface, arrays(size=3.0, color=(0.0, 1.0, 0.0)))
    assert again == surface
    assert again.name == "My Sculpture"
    assert list(again.modifiers.keys()) == ["Smooth"]
    assert list(again.data.materials) == [mine]
    assert again.location.x == 4.0
    assert again.data.vertices[1].co.x == 3.0
    assert len(bpy.data.meshes) == 1
    assert list(again.data.color_attributes.keys()) == ["Col"]


def test_the_material_shows_the_learned_colour_without_any_light(
    bpy: ModuleType, field: Any, tmp_path: Path
) -> None:
    surface = meshes.put_mesh(field, None, arrays(size=100.0))
    surface.location = (-30.0, -30.0, -30.0)
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location = (20.0, 20.0, 20.0)
    camera.rotation_euler = (0.955, 0.0, 2.356)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.filepath = str(tmp_path / "seen.png")
    bpy.ops.render.render(write_still=True)
    with Image.open(tmp_path / "seen.png") as picture:
        seen = np.array(picture)[4, 4, :3] / 255
    np.testing.assert_allclose(seen, (0.8, 0.4, 0.1), atol=0.01)


def test_the_material_is_one_for_all_fields_and_coloured_in_solid_view(
    bpy: ModuleType, field: Any
) -> None:
    for _ in range(2):
        meshes.put_mesh(field, None, arrays())
    assert [material.name for material in bpy.data.materials] == [meshes.MATERIAL]
    color = bpy.data.materials[0].diffuse_color
    np.testing.assert_allclose(color[:3], np.array([0.8, 0.4, 0.1]) ** 2.2, atol=0.01)


def test_a_mesh_without_faces_or_colours_is_no_trouble(field: Any) -> None:
    nothing = MeshArrays(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    assert len(meshes.put_mesh(field, None, nothing).data.vertices) == 0


@pytest.mark.parametrize(
    ("faces", "kept"),
    [
        ([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], 4),
        ([[0, 2, 1], [0, 1, 3], [1, 0, 2]], 2),
        ([[0, 2, 1], [0, 3, 3]], 1),
        ([[0, 2, 1], [0, 1, 4]], 1),
        ([[0, 2, 1], [-1, 1, 2]], 1),
    ],
    ids=["sound", "twice the same", "two equal corners", "no such vertex", "a negative vertex"],
)
def test_faces_that_blender_cannot_have_are_left_out(
    field: Any, faces: list[list[int]], kept: int
) -> None:
    given = arrays()
    broken = MeshArrays(given.vertices, np.array(faces, np.int32), given.colors, given.normals)
    assert meshes.is_sound(broken.faces, len(broken.vertices)) == (kept == len(faces))
    mesh = meshes.put_mesh(field, None, broken).data
    assert len(mesh.polygons) == kept
    assert not mesh.validate()
    assert len(mesh.edges) == len({tuple(sorted(edge)) for edge in mesh.edge_keys})
