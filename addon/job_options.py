# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of jobs as the worker needs them."""

from pathlib import Path

import bpy

from . import preferences


def device_of(choice: str) -> str:
    """A job's device, where `choice` may leave it to the preferences."""
    return preferences.get().device if choice == "preferences" else choice


def absolute(path: str) -> str:
    """A path as the worker needs it: `//` and relative ones resolved, '' left as it is."""
    return str(Path(bpy.path.abspath(path)).expanduser().absolute()) if path else ""
