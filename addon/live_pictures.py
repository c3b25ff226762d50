# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that panels show of a training that runs: its curves and its newest preview.

They live in memory and never in the .blend file.
"""

import math
from collections.abc import Sequence

import bpy
import bpy.utils.previews

from . import panel_state
from .scene.curve_picture import draw_curves
from .training_notes import Sample

CURVE, PREVIEW = "curve", "preview"
CURVE_PX = 192
LOSS_COLOR, PSNR_COLOR = (0.95, 0.55, 0.2), (0.35, 0.75, 1.0)


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
    """Shows a picture file; read anew where it was shown before."""
    pictures = panel_state.get().pictures
    if pictures is not None:
        pictures.load(PREVIEW, path, "IMAGE", force_reload=True)


def forget() -> None:
    """Frees the pictures of the training before."""
    pictures = panel_state.get().pictures
    if pictures is not None:
        pictures.clear()


def icon_of(name: str) -> int:
    """The number by which a layout shows a picture; 0 where there is none."""
    pictures = panel_state.get().pictures
    found = pictures.get(name) if pictures is not None else None
    return found.icon_id if found is not None else 0


def register() -> None:
    panel_state.get().pictures = bpy.utils.previews.new()


def unregister() -> None:
    pictures = panel_state.get().pictures
    if pictures is not None:
        panel_state.get().pictures = None
        bpy.utils.previews.remove(pictures)
