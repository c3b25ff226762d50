# SPDX-License-Identifier: GPL-3.0-or-later
"""A training while it runs, and what there is to say of one that has ended."""

from pathlib import Path
from typing import Any

import bpy

from .. import live_pictures, session
from .base import column_of, draw_wrapped, duration


def draw_live(layout: bpy.types.UILayout, record: session.JobRecord) -> None:
    """Bar, figures, curves and the preview."""
    box = layout.box()
    draw_bar(box, record)
    if record.progress is not None:
        draw_figures(box, record)
    if live_pictures.are_of(record.job.job_id):
        draw_pictures(box)
    for warning in record.warnings[-2:]:
        draw_wrapped(box, warning, "INFO")


def draw_controls(layout: bpy.types.UILayout, settings: Any) -> None:
    """The three ways to stop, and where the preview is shown."""
    column = layout.column(align=True)
    column.scale_y = 1.2
    column.operator("neural_fields.stop_training", icon="CHECKMARK")
    row = column.row(align=True)
    row.operator("neural_fields.pause_training", icon="PAUSE")
    row.operator("neural_fields.discard_training", text="Cancel", icon="X")
    if settings.use_live_preview:
        column_of(layout).prop(settings, "show_preview_in")


def draw_bar(layout: bpy.types.UILayout, record: session.JobRecord) -> None:
    """How much of the budget is spent, and how long the rest takes."""
    progress = record.progress
    if record.cancel_asked:
        layout.progress(factor=_share(progress), text="Stopping: saving what is learned")
    elif progress is None:
        layout.progress(factor=0.0, text="Starting the worker")
    elif progress.stage != "training":
        layout.progress(factor=_share(progress), text=progress.stage.capitalize())
    else:
        left = f" · {duration(progress.eta_s)} left" if progress.eta_s >= 0 else ""
        layout.progress(factor=_share(progress), text=f"Training {_share(progress):.0%}{left}")


def draw_figures(layout: bpy.types.UILayout, record: session.JobRecord) -> None:
    """Steps, time, loss and the quality on pictures that are not learned from."""
    progress = record.progress
    assert progress is not None
    column = layout.column(align=True)
    psnr = next((one.psnr for one in reversed(record.training.curve) if one.psnr is not None), None)
    rows = [("Steps", f"{progress.step:,}"), ("Time", duration(progress.seconds))]
    if progress.loss is not None:
        rows.append(("Loss", f"{progress.loss:.3g}"))
    if psnr is not None:
        rows.append(("Held-Out PSNR", f"{psnr:.1f} dB"))
    for name, value in rows:
        line = column.split(factor=0.5)
        line.label(text=name)
        line.label(text=value)


def draw_pictures(layout: bpy.types.UILayout) -> None:
    """The curves, and the field as the scene's camera sees it, side by side."""
    icons = [live_pictures.icon_of(name) for name in (live_pictures.PREVIEW, live_pictures.CURVE)]
    shown = [icon for icon in icons if icon]
    if not shown:
        return
    row = layout.row(align=True)
    for icon in shown:
        row.template_icon(icon_value=icon, scale=5.5)
    if icons[1]:
        layout.label(text="Blue: quality · Orange: loss", icon="BLANK1")


def draw_ended(layout: bpy.types.UILayout, record: session.JobRecord) -> None:
    """What became of the last training, and how to go on with it."""
    run = str(getattr(record.job, "run", ""))
    if record.state == "done" and record.answer is not None:
        psnr = getattr(record.answer, "psnr", None)
        quality = f", {psnr:.1f} dB" if psnr else ""
        spent = duration(getattr(record.answer, "seconds", 0.0))
        layout.label(text=f"{Path(run).name}: done in {spent}{quality}", icon="CHECKMARK")
        for warning in record.warnings[-2:]:
            draw_wrapped(layout, warning, "INFO")
    elif record.state == "cancelled" and record.training.ending != "discard" and run:
        words = "is paused" if record.training.ending == "pause" else "was stopped"
        row = layout.row(align=True)
        row.label(text=f"{Path(run).name} {words}", icon="PAUSE")
        row.operator("neural_fields.resume_run", icon="PLAY").run = run


def _share(progress: Any) -> float:
    if progress is None or not progress.total:
        return 0.0
    return min(1.0, max(0.0, progress.done / progress.total))
