# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import numpy as np
import pytest
import trimesh
from neural_fields.addon.scene.errors import SceneError
from neural_fields.addon.scene.ply import read_ply

ASCII = """ply
format ascii 1.0
comment by hand
element vertex 4
property float x
property float y
property float z
element face 2
property list uchar int vertex_indices
end_header
0 0 0
1 0 0
1 1 0
0 1 0.5
3 0 1 2
4 0 1 2 3
"""


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_what_trimesh_writes_is_read_back(tmp_path: Path, encoding: str) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (len(sphere.vertices), 4), dtype=np.uint8)
    colors[:, 3] = 255
    sphere.visual.vertex_colors = colors
    path = tmp_path / "Kugel ü.ply"
    path.write_bytes(sphere.export(file_type="ply", encoding=encoding, vertex_normal=True))
    arrays = read_ply(path)
    np.testing.assert_allclose(arrays.vertices, sphere.vertices, atol=1e-6)
    np.testing.assert_array_equal(arrays.faces, sphere.faces)
    assert arrays.colors is not None
    np.testing.assert_array_equal(np.rint(arrays.colors * 255), colors)
    assert arrays.normals is not None
    np.testing.assert_allclose(arrays.normals, sphere.vertex_normals, atol=1e-6)


def test_faces_with_more_corners_become_triangles(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    path.write_text(ASCII, encoding="ascii")
    arrays = read_ply(path)
    assert arrays.colors is None
    assert arrays.normals is None
    np.testing.assert_array_equal(arrays.faces, [[0, 1, 2], [0, 1, 2], [0, 2, 3]])


def test_binary_faces_of_changing_length_are_read(tmp_path: Path) -> None:
    header = ASCII.partition("end_header")[0].replace("ascii 1.0", "binary_big_endian 1.0")
    header = header.replace("face 2", "face 3")
    vertices = np.arange(12, dtype=">f4").tobytes()
    faces = [(0, 1, 2), (0, 1, 2, 3), (1, 2, 3)]
    body = b"".join(bytes([len(f)]) + np.array(f, dtype=">i4").tobytes() for f in faces)
    path = tmp_path / "mesh.ply"
    path.write_bytes(header.encode() + b"end_header\n" + vertices + body)
    assert sorted(map(tuple, read_ply(path).faces.tolist())) == [
        (0, 1, 2),
        (0, 1, 2),
        (0, 2, 3),
        (1, 2, 3),
    ]
    np.testing.assert_array_equal(read_ply(path).vertices, np.arange(12).reshape(4, 3))


def test_a_mesh_of_nothing_is_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    header = ASCII.partition("end_header")[0].replace("vertex 4", "vertex 0")
    path.write_text(header.replace("face 2", "face 0") + "end_header\n", encoding="ascii")
    arrays = read_ply(path)
    assert arrays.vertices.shape == (0, 3)
    assert arrays.faces.shape == (0, 3)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_file_that_was_cut_off_is_named(tmp_path: Path, share: float) -> None:
    whole = trimesh.creation.icosphere(subdivisions=1).export(file_type="ply")
    path = tmp_path / "cut.ply"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SceneError, match=r"cut\.ply is no complete \.ply mesh"):
        read_ply(path)


@pytest.mark.parametrize("face", ["3 0 1 9", "3 0 1 -1"])
def test_a_face_of_a_vertex_that_is_not_there_is_refused(tmp_path: Path, face: str) -> None:
    path = tmp_path / "mesh.ply"
    path.write_text(ASCII.replace("3 0 1 2\n", face + "\n"), encoding="ascii")
    with pytest.raises(SceneError, match="not there"):
        read_ply(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"none\.ply cannot be read"):
        read_ply(tmp_path / "none.ply")
