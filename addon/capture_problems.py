# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last check of a capture found, kept on the window manager for the panels."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import bpy
from bpy.props import (
    CollectionProperty,
    EnumProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)


class Concerned(NamedTuple):
    """A camera or a picture, and where it was taken from."""

    name: str
    position: Sequence[float]


class NEURALFIELDS_PG_concerned(bpy.types.PropertyGroup):
    """A camera or a picture that a problem is about; it is the group's own `name`."""

    position: FloatVectorProperty(name="Position", description="Where it was taken from", size=3)


class NEURALFIELDS_PG_problem(bpy.types.PropertyGroup):
    kind: StringProperty(name="Kind", description="Names the fix")
    sentence: StringProperty(name="Problem", description="What is wrong and what to do")
    source: EnumProperty(
        name="Where",
        description="What the problem is about",
        items=(
            ("SCENE", "Scene", "The scene, before it is rendered"),
            ("CAPTURE", "Capture", "Pictures that are there"),
        ),
    )
    concerned: CollectionProperty(
        name="Concerned", description="Cameras or pictures", type=NEURALFIELDS_PG_concerned
    )


class NEURALFIELDS_PG_capture_check(bpy.types.PropertyGroup):
    problems: CollectionProperty(
        name="Problems", description="What was found", type=NEURALFIELDS_PG_problem
    )
    capture: StringProperty(name="Capture", description="What was checked")
    num_views: IntProperty(name="Pictures", description="How many pictures were looked at")
    bounds_min: FloatVectorProperty(
        name="Lower Bounds", description="Lower corner of bounds that hold all cameras", size=3
    )
    bounds_max: FloatVectorProperty(
        name="Upper Bounds", description="Upper corner of bounds that hold all cameras", size=3
    )
    summary: StringProperty(name="Summary", description="The result of the last check")


CLASSES = (NEURALFIELDS_PG_concerned, NEURALFIELDS_PG_problem, NEURALFIELDS_PG_capture_check)

FIXES = {
    ("SCENE", "motion_blur"): "Switch Motion Blur Off",
    ("SCENE", "film"): "Make Film Transparent",
    ("SCENE", "view_transform"): "Use Standard",
    ("SCENE", "depth_of_field"): "Switch Depth of Field Off",
    ("SCENE", "sticks_out"): "Enlarge Bounds",
    ("SCENE", "no_cameras"): "Add Camera Rig",
    ("CAPTURE", "unreadable"): "Leave Out",
    ("CAPTURE", "blurred"): "Leave Out",
    ("CAPTURE", "exposure"): "Leave Out",
    ("CAPTURE", "mixed_sizes"): "Leave Out",
    ("CAPTURE", "mixed_alpha"): "Leave Out",
    ("CAPTURE", "past_bounds"): "Leave Out",
    ("CAPTURE", "outside_bounds"): "Widen Bounds",
}
"""What the button says that puts a kind of problem right; others have no fix but the advice."""


def state() -> Any:
    """The results of the last check, in this Blender's window manager."""
    return bpy.context.window_manager.neural_fields.capture_check


def forget(source: str) -> None:
    """Removes what was found in a scene or a capture before."""
    problems = state().problems
    for index in reversed(range(len(problems))):
        if problems[index].source == source:
            problems.remove(index)
    summarize()


def add(source: str, kind: str, sentence: str, concerned: Iterable[Concerned] = ()) -> None:
    """Adds a problem to the list."""
    problem = state().problems.add()
    problem.source, problem.kind, problem.sentence = source, kind, sentence
    for one in concerned:
        item = problem.concerned.add()
        item.name, item.position = one.name, one.position


def find(source: str, kind: str) -> Any:
    """The first problem of a kind, or None."""
    return next((one for one in state().problems if (one.source, one.kind) == (source, kind)), None)


def drop_views(names: Iterable[str]) -> None:
    """Takes pictures that were left out from all problems, and problems that have none left."""
    gone, problems = set(names), state().problems
    for index in reversed(range(len(problems))):
        problem = problems[index]
        if problem.source != "CAPTURE" or not len(problem.concerned):
            continue
        for place in reversed(range(len(problem.concerned))):
            if problem.concerned[place].name in gone:
                problem.concerned.remove(place)
        if not len(problem.concerned):
            problems.remove(index)
    summarize()


def summarize() -> None:
    """Says in a few words how many problems there are."""
    count = len(state().problems)
    word = "problem" if count == 1 else "problems"
    state().summary = f"{count} {word} found" if count else "No problems found"
