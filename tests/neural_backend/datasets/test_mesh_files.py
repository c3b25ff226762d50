# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
import trimesh

from neural_backend.datasets.mesh_files import SHAPE_FORMATS, load_shape
from neural_backend.meshing.mesh import Mesh, write_mesh
from neural_backend.protocol.errors import JobError

BOX = trimesh.creation.box((1, 2, 3))
BOX.apply_translation((5, 0, 0.5))


def as_blender_exports(path: Path) -> None:
    """Z up in files of scene axes, Y up in the others."""
    mesh = BOX.copy()
    if path.suffix in (".obj", ".glb"):
        mesh.vertices = mesh.vertices[:, [0, 2, 1]] * [1, 1, -1]
    mesh.export(path)


@pytest.mark.parametrize("kind", SHAPE_FORMATS)
def test_every_format_gives_the_solid_in_its_place(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a böx{kind}"
    as_blender_exports(path)
    vertices, faces = load_shape(path)
    assert (vertices.dtype, vertices.shape) == (np.float64, (8, 3))
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(6)
    np.testing.assert_allclose(mesh.bounds, [[4.5, -1, -1], [5.5, 1, 2]], atol=1e-6)


@pytest.mark.parametrize("kind", [".ply", ".obj", ".glb"])
def test_what_this_program_writes_it_reads_where_it_was(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"mesh{kind}"
    written = Mesh(BOX.vertices.astype(np.float32), BOX.faces.astype(np.int64))
    write_mesh(written, path)
    vertices, faces = load_shape(path)
    np.testing.assert_allclose(vertices[faces], written.vertices[written.faces], atol=1e-6)


def test_objects_of_a_scene_are_joined_where_they_stand(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(BOX, transform=trimesh.transformations.translation_matrix((0, 7, 0)))
    scene.add_geometry(BOX, transform=trimesh.transformations.scale_matrix(2.0))
    scene.export(tmp_path / "two.glb")
    vertices, faces = load_shape(tmp_path / "two.glb")
    assert (len(vertices), len(faces)) == (16, 24)
    # The file's Y is the scene's Z.
    np.testing.assert_allclose(vertices[:, 2].max(), 8.0)
    np.testing.assert_allclose(vertices[:, 0].max(), 11.0)


def test_quads_become_triangles_and_a_missing_material_is_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "quad.obj"
    path.write_text(
        "mtllib missing.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nusemtl gone\nf 1 2 3 4\n"
    )
    vertices, faces = load_shape(path)
    assert (len(vertices), len(faces)) == (4, 2)


BROKEN = {
    "no file": ("absent.ply", None),
    "no mesh that can be read": ("mesh.blend", b"BLENDER"),
    "cannot be read as .ply": ("text.ply", b"this is no mesh"),
    "cannot be read as .glb": ("cut.glb", b"glTF\2\0\0\0"),
    "has no faces": ("points.obj", b"v 0 0 0\nv 1 0 0\n"),
    "empty.off": ("empty.off", b""),
    "empty.stl": ("empty.stl", b""),
    "is damaged|cannot be read": ("index.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"),
}


@pytest.mark.parametrize("message", BROKEN)
def test_files_without_a_shape_are_explained(tmp_path: Path, message: str) -> None:
    name, contents = BROKEN[message]
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    with pytest.raises(JobError, match=message) as refused:
        load_shape(tmp_path / name)
    assert refused.value.remedy


def test_a_seam_of_a_texture_does_not_open_a_mesh(shared_data: Path) -> None:
    vertices, faces = load_shape(shared_data / "meshes" / "spot.obj")
    assert trimesh.Trimesh(vertices, faces, process=False).is_watertight
    # Spot stands on its feet: the file is Y up.
    assert np.ptp(vertices, axis=0).argmax() == 1
