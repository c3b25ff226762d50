# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the Python that has torch; it is never Blender's own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .protocol import BACKEND, JobError

REQUIRED_MODULES = ("torch", "numpy", "numba", "safetensors", "PIL", "scipy")
OLDEST_PYTHON = (3, 10)
CHECK_TIMEOUT_S = 30.0
VARIABLE = "NEURAL_FIELDS_PYTHON"

# Looking for the modules is a hundred times faster than importing them; the worker's own start
# proves the rest.
CHECK = (
    "import importlib.util as u, json, sys; "
    "print(json.dumps([list(sys.version_info[:3]), "
    "[name for name in sys.argv[1:] if u.find_spec(name) is None]]))"
)


@dataclass(frozen=True)
class PythonCheck:
    """What was found at a path: an empty `problem` means that the worker can run there."""

    python: Path
    version: str = ""
    problem: str = ""


def find_python(preference: str = "", variables: Mapping[str, str] = os.environ) -> Path:
    """The Python to start the worker with.

    An explicit choice (the preference, then the variable `NEURAL_FIELDS_PYTHON`) is taken or
    refused, never passed over; without one the first usable Python is taken.

    Raises:
        JobError: where none can run the worker; it says what was tried.
    """
    for chosen, by in (
        (preference, "the add-on's preferences"),
        (variables.get(VARIABLE), VARIABLE),
    ):
        if not chosen:
            continue
        check = check_python(Path(chosen).expanduser())
        if check.problem:
            raise JobError(
                f"{chosen}, chosen in {by}, cannot run the worker: {check.problem}.",
                "Choose the Python of an environment in which the neural-fields package is "
                "installed.",
            )
        return check.python
    tried = []
    for candidate in candidates(variables):
        check = check_python(candidate)
        if not check.problem:
            return check.python
        tried.append(f"{candidate} ({check.problem})")
    raise JobError(
        "No Python with torch was found for the worker"
        + (f"; tried {', '.join(tried)}." if tried else "."),
        "Install the neural-fields package into a Python environment and choose its Python in the "
        "add-on's "
        f"preferences, or set {VARIABLE} to it.",
    )


def candidates(variables: Mapping[str, str]) -> Iterator[Path]:
    """Pythons worth a look, best first, each once, only those that exist."""
    environments = [
        BACKEND.parent / ".venv",
        *(Path(variables[name]) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if variables.get(name)),
    ]
    paths = [python_of(folder) for folder in environments]
    for name in ("python3", "python"):
        found = shutil.which(name, path=variables.get("PATH", ""))
        if found:
            paths.append(Path(found))
    seen = set()
    for path in paths:
        if path not in seen and path.is_file():
            seen.add(path)
            yield path


def python_of(environment: Path) -> Path:
    """Where an environment keeps its Python on this system."""
    if sys.platform != "win32":
        return environment / "bin" / "python"
    in_scripts = environment / "Scripts" / "python.exe"
    return in_scripts if in_scripts.is_file() else environment / "python.exe"


def check_python(python: Path, timeout_s: float = CHECK_TIMEOUT_S) -> PythonCheck:
    """Whether `python` runs, is new enough and has what the worker imports."""
    if not python.is_file():
        return PythonCheck(python, problem="there is no such file")
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", CHECK, *REQUIRED_MODULES],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=child_variables(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        found, missing = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return PythonCheck(python, problem=f"it did not answer in {timeout_s:g} s")
    except OSError as error:
        return PythonCheck(python, problem=f"it does not start: {error.strerror}")
    except (ValueError, TypeError, IndexError):
        return PythonCheck(python, problem="it is no working Python")
    version = ".".join(map(str, found))
    if tuple(found) < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return PythonCheck(python, version, f"it is Python {version}, older than {wanted}")
    if missing:
        return PythonCheck(python, version, f"it lacks {', '.join(missing)}")
    return PythonCheck(python, version)


def child_variables(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a child Python: PYTHONHOME and the like would lead it to Blender's
    modules.
    """
    kept = {name: value for name, value in variables.items() if not name.startswith("PYTHON")}
    if sys.platform == "linux":
        # glibc hands freed memory back to the system at once; keeping it makes torch's CPU steps
        # 1.5 to 2 times faster.
        kept.setdefault(
            "GLIBC_TUNABLES",
            "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592",
        )
    return kept
