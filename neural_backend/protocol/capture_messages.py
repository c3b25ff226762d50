# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that look after captures before anything is learned from them, and their answers."""

from dataclasses import dataclass
from typing import Annotated, ClassVar


@dataclass(frozen=True, kw_only=True)
class CheckCapture:
    """List what would make a field worse than it could be. Answered by `CaptureChecked`."""

    type: ClassVar[str] = "check_capture"
    job_id: str = "job"
    capture: Annotated[str, "folder or file: transforms.json, COLMAP model, LLFF poses_bounds.npy"]


@dataclass(frozen=True, kw_only=True)
class SelectViews:
    """Write a transforms.json of a capture's pictures where they lie, some left out or the bounds
    changed.

    Answered by `Converted`.
    """

    type: ClassVar[str] = "select_views"
    job_id: str = "job"
    capture: Annotated[str, "capture to read; it is not changed"]
    output: Annotated[str, "transforms.json to write, in another folder than the capture's"]
    leave_out: Annotated[tuple[str, ...], "names of the views to leave out"] = ()
    bounds_min: Annotated[
        tuple[float, ...], "lower corner of the bounds, three numbers or none"
    ] = ()
    bounds_max: Annotated[
        tuple[float, ...], "upper corner of the bounds, three numbers or none"
    ] = ()


@dataclass(frozen=True, kw_only=True)
class SolveCameras:
    """Find the cameras of a folder of photos with COLMAP. Answered by `Progress`, then
    `Converted`.
    """

    type: ClassVar[str] = "solve_cameras"
    job_id: str = "job"
    pictures: Annotated[str, "folder of photos of one scene that does not move"]
    output: Annotated[str, "folder for COLMAP's model and a transforms.json; empty or absent"]
    in_sequence: Annotated[bool, "the photos follow each other, as the frames of a film do"] = False


@dataclass(frozen=True, kw_only=True)
class ExtractFrames:
    """Write frames of a movie as pictures. Answered by `Progress`, then `FramesExtracted`."""

    type: ClassVar[str] = "extract_frames"
    job_id: str = "job"
    movie: Annotated[str, "movie file"]
    output: Annotated[str, "folder for the pictures, 0001.png for the first frame"]
    frames: Annotated[tuple[int, ...], "frames to write, the first is 1; none writes all"] = ()


@dataclass(frozen=True, kw_only=True)
class CaptureChecked:
    """What was found: a kind and a sentence for each problem, and the views it concerns.

    Problem i concerns the next `counts[i]` of `views`; `positions` has three numbers for each of
    these. `bounds` are wide enough for all cameras: lower corner, then upper, or none.
    """

    type: ClassVar[str] = "capture_checked"
    job_id: str
    capture: str
    num_views: int
    kinds: tuple[str, ...]
    sentences: tuple[str, ...]
    counts: tuple[int, ...]
    views: tuple[str, ...]
    positions: tuple[float, ...]
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FramesExtracted:
    """Pictures were written: `files` in the order of `frames`, within `output`."""

    type: ClassVar[str] = "frames_extracted"
    job_id: str
    output: str
    files: tuple[str, ...]
    frames: tuple[int, ...]
