# SPDX-License-Identifier: GPL-3.0-or-later
"""How the worker's Python looks, in the preferences and in the tab: one drawing for both.

Reads what `environment_state` and `session` have in memory, and nothing else.
"""

import textwrap
from typing import Any

import bpy

from . import environment_state, preferences, session
from .worker.checks import Check, State

CHECK_ICONS: dict[State, str] = {
    "ok": "CHECKMARK", "warning": "ERROR", "failed": "CANCEL", "unknown": "QUESTION",
}  # fmt: skip
PIXELS_PER_LETTER = 7.5
NARROWEST = 24
REFUSED_SHOWN = 6

WELCOME = (
    "Fields are trained in a Python of their own, beside Blender. Install makes one for this "
    "add-on alone; Find looks for one that is already there."
)


def draw_environment(layout: Any, context: bpy.types.Context) -> None:
    """The state, and what can be done in it."""
    state = environment_state.state()
    if state.phase == "installing":
        _draw_installing(layout, context)
    elif state.phase == "searching":
        searched = state.search.looking_at if state.search is not None else ""
        layout.label(text="Looking for a Python with torch…", icon="VIEWZOOM")
        draw_text(layout, context, searched)
    elif state.phase == "found":
        _draw_found(layout, context)
    elif state.phase == "cancelled":
        layout.label(text="The installation was stopped", icon="PAUSE")
        draw_text(layout, context, "What was downloaded is kept; Continue goes on from there.")
        _draw_ways(layout, "Continue")
    elif state.phase == "failed":
        _draw_problem(layout, context)
        _draw_ways(layout, "Continue")
        layout.operator("neural_fields.open_log", icon="TEXT").log = "INSTALLATION"
    elif state.phase == "missing":
        _draw_missing(layout, context)
    else:
        draw_text(layout, context, WELCOME)
        _draw_ways(layout, "Install")


def draw_checks(layout: Any, context: bpy.types.Context) -> None:
    """One row a check: its state, what it found and the button that puts it right."""
    box = layout.box().column(align=True)
    for check in environment_state.checks(session.worker()):
        _draw_check(box, context, check)
    if environment_state.state().examination is not None:
        layout.label(text="Checking…", icon="VIEWZOOM")
    else:
        layout.operator("neural_fields.check_environment", icon="FILE_REFRESH")


def draw_text(
    layout: Any,
    context: bpy.types.Context,
    text: str,
    icon: Any = "NONE",
    taken: int = 0,
) -> None:
    """Text in as many lines as it needs in this region; `taken` letters of it are not free."""
    rows = layout.column(align=True)
    for number, line in enumerate(wrap(context, text, taken)):
        first = number == 0 or icon == "NONE"
        rows.label(text=line, icon=icon if first else "BLANK1")


def wrap(context: bpy.types.Context, text: str, taken: int = 0) -> list[str]:
    """Lines that fit into the region at hand. Long paths are cut where they have to be."""
    scale = context.preferences.system.ui_scale or 1.0  # without a window it is 0
    width = context.region.width if context.region is not None else 400
    letters = max(NARROWEST, int(width / (PIXELS_PER_LETTER * scale)) - 4 - taken)
    return [line for part in text.splitlines() for line in textwrap.wrap(part, letters)]


def _draw_installing(layout: Any, context: bpy.types.Context) -> None:
    installation = environment_state.state().installation
    if installation is None:
        return
    progress = installation.progress
    layout.label(text=f"Step {progress.step} of {progress.num_steps}: {progress.label}")
    row = layout.row(align=True)
    row.progress(factor=progress.share, text=f"{progress.share:.0%}")
    row.operator("neural_fields.cancel_install", text="", icon="X")
    details = [progress.file] if progress.file else []
    if progress.total_mb >= 1:
        details.append(f"{progress.done_mb:.0f} of {progress.total_mb:.0f} MB")
    layout.label(text=" · ".join(details) or "You can go on working meanwhile")


def _draw_found(layout: Any, context: bpy.types.Context) -> None:
    found = environment_state.state().found
    if found is None or found.check is None:
        return
    layout.label(text=f"Ready: Python {found.check.version}", icon="CHECKMARK")
    draw_text(layout, context, f"{found.check.python} ({found.origin})")


def _draw_missing(layout: Any, context: bpy.types.Context) -> None:
    found = environment_state.state().found
    refused = found.refused if found is not None else ()
    draw_text(layout, context, WELCOME)
    _draw_ways(layout, "Install")
    if not refused:
        return
    header, body = layout.panel("neural_fields_refused", default_closed=True)
    header.label(text=f"{len(refused)} Looked At")
    if body is None:
        return
    for candidate, check in refused[:REFUSED_SHOWN]:
        draw_text(body, context, f"{candidate.python}: {check.problem}", icon="DOT")
    if len(refused) > REFUSED_SHOWN:
        body.label(text=f"and {len(refused) - REFUSED_SHOWN} more", icon="BLANK1")


def _draw_problem(layout: Any, context: bpy.types.Context) -> None:
    state = environment_state.state()
    box = layout.box().column(align=True)
    box.alert = True
    draw_text(box, context, state.problem, icon="ERROR", taken=3)
    draw_text(layout, context, state.remedy)


def _draw_ways(layout: Any, install_label: str) -> None:
    """Install, Find, Manual."""
    column = layout.column(align=True)
    large = column.row(align=True)
    large.scale_y = 1.5
    large.operator("neural_fields.install_environment", text=install_label, icon="IMPORT")
    row = column.row(align=True)
    row.operator("neural_fields.find_environment", text="Find", icon="VIEWZOOM")
    row.operator("neural_fields.copy_install_command", text="Manual", icon="COPYDOWN")
    if not bpy.app.online_access and not preferences.get().wheels_folder:
        _draw_offline(layout)


def _draw_offline(layout: Any) -> None:
    """Why Install is grey, and Blender's own button that changes it, where the user may."""
    layout.label(text="Install needs online access", icon="INTERNET_OFFLINE")
    if not bpy.app.online_access_override:
        layout.operator("extensions.userpref_allow_online", text="Allow Online Access")


def _draw_check(layout: Any, context: bpy.types.Context, check: Check) -> None:
    operator, label = check.fix
    row = layout.row(align=True)
    row.alert = check.state == "failed"
    text = row.column(align=True)
    taken = len(label) + 6 if label else 2
    draw_text(text, context, f"{check.name}: {check.text}", CHECK_ICONS[check.state], taken)
    if operator and check.state != "unknown":
        button = row.row()
        button.alignment = "RIGHT"
        button.operator(operator, text=label)
