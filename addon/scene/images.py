# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures on disk as Blender's images: camera backgrounds, still or on the timeline."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy

from .errors import SceneError


def relative_path(path: Path) -> str:
    """The path as the .blend file should keep it: relative (`//`) where that can be."""
    if not bpy.data.filepath:
        return str(path)
    try:
        return bpy.path.relpath(str(path))
    except ValueError:  # another drive
        return str(path)


def load_image(path: Path) -> bpy.types.Image:
    """The image of a file, read again from disk where it was already loaded.

    Raises:
        SceneError: where Blender cannot read it.
    """
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise SceneError(f"{path} cannot be read as a picture.", "Check the file.") from error
    image.filepath = relative_path(path)
    return image


def set_background_still(camera: bpy.types.Object, path: Path) -> bpy.types.Image:
    """Shows a picture behind the scene in the camera's view."""
    image = load_image(path)
    _background_of(camera, image)
    return image


@dataclass(frozen=True)
class SequenceTiming:
    """Which picture of a sequence is shown at which frame of the timeline."""

    frame_start: int
    first_number: int
    count: int

    def apply(self, user: bpy.types.ImageUser) -> None:
        """Sets whatever shows the sequence."""
        user.frame_start = self.frame_start
        user.frame_offset = self.first_number - 1
        user.frame_duration = self.count
        user.use_auto_refresh = True
        user.use_cyclic = False


def load_sequence(
    files: Sequence[Path], frames: Sequence[int]
) -> tuple[bpy.types.Image, SequenceTiming]:
    """Numbered pictures, each at its own frame of the timeline, as an image; read anew from disk.

    Raises:
        SceneError: where the numbers in the files' names do not rise by one as the frames do.
    """
    numbers = [_number_in(file) for file in files]
    steps = [
        (b - a, d - c) for a, b, c, d in zip(numbers, numbers[1:], frames, frames[1:], strict=False)
    ]
    if not numbers or any(step != (1, 1) for step in steps):
        raise SceneError(
            "The pictures have gaps in their numbers, and Blender plays only sequences without "
            "gaps.",
            "Render every frame of the range.",
        )
    image = load_image(files[0])
    image.source = "SEQUENCE"
    # Another first picture of the same sequence may be in memory: what lies on disk is newer.
    image.reload()
    image.name = f"{files[0].parent.name} {numbers[0]}-{numbers[-1]}"
    return image, SequenceTiming(frames[0], numbers[0], len(numbers))


def set_background_sequence(
    camera: bpy.types.Object, files: Sequence[Path], frames: Sequence[int]
) -> bpy.types.Image:
    """Plays numbered pictures behind the scene, each at its own frame of the timeline.

    Raises:
        SceneError: where the numbers in the files' names do not rise by one as the frames do.
    """
    image, timing = load_sequence(files, frames)
    timing.apply(_background_of(camera, image).image_user)
    return image


def _background_of(
    camera: bpy.types.Object, image: bpy.types.Image
) -> bpy.types.CameraBackgroundImage:
    """The camera's background for pictures of the image's folder; a new one hides the others."""
    backgrounds = camera.data.background_images
    folder = _folder_of(image)
    background = next(
        (found for found in backgrounds if found.image and _folder_of(found.image) == folder), None
    )
    if background is None:
        for other in backgrounds:
            other.show_background_image = False
        background = backgrounds.new()
        background.alpha = 1.0
        background.display_depth = "BACK"
        background.frame_method = "STRETCH"
    background.source = "IMAGE"
    background.image = image
    background.show_background_image = True
    camera.data.show_background_images = True
    return background


def _folder_of(image: bpy.types.Image) -> Path:
    return Path(bpy.path.abspath(image.filepath)).parent


def _number_in(file: Path) -> int:
    """The last number in a file's name, which is the one Blender counts a sequence by."""
    digits = re.findall(r"\d+", file.stem)
    return int(digits[-1]) if digits else -1
