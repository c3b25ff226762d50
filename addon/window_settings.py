# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of the window manager: what belongs to this Blender's session and is not saved."""

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import capture_problems, run_names

RUN_STATES = (
    ("QUEUED", "Waiting", "It waits for its turn", "SORTTIME", 0),
    ("TRAINING", "Training", "It is being trained", "PLAY", 1),
    ("TRAINED", "Trained", "It is trained to its end", "CHECKMARK", 2),
    ("FAILED", "Failed", "Its training failed", "ERROR", 3),
    ("CANCELLED", "Paused", "It was stopped, and can be resumed", "PAUSE", 4),
    ("INTERRUPTED", "Interrupted", "Its training ended with its process", "CANCEL", 5),
    ("MISSING", "Missing", "Its folder is not where it was", "QUESTION", 6),
    ("DAMAGED", "Damaged", "Its record cannot be read", "ERROR", 7),
)


def _title(run: Any) -> str:
    return str(run.name)


def _set_title(run: Any, title: str) -> None:
    run_names.rename_shown(run, title)


class NEURALFIELDS_PG_run(bpy.types.PropertyGroup):
    """A run on disk; its own `name` is that of its folder."""

    title: StringProperty(
        name="Name",
        description="Name of the run's folder; double-click to rename it",
        get=_title,
        set=_set_title,
    )
    path: StringProperty(name="Folder", description="Where the run lies", subtype="DIR_PATH")
    state: EnumProperty(name="State", description="How the run stands", items=RUN_STATES)
    method: StringProperty(name="Method", description="Method of the run")
    psnr: FloatProperty(
        name="PSNR", description="Quality on held-out pictures in decibels; 0 where not measured"
    )
    seconds: FloatProperty(name="Seconds", description="How long it was trained")
    steps: IntProperty(name="Steps", description="Steps it was trained for")
    can_resume: BoolProperty(name="Can Resume", description="There is a checkpoint to go on from")


class NEURALFIELDS_PG_window(bpy.types.PropertyGroup):
    capture_check: PointerProperty(type=capture_problems.NEURALFIELDS_PG_capture_check)
    runs: CollectionProperty(
        name="Runs", description="The runs on disk, newest first", type=NEURALFIELDS_PG_run
    )
    run_index: IntProperty(name="Run", description="The run that is chosen")
    capture_total: IntProperty(
        name="Pictures", description="Pictures of the capture that is being rendered; 0 without one"
    )
    capture_done: IntProperty(name="Done", description="How many of them there are")
    capture_seconds: FloatProperty(name="Seconds", description="How long it has been rendered")
    capture_stop: BoolProperty(name="Stop", description="The capture is to stop")
    try_it_stage: StringProperty(
        name="Try It", description="What the sample is doing; empty while there is none"
    )
    try_it_share: FloatProperty(name="Share", description="How far the sample is, from 0 to 1")
    try_it_stop: BoolProperty(name="Stop", description="The sample is to stop")
