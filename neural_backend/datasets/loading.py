# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out what a path holds and reads it as a capture."""

from pathlib import Path

from ..protocol.errors import JobError
from .assembly import Findings, assemble
from .capture import Capture
from .transforms_json import SPLIT_FILES, read_transforms


def load_capture(path: str | Path, hold_out: int = 8) -> Capture:
    """Reads a capture from a folder or file of any supported kind.

    Where the capture has no test split, every `hold_out`-th view in the order of names becomes test; 0 holds none out.

    Raises:
        JobError: where there is no capture, or nothing can be learned from it.
    """
    path = Path(path).expanduser().absolute()
    return assemble(_read(path), hold_out)


def _read(path: Path) -> Findings:
    if not path.exists():
        raise JobError(f"{path} does not exist.", "Choose the folder or file of a capture.")
    if path.is_file():
        if path.name in SPLIT_FILES:
            return read_transforms(_split_files(path.parent), path)
        return read_transforms([path], path)
    if (path / "transforms.json").is_file():
        return read_transforms([path / "transforms.json"], path)
    if _split_files(path):
        return read_transforms(_split_files(path), path)
    raise JobError(f"{path} holds no capture.", "Choose a folder with cameras.")


def _split_files(folder: Path) -> list[Path]:
    return [folder / name for name in SPLIT_FILES if (folder / name).is_file()]
