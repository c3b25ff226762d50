# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that touches Blender's data and interface."""

import atexit
import contextlib

from . import preferences, properties, results, session
from .operators import capture, import_capture, mesh, render, train

# In the order of registration; session has nothing to register, but a worker to end.
MODULES = (preferences, properties, results, capture, import_capture, train, mesh, render)


def register() -> None:
    """Called by the extension's entry point; takes back what it did where a part fails."""
    done = []
    try:
        for module in MODULES:
            module.register()
            done.append(module)
    except Exception:
        for module in reversed(done):
            module.unregister()
        raise
    # Blender's wheel hangs or crashes at exit while Python classes are registered.
    atexit.register(_at_exit)


def unregister() -> None:
    """Undoes `register` and ends the worker."""
    atexit.unregister(_at_exit)
    session.unregister()
    for module in reversed(MODULES):
        module.unregister()


def _at_exit() -> None:
    with contextlib.suppress(RuntimeError, ReferenceError):
        unregister()
