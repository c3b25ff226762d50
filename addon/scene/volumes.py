# SPDX-License-Identifier: GPL-3.0-or-later
"""A field's density as OpenVDB files, and the volume object that plays them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import bpy
import numpy as np
from numpy.typing import NDArray

from ..compat import shader_nodes, vdb_centers_voxels
from .errors import SceneError
from .images import relative_path
from .placing import link_beside, still_there

MATERIAL = "Neural Field Volume"
DENSITY, EMISSION = "density", "emission"


@dataclass(frozen=True)
class VolumeBlocks:
    """Blocks of voxels as the worker wrote them: the voxel (i, j, k) is centered at
    `lower + (index + 0.5) · voxel`, `corners` are each block's first index.
    """

    lower: NDArray[np.float64]
    voxel: float
    corners: NDArray[np.int32]
    density: NDArray[np.float32]
    emission: NDArray[np.float32]


def read_blocks(path: Path) -> VolumeBlocks:
    """Raises SceneError where the file is not what the worker writes."""
    try:
        # numpy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as values:
            return VolumeBlocks(
                values["lower"],
                float(values["voxel"]),
                values["corners"],
                values["density"],
                values["emission"],
            )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise SceneError(f"{path} is no volume ({error}).", "Extract the volume again.") from error


def write_vdb(vdb: Any, blocks: VolumeBlocks, path: Path) -> None:
    """Writes the blocks with Blender's module (see `compat.vdb_module`).

    Raises:
        SceneError: where the file cannot be written.
    """
    density, emission = vdb.FloatGrid(), vdb.Vec3SGrid()
    density.name, emission.name = DENSITY, EMISSION
    density.gridClass = vdb.GridClass.FOG_VOLUME
    for corner, values, light in zip(
        blocks.corners.tolist(), blocks.density, blocks.emission, strict=True
    ):
        density.copyFromArray(np.ascontiguousarray(values), ijk=corner)
        emission.copyFromArray(np.ascontiguousarray(light), ijk=corner)
    # OpenVDB multiplies rows of coordinates from the left.
    matrix = np.diag([blocks.voxel] * 3 + [1.0])
    matrix[3, :3] = blocks.lower + (0.5 if vdb_centers_voxels(vdb) else 0.0) * blocks.voxel
    for grid in (density, emission):
        grid.transform = vdb.createLinearTransform(matrix.tolist())
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part.vdb")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        vdb.write(str(temporary), grids=[density, emission])
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        raise SceneError(
            f"{path} cannot be written: {error}.",
            "Choose a folder that you may write to, on a disk with free space.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def put_volume(
    field: bpy.types.Object,
    existing: bpy.types.Object | None,
    files: Sequence[Path],
    frames: Sequence[int],
) -> bpy.types.Object:
    """The field's volume object, playing the files at their frames; a new one where there is none.

    It lies in the field's space, so it moves, turns and scales with the field. Materials, modifiers
    and transforms of an existing one stay.

    Raises:
        SceneError: where the frames have gaps, which Blender cannot play.
    """
    if any(later - sooner != 1 for sooner, later in pairwise(frames)):
        raise SceneError(
            "The frames have gaps, and Blender plays only sequences of volumes without gaps.",
            "Extract every frame of the range.",
        )
    shown = still_there(existing)
    if shown is None or shown.type != "VOLUME":
        data = bpy.data.volumes.new(f"{field.name} Volume")
        shown = bpy.data.objects.new(data.name, data)
        shown.parent = field
        link_beside(shown, field)
        data.materials.append(volume_material())
    volume: Any = shown.data
    volume.filepath = relative_path(files[0])
    volume.is_sequence = len(files) > 1
    if volume.is_sequence:
        volume.frame_start, volume.frame_duration = frames[0], len(frames)
        volume.frame_offset = frames[0] - 1
        volume.sequence_mode = "EXTEND"
    # Opacities stay what they are when the field is scaled.
    volume.render.space = "OBJECT"
    # They are loaded when Blender evaluates them; before, a sequence has no frame that is there.
    volume.grids.unload()
    shown.update_tag()
    volume.update_tag()
    return shown


def volume_material() -> bpy.types.Material:
    """The material that absorbs and emits as the field does: what Cycles integrates is its light.

    Made once a file and then left as the artist has changed it. Black absorption of density σ and
    an emission of color times σ make up a NeRF's volume rendering.

    Source: Max 1995, "Optical models for direct volume rendering", sec. 4; Mildenhall et al. 2020,
    "NeRF", eq. 1.
    """
    material = bpy.data.materials.get(MATERIAL)
    if material is not None:
        return material
    material = bpy.data.materials.new(MATERIAL)
    tree = shader_nodes(material)
    nodes, links = tree.nodes, tree.links
    nodes.clear()
    density, light = nodes.new("ShaderNodeAttribute"), nodes.new("ShaderNodeAttribute")
    density.attribute_name, light.attribute_name = DENSITY, EMISSION
    absorption = nodes.new("ShaderNodeVolumeAbsorption")
    absorption.inputs["Color"].default_value = (0.0, 0.0, 0.0, 1.0)
    emission = nodes.new("ShaderNodeEmission")
    added = nodes.new("ShaderNodeAddShader")
    output = nodes.new("ShaderNodeOutputMaterial")
    for column, row in ((density, absorption), (light, emission)):
        column.location.x, row.location.x = -440, -220
        column.location.y = row.location.y = 120 if column == density else -120
    output.location.x = 220
    links.new(density.outputs["Fac"], absorption.inputs["Density"])
    links.new(light.outputs["Color"], emission.inputs["Color"])
    links.new(absorption.outputs["Volume"], added.inputs[0])
    links.new(emission.outputs["Emission"], added.inputs[1])
    links.new(added.outputs["Shader"], output.inputs["Volume"])
    return material
