# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads triangle meshes from the files that programs exchange."""

import io
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from ..geometry.mesh_distance import weld
from ..protocol.errors import JobError

SHAPE_FORMATS = (".obj", ".ply", ".stl", ".glb", ".off")
Y_UP_FORMATS = (".obj", ".glb")


def load_shape(path: str | Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (num, 3) and triangles (num, 3) of a file, all of its objects as one mesh.

    In Blender's axes: .obj and .glb are turned from their Y-up convention as Blender's importers
    do, the others hold scene axes as they are. Vertices at the same place are one, as many formats
    repeat them for every face or for a seam of the texture; nothing else is repaired.

    Raises:
        JobError: where the file is missing, of another kind, unreadable or without faces.
    """
    path = Path(path).expanduser()
    kind = path.suffix.lower()
    if kind not in SHAPE_FORMATS:
        raise JobError(
            f"{path.name} is no mesh that can be read.", f"Choose {', '.join(SHAPE_FORMATS)}."
        )
    if not path.is_file():
        raise JobError(f"There is no file {path}.", "Check the path.")
    vertices, faces = _read(path, kind)
    if not len(faces):
        raise JobError(
            f"{path.name} has no faces.", "Choose a mesh with faces, or export it with its faces."
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise JobError(
            f"{path.name} is damaged: a face names vertex {int(faces.max())} of {len(vertices)}.",
            "Export it again.",
        )
    if kind in Y_UP_FORMATS:
        vertices = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=-1)
    return weld(vertices, faces)


def load_points(path: str | Path) -> NDArray[np.float64] | None:
    """Points (num, 3) of a .ply that has no faces; None for any other file, a mesh perhaps.

    Raises:
        JobError: where the file is missing or holds neither points nor faces.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() != ".ply":
        return None
    if not path.is_file():
        raise JobError(f"There is no file {path}.", "Check the path.")
    try:
        loaded = trimesh.load(io.BytesIO(path.read_bytes()), file_type="ply", process=False)
    except OSError:
        raise
    except Exception:
        # `load_shape` says what is wrong with it.
        return None
    if isinstance(loaded, trimesh.Trimesh) and len(loaded.faces):
        return None
    points = np.asarray(getattr(loaded, "vertices", ()), dtype=np.float64).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=-1)]
    if not len(points):
        raise JobError(f"{path.name} holds neither faces nor points.", "Choose another file.")
    return points


def _read(path: Path, kind: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        # In memory: a material or texture that lies beside the file and is broken is no concern.
        loaded = trimesh.load_scene(
            io.BytesIO(path.read_bytes()), file_type=kind[1:], process=False
        )
        meshes = [part for part in loaded.dump() if isinstance(part, trimesh.Trimesh)]
    except OSError:
        raise
    except Exception as error:
        # The readers raise whatever a damaged file happens to lead to.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise JobError(
            f"{path.name} cannot be read as {kind}: {reason.rstrip('.')}.", "Export it again."
        ) from error
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)], 0
    for mesh in meshes:
        vertices.append(np.asarray(mesh.vertices, dtype=np.float64))
        faces.append(np.asarray(mesh.faces, dtype=np.int64) + count)
        count += len(mesh.vertices)
    return np.concatenate(vertices), np.concatenate(faces)
