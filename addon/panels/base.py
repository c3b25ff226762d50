# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels of the tab have in common: where they are, and how jobs and texts look."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import bpy

from .. import panel_state, session
from ..problems import Area, area_of_job
from ..scene.chosen import field_of


class InTab:
    """Where every panel of the add-on is; comes before `bpy.types.Panel` among the bases."""

    bl_space_type: Any = "VIEW_3D"
    bl_region_type: Any = "UI"
    bl_category = "Neural Fields"

    if TYPE_CHECKING:
        layout: Any  # the stubs let it be None, which it never is while a panel is drawn


class OnField(InTab):
    """A part of Output that is about the field in question; comes before `bpy.types.Panel` too."""

    bl_parent_id = "NEURALFIELDS_PT_output"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return field_of(context) is not None


def column_of(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    """A column with names on the left, and without dots for keys: few settings are animated."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    return layout.column()


def draw_settings(layout: bpy.types.UILayout, settings: Any, names: Iterable[str]) -> None:
    """One row for each property, as it is called and explained itself."""
    for name in names:
        layout.prop(settings, name)


def draw_wrapped(
    layout: bpy.types.UILayout, text: str, icon: Any = "NONE", width: int = 34
) -> None:
    """Text in lines, since a label cuts off what is too long. Words are kept whole."""
    lines = [line for part in text.splitlines() for line in _lines(part, width)]
    rows = layout.column(align=True)
    for number, line in enumerate(lines):
        rows.label(text=line, icon=icon if number == 0 else "BLANK1" if icon != "NONE" else "NONE")


def draw_progress(layout: bpy.types.UILayout, record: session.JobRecord) -> None:
    """The bar of a job that runs, with a cross that cancels it."""
    progress = record.progress
    row = layout.row(align=True)
    if record.cancel_asked:
        row.progress(factor=0.0, text=f"{record.label}: stopping")
        return
    if progress is None or not progress.total:
        row.progress(
            factor=0.0, text=f"{record.label}: {progress.stage if progress else 'starting'}"
        )
    else:
        factor = min(1.0, max(0.0, progress.done / progress.total))
        left = f" · {duration(progress.eta_s)} left" if progress.eta_s > 0 else ""
        row.progress(factor=factor, text=f"{progress.stage.capitalize()} {factor:.0%}{left}")
    row.operator("neural_fields.cancel", text="", icon="X").job_id = record.job.job_id


def draw_area(layout: bpy.types.UILayout, area: Area, but: tuple[type, ...] = ()) -> None:
    """What goes on in a part of the tab: its jobs, and what went wrong. Jobs of the kinds `but` are
    drawn by someone else.
    """
    draw_problem(layout, area)
    for record in session.running():
        if area_of_job(record.job) == area and not isinstance(record.job, but):
            draw_progress(layout, record)
    last = next((one for one in reversed(session.jobs()) if area_of_job(one.job) == area), None)
    if last is not None and last.state == "done":
        for note in (*last.warnings[-3:], last.note):
            if note:
                draw_wrapped(layout.box(), note, "INFO")


def draw_problem(layout: bpy.types.UILayout, area: Area) -> None:
    """What happened, why, what to do, and a button where one helps; a cross takes note of it."""
    problem = panel_state.get().problems.get(area)
    if problem is None:
        return
    box = layout.box()
    head = box.row()
    head.alert = True
    head.label(text="This Did Not Work", icon="ERROR")
    head.operator("neural_fields.dismiss", text="", icon="X", emboss=False).area = area.upper()
    draw_wrapped(box, problem.message)
    if problem.remedy:
        draw_wrapped(box, problem.remedy, "INFO")
    if problem.fix is not None and is_registered(problem.fix.operator):
        box.operator(problem.fix.operator, text=problem.fix.label)


def is_registered(operator: str) -> bool:
    """Whether there is an operator with this id."""
    module, _, name = operator.partition(".")
    return name in dir(getattr(bpy.ops, module))


def draw_frames(layout: bpy.types.UILayout, settings: Any, step: bool = True) -> None:
    """The range of frames of a job: the scene's, or one of its own."""
    layout.prop(settings, "use_scene_range")
    if not settings.use_scene_range:
        draw_settings(layout, settings, ("frame_start", "frame_end"))
    if step:
        layout.prop(settings, "frame_step")


def draw_crop(layout: bpy.types.UILayout, settings: Any) -> None:
    """The box outside which nothing is kept."""
    layout.prop(settings, "use_crop")
    if settings.use_crop:
        draw_settings(layout, settings, ("crop_min", "crop_max"))


def duration(seconds: float) -> str:
    """A length of time as one reads it: 8 s, 2 min 05 s, 1 h 12 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _lines(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
