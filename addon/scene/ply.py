# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads triangle meshes from .ply files, ASCII or binary, with numpy alone."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import SceneError

TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True)
class MeshArrays:
    """A triangle mesh. `colors` are sRGB with alpha in [0, 1]; `normals` are unit vectors of the
    vertices; `corner_uvs` (faces, 3, 2) lie in a texture, v upwards.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colors: NDArray[np.float32] | None = None
    normals: NDArray[np.float32] | None = None
    corner_uvs: NDArray[np.float32] | None = None


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str]] = field(default_factory=list)
    list_type: tuple[str, str] | None = None
    """Types of a list's length and of its items; an element has lists or numbers, never both."""
    uv_type: tuple[str, str] | None = None
    """Those of a second list, `texcoord`: u and v of each corner of a triangle."""


def read_ply(path: Path) -> MeshArrays:
    """The mesh in a .ply file; faces with more corners become fans of triangles.

    Raises:
        SceneError: where the file cannot be read or is cut off.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SceneError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    try:
        return _parse(data)
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        raise SceneError(
            f"{path} is no complete .ply mesh ({error}).", "Extract the mesh again."
        ) from error


def _parse(data: bytes) -> MeshArrays:
    end = data.index(b"end_header")
    body = data.index(b"\n", end) + 1
    header = data[:end].decode("ascii", errors="replace").splitlines()
    if not header or header[0].strip() != "ply":
        raise ValueError("it does not begin with 'ply'")
    encoding, elements = _read_header(header[1:])
    read = (
        _ascii_reader(data[body:]) if encoding == "ascii" else _binary_reader(data[body:], encoding)
    )
    vertex: dict[str, NDArray[np.float32]] = {}
    faces: NDArray[np.int32] = np.zeros((0, 3), dtype=np.int32)
    uvs: NDArray[np.float32] | None = None
    for element in elements:
        columns, lists = read(element)
        if element.name == "vertex":
            vertex = columns
        elif element.name == "face":
            faces, uvs = _triangles(lists), columns.get("uvs")
    vertices = _columns(vertex, "xyz")
    if vertices is None:
        raise ValueError("it has no vertices")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError("a face names a vertex that is not there")
    normals = _columns(vertex, ("nx", "ny", "nz"))
    return MeshArrays(vertices, faces, _colors(vertex), normals, uvs)


def _read_header(lines: list[str]) -> tuple[str, list[_Element]]:
    encoding, elements = "", []
    for words in (line.split() for line in lines):
        if not words:
            continue
        if words[0] == "format":
            encoding = {"ascii": "ascii", "binary_little_endian": "<", "binary_big_endian": ">"}[
                words[1]
            ]
        elif words[0] == "element":
            elements.append(_Element(words[1], int(words[2])))
        elif words[:2] == ["property", "list"] and words[4] == "texcoord":
            elements[-1].uv_type = (TYPES[words[2]], TYPES[words[3]])
        elif words[0] == "property" and words[1] == "list":
            elements[-1].list_type = (TYPES[words[2]], TYPES[words[3]])
        elif words[0] == "property":
            elements[-1].properties.append((words[2], TYPES[words[1]]))
    for element in elements:
        if element.list_type and element.properties:
            raise ValueError(f"its {element.name} elements mix lists and numbers")
    return encoding, elements


def _binary_reader(data: bytes, order: str):  # noqa: ANN202
    position = 0

    def read(element: _Element) -> tuple[dict[str, NDArray], list[NDArray]]:
        nonlocal position
        if element.uv_type is not None:
            faces, uvs, length = _textured_faces(data, position, order, element)
            position += length
            return {"uvs": uvs}, [faces]
        if element.list_type is None:
            kind = np.dtype([(name, order + code) for name, code in element.properties])
            rows = np.frombuffer(data, kind, element.count, position)
            position += rows.nbytes
            return {name: rows[name] for name, _ in element.properties}, []
        lists, position = _binary_lists(data, position, order, element)
        return {}, lists

    return read


def _binary_lists(
    data: bytes, position: int, order: str, element: _Element
) -> tuple[list[NDArray], int]:
    """All lists of an element; neighbours of one length come as one (rows, length) array."""
    assert element.list_type is not None
    length_type, item_type = (np.dtype(order + code) for code in element.list_type)
    lists: list[NDArray] = []
    left = element.count
    while left:
        length = int(np.frombuffer(data, length_type, 1, position)[0])
        kind = np.dtype([("length", length_type), ("items", item_type, (length,))])
        fitting = min(left, (len(data) - position) // kind.itemsize)
        if fitting == 0:
            raise ValueError("it is cut off")
        rows = np.frombuffer(data, kind, fitting, position)
        differing = np.flatnonzero(rows["length"] != length)
        run = int(differing[0]) if len(differing) else fitting
        lists.append(rows["items"][:run].reshape(run, length))
        position += run * kind.itemsize
        left -= run
    return lists, position


def _textured_faces(
    data: bytes, position: int, order: str, element: _Element
) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
    """Triangles, their corners' texture coordinates (faces, 3, 2), and how many bytes they take."""
    assert element.list_type is not None
    assert element.uv_type is not None
    kinds = [np.dtype(order + code) for code in (*element.list_type, *element.uv_type)]
    row = np.dtype(
        [("corners", kinds[0]), ("face", kinds[1], 3), ("numbers", kinds[2]), ("uvs", kinds[3], 6)]
    )
    rows = np.frombuffer(data, row, element.count, position)
    if (rows["corners"] != 3).any() or (rows["numbers"] != 6).any():
        raise ValueError("its faces with texture coordinates are no triangles")
    uvs = rows["uvs"].reshape(-1, 3, 2).astype(np.float32)
    return rows["face"].astype(np.int32), uvs, rows.nbytes


def _ascii_reader(data: bytes):  # noqa: ANN202
    lines = iter(data.decode("ascii", errors="replace").splitlines())

    def read(element: _Element) -> tuple[dict[str, NDArray], list[NDArray]]:
        rows = [next(lines).split() for _ in range(element.count)]
        if element.list_type is None:
            values = np.array(rows, dtype=np.float64).reshape(
                element.count, len(element.properties)
            )
            return {
                name: values[:, i].astype(code) for i, (name, code) in enumerate(element.properties)
            }, []
        return {}, [np.array(row[1:], dtype=np.int32)[None, : int(row[0])] for row in rows]

    return read


def _triangles(lists: list[NDArray]) -> NDArray[np.int32]:
    fans = [
        np.stack([rows[:, 0], rows[:, corner], rows[:, corner + 1]], axis=-1)
        for rows in lists
        for corner in range(1, rows.shape[1] - 1)
    ]
    return np.concatenate(fans).astype(np.int32) if fans else np.zeros((0, 3), dtype=np.int32)


def _columns(
    vertex: dict[str, NDArray], names: str | tuple[str, ...]
) -> NDArray[np.float32] | None:
    if not all(name in vertex for name in names):
        return None
    return np.stack([vertex[name] for name in names], axis=-1).astype(np.float32)


def _colors(vertex: dict[str, NDArray]) -> NDArray[np.float32] | None:
    colors = _columns(vertex, ("red", "green", "blue"))
    if colors is None:
        return None
    if vertex["red"].dtype.kind in "ui":
        colors = colors / np.iinfo(vertex["red"].dtype).max
    return np.concatenate([colors, np.ones_like(colors[:, :1])], axis=-1).astype(np.float32)
