# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps Blender's render log out of the way of a progress bar."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def only_this_stream() -> Iterator[TextIO]:
    """Sends what the process prints to nowhere, but for the stream it gives.

    Blender prints several lines a picture from C, where Python's `sys.stdout` has no say; its
    errors, on the other stream, are still seen.
    """
    sys.stdout.flush()
    real = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        with os.fdopen(real, "w", encoding="utf-8", closefd=False) as stream:
            yield stream
    finally:
        os.dup2(real, 1)
        os.close(nowhere)
        os.close(real)
