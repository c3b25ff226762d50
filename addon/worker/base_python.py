# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python from which the worker's own environment is made.

One that is installed apart from Blender comes first: an environment leans on the Python it was made
from, and Blender's goes with the next update. Blender's own comes last and is nearly always good.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .environment import OLDEST_PYTHON, child_variables
from .protocol import JobError

PREFERRED = ((3, 11), (3, 12), (3, 13), (3, 10))
"""All that is installed has wheels for these; a newer Python is only taken where there is no other.
"""
CHECK_TIMEOUT_S = 20.0

CHECK = (
    "import importlib.util as u, json, os, platform, sys, sysconfig; "
    "print(json.dumps([list(sys.version_info[:3]), platform.machine().lower(), sys.maxsize > 2**32,"
    " bool(sysconfig.get_config_var('Py_GIL_DISABLED')), u.find_spec('venv') is not None,"
    " u.find_spec('ensurepip') is not None,"
    " os.path.isfile(os.path.join(sysconfig.get_config_var('INCLUDEPY') or '', 'Python.h'))]))"
)


@dataclass(frozen=True)
class BasePython:
    """An interpreter that environments can be made from, unless there is a `problem`.

    `has_pip`: it brings pip along. Debian's does so only with the package python3-venv.
    `has_headers`: those that Triton builds against on Linux, without which CUDA is slower.
    """

    python: Path
    version: tuple[int, ...] = ()
    has_pip: bool = False
    problem: str = ""
    has_headers: bool = False

    @property
    def rank(self) -> tuple[int, int, int]:
        """Small is good: first those that bring pip, then those with headers, then the preferred
        versions.
        """
        known = self.version[:2] in PREFERRED
        place = PREFERRED.index(self.version[:2]) if known else len(PREFERRED)
        return (0 if self.has_pip else 1, 0 if self.has_headers else 1, place)


def usable_bases(own: Path, variables: Mapping[str, str] = os.environ) -> list[BasePython]:
    """The Pythons to make an environment from, best first. `own` is that of this process.

    Raises:
        JobError: where there is none; it says what is wrong with each and what to do.
    """
    own_wheel = pip_wheel()
    found = [check_base(python) for python in base_candidates(variables)]
    blender = check_base(own)
    good = sorted(
        (base for base in found if not base.problem and (base.has_pip or own_wheel)),
        key=lambda base: base.rank,
    )
    known = [base for base in good if base.version[:2] in PREFERRED]
    newer = [base for base in good if base not in known]
    if not blender.problem and (blender.has_pip or own_wheel):
        known.append(blender)
    if usable := [*known, *newer]:
        return usable
    tried = [f"{base.python} ({base.problem or 'it brings no pip'})" for base in (*found, blender)]
    raise JobError(
        f"There is no Python to make the worker's environment from; tried {', '.join(tried)}.",
        _what_to_install([base.problem for base in (*found, blender)]),
    )


def base_candidates(variables: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Interpreters that are installed apart from Blender, each once."""
    seen = set()
    for path in _named_pythons(variables):
        try:
            real = path.resolve()
        except OSError:
            continue
        # The Microsoft Store's Python is kept from writing where Blender looks.
        if "WindowsApps" in path.parts or real in seen or not path.is_file():
            continue
        seen.add(real)
        yield path


def check_base(python: Path, timeout_s: float = CHECK_TIMEOUT_S) -> BasePython:
    """Whether an environment with torch can be made from `python`."""
    if not python.stem.lower().startswith("python") or not python.is_file():
        return BasePython(python, problem="it is no Python interpreter")
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", CHECK],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=child_variables(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        version, machine, wide, unlocked, has_venv, has_pip, has_headers = json.loads(
            done.stdout.strip().splitlines()[-1]
        )
    except subprocess.TimeoutExpired:
        return BasePython(python, problem=f"it did not answer in {timeout_s:g} s")
    except OSError as error:
        return BasePython(python, problem=f"it does not start: {error.strerror}")
    except (ValueError, TypeError, IndexError):
        return BasePython(python, problem="it is no working Python")
    found = tuple(version)
    problem = ""
    if found < OLDEST_PYTHON:
        problem = f"it is Python {_dotted(found)}, older than {_dotted(OLDEST_PYTHON)}"
    elif not wide:
        problem = "it is a 32-bit Python"
    elif machine != platform.machine().lower():
        problem = f"it is made for {machine} processors"
    elif unlocked:
        problem = "it is a free-threaded Python"
    elif not has_venv:
        problem = "it lacks the module venv"
    return BasePython(python, found, has_pip, problem, has_headers)


def pip_wheel(folder: str = "") -> Path | None:
    """A wheel of pip that lies on this computer: in a folder, or what this Python was shipped with.

    With it an environment gets pip although the Python that it is made from brings none.
    """
    places = [Path(folder)] if folder else []
    shared = sysconfig.get_config_var("WHEEL_PKG_DIR")
    places += [Path(shared)] if shared else []
    places.append(Path(os.__file__).parent / "ensurepip" / "_bundled")
    wheels = [wheel for place in places for wheel in sorted(place.glob("pip-*.whl"), reverse=True)]
    return wheels[0] if wheels else None


def _named_pythons(variables: Mapping[str, str]) -> Iterator[Path]:
    search = variables.get("PATH", "")
    if sys.platform == "darwin":  # programs that are started by a click get next to no PATH
        search = os.pathsep.join([search, "/opt/homebrew/bin", "/usr/local/bin"])
    names = [f"python{_dotted(version)}" for version in PREFERRED]
    for name in (*names, "python3", "python"):
        if found := shutil.which(name, path=search):
            yield Path(found)
    if sys.platform == "darwin":
        versions = Path("/Library/Frameworks/Python.framework/Versions")
        yield from sorted(versions.glob("3.*/bin/python3"))
    if sys.platform == "win32":
        for root in ("LOCALAPPDATA", "PROGRAMFILES"):
            if folder := variables.get(root):
                yield from sorted(Path(folder).glob("Programs/Python/Python3*/python.exe"))
                yield from sorted(Path(folder).glob("Python3*/python.exe"))


def _what_to_install(problems: list[str]) -> str:
    if (
        sys.platform == "linux"
        and shutil.which("apt-get")
        and "it lacks the module venv" in (problems)
    ):
        return "Install the package python3-venv (sudo apt install python3-venv), then try again."
    return "Install Python 3.11 to 3.13 from python.org or your system's packages, then try again."


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
