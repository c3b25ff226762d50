# SPDX-License-Identifier: GPL-3.0-or-later
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh

from neural_backend.geometry.colors import srgb_to_linear
from neural_backend.meshing.mesh import Mesh, write_mesh


def ball(radius: float, center: tuple[float, float, float], subdivisions: int = 2) -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    normals = made.vertices / radius
    vertices = (made.vertices + center).astype(np.float32)
    colors = np.random.default_rng(1).random(vertices.shape).astype(np.float32)
    return Mesh(vertices, made.faces.astype(np.int64), normals.astype(np.float32), colors)


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.colors for mesh in meshes]),
    )


def test_parts_too_small_beside_the_largest_are_removed() -> None:
    """Areas 1, 0.09 and 0.0025; many triangles do not make a part large."""
    large, medium = ball(1.0, (0, 0, 0)), ball(0.3, (3, 0, 0))
    speck = ball(0.05, (0, 3, 0), subdivisions=4)
    mesh = joined(large, speck, medium)
    kept = mesh.without_floaters(0.02)
    expected = joined(large, medium)
    np.testing.assert_array_equal(kept.vertices, expected.vertices)
    np.testing.assert_array_equal(kept.faces, expected.faces)
    np.testing.assert_array_equal(kept.colors, expected.colors)
    np.testing.assert_array_equal(kept.normals, expected.normals)
    assert len(mesh.without_floaters(0.1).vertices) == len(large.vertices)
    assert mesh.without_floaters(0.0) is mesh


def test_vertex_normals_of_a_ball_point_outwards() -> None:
    mesh = ball(2.0, (1, 2, 3), subdivisions=3)
    np.testing.assert_allclose(mesh.vertex_normals(), mesh.normals, atol=0.02)


def test_a_ply_holds_scene_axes_colors_and_normals(tmp_path: Path) -> None:
    mesh = ball(0.5, (1, 2, 3))
    path = tmp_path / "ä mesh" / "ball.ply"
    write_mesh(mesh, path)
    assert path.read_bytes().startswith(b"ply\nformat binary_little_endian")
    read = trimesh.load_mesh(path, process=False)
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    np.testing.assert_allclose(read.visual.vertex_colors[:, :3] / 255, mesh.colors, atol=0.5 / 254)
    header, _, body = path.read_bytes().partition(b"end_header\n")
    assert b"z\nproperty float nx" in header
    colors = [(name, "u1") for name in ("red", "green", "blue", "alpha")]
    floats = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    stored = np.frombuffer(body, [*floats, *colors], len(mesh.vertices))
    np.testing.assert_array_equal(stored["ny"], mesh.normals[:, 1])


def test_an_obj_is_turned_y_up_as_its_readers_expect(tmp_path: Path) -> None:
    mesh = ball(0.5, (1, 2, 3))
    write_mesh(mesh, tmp_path / "ball.obj")
    lines = (tmp_path / "ball.obj").read_text(encoding="utf-8").splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    normals = np.array([line.split()[1:] for line in lines if line.startswith("vn ")], float)
    x, y, z = mesh.vertices.T
    np.testing.assert_allclose(vertices[:, :3], np.stack([x, z, -y], axis=1), atol=1e-6)
    np.testing.assert_allclose(vertices[:, 3:], mesh.colors, atol=0.5 / 254)
    np.testing.assert_allclose(normals[:, 1], mesh.normals[:, 2], atol=1e-6)
    assert sum(line.startswith("f ") for line in lines) == len(mesh.faces)


def test_a_glb_is_turned_y_up_and_holds_linear_colors_in_16_bits(tmp_path: Path) -> None:
    mesh = ball(0.5, (1, 2, 3))
    write_mesh(mesh, tmp_path / "ball.glb")
    data = (tmp_path / "ball.glb").read_bytes()
    length = struct.unpack("<I", data[8:12])[0]
    assert length == len(data)
    text_length = struct.unpack("<I", data[12:16])[0]
    document = json.loads(data[20 : 20 + text_length])
    accessor = document["accessors"][
        document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    ]
    view = document["bufferViews"][accessor["bufferView"]]
    start = 28 + text_length + view["byteOffset"]
    stored = np.frombuffer(data, "<u2", accessor["count"] * 4, start).reshape(-1, 4)
    np.testing.assert_allclose(stored[:, :3] / 65535, srgb_to_linear(mesh.colors), atol=0.5 / 65535)
    read = trimesh.load_mesh(tmp_path / "ball.glb", process=False)
    x, y, z = mesh.vertices.T
    np.testing.assert_allclose(read.vertices, np.stack([x, z, -y], axis=1), atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    assert read.volume == pytest.approx(trimesh.Trimesh(mesh.vertices, mesh.faces).volume)


def test_a_mesh_without_colors_can_be_written(tmp_path: Path) -> None:
    mesh = ball(0.5, (0, 0, 0))
    plain = Mesh(mesh.vertices, mesh.faces)
    for ending in ("ply", "obj", "glb"):
        write_mesh(plain, tmp_path / f"plain.{ending}")
        read = trimesh.load_mesh(tmp_path / f"plain.{ending}", process=False)
        assert len(read.faces) == len(mesh.faces)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "mesh.ply"
    path.write_text("old")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_mesh(ball(1, (0, 0, 0)), path)
    assert [child.name for child in tmp_path.iterdir()] == ["mesh.ply"]
    assert path.read_text() == "old"


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.glb, got 'mesh\.stl'"):
        write_mesh(ball(1, (0, 0, 0)), tmp_path / "mesh.stl")


def test_srgb_and_light_meet_at_known_values() -> None:
    np.testing.assert_allclose(srgb_to_linear(np.array([0, 0.5, 1])), [0, 0.21404, 1], atol=1e-5)
