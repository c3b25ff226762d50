# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh whose vertices follow a field's motion, by Blender's Mesh Cache modifier."""

import struct
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from .errors import SceneError
from .files import write_file
from .images import relative_path

MODIFIER = "Neural Field Motion"


def put_motion(item: bpy.types.Object, path: Path, frame_start: int, frame_step: int) -> None:
    """Has a mesh played by a .pc2 file; what comes after in its modifiers sees it move.

    Its UVs, materials and faces stay. `frame_start` is the frame of the first sample.

    Raises:
        SceneError: where the mesh has another number of vertices than the file.
    """
    count = _num_points(path)
    if count != len(item.data.vertices):
        raise SceneError(
            f"{item.name} has {len(item.data.vertices)} vertices, but its motion was baked for "
            f"{count}.",
            "Bake the motion again after editing the mesh.",
        )
    modifier = item.modifiers.get(MODIFIER)
    if modifier is None or modifier.type != "MESH_CACHE":
        modifier = item.modifiers.new(MODIFIER, "MESH_CACHE")
        item.modifiers.move(item.modifiers.find(modifier.name), 0)
    modifier.cache_format = "PC2"
    modifier.filepath = relative_path(path)
    modifier.deform_mode = "OVERWRITE"
    modifier.interpolation = "LINEAR"
    modifier.play_mode = "SCENE"
    modifier.time_mode = "FRAME"
    # The modifier asks for sample number scale * frame - start.
    modifier.frame_start = frame_start / frame_step
    modifier.frame_scale = 1 / frame_step
    modifier.forward_axis, modifier.up_axis = "POS_Y", "POS_Z"
    item.data.update()


def write_vertices(item: bpy.types.Object, path: Path) -> None:
    """Writes the vertices of a mesh, without its modifiers and in its own space, as .ply.

    Raises:
        SceneError: where it has none, or the file cannot be written.
    """
    points = np.empty(3 * len(item.data.vertices), dtype=np.float32)
    if not len(points):
        raise SceneError(f"{item.name} has no vertices.", "Choose another mesh.")
    item.data.vertices.foreach_get("co", points)
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points) // 3}\n"
        "property float x\nproperty float y\nproperty float z\nend_header\n"
    )
    write_file(path, header.encode("ascii") + points.astype("<f4").tobytes())


def matrix_between(
    item: bpy.types.Object, field: bpy.types.Object, depsgraph: bpy.types.Depsgraph
) -> NDArray[np.float64]:
    """The (4, 4) matrix from a mesh's own space to that of the field, at the current frame."""
    matrices = [np.array(each.evaluated_get(depsgraph).matrix_world) for each in (item, field)]
    if abs(np.linalg.det(matrices[1])) < 1e-12:
        raise SceneError("The neural field is scaled to nothing.", "Reset its scale.")
    return np.linalg.inv(matrices[1].astype(np.float64)) @ matrices[0]


def _num_points(path: Path) -> int:
    try:
        with path.open("rb") as file:
            magic, _, count = struct.unpack("<12sii", file.read(20))
    except (OSError, struct.error) as error:
        raise SceneError(f"{path} cannot be read: {error}.", "Bake the motion again.") from error
    if magic != b"POINTCACHE2\0":
        raise SceneError(f"{path} is no point cache.", "Bake the motion again.")
    return int(count)
