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
    from . import (
        engine,
        file_handlers,
        frames,
        live_pictures,
        panel_state,
        preferences,
        properties,
        redraw,
        results,
        run_catalog,
        training_watch,
    )
    from .operators import (
        bake_shape,
        bounds,
        capture,
        capture_checks,
        capture_clip,
        composite,
        environment,
        export_capture,
        fit_image,
        import_capture,
        mesh,
        motion,
        release,
        render,
        runs,
        shapes,
        solids,
        train,
        training_control,
        try_it,
        volume,
    )

    stored = (preferences, properties, panel_state, live_pictures)
    # Listeners are told in this order: the tab is drawn again once all else has been done.
    listeners = (results, training_watch, run_catalog, training_control, redraw, file_handlers)
    captured = (capture, capture_checks, capture_clip, import_capture, bounds, export_capture)
    learned = (*captured, train, mesh, motion, render, volume, composite, runs, try_it)
    operators = (environment, *learned, shapes, bake_shape, solids, fit_image, release)
    return *stored, *listeners, frames, *operators, engine, *_panels()


def _panels() -> tuple[ModuleType, ...]:
    """A sub-panel comes after the panel that it lies in."""
    from .panels import (
        capture,
        capture_check,
        composite,
        dataset,
        image_field,
        output,
        render_engine,
        runs,
        setup,
        shapes,
        solids,
        training,
        volume,
        worker,
    )

    before = (setup, capture, capture_check, training, runs, shapes, solids, image_field)
    return *before, output, volume, dataset, composite, worker, render_engine


def _at_exit() -> None:
    with contextlib.suppress(RuntimeError, ReferenceError):
        unregister()
