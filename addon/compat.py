# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between Blender versions, found by asking what is there."""

from typing import Any, Literal

import bpy

_OPTIONS = bpy.types.Property.bl_rna.properties
BLEND_RELATIVE: set[str] = (
    {"PATH_SUPPORTS_BLEND_RELATIVE"} if "is_path_supports_blend_relative" in _OPTIONS else set()
)
"""Option of a path property that may begin with `//`: Blender 4.5 and later want to be told."""


def by_session_uid(collection: Any, uid: int) -> Any:
    """The data-block with this number, or None; it survives undo and renaming, not reopening the
    file.
    """
    return next((block for block in collection if block.session_uid == uid), None)


def uses_compositor(scene: bpy.types.Scene) -> bool:
    """Whether nodes change a rendered picture; since 5.0 a node group of its own does that."""
    if hasattr(scene, "compositing_node_group"):
        has_nodes = scene.compositing_node_group is not None
    else:
        has_nodes = scene.use_nodes
    return has_nodes and scene.render.use_compositing


def has_denoiser() -> bool:
    """Whether this build has OpenImageDenoise; without it Cycles raises where denoising is on."""
    try:
        import _cycles
    except ImportError:
        return False
    return bool(getattr(_cycles, "with_openimagedenoise", False))


def set_still_png(
    settings: bpy.types.ImageFormatSettings, color_mode: Literal["RGB", "RGBA"]
) -> None:
    """Makes 8-bit PNG the output; since 5.0 the kind of medium has to be right first."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "PNG"
    settings.color_mode = color_mode
    settings.color_depth = "8"
    settings.compression = 15
