# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out what a path holds and reads it as a capture."""

from pathlib import Path

from ..protocol.errors import JobError
from .assembly import Findings, assemble, check_times
from .capture import Capture, View
from .colmap import find_model, read_colmap
from .llff import FILE_NAME, read_llff
from .transforms_json import SPLIT_FILES, read_transforms

_REMEDY = (
    "Choose a transforms.json, a COLMAP model (sparse/0), an LLFF poses_bounds.npy, or the folder "
    "that holds one of them. Photos alone need their cameras solved first, by COLMAP for example."
)


def load_capture(path: str | Path, hold_out: int = 8) -> Capture:
    """Reads a capture from a folder or file of any supported kind.

    Where the capture has no test split, every `hold_out`-th view in the order of names becomes
    test; 0 holds none out.

    Raises:
        JobError: where there is no capture, or nothing can be learned from it.
    """
    path = Path(path).expanduser().absolute()
    return assemble(_read(path), hold_out)


def load_cameras(path: str | Path) -> tuple[View, ...]:
    """Reads cameras to render along from a transforms.json; its pictures need not be there.

    Raises:
        JobError: where the file has no cameras, one of unknown size, or a time that is not in
            [0, 1] or that others lack.
    """
    path = Path(path).expanduser().absolute()
    file = path / "transforms.json" if path.is_dir() else path
    if not file.is_file():
        raise JobError(f"{file} does not exist.", "Choose a transforms.json with cameras.")
    findings = read_transforms([file], file, need_pictures=False)
    if not findings.views:
        raise JobError(f"{file} has no cameras.", "Add a frame for each view.")
    check_times(findings.views, file)
    return tuple(findings.views)


def _read(path: Path) -> Findings:
    if not path.exists():
        raise JobError(f"{path} does not exist.", "Choose the folder or file of a capture.")
    try:
        return _read_file(path) if path.is_file() else _read_folder(path)
    except OSError as error:
        raise JobError(
            f"{error.filename or path} cannot be read: {error.strerror}.",
            "Check that the file is there and that you may read it.",
        ) from error


def _read_file(path: Path) -> Findings:
    if path.name in SPLIT_FILES:
        return read_transforms(_split_files(path.parent), path)
    if path.suffix.lower() == ".json":
        return read_transforms([path], path)
    if path.suffix.lower() == ".npy":
        return read_llff(path, path)
    if path.stem in ("cameras", "images", "points3D") and find_model(path.parent) == path.parent:
        return read_colmap(path.parent, path)
    raise JobError(f"{path} is no capture.", _REMEDY)


def _read_folder(path: Path) -> Findings:
    if (path / "transforms.json").is_file():
        return read_transforms([path / "transforms.json"], path)
    if _split_files(path):
        return read_transforms(_split_files(path), path)
    model = find_model(path)
    if model is not None:
        return read_colmap(model, path)
    if (path / FILE_NAME).is_file():
        return read_llff(path / FILE_NAME, path)
    raise JobError(f"{path} holds no cameras.", _REMEDY)


def _split_files(folder: Path) -> list[Path]:
    return [folder / name for name in SPLIT_FILES if (folder / name).is_file()]
