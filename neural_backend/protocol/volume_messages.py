# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that samples a field on a grid, and its answer."""

from dataclasses import dataclass
from typing import Annotated, ClassVar


@dataclass(frozen=True, kw_only=True)
class ExtractVolume:
    """Write a field's density and color on a grid, for each frame. Answered by `Progress`, then
    `VolumeReady`.
    """

    type: ClassVar[str] = "extract_volume"
    job_id: str = "job"
    run: Annotated[str, "run folder of a trained field"]
    output: Annotated[str, "folder for the .npz files; '' for outputs/volume in the run folder"] = (
        ""
    )
    frames: Annotated[tuple[int, ...], "timeline frames, a grid each"] = (1,)
    times: Annotated[
        tuple[float, ...], "moment of each frame, from 0 to 1; none where nothing moves"
    ] = ()
    resolution: Annotated[int, "voxels along the longest side of the bounds"] = 192
    crop_min: Annotated[tuple[float, ...], "lower corner of a crop box, three numbers or none"] = ()
    crop_max: Annotated[tuple[float, ...], "upper corner of a crop box, three numbers or none"] = ()
    smallest_opacity: Annotated[
        float, "voxels that stop less than this share of the light that crosses them are empty"
    ] = 0.0003
    largest_opacity: Annotated[
        float, "density is cut where a voxel stops more than this share of the light"
    ] = 0.9999
    device: Annotated[str, "auto, cpu or cuda"] = "auto"


@dataclass(frozen=True, kw_only=True)
class VolumeReady:
    """Grids were written: `files` in the order of `frames`, within `output`.

    `share_filled` is how much of the box is not empty, in the fullest frame.
    """

    type: ClassVar[str] = "volume_ready"
    job_id: str
    output: str
    files: tuple[str, ...]
    frames: tuple[int, ...]
    voxel_size: float
    share_filled: float
