# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of the timeline as times of a field, which go from 0 to 1."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy

from .errors import SceneError


@dataclass(frozen=True)
class TimeMap:
    """Time 0 is at `frame_start`, time 1 at `frame_end`; before and after them it stands still.

    Raises:
        SceneError: where both are one frame.
    """

    frame_start: int
    frame_end: int

    def __post_init__(self) -> None:
        if self.frame_start == self.frame_end:
            raise SceneError(
                f"The time map has no length: it starts and ends at frame {self.frame_start}.",
                "Let it end at another frame.",
            )

    def time_of(self, frame: float) -> float:
        """The time at a frame."""
        time = (frame - self.frame_start) / (self.frame_end - self.frame_start)
        return min(1.0, max(0.0, time))

    def frames(self, step: int) -> range:
        """Every `step`-th frame of the map in the order of time."""
        ahead = 1 if self.frame_end > self.frame_start else -1
        return range(self.frame_start, self.frame_end + ahead, ahead * step)

    def values(self) -> dict[str, int]:
        """As transforms.json has it."""
        return asdict(self)


@dataclass(frozen=True)
class RunTimes:
    """What a run knows of time: whether its field moves, and at which frames it was taken."""

    moves: bool
    time_map: TimeMap | None


def times_of_run(run: Path) -> RunTimes:
    """What the cameras that a run was trained on say of time; nothing where they are gone."""
    try:
        values = json.loads((run / "capture.json").read_text(encoding="utf-8"))
        frames = values.get("frames", [])
        times = {frame.get("time") for frame in frames if frame.get("split", "train") == "train"}
        block = (values.get("neural_fields") or {}).get("time_map")
        known = TimeMap(int(block["frame_start"]), int(block["frame_end"])) if block else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError, SceneError):
        return RunTimes(False, None)
    return RunTimes(len(times - {None}) > 1, known)


def time_of_field(settings: Any, frame: float) -> float:
    """The moment that a field is to show at a frame. `settings` are those of its empty, evaluated
    at that frame, since an artist may have keyed them.

    Raises:
        SceneError: where it moves and its time map has no length.
    """
    if settings.use_retime:
        return min(1.0, max(0.0, settings.field_time))
    if not settings.moves and settings.frame_start == settings.frame_end:
        return 0.0
    return TimeMap(settings.frame_start, settings.frame_end).time_of(frame)


def tag_times(field: bpy.types.Object) -> None:
    """Has the settings of a field evaluated anew: Blender does not notice that those without keys
    were changed by a script.
    """
    field.update_tag()


def times_along(scene: bpy.types.Scene, field: bpy.types.Object, frames: range) -> dict[int, float]:
    """The moment of a field at each frame, keys and drivers included; the frame is put back."""
    if field.animation_data is None:
        return {frame: time_of_field(field.neural_field, frame) for frame in frames}
    name, current, subframe = field.name, scene.frame_current, scene.frame_subframe
    tag_times(field)
    times = {}
    try:
        for frame in frames:
            scene.frame_set(frame)
            evaluated = bpy.context.evaluated_depsgraph_get().id_eval_get(scene.objects[name])
            times[frame] = time_of_field(evaluated.neural_field, frame)
    finally:
        scene.frame_set(current, subframe=subframe)
    return times
