# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators that hand a job to the worker have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import bpy

from .. import panel_state, session
from ..job_options import absolute, device_of
from ..problems import area_of_job, area_of_operator, problem_from
from ..scene.chosen import field_of, is_linked, run_of
from ..scene.errors import SceneError
from ..worker.protocol import JobError, messages

__all__ = [
    "OnField",
    "Outcome",
    "RefusedError",
    "absolute",
    "choose",
    "device_of",
    "do",
    "field_of",
    "frames_of",
    "reporting",
    "run_of",
    "scene_of",
]

# The stubs want it spelled out: a set of some of these words is another type to them.
Outcome: TypeAlias = set[
    Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]
]


class RefusedError(Exception):
    """Raised inside an operator after its error was reported, to leave it."""


@contextmanager
def reporting(operator: bpy.types.Operator) -> Iterator[None]:
    """Shows what the user can put right as the operator's error, a RuntimeError for scripts."""
    try:
        yield
    except (SceneError, JobError) as error:
        operator.report({"ERROR"}, str(error))
        panel_state.note_problem(area_of_operator(operator.bl_idname), problem_from(error))
        raise RefusedError from error


def choose(operator: bpy.types.Operator, settings: Any, *names: str) -> dict[str, Any]:
    """Values of properties: those given to the operator, otherwise those stored in the file."""
    return {
        name: getattr(operator if operator.properties.is_property_set(name) else settings, name)
        for name in names
    }


def do(
    operator: bpy.types.Operator,
    job: messages.Job,
    label: str,
    target: session.Target,
    then: Callable[[session.JobRecord], None] | None = None,
    key: str = "",
) -> session.JobRecord:
    """Submits a job; without a window also waits for its end. `then` is called when it is done.

    Raises:
        RefusedError: where the job could not be started, or failed while it was waited for.
    """
    with reporting(operator):
        record = session.submit(job, label, target, then, key)
    panel_state.note_problem(area_of_job(job), None)
    if not bpy.app.background:
        operator.report({"INFO"}, f"{label} has started")
        return record
    session.wait(job.job_id)
    for warning in record.warnings:
        operator.report({"WARNING"}, warning)
    if record.problem:
        operator.report({"ERROR"}, record.problem)
        raise RefusedError
    return record


def scene_of(context: bpy.types.Context) -> bpy.types.Scene:
    """The scene at hand; polls see to it that there is one."""
    assert context.scene is not None
    return context.scene


def frames_of(operator: bpy.types.Operator, stored: Any, scene: bpy.types.Scene) -> range:
    """The frames that an operator is for: those it was given, the stored ones or the scene's.

    Raises:
        JobError: where there are none.
    """
    given = any(operator.properties.is_property_set(name) for name in ("frame_start", "frame_end"))
    if choose(operator, stored, "use_scene_range")["use_scene_range"] and not given:
        first, last = scene.frame_start, scene.frame_end
    else:
        chosen = choose(operator, stored, "frame_start", "frame_end")
        first, last = chosen["frame_start"], chosen["frame_end"]
    if last < first:
        raise JobError(
            f"The frame range {first} to {last} is empty.", "Let it end after its start."
        )
    steps = choose(operator, stored, "frame_step") if hasattr(stored, "frame_step") else {}
    return range(first, last + 1, steps.get("frame_step", 1))


class OnField:
    """Poll of the operators that work on a trained field."""

    changes_field = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        field = field_of(context) if context.scene is not None else None
        if field is None:
            problem = "Select a neural field, or train one first"
        elif cls.changes_field and is_linked(field):
            problem = f"{field.name} is linked from another file and cannot be changed here"
        else:
            return True
        cls.poll_message_set(problem)  # type: ignore[attr-defined]
        return False
