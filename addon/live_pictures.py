# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that panels show of a training that runs: its curves and its newest preview.

They live in memory and never in the .blend file.
"""

import math
from collections.abc import Sequence
from typing import Any

import bpy
import bpy.utils.previews

from . import panel_state
from .scene.curve_picture import draw_curves
from .training_notes import Sample

CURVE, PREVIEW = "curve", "preview"
CURVE_PX = 192
LOSS_COLOR, PSNR_COLOR = (0.95, 0.55, 0.2), (0.35, 0.75, 1.0)


def begin(job_id: str) -> None:
    """Has the pictures be those of a training; what is left of another one is freed."""
    state = panel_state.get()
    if state.pictured_job != job_id:
        forget()
        state.pictured_job = job_id


def are_of(job_id: str) -> bool:
    """Whether the pictures are those of a training."""
    return panel_state.get().pictured_job == job_id


def show_curve(curve: Sequence[Sample]) -> None:
    """Draws the loss, on a scale of magnitudes, and the held-out quality."""
    pictures = panel_state.get().pictures
    if pictures is None:
        return
    loss = [
        (one.share, math.log10(one.loss)) for one in curve if one.loss is not None and one.loss > 0
    ]
    psnr = [(one.share, one.psnr) for one in curve if one.psnr is not None]
    pixels = draw_curves(CURVE_PX, ((loss, LOSS_COLOR), (psnr, PSNR_COLOR)))
    picture = pictures.get(CURVE) or pictures.new(CURVE)
    picture.image_size = (CURVE_PX, CURVE_PX)
    picture.image_pixels_float.foreach_set(pixels.ravel())


def show_preview(path: str) -> None:
    """Shows a picture file instead of the one before.

    A collection frees its pictures only all at once, and what is on the screen still needs the one
    before. So there are two, which take turns.
    """
    previews = panel_state.get().previews
    if previews:
        previews.reverse()
        previews[0].clear()
        picture = previews[0].load(PREVIEW, path, "IMAGE", force_reload=True)
        # Asked for its size it is read now. Otherwise it is read once it is to be drawn, and a sign
        # of waiting is drawn instead, each time anew.
        if not picture.image_size[0]:
            previews[0].clear()


def forget() -> None:
    """Frees the pictures."""
    panel_state.get().pictured_job = ""
    for pictures in _collections():
        pictures.clear()


def icon_of(name: str) -> int:
    """The number by which a layout shows a picture; 0 where there is none."""
    state = panel_state.get()
    pictures = state.previews[0] if name == PREVIEW and state.previews else state.pictures
    found = pictures.get(name) if pictures is not None else None
    return found.icon_id if found is not None else 0


def register() -> None:
    state = panel_state.get()
    state.pictures = bpy.utils.previews.new()
    state.previews = [bpy.utils.previews.new() for _ in range(2)]


def unregister() -> None:
    collections = _collections()
    state = panel_state.get()
    state.pictures, state.previews = None, []
    for pictures in collections:
        bpy.utils.previews.remove(pictures)


def _collections() -> list[Any]:
    state = panel_state.get()
    return [*([state.pictures] if state.pictures is not None else []), *state.previews]
