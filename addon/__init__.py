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
        capture,
        environment,
        fit_image,
        import_capture,
        mesh,
        motion,
        render,
        shapes,
        solids,
        train,
    )
    from .panels import capture as capture_panel
    from .panels import output as output_panel
    from .panels import setup as setup_panel
    from .panels import shapes as shapes_panel
    from .panels import training as training_panel
    from .panels import worker as worker_panel

    learned = (capture, import_capture, train, mesh, motion, render)
    operators = (environment, *learned, shapes, bake_shape, solids, fit_image)
    # A sub-panel comes after the panel that it lies in.
    panels = (
        setup_panel,
        capture_panel,
        training_panel,
        shapes_panel,
        output_panel,
        worker_panel,
    )
    return preferences, properties, results, *operators, *panels


def _at_exit() -> None:
    with contextlib.suppress(RuntimeError, ReferenceError):
        unregister()
