# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames a job is for, and the time of each."""

from ..datasets.capture import distinct_times
from ..protocol.errors import JobError
from .run_capture import load_run_capture
from .run_folder import RunFolder


def frame_times(
    frames: tuple[int, ...], times: tuple[float, ...], run_folder: RunFolder
) -> dict[int, float]:
    """The time of each frame. Frames without times are mapped as the capture says; times alone are
    counted from 1; nothing at all stands for all that the capture has.

    Raises:
        JobError: where frames and times do not belong together, or a time is not in [0, 1].
    """
    if not times:
        return _mapped(frames, run_folder)
    frames = frames or tuple(range(1, len(times) + 1))
    if len(frames) != len(times):
        raise JobError(
            f"{len(frames)} frames and {len(times)} times do not belong together.",
            "Give a time for each frame, or no times.",
        )
    outside = [time for time in times if not 0 <= time <= 1]
    if outside:
        raise JobError(
            f"A time cannot be {outside[0]:g}.",
            "Choose times from 0, the capture's first, to 1, its last.",
        )
    return _unique(frames, times)


def _mapped(frames: tuple[int, ...], run_folder: RunFolder) -> dict[int, float]:
    capture = load_run_capture(run_folder)
    if capture.time_map is not None:
        chosen = frames or tuple(capture.time_map.frames)
        return _unique(chosen, tuple(capture.time_map.time_of(frame) for frame in chosen))
    if frames:
        raise JobError(
            "The capture does not say at which frames of a timeline its times are.",
            "Give a time from 0 to 1 for each frame too.",
        )
    times = distinct_times(capture.views) or (0.0,)
    return _unique(tuple(range(1, len(times) + 1)), times)


def _unique(frames: tuple[int, ...], times: tuple[float, ...]) -> dict[int, float]:
    moments = dict(zip(frames, times, strict=True))
    if len(moments) < len(frames):
        raise JobError("A frame is named twice.", "Name each frame once.")
    return moments
