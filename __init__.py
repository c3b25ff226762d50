# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender extension entry point: everything is done by the `addon` package."""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import addon

    addon.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from . import addon

    addon.unregister()
