# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the file as pictures on disk."""

from pathlib import Path

import bpy
import numpy as np

from .errors import SceneError


def write_picture(image: bpy.types.Image, path: Path) -> None:
    """Writes an image's pixels as 8-bit PNG; those in floating point are taken to be linear.

    Raises:
        SceneError: where it has no pixels, or the file cannot be written.
    """
    width, height = image.size
    if not width or not height:
        raise SceneError(f"{image.name} has no pixels.", "Check its file, or choose another image.")
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(-1, image.channels)
    rgba = np.ones((len(pixels), 4), np.float32)
    if image.channels < 3:
        rgba[:, :3] = pixels[:, :1]
    else:
        rgba[:, : image.channels] = pixels
    if image.is_float:
        linear = rgba[:, :3].clip(0, None)
        if image.alpha_mode == "PREMUL":
            linear = linear / rgba[:, 3:].clip(1e-6, None)
        curve = 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
        rgba[:, :3] = np.where(linear <= 0.0031308, 12.92 * linear, curve).clip(0, 1)
    copy = bpy.data.images.new("Neural Field Picture", width, height, alpha=True)
    try:
        copy.pixels.foreach_set(np.ascontiguousarray(rgba).ravel())
        path.parent.mkdir(parents=True, exist_ok=True)
        copy.filepath_raw, copy.file_format = str(path), "PNG"
        copy.save()
    except (OSError, RuntimeError) as error:
        raise SceneError(
            f"{path} cannot be written: {error}.", "Choose another folder for runs."
        ) from error
    finally:
        bpy.data.images.remove(copy)
