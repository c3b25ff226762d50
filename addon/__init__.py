# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that touches Blender's data and interface."""

import atexit
import contextlib
from types import ModuleType


def register() -> None:
    """Called by the extension's entry point; takes back what it did where a part fails."""
    done = []
    try:
        for module in _modules():
            module.register()
            done.append(module)
    except Exception:
        for module in reversed(done):
            module.unregister()
        raise
    # Blender's wheel hangs or crashes at exit while Python classes are registered.
    atexit.register(_at_exit)


def unregister() -> None:
    """Undoes `register` and ends the worker; harmless where nothing is registered."""
    import bpy

    from . import session

    # At exit Blender disables what `_at_exit` has put away before.
    if not hasattr(bpy.types.Scene, "neural_fields"):
        return
    atexit.unregister(_at_exit)
    session.unregister()
    for module in reversed(_modules()):
        module.unregister()


def _modules() -> tuple[ModuleType, ...]:
    """In the order of registration. Imported late: `worker` is usable without Blender."""
    from . import preferences, properties, results
    from .operators import (
        bake_shape,
        bounds,
        capture,
        capture_checks,
        capture_clip,
        export_capture,
        fit_image,
        import_capture,
        mesh,
        motion,
        render,
        shapes,
        solids,
        train,
        volume,
    )

    captured = (capture, capture_checks, capture_clip, import_capture, bounds, export_capture)
    learned = (*captured, train, mesh, motion, render, volume)
    operators = (*learned, shapes, bake_shape, solids, fit_image)
    return preferences, properties, results, *operators


def _at_exit() -> None:
    with contextlib.suppress(RuntimeError, ReferenceError):
        unregister()
