# SPDX-License-Identifier: GPL-3.0-or-later
"""A coloured mesh as one binary glTF file.

Vertex colors of glTF are linear light: eight bits of it would show bands in dark sRGB colors, so
sixteen are written.

Source: Khronos Group 2021, "glTF 2.0 Specification", sec. 3.7.2.1 (attributes) and 4.4 (GLB).
"""

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.colors import srgb_to_linear

_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_VERTICES, _INDICES = 34962, 34963


def encode_glb(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    normals: NDArray[np.floating] | None,
    colors: NDArray[np.floating] | None,
    uvs: NDArray[np.floating] | None = None,
    png: bytes = b"",
) -> bytes:
    """A mesh whose axes are glTF's already (Y up); `colors` are sRGB in [0, 1].

    `png` is the picture that `uvs` (vertices, 2) lie in, v downwards.
    """
    attributes: dict[str, int] = {}
    parts: list[tuple[NDArray[Any], dict[str, Any], int]] = []

    def add(values: NDArray[Any], target: int, **accessor: Any) -> int:
        parts.append((values, accessor, target))
        return len(parts) - 1

    positions = np.ascontiguousarray(vertices, dtype="<f4")
    corners = (
        {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
        if len(positions)
        else {}
    )
    attributes["POSITION"] = add(positions, _VERTICES, componentType=_FLOAT, type="VEC3", **corners)
    if normals is not None:
        attributes["NORMAL"] = add(
            np.ascontiguousarray(normals, dtype="<f4"),
            _VERTICES,
            componentType=_FLOAT,
            type="VEC3",
        )
    if colors is not None:
        attributes["COLOR_0"] = add(
            _linear_16_bit(colors),
            _VERTICES,
            componentType=_UNSIGNED_SHORT,
            type="VEC4",
            normalized=True,
        )
    if uvs is not None:
        attributes["TEXCOORD_0"] = add(
            np.ascontiguousarray(uvs, dtype="<f4"), _VERTICES, componentType=_FLOAT, type="VEC2"
        )
    indices = add(
        np.ascontiguousarray(faces.reshape(-1), dtype="<u4"),
        _INDICES,
        componentType=_UNSIGNED_INT,
        type="SCALAR",
    )
    return _pack(parts, {"attributes": attributes, "indices": indices, "material": 0}, png)


def _linear_16_bit(colors: NDArray[np.floating]) -> NDArray[np.uint16]:
    values = np.full((len(colors), 4), 65535, dtype="<u2")
    values[:, :3] = np.round(srgb_to_linear(colors) * 65535)
    return values


def _pack(
    parts: list[tuple[NDArray[Any], dict[str, Any], int]], primitive: dict[str, Any], png: bytes
) -> bytes:
    views: list[dict[str, int]] = []
    accessors, blobs, offset = [], [], 0
    for number, (values, accessor, target) in enumerate(parts):
        blob = values.tobytes()
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": len(blob), "target": target})
        accessors.append({"bufferView": number, "count": len(values), **accessor})
        blob += b"\0" * (-len(blob) % 4)
        blobs.append(blob)
        offset += len(blob)
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    pictured: dict[str, Any] = {}
    if png:
        surface["baseColorTexture"] = {"index": 0}
        pictured = {
            "images": [{"bufferView": len(views), "mimeType": "image/png"}],
            "textures": [{"source": 0}],
        }
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": len(png)})
        blobs.append(png + b"\0" * (-len(png) % 4))
        offset += len(blobs[-1])
    document = {
        "asset": {"version": "2.0", "generator": "Neural Fields"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "Neural Field"}],
        "meshes": [{"name": "Neural Field", "primitives": [primitive]}],
        "materials": [
            {
                "name": "Neural Field",
                "doubleSided": True,
                "pbrMetallicRoughness": surface,
            }
        ],
        **pictured,
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    text = json.dumps(document, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 4)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + offset),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", offset, b"BIN\0"),
            *blobs,
        ]
    )
