# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door of the add-on to the backend: its messages, which need the standard library only."""

from pathlib import Path
from typing import TYPE_CHECKING, get_type_hints

# The folder that holds both packages is named by whoever installs it, so only a relative import
# finds the backend; a type checker, which is shown both packages side by side, needs the absolute
# one.
if TYPE_CHECKING:
    from neural_backend.protocol import lines, messages
    from neural_backend.protocol.errors import JobError, ProtocolError
else:
    from ...neural_backend.protocol import lines, messages
    from ...neural_backend.protocol.errors import JobError, ProtocolError

__all__ = ["BACKEND", "JobError", "ProtocolError", "lines", "messages", "tooltip"]

BACKEND = Path(messages.__file__).resolve().parents[1]
"""Folder of the backend that came with this add-on, which the worker is to run."""


def tooltip(message: type, field: str) -> str:
    """What the protocol says about a field, as Blender writes tooltips."""
    text = str(get_type_hints(message, include_extras=True)[field].__metadata__[0])
    return text[:1].upper() + text[1:]
