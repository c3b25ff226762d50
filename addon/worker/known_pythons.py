# SPDX-License-Identifier: GPL-3.0-or-later
"""Where on a computer the Python with torch may be."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .protocol import BACKEND

VARIABLE = "NEURAL_FIELDS_PYTHON"
VERSION_FOLDER = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Places:
    """Folders that only Blender knows; None for what there is not."""

    own: Path | None = None
    """Where the add-on installs its own environment, in `venv`."""
    project: Path | None = None
    """The folder of the open .blend file."""


@dataclass(frozen=True)
class Candidate:
    """A Python worth a look, and in words how one came upon it."""

    python: Path
    origin: str


def candidates(
    variables: Mapping[str, str], places: Places | None = None
) -> Iterator[Candidate]:
    """Pythons worth a look, best first, each once, only those that exist.

    An environment's Python is often a link to one that several share, so they are told apart by
    their own paths, not by what those lead to.
    """
    seen = set()
    for candidate in _all(variables, places or Places()):
        try:
            exists = candidate.python.is_file()
        except OSError:
            exists = False
        if exists and candidate.python not in seen:
            seen.add(candidate.python)
            yield candidate


def python_of(environment: Path) -> Path:
    """Where an environment keeps its Python on this system."""
    if sys.platform != "win32":
        return environment / "bin" / "python"
    in_scripts = environment / "Scripts" / "python.exe"
    in_root = environment / "python.exe"  # as conda has it
    return in_root if in_root.is_file() and not in_scripts.is_file() else in_scripts


def _all(variables: Mapping[str, str], places: Places) -> Iterator[Candidate]:
    if chosen := variables.get(VARIABLE):
        yield Candidate(Path(chosen).expanduser(), f"the variable {VARIABLE}")
    for environment, origin in _environments(variables, places):
        yield Candidate(python_of(environment), origin)
    for name in ("python3", "python"):
        if found := shutil.which(name, path=variables.get("PATH", "")):
            yield Candidate(Path(found), "PATH")


def _environments(
    variables: Mapping[str, str], places: Places
) -> Iterator[tuple[Path, str]]:
    if places.own is not None:
        yield places.own / "venv", "the add-on's own environment"
    yield BACKEND.parent / ".venv", "the add-on's checkout"
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if folder := variables.get(name):
            yield Path(folder), f"the active environment ({name})"
    if places.project is not None:
        for name in (".venv", "venv"):
            yield places.project / name, "beside the .blend file"
    if places.own is not None:
        for folder in _of_other_blenders(places.own):
            yield folder / "venv", "another Blender's environment"
    home = variables.get("HOME") or variables.get("USERPROFILE")
    if not home:
        return
    for name in (".venv", "venv"):
        yield Path(home) / name, "the home folder"
    for folder in _conda_environments(Path(home), variables):
        yield folder, "a conda environment"
    pyenv = Path(variables.get("PYENV_ROOT") or Path(home) / ".pyenv") / "versions"
    for folder in _subfolders(pyenv):
        yield folder, "pyenv"
        for inner in _subfolders(folder / "envs"):
            yield inner, "pyenv"


def _of_other_blenders(own: Path) -> Iterator[Path]:
    """The same folder under other versions of Blender, newest first.

    Blender keeps what belongs to an extension in a folder of its own version, so that an update
    would have it installed again.
    """
    for position in range(len(own.parts) - 1, 0, -1):
        if not VERSION_FOLDER.fullmatch(own.parts[position]):
            continue
        above, below = Path(*own.parts[:position]), Path(*own.parts[position + 1 :])
        others = [
            folder
            for folder in _subfolders(above)
            if VERSION_FOLDER.fullmatch(folder.name) and folder.name != own.parts[position]
        ]
        others.sort(key=lambda folder: [int(part) for part in folder.name.split(".")], reverse=True)
        yield from (folder / below for folder in others)
        return


def _conda_environments(home: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """Those in conda's own list, and those in the folders where its installers put them."""
    listed = home / ".conda" / "environments.txt"
    try:
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    yield from (Path(line.strip()) for line in lines if line.strip())
    roots = [home / name for name in ("miniforge3", "mambaforge", "miniconda3", "anaconda3")]
    roots += [home / "micromamba", home / ".conda"]
    if root := variables.get("MAMBA_ROOT_PREFIX"):
        roots.insert(0, Path(root))
    for root_folder in roots:
        yield from _subfolders(root_folder / "envs")
        yield root_folder


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:
        return []
