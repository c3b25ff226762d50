# SPDX-License-Identifier: GPL-3.0-or-later
"""How sharp and how bright pictures are, and which of them stand out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import minimum_filter, uniform_filter1d

from ..geometry.colors import srgb_to_linear
from .images import read_picture, reduce_image

_BLUR_WIDTH = 9
"""Pixels that the paper blurs over; a sharp edge loses most of its steepness by it."""

_WIDEST_PX = 1024
_BLURRED = 0.65
"""Blur from which a picture is soft in itself, whatever its neighbours are."""

_NOTICEABLE_BLUR = 0.08
_STOPS = 0.5
_NEIGHBOURS = 7
_FEWEST = 5
"""Of fewer pictures nobody can say which is the odd one."""


@dataclass(frozen=True)
class PictureQuality:
    """`blur` from 0 (sharp) to 1; `brightness` in stops, NaN where nothing is to be seen."""

    width: int
    height: int
    blur: float
    brightness: float
    is_transparent: bool


def picture_quality(path: Path) -> PictureQuality:
    """Measures a picture. Raises one of `PICTURE_ERRORS` where it is unreadable."""
    with Image.open(path) as image:
        width, height = image.size
        # JPEG decodes at an eighth, quarter or half of its size at a fraction of the time.
        image.draft("RGB", (_WIDEST_PX, _WIDEST_PX))
        pixels = np.asarray(image.convert("RGBA")) if image.mode == "RGB" else read_picture(path)
    if pixels.shape[1] > _WIDEST_PX:
        tall = max(1, round(pixels.shape[0] * _WIDEST_PX / pixels.shape[1]))
        pixels = reduce_image(pixels, _WIDEST_PX, tall)
    alpha = pixels[..., 3].astype(np.float32) / 255
    gray = pixels[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    seen = gray / 255 * alpha + (1 - alpha)
    # Near the outline of a cut-out its background would be blurred into the picture.
    inside = minimum_filter(alpha > 0.99, _BLUR_WIDTH, mode="nearest")
    return PictureQuality(
        width, height, blur_of(seen, inside), brightness_of(pixels), bool((alpha < 1).any())
    )


def blur_of(gray: NDArray[np.floating], where: NDArray[np.bool_] | None = None) -> float:
    """How little blurring changes a (height, width) picture in [0, 1]: 0 sharp, 1 blurred.

    A picture without any edges, within `where`, says nothing and counts as sharp.

    Source: Crete et al. 2007, "The blur effect: perception and estimation with a new no-reference
    perceptual blur metric", eq. 1-5.
    """
    gray = np.asarray(gray, dtype=np.float64)
    measured = []
    for axis in (0, 1):
        steps = np.abs(np.diff(gray, axis=axis))
        smooth = np.abs(np.diff(uniform_filter1d(gray, _BLUR_WIDTH, axis), axis=axis))
        if where is not None:
            both = np.delete(where, 0, axis) & np.delete(where, -1, axis)
            steps, smooth = steps * both, smooth * both
        total = steps.sum()
        lost = np.maximum(0, steps - smooth).sum()
        measured.append((total - lost) / total if total > 1e-3 * gray.size else 0.0)
    return float(max(measured))


def brightness_of(pixels: NDArray[np.uint8]) -> float:
    """Mean light of a (height, width, 4) picture as a power of two; NaN where it is transparent."""
    weight = pixels[..., 3].astype(np.float64)
    if weight.sum() < 255:
        return float("nan")
    light = srgb_to_linear(pixels[..., :3].astype(np.float32) / 255).mean(axis=-1)
    return float(np.log2(max((light * weight).sum() / weight.sum(), 2.0**-12)))


def blurred(qualities: Sequence[PictureQuality]) -> NDArray[np.bool_]:
    """Which pictures are much softer than the others, or soft in themselves."""
    blur = np.array([quality.blur for quality in qualities])
    if len(blur) < _FEWEST:
        return blur > _BLURRED
    middle = np.median(blur)
    spread = 1.4826 * np.median(np.abs(blur - middle))
    return (blur > middle + max(_NOTICEABLE_BLUR, 3 * spread)) | (blur > _BLURRED)


def exposure_jumps(qualities: Sequence[PictureQuality]) -> NDArray[np.bool_]:
    """Which pictures are much brighter or darker than those before and after them.

    They are compared with the median around them: a camera that walks into the shade is no jump.
    """
    stops = np.array([quality.brightness for quality in qualities])
    if len(stops) < _FEWEST:
        return np.zeros(len(stops), dtype=bool)
    half = min(_NEIGHBOURS, len(stops)) // 2
    jumps = np.zeros(len(stops), dtype=bool)
    for index in range(len(stops)):
        around = stops[max(0, index - half) : index + half + 1]
        around = around[np.isfinite(around)]
        if len(around) > 2 and np.isfinite(stops[index]):
            jumps[index] = abs(stops[index] - np.median(around)) > _STOPS
    return jumps
