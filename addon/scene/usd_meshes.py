# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a mesh that changes from frame to frame, topology and colours included, as one USD file.

By Blender's own USD modules as compact .usdc, or, where they are not at hand, as .usda text.
"""

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ply import MeshArrays

PRIM = "/Field"
COLORS = "Col"
"""Name of the colour attribute that the mesh has in Blender."""

_AHEAD = 2.0**-20
"""Samples come this part of a frame early: Blender asks for frame / fps * fps, which may be less
than the frame, and a mesh whose topology changes is shown as at the sample before."""
_PRECISION = 2e-6
"""Rounding of positions in text, as a share of the mesh's extent."""


def write_usd(
    stem: Path, frames: Sequence[int], meshes: Iterable[MeshArrays], fps: float, modules: Any = None
) -> Path:
    """Writes `stem` with its ending: .usdc by `modules` (see `compat.usd_modules`) or else .usda.

    `frames` are those of the timeline at which Blender is to show the meshes.
    """
    path = stem.with_name(stem.name + (".usda" if modules is None else ".usdc"))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        if modules is None:
            _write_text(temporary, frames, meshes, fps)
        else:
            _write_binary(temporary, frames, meshes, fps, modules)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def linear_from_srgb(colors: NDArray[np.floating]) -> NDArray[np.float32]:
    """What Blender's float colours hold."""
    colors = np.asarray(colors, dtype=np.float32)
    return np.where(
        colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** np.float32(2.4)
    ).astype(np.float32)


def _write_binary(
    path: Path, frames: Sequence[int], meshes: Iterable[MeshArrays], fps: float, modules: Any
) -> None:
    usd, geometry, arrays, types = (modules[name] for name in ("Usd", "UsdGeom", "Vt", "Sdf"))
    stage = usd.Stage.CreateNew(str(path))
    geometry.SetStageUpAxis(stage, geometry.Tokens.z)
    geometry.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(fps)
    stage.SetFramesPerSecond(fps)
    stage.SetStartTimeCode(min(frames))
    stage.SetEndTimeCode(max(frames))
    mesh = geometry.Mesh.Define(stage, PRIM)
    stage.SetDefaultPrim(mesh.GetPrim())
    mesh.CreateSubdivisionSchemeAttr(geometry.Tokens.none)
    mesh.SetNormalsInterpolation(geometry.Tokens.vertex)
    counts, corners = mesh.CreateFaceVertexCountsAttr(), mesh.CreateFaceVertexIndicesAttr()
    points, normals = mesh.CreatePointsAttr(), mesh.CreateNormalsAttr()
    colors = geometry.PrimvarsAPI(mesh).CreatePrimvar(
        COLORS, types.ValueTypeNames.Color3fArray, geometry.Tokens.vertex
    )
    for frame, one in zip(frames, meshes, strict=True):
        code = frame - _AHEAD
        counts.Set(arrays.IntArray.FromNumpy(np.full(len(one.faces), 3, np.int32)), code)
        corners.Set(arrays.IntArray.FromNumpy(_corners(one)), code)
        points.Set(arrays.Vec3fArray.FromNumpy(_floats(one.vertices)), code)
        if one.normals is not None:
            normals.Set(arrays.Vec3fArray.FromNumpy(_floats(one.normals)), code)
        if one.colors is not None:
            linear = _floats(linear_from_srgb(one.colors[:, :3]))
            colors.Set(arrays.Vec3fArray.FromNumpy(linear), code)
    stage.GetRootLayer().Save()


def _write_text(
    path: Path, frames: Sequence[int], meshes: Iterable[MeshArrays], fps: float
) -> None:
    samples: dict[str, list[str]] = {name: [] for name in _DECLARATIONS}
    for frame, one in zip(frames, meshes, strict=True):
        for name, values in _sample(one):
            samples[name].append(f"{frame - _AHEAD!r}:[{values}],\n")
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(
            f'#usda 1.0\n(\ndefaultPrim = "{PRIM[1:]}"\nmetersPerUnit = 1\nupAxis = "Z"\n'
            f"startTimeCode = {min(frames)}\nendTimeCode = {max(frames)}\n"
            f"timeCodesPerSecond = {fps!r}\nframesPerSecond = {fps!r}\n)\n"
            f'def Mesh "{PRIM[1:]}"\n{{\nuniform token subdivisionScheme = "none"\n'
        )
        for name, (declaration, metadata) in _DECLARATIONS.items():
            if samples[name]:
                file.write(f"{declaration}{metadata}\n" if metadata else "")
                file.write(f"{declaration}.timeSamples = {{\n")
                file.writelines(samples[name])
                file.write("}\n")
        file.write("}\n")


_ON_VERTICES = ' (\ninterpolation = "vertex"\n)'
_DECLARATIONS = {
    "counts": ("int[] faceVertexCounts", ""),
    "corners": ("int[] faceVertexIndices", ""),
    "points": ("point3f[] points", ""),
    "normals": ("normal3f[] normals", _ON_VERTICES),
    "colors": (f"color3f[] primvars:{COLORS}", _ON_VERTICES),
}


def _sample(mesh: MeshArrays) -> Iterator[tuple[str, str]]:
    """The text of each attribute, with no more digits than are worth something."""
    yield "counts", ",".join(["3"] * len(mesh.faces))
    yield "corners", ",".join(map(str, _corners(mesh).tolist()))
    yield "points", _tuples(mesh.vertices, *_digits(mesh.vertices))
    if mesh.normals is not None:
        yield "normals", _tuples(mesh.normals, 3, 3)
    if mesh.colors is not None:
        yield "colors", _tuples(linear_from_srgb(mesh.colors[:, :3]), 6, 3)


def _digits(points: NDArray[np.floating]) -> tuple[int, int]:
    """Decimals and significant digits with which rounding stays below `_PRECISION`."""
    if not len(points):
        return 0, 1
    extent = max(float(np.ptp(points, axis=0).max()), 1e-6)
    largest = max(float(np.abs(points).max()), 1e-6)
    decimals = max(0, math.ceil(-math.log10(_PRECISION * extent)))
    return decimals, max(1, decimals + math.floor(math.log10(largest)) + 1)


def _tuples(values: NDArray[np.floating], decimals: int, significant: int) -> str:
    rounded = np.round(np.asarray(values, dtype=np.float64), decimals) + 0.0
    template = f"(%.{significant}g,%.{significant}g,%.{significant}g)"
    return ",".join(template % tuple(row) for row in rounded.tolist())


def _corners(mesh: MeshArrays) -> NDArray[np.int32]:
    return np.ascontiguousarray(mesh.faces, dtype=np.int32).ravel()


def _floats(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
