# SPDX-License-Identifier: GPL-3.0-or-later
"""The run folders on disk, as a list shows them; without Blender's data, so that a thread may."""

import ctypes
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import SceneError

RECORD = "run.json"
QUIET_S = 600.0
"""A training that has written nothing for this long is over, whatever uses its process's number."""

RunState = Literal[
    "queued", "training", "trained", "failed", "cancelled", "interrupted", "missing", "damaged"
]


@dataclass(frozen=True, kw_only=True)
class RunEntry:
    """What there is to know of a run without loading it."""

    path: Path
    state: RunState = "missing"
    method: str = ""
    preset: str = ""
    steps: int = 0
    seconds: float = 0.0
    psnr: float | None = None
    message: str = ""
    changed_s: float = 0.0
    process: int = 0
    has_checkpoint: bool = False
    is_shape: bool = False


def is_run(folder: Path) -> bool:
    """Whether a folder is a run: its record is there and says a state."""
    return bool(_values(folder / RECORD).get("state"))


def read_run(folder: Path) -> RunEntry:
    """A run as its record says; of one that a process was killed in, that it was interrupted."""
    record = folder / RECORD
    try:
        changed_s = record.stat().st_mtime
    except OSError:
        return RunEntry(path=folder)
    values = _values(record)
    state: Any = values.get("state")
    has_checkpoint = (folder / "checkpoints" / "last.json").is_file()
    if state not in ("queued", "training", "trained", "failed", "cancelled"):
        return RunEntry(path=folder, state="damaged", changed_s=changed_s)
    process = _number(values.get("process"))
    if state in ("queued", "training") and not _is_at_work(folder, int(process)):
        state = "interrupted"
    psnr = values.get("psnr")
    return RunEntry(
        path=folder,
        state=state,
        method=str(values.get("method", "")),
        preset=str(values.get("preset", "")),
        steps=int(_number(values.get("steps"))),
        seconds=_number(values.get("seconds")),
        psnr=float(psnr) if isinstance(psnr, (int, float)) else None,
        message=str(values.get("message", "")),
        changed_s=changed_s,
        process=int(process),
        has_checkpoint=has_checkpoint,
        is_shape=bool(values.get("meshes")),
    )


def list_runs(
    parents: Iterable[Path], known: Iterable[Path] = (), ended: Iterable[Path] = ()
) -> list[RunEntry]:
    """The runs in some folders and those whose places are known, newest first, missing ones last.

    Those that `ended` are listed too, while they are there: what was deleted is not missed. A
    folder that cannot be read has none.
    """
    folders: dict[Path, None] = {}
    for parent in parents:
        try:
            inside = [path for path in parent.iterdir() if (path / RECORD).is_file()]
        except OSError:
            continue
        folders |= dict.fromkeys(_plain(path) for path in inside)
    folders |= dict.fromkeys(_plain(path) for path in known)
    folders |= dict.fromkeys(_plain(path) for path in ended if (path / RECORD).is_file())
    return sorted(map(read_run, folders), key=lambda run: (-run.changed_s, run.path.name))


def delete_run(folder: Path, keep: str = "") -> Path | None:
    """Deletes a run, and nothing that is no run. What it made in its folder `keep` is moved beside
    it first; returns where to.

    Raises:
        SceneError: where it is no run, or cannot be deleted.
    """
    folder = _plain(folder)
    if folder.is_symlink() or not is_run(folder):
        raise SceneError(f"{folder} is no run folder, so it is not deleted.", "Delete it by hand.")
    kept = None
    try:
        if keep and (folder / keep).is_dir():
            kept = _free(folder.with_name(f"{folder.name}_{keep}"))
            (folder / keep).rename(kept)
        # Under another name at once: what is half deleted must not be taken for a run.
        doomed = _free(folder.with_name(f".{folder.name}.deleted"))
        folder.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise SceneError(
            f"{folder} cannot be deleted: {error.strerror}.",
            "Close what uses its files, or delete it by hand.",
        ) from error
    return kept


def rename_run(folder: Path, name: str) -> Path:
    """Gives a run folder another name; returns its new path.

    Raises:
        SceneError: where it is no run, or the name cannot be had.
    """
    folder = _plain(folder)
    target = folder.parent / name
    if not name or target.name != name or target.parent != folder.parent or name == "..":
        raise SceneError(f"{name!r} is no name for a folder.", "Use letters, digits and spaces.")
    if target == folder:
        return folder
    if not is_run(folder):
        raise SceneError(f"{folder} is no run folder.", "Relink it first.")
    if target.exists():
        raise SceneError(f"There is already something at {target}.", "Choose another name.")
    try:
        folder.rename(target)
    except OSError as error:
        raise SceneError(
            f"{folder} cannot be renamed: {error.strerror}.", "Close what uses its files."
        ) from error
    return target


def process_lives(number: int) -> bool:
    """Whether a process of this number runs on this computer."""
    if number <= 0:
        return False
    if sys.platform == "win32":
        return _process_lives_on_windows(number)
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _process_lives_on_windows(number: int) -> bool:
    """There `os.kill` would end the process."""
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009, the stubs of other systems lack it
    limited_information, still_active = 0x1000, 259
    handle = kernel.OpenProcess(limited_information, False, number)
    if not handle:
        return False
    status = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(status))
    kernel.CloseHandle(handle)
    return bool(known) and status.value == still_active


def _is_at_work(folder: Path, process: int) -> bool:
    return process_lives(process) and time.time() - _last_sign_s(folder) < QUIET_S


def _last_sign_s(folder: Path) -> float:
    """When a run last wrote anything that it writes regularly."""
    signs = [folder / RECORD, folder / "metrics.jsonl", folder / "checkpoints" / "last.json"]
    times = [0.0]
    for sign in signs:
        try:
            times.append(sign.stat().st_mtime)
        except OSError:
            continue
    return max(times)


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _free(path: Path) -> Path:
    number, wanted = 1, path
    while path.exists():
        path = wanted.with_name(f"{wanted.name}_{number}")
        number += 1
    return path


def _values(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
