# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from neural_fields.addon.compat import strip_range, strips_of
from neural_fields.addon.scene import meshes, view_targets
from neural_fields.addon.scene.ply import MeshArrays, read_ply
from PIL import Image

from tests.worker_python import run_with_backend

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

FRAMES = [11, 12, 13]
WRITE_TEXTURED = """
import json, sys
from pathlib import Path
import numpy as np
from neural_backend.meshing.mesh import Mesh
from neural_backend.meshing.texture import Texture
from neural_backend.meshing.textured_files import write_textured

given = {name: np.array(values, np.float32) for name, values in json.loads(sys.argv[2]).items()}
normals = np.tile(np.float32([0, 0, 1]), (3, 1))
mesh = Mesh(given["vertices"], np.array([[0, 1, 2]]), normals, given["vertices"])
texture = Texture(given["uvs"], np.full((8, 8, 3), 200, np.uint8))
print(write_textured(mesh, texture, Path(sys.argv[1])))
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "views" / f"view_{frame:04d}.png" for frame in FRAMES]
    made[0].parent.mkdir()
    for file in made:
        Image.new("RGBA", (48, 32), (255, 0, 0, 255)).save(file)
    return made


@pytest.fixture
def camera(bpy: ModuleType) -> Any:
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    return camera


@pytest.mark.parametrize("size", [(48, 32), (32, 48)])
@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
def test_the_plane_fills_the_view_of_any_lens(
    bpy: ModuleType, camera: Any, files: list[Path], fit: str, size: tuple[int, int]
) -> None:
    from bpy_extras.object_utils import world_to_camera_view

    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.render.pixel_aspect_x = 1.25
    camera.data.sensor_fit = fit
    camera.location, camera.rotation_euler = (1.0, 2.0, 3.0), (0.4, 0.2, 1.0)
    plane = view_targets.put_plane(camera, scene, files, FRAMES)
    camera.data.lens, camera.data.shift_x, camera.data.shift_y = 31.0, 0.2, -0.1
    plane[view_targets.DISTANCE] = 7.0
    plane.update_tag()
    scene.frame_set(12)
    bpy.context.view_layer.update()
    evaluated = plane.evaluated_get(bpy.context.evaluated_depsgraph_get())
    for vertex, corner in zip(plane.data.vertices, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        seen = world_to_camera_view(scene, camera, evaluated.matrix_world @ vertex.co)
        assert (seen.x, seen.y) == pytest.approx(corner, abs=1e-4)
        assert seen.z == pytest.approx(7.0, abs=1e-4)
    assert view_targets.put_plane(camera, scene, files, FRAMES) == plane


def test_a_clip_begins_at_the_first_frame_and_is_renewed(
    bpy: ModuleType, files: list[Path]
) -> None:
    clip = view_targets.put_clip(files, FRAMES)
    assert clip.source == "SEQUENCE"
    assert (clip.frame_start, clip.frame_duration) == (11, 3)
    assert clip.use_fake_user
    assert view_targets.put_clip(files, FRAMES) == clip
    assert len(bpy.data.movieclips) == 1


def test_a_strip_lies_at_its_frames_above_what_is_there_and_is_renewed(
    bpy: ModuleType, files: list[Path]
) -> None:
    scene = bpy.context.scene
    other = strips_of(scene).new_image("other", str(files[0]), 1, 12)
    other.directory = "/elsewhere/"
    strip = view_targets.put_strip(scene, files, FRAMES)
    assert strip_range(strip) == (11, 14)
    assert [element.filename for element in strip.elements] == [file.name for file in files]
    assert strip.channel == 2
    view_targets.put_strip(scene, files, FRAMES)
    assert len(strips_of(scene)) == 2


def test_a_texture_is_shown_and_materials_of_the_artist_stay(
    bpy: ModuleType, tmp_path: Path
) -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    uvs = np.array([[[0.1, 0.2], [0.9, 0.2], [0.1, 0.7]]], np.float32)
    given = json.dumps({"vertices": vertices.tolist(), "uvs": uvs.tolist()})
    picture = Path(run_with_backend(WRITE_TEXTURED, tmp_path / "mesh.ply", given).strip())
    arrays = read_ply(tmp_path / "mesh.ply")
    assert arrays.corner_uvs is not None
    np.testing.assert_allclose(arrays.corner_uvs, uvs)
    np.testing.assert_allclose(arrays.vertices, vertices)
    field = meshes.add_field_empty("Neural Field", bpy.context.scene.collection)
    surface = meshes.put_mesh(field, None, arrays, picture)
    layer = surface.data.uv_layers["UVMap"]
    np.testing.assert_allclose([list(one.uv) for one in layer.data], uvs[0], atol=1e-6)
    shown = surface.data.materials[0]
    images = [node.image for node in shown.node_tree.nodes if node.type == "TEX_IMAGE"]
    assert [Path(image.filepath).name for image in images] == ["mesh.png"]
    plain = MeshArrays(arrays.vertices, arrays.faces, arrays.colors)
    meshes.put_mesh(field, surface, plain)
    assert surface.data.materials[0].name == meshes.MATERIAL
    meshes.put_mesh(field, surface, arrays, picture)
    own = bpy.data.materials.new("Own")
    surface.data.materials[0] = own
    meshes.put_mesh(field, surface, arrays, picture)
    assert list(surface.data.materials) == [own]
