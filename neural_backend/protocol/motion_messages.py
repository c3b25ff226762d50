# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that follow a field through time, and their answers."""

from dataclasses import dataclass
from typing import Annotated, ClassVar


@dataclass(frozen=True, kw_only=True)
class ExtractMeshSequence:
    """Write the surface of a moving field, a mesh a frame, all at one level.

    Meshes that are there already, with the same settings, are kept. Answered by `Progress`, then
    `MeshSequenceReady`.
    """

    type: ClassVar[str] = "extract_mesh_sequence"
    job_id: str = "job"
    run: Annotated[str, "run folder of a trained field"]
    output: Annotated[
        str, "folder for the .ply files; '' for outputs/mesh_sequence in the run folder"
    ] = ""
    frames: Annotated[
        tuple[int, ...], "timeline frames, a mesh each; none takes those of the capture"
    ] = ()
    times: Annotated[
        tuple[float, ...], "moment of each frame, from 0 to 1; none asks the capture's time map"
    ] = ()
    resolution: Annotated[int, "grid cells along the longest side of the bounds"] = 128
    level: Annotated[float, "density of the surface, per scene unit; 0 chooses it"] = 0.0
    crop_min: Annotated[tuple[float, ...], "lower corner of a crop box, three numbers or none"] = ()
    crop_max: Annotated[tuple[float, ...], "upper corner of a crop box, three numbers or none"] = ()
    keep_components: Annotated[
        float, "floaters smaller than this share of the largest part are removed"
    ] = 0.02
    keep_unseen: Annotated[
        bool, "keep surfaces that no training camera can see, as within solids"
    ] = False
    colors: Annotated[bool, "colour the vertices"] = True
    overwrite: Annotated[bool, "make meshes again that are already there"] = False
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class BakeMotion:
    """Move the vertices of a mesh as a field moves, by the inverse of its warp.

    Answered by `Progress`, then `MotionBaked`.
    """

    type: ClassVar[str] = "bake_motion"
    job_id: str = "job"
    run: Annotated[str, "run folder of a trained field that warps"]
    mesh: Annotated[str, ".ply whose vertices are moved; '' extracts the field's own at rest"] = ""
    output: Annotated[str, ".pc2 to write; '' for outputs/motion/motion.pc2 in the run folder"] = ""
    frames: Annotated[
        tuple[int, ...], "timeline frames in equal steps; none takes those of the capture"
    ] = ()
    times: Annotated[
        tuple[float, ...], "moment of each frame, from 0 to 1; none asks the capture's time map"
    ] = ()
    rest_time: Annotated[
        float, "moment in whose pose the mesh is; -1 finds the one that the warp changes least"
    ] = -1.0
    mesh_to_field: Annotated[
        tuple[float, ...],
        "rows of the 4x4 matrix from the mesh's space to the field's, where it is another",
    ] = ()
    resolution: Annotated[int, "grid cells along the longest side, where a mesh is extracted"] = 128
    level: Annotated[float, "density of the extracted surface; 0 chooses it"] = 0.0
    tolerance: Annotated[
        float, "share of the bounds' diagonal that a vertex may miss its place in the warp by"
    ] = 0.002
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class MeshSequenceReady:
    """Meshes were written: `files` in the order of `frames`; counts are of the largest."""

    type: ClassVar[str] = "mesh_sequence_ready"
    job_id: str
    output: str
    files: tuple[str, ...]
    frames: tuple[int, ...]
    times: tuple[float, ...]
    num_vertices: int
    num_faces: int
    level: float


@dataclass(frozen=True, kw_only=True)
class MotionBaked:
    """Positions of the vertices of `mesh` were written, and of each frame's residuals a `report`.

    Residuals tell how far the warp takes the vertices from where they belong, in scene units;
    `share_missed` of all positions are farther off than the tolerance.
    """

    type: ClassVar[str] = "motion_baked"
    job_id: str
    output: str
    mesh: str
    report: str
    frames: tuple[int, ...]
    num_vertices: int
    rest_time: float
    residual_mean: float
    residual_max: float
    share_missed: float
