# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the Python that has torch; it is never Blender's own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .known_pythons import VARIABLE, Candidate, Places, candidates
from .protocol import JobError

REQUIRED_MODULES = ("torch", "numpy", "numba", "safetensors", "PIL", "scipy")
OLDEST_PYTHON = (3, 10)
CHECK_TIMEOUT_S = 30.0

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


@dataclass(frozen=True)
class Found:
    """What a search came to: `check` is of the Python to use, None where there is none.

    `refused` are those that came before it and cannot be used; an explicit choice among them ended
    the search.
    """

    check: PythonCheck | None
    origin: str = ""
    refused: tuple[tuple[Candidate, PythonCheck], ...] = ()
    problem: str = ""
    remedy: str = ""


class Search:
    """Looks for the Python with torch in a thread of its own; ask `result` now and then.

    `insists`: an explicit choice (the preference, then the variable `NEURAL_FIELDS_PYTHON`) is
    taken or refused, never passed over. Without it what was chosen is only looked at first.
    """

    def __init__(
        self,
        preference: str = "",
        variables: Mapping[str, str] = os.environ,
        places: Places | None = None,
        insists: bool = True,
    ) -> None:
        self.result: Found | None = None
        self.looking_at = ""
        """The Python that is being asked just now."""
        self._preference, self._variables = preference, dict(variables)
        self._places, self._insists = places, insists
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="python search", daemon=True)

    def start(self) -> "Search":
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Looks at no further Python; the one that is being asked may take a while to answer."""
        self._given_up.set()

    def wait(self, timeout_s: float | None = None) -> Found | None:
        """The result, once there is one or the time is over."""
        self._thread.join(timeout_s)
        return self.result

    def run(self) -> Found:
        """The search in this thread, for those who may block."""
        chosen = self._chosen()
        if chosen is not None and self._insists:
            check = check_python(chosen.python)
            if not check.problem:
                return Found(check, chosen.origin)
            return Found(
                None,
                chosen.origin,
                ((chosen, check),),
                f"{chosen.python}, chosen in {chosen.origin}, cannot run the worker: "
                f"{check.problem}.",
                "Choose the Python of an environment in which the neural-fields package is "
                "installed.",
            )
        refused = []
        first = [] if chosen is None else [chosen]
        for candidate in (*first, *candidates(self._variables, self._places)):
            if self._given_up.is_set():
                break
            if any(candidate.python == other.python for other, _ in refused):
                continue
            self.looking_at = str(candidate.python)
            check = check_python(candidate.python)
            if not check.problem:
                return Found(check, candidate.origin, tuple(refused))
            refused.append((candidate, check))
        return Found(None, "", tuple(refused), *_nothing_found(refused))

    def _run(self) -> None:
        try:
            self.result = self.run()
        except Exception as error:
            self.result = Found(None, problem=f"The search failed: {error}")
            raise

    def _chosen(self) -> Candidate | None:
        for python, origin in (
            (self._preference, "the add-on's preferences"),
            (self._variables.get(VARIABLE), VARIABLE),
        ):
            if python:
                return Candidate(Path(python).expanduser(), origin)
        return None


def find_python(
    preference: str = "",
    variables: Mapping[str, str] = os.environ,
    places: Places | None = None,
) -> Path:
    """The Python to start the worker with.

    Raises:
        JobError: where none can run the worker; it says what was tried.
    """
    found = Search(preference, variables, places).run()
    if found.check is None:
        raise JobError(found.problem, found.remedy)
    return found.check.python


def _nothing_found(refused: list[tuple[Candidate, PythonCheck]]) -> tuple[str, str]:
    tried = [f"{candidate.python} ({check.problem})" for candidate, check in refused]
    return (
        "No Python with torch was found for the worker"
        + (f"; tried {', '.join(tried)}." if tried else "."),
        "Press Install in the add-on's preferences, or install the neural-fields package into a "
        f"Python environment and choose its Python there or by the variable {VARIABLE}.",
    )


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
