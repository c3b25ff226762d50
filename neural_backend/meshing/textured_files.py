# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of meshes with a texture: .ply with texture coordinates at corners, and .glb with the
picture inside.
"""

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .gltf import encode_glb
from .mesh import Mesh, y_up
from .texture import Texture

FORMATS = (".ply", ".glb")

_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3), ("numbers", "u1"), ("uvs", "<f4", 6)])


def write_textured(mesh: Mesh, texture: Texture, path: Path) -> Path:
    """Writes a mesh and, beside it, the picture as PNG; returns the picture's path.

    Raises:
        ValueError: for another ending than those of `FORMATS`.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f"expected a file ending in {', '.join(FORMATS)}, got {path.name!r}")
    picture = path.with_suffix(".png")
    encoded = io.BytesIO()
    Image.fromarray(texture.pixels).save(encoded, "PNG")
    if kind == ".ply":
        data = _encode_ply(mesh, texture, picture.name)
    else:
        data = _encode_glb(mesh, texture, encoded.getvalue())
    path.parent.mkdir(parents=True, exist_ok=True)
    for target, content in ((picture, encoded.getvalue()), (path, data)):
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(content)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return picture


def _encode_ply(mesh: Mesh, texture: Texture, picture: str) -> bytes:
    """As MeshLab has it: a list of six numbers, u and v of each corner, after those of a face."""
    columns: list[tuple[str, str, NDArray]] = [
        (name, "<f4", mesh.vertices[:, axis]) for axis, name in enumerate("xyz")
    ]
    if mesh.normals is not None:
        columns += [(f"n{name}", "<f4", mesh.normals[:, axis]) for axis, name in enumerate("xyz")]
    if mesh.colors is not None:
        levels = np.round(np.clip(mesh.colors, 0, 1) * 255).astype(np.uint8)
        named = enumerate(("red", "green", "blue"))
        columns += [(name, "u1", levels[:, channel]) for channel, name in named]
    vertices = np.empty(len(mesh.vertices), np.dtype([(name, kind) for name, kind, _ in columns]))
    for name, _, values in columns:
        vertices[name] = values
    faces = np.empty(len(mesh.faces), _FACE)
    faces["count"], faces["corners"] = 3, mesh.faces
    faces["numbers"], faces["uvs"] = 6, texture.corner_uvs.reshape(-1, 6)
    words = {"<f4": "float", "u1": "uchar"}
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment TextureFile {picture}",
        f"element vertex {len(vertices)}",
        *(f"property {words[kind]} {name}" for name, kind, _ in columns),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "property list uchar float texcoord",
        "end_header\n",
    ]
    return "\n".join(header).encode("utf-8") + vertices.tobytes() + faces.tobytes()


def _encode_glb(mesh: Mesh, texture: Texture, png: bytes) -> bytes:
    """Texture coordinates of glTF are those of vertices, which are split where charts meet."""
    upright = y_up(mesh)
    corners = mesh.faces.reshape(-1)
    uvs = texture.corner_uvs.reshape(-1, 2)
    keyed = np.concatenate([corners[:, None].astype(np.float64), uvs], axis=1)
    _, first, renumbered = np.unique(keyed, axis=0, return_index=True, return_inverse=True)
    split = corners[first]
    downwards = np.stack([uvs[first, 0], 1 - uvs[first, 1]], axis=-1)
    return encode_glb(
        upright.vertices[split],
        renumbered.reshape(-1, 3),
        None if upright.normals is None else upright.normals[split],
        None,
        downwards,
        png,
    )
