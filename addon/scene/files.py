# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the worker reads: written whole or not at all."""

import contextlib
import os
from pathlib import Path

from .errors import SceneError


def write_file(path: Path, data: bytes) -> None:
    """Writes under another name and renames, so that nobody reads half of it.

    Raises:
        SceneError: where that cannot be.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise SceneError(
            f"{path} cannot be written: {error.strerror}.",
            "Choose a folder that you may write to, on a disk with free space.",
        ) from error
    finally:
        with contextlib.suppress(OSError):  # what is in the way may be no folder
            temporary.unlink(missing_ok=True)
