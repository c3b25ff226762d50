# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a field that learns, as an image: behind the scene or in an image editor."""

from pathlib import Path

import bpy

from .images import load_image

NAME = "Neural Field Preview"


def load_preview(path: Path) -> bpy.types.Image:
    """The preview as an image, read anew.

    Raises:
        SceneError: where Blender cannot read it.
    """
    image = find_preview()
    if image is None:
        image = load_image(path)
        image.name = NAME
    elif Path(bpy.path.abspath(image.filepath)) != path:
        image.filepath = str(path)
    image.reload()
    return image


def find_preview() -> bpy.types.Image | None:
    """The image that shows previews, or None."""
    return next((one for one in bpy.data.images if one.name == NAME and not one.library), None)


def show_in_editors(image: bpy.types.Image) -> int:
    """Shows it in the image editors that show nothing else, or have it already; returns how many
    do.
    """
    shown = 0
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "IMAGE_EDITOR":
                continue
            space = area.spaces.active
            if space.image is None or space.image == image:
                space.image = image
                area.tag_redraw()
                shown += 1
    return shown


def show_behind(camera: bpy.types.Object, image: bpy.types.Image) -> None:
    """Shows it behind the scene in a camera's view, above the pictures that are there."""
    backgrounds = camera.data.background_images
    if any(one.image == image for one in backgrounds):
        return
    background = backgrounds.new()
    background.image = image
    background.alpha, background.display_depth = 1.0, "BACK"
    background.frame_method = "STRETCH"
    camera.data.show_background_images = True


def remove_preview() -> None:
    """Takes the preview from wherever it is shown, so that no .blend file keeps it."""
    image = find_preview()
    if image is None:
        return
    for camera in bpy.data.cameras:
        if camera.library is None:
            for background in [one for one in camera.background_images if one.image == image]:
                camera.background_images.remove(background)
    bpy.data.images.remove(image)
