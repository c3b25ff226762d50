# SPDX-License-Identifier: GPL-3.0-or-later
import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from neural_backend.meshing.isosurface import Isosurface
from neural_backend.meshing.mesh import Mesh
from neural_backend.meshing.texture import Texture, bake_texture, padded, texels_of, unwrap
from neural_backend.meshing.textured_files import write_textured

SIZE = 128
BOUNDS = torch.tensor([[-2.0] * 3, [2.0] * 3])


def sphere() -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=3)
    vertices = made.vertices.astype(np.float32)
    return Mesh(vertices, made.faces.astype(np.int64), vertices, vertices / 2 + 0.5)


def bake(mesh: Mesh, size: int = SIZE) -> Texture:
    """Colors that change much faster than the mesh has vertices."""
    surface = Isosurface(lambda points: points.norm(dim=-1), 1.0, False, BOUNDS)
    steps = bake_texture(
        surface,
        mesh,
        size,
        lambda points, _directions: 0.5 + 0.5 * torch.sin(9 * points),
        None,
        0.1,
    )
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def test_a_triangles_texels_are_those_whose_centers_lie_in_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = rng.random((1, 3, 2)).astype(np.float32)
        faces, shares = texels_of(corners, 16)
        for row in range(16):
            for column in range(16):
                place = np.array([(column + 0.5) / 16, 1 - (row + 0.5) / 16])
                matrix = np.vstack([corners[0].T.astype(float), np.ones(3)])
                expected = np.linalg.solve(matrix, [*place, 1.0])
                if expected.min() > 1e-5:
                    assert faces[row, column] == 0
                    np.testing.assert_allclose(shares[row, column], expected, atol=1e-4)
                elif expected.min() < -1e-5:
                    assert faces[row, column] == -1


def test_charts_do_not_lie_over_each_other_and_keep_their_distance() -> None:
    uvs = unwrap(sphere(), SIZE)
    assert uvs.shape == (1280, 3, 2)
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    sides = uvs[:, 1:].astype(float) - uvs[:, :1]
    areas = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]) / 2
    faces, _ = texels_of(uvs, 1024)
    covered = (faces >= 0).mean()
    assert covered == pytest.approx(areas.sum(), rel=0.02)  # overlaps would count once only
    assert covered > 0.3


def test_each_texel_has_the_fields_color_at_its_place() -> None:
    mesh = sphere()
    texture = bake(mesh, 256)
    faces, shares = texels_of(texture.corner_uvs, 256)
    covered = faces >= 0
    places = (mesh.vertices[mesh.faces[faces[covered]]] * shares[covered][..., None]).sum(axis=1)
    expected = 0.5 + 0.5 * np.sin(9 * places)
    found = texture.pixels[covered] / 255
    # The color is taken at the mesh; a chord lies up to 0.3 % below the sphere.
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert np.abs(found - 0.5).max() > 0.45


def test_texels_around_charts_have_the_nearest_color_of_them() -> None:
    pixels = np.zeros((9, 9, 3), np.uint8)
    covered = np.zeros((9, 9), bool)
    covered[4, 2], covered[4, 7] = True, True
    pixels[4, 2], pixels[4, 7] = (255, 0, 0), (0, 0, 255)
    filled = padded(pixels, covered)
    for row in range(9):
        for column in range(9):
            to_red = (row - 4) ** 2 + (column - 2) ** 2
            to_blue = (row - 4) ** 2 + (column - 7) ** 2
            if to_red != to_blue:
                expected = (255, 0, 0) if to_red < to_blue else (0, 0, 255)
                assert tuple(filled[row, column]) == expected
    np.testing.assert_array_equal(padded(pixels, np.zeros((9, 9), bool)), pixels)


def test_a_glb_holds_the_mesh_and_its_picture(tmp_path: Path) -> None:
    mesh = sphere()
    texture = bake(mesh)
    picture = write_textured(mesh, texture, tmp_path / "mesh.glb")
    assert np.array_equal(np.asarray(Image.open(picture)), texture.pixels)
    loaded = trimesh.load_scene(tmp_path / "mesh.glb").to_geometry()
    upright = np.stack([mesh.vertices[:, 0], mesh.vertices[:, 2], -mesh.vertices[:, 1]], axis=1)
    np.testing.assert_allclose(loaded.vertices[loaded.faces], upright[mesh.faces], atol=1e-6)
    np.testing.assert_allclose(
        loaded.visual.uv[loaded.faces], texture.corner_uvs, atol=1e-6
    )  # trimesh has v upwards
    data = (tmp_path / "mesh.glb").read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    document = json.loads(data[20 : 20 + length])
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 28 + length + view["byteOffset"]
    inside = Image.open(io.BytesIO(data[start : start + view["byteLength"]]))
    assert inside.size == (SIZE, SIZE)


def test_a_ply_says_its_corners_coordinates_and_its_pictures_name(tmp_path: Path) -> None:
    mesh = sphere()
    texture = bake(mesh)
    picture = write_textured(mesh, texture, tmp_path / "mesh.ply")
    header = (tmp_path / "mesh.ply").read_bytes().split(b"end_header")[0].decode()
    assert f"comment TextureFile {picture.name}" in header
    assert "property list uchar float texcoord" in header
    loaded = trimesh.load_mesh(tmp_path / "mesh.ply", process=False)
    # trimesh splits vertices where charts meet.
    np.testing.assert_allclose(loaded.vertices[loaded.faces], mesh.vertices[mesh.faces], atol=1e-6)
    with pytest.raises(ValueError, match=r"\.ply, \.glb"):
        write_textured(mesh, texture, tmp_path / "mesh.obj")
