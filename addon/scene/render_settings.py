# SPDX-License-Identifier: GPL-3.0-or-later
"""Borrows a scene's render settings and gives them back, whatever happens in between."""

import contextlib
from collections.abc import Iterator
from typing import Any

import bpy

from ..compat import has_denoiser, set_still_png


class Borrowed:
    """Remembers each property before it is changed; `restore` puts all back, last change first."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []

    def remember(self, owner: Any, *names: str) -> None:
        """Notes what properties are now, for those that this Blender has."""
        for name in names:
            if hasattr(owner, name):
                self._before.append((owner, name, getattr(owner, name)))

    def set(self, owner: Any, **values: Any) -> None:
        """Changes properties, for those that this Blender has."""
        for name, value in values.items():
            if hasattr(owner, name):
                self.remember(owner, name)
                setattr(owner, name, value)

    def restore(self) -> None:
        """Puts everything back, whether or not a setting still exists."""
        while self._before:
            owner, name, value = self._before.pop()
            with contextlib.suppress(ReferenceError, TypeError, AttributeError):
                setattr(owner, name, value)


@contextlib.contextmanager
def capture_settings(scene: bpy.types.Scene, transparent: bool) -> Iterator[Borrowed]:
    """Sets a scene up to write 8-bit PNG pictures as the artist sees them, without tone mapping."""
    borrowed = Borrowed()
    render, view, image = scene.render, scene.view_settings, scene.render.image_settings
    frame, subframe = scene.frame_current, scene.frame_subframe
    borrowed.remember(scene, "camera")
    try:
        borrowed.set(
            render,
            film_transparent=transparent,
            use_border=False,
            use_crop_to_border=False,
            use_motion_blur=False,
            use_compositing=False,
            use_sequencer=False,
            use_multiview=False,
            use_stamp=False,
            use_file_extension=False,
            use_overwrite=True,
            use_placeholder=False,
            use_render_cache=False,
            use_persistent_data=True,
            filepath=render.filepath,
        )
        borrowed.set(
            view,
            view_transform="Standard",
            look="None",
            exposure=0.0,
            gamma=1.0,
            use_curve_mapping=False,
            use_white_balance=False,
        )
        if render.engine == "CYCLES" and scene.cycles.use_denoising and not has_denoiser():
            borrowed.set(scene.cycles, use_denoising=False)
        # Put back in the opposite order: the medium, then the format, then what depends on it.
        borrowed.remember(image, "compression", "color_depth", "color_mode", "file_format")
        borrowed.remember(image, "media_type", "color_management")
        if hasattr(image, "color_management"):
            image.color_management = "FOLLOW_SCENE"
        set_still_png(image, "RGBA" if transparent else "RGB")
        yield borrowed
    finally:
        borrowed.restore()
        scene.frame_set(frame, subframe=subframe)
