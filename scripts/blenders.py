# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the add-on's tests on other versions of Blender, each in an environment of its own.

`.blenders/5.2` and the like hold the `bpy` wheel of that version, pytest and what the tests of the
add-on import; no torch. The worker that the tests start runs in `.venv`, as it does for artists.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import environment

FOLDER = environment.ROOT / ".blenders"
PYTHON_OF = {"4.2": (3, 11), "4.5": (3, 11), "5.0": (3, 11), "5.1": (3, 13), "5.2": (3, 13)}
"""The versions of Blender, oldest first, and the Python that the wheel of each is made for."""
PACKAGES = (
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pillow>=10",
    "scipy>=1.11",
    "trimesh>=4.4",
    "OpenEXR>=3.3",
    "imageio-ffmpeg>=0.5",
)
TESTS = ("tests/addon", "tests/end_to_end/test_extension.py")
NEEDED_GB = 2
LONGEST_S = 1800
"""A Blender that hangs is ended after this time."""


@dataclass(frozen=True)
class Outcome:
    """What became of the tests on one version; `problem` says why they did not run to their end."""

    version: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    problem: str = ""

    @property
    def is_green(self) -> bool:
        return self.passed > 0 and not self.failed and not self.problem


def run(versions: Sequence[str], arguments: Sequence[str] = ()) -> list[Outcome]:
    """Tests the add-on on each version, as many at once as there are cores, and shows a table.

    What the tests say is shown at once where there is one version, otherwise when they have ended.
    """
    outcomes, pythons = {}, {}
    for version in versions:
        try:
            pythons[version] = ensure(version)
        except environment.SetupError as error:
            outcomes[version] = Outcome(version, problem=str(error))
            environment.say(f"Blender {version}: {error}")
    environment.say(f"The add-on's tests on Blender {', '.join(pythons)}…")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {
            version: pool.submit(run_tests, version, python, arguments, len(pythons) > 1)
            for version, python in pythons.items()
        }
        outcomes |= {version: one.result() for version, one in running.items()}
    in_order = [outcomes[version] for version in versions]
    environment.say(table(in_order))
    return in_order


def run_oldest_and_newest() -> list[Outcome]:
    """What continuous integration runs beside the whole suite.

    A machine where the newest Blender's Python cannot be had tests the newest that can be, and one
    that cannot fetch a version says so and goes on without it.
    """
    oldest, *_, newest = PYTHON_OF
    try:
        find_or_fetch_python(PYTHON_OF[newest])
    except environment.SetupError as error:
        other = max(v for v in PYTHON_OF if PYTHON_OF[v] == PYTHON_OF[oldest])
        environment.say(f"Blender {newest} is not tested here, {other} is: {error}")
        newest = other
    return run([version for version in (oldest, newest) if _can_be_had(version)])


def _can_be_had(version: str) -> bool:
    try:
        ensure(version)
    except environment.SetupError as error:
        environment.say(f"Blender {version} is NOT tested here: {error}")
        return False
    return True


def run_tests(
    version: str, python: Path, arguments: Sequence[str] = (), shown_late: bool = False
) -> Outcome:
    """Runs pytest with this Blender; arguments that name files replace the add-on's tests."""
    names_files = any((environment.ROOT / one.split("::")[0]).exists() for one in arguments)
    tests = () if names_files else TESTS
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="neural_fields_") as folder:
        report, said = Path(folder) / "report.xml", Path(folder) / "said.txt"
        # A profile of its own: neither the user's preferences nor other extensions take part.
        profile = Path(folder) / "profile"
        profile.mkdir()
        foreign = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
        variables = {name: value for name, value in os.environ.items() if name not in foreign}
        variables["BLENDER_USER_RESOURCES"] = str(profile)
        variables["NEURAL_FIELDS_PYTHON"] = sys.executable
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--junitxml={report}", *arguments, *tests]
        with said.open("wb") if shown_late else contextlib.nullcontext() as output:
            status = _status_of(command, variables, output)
        if shown_late:
            text = said.read_text(encoding="utf-8", errors="replace")
            environment.say(f"Blender {version}:\n{text}")
        found = read_report(version, report, status)
    return Outcome(**{**vars(found), "seconds": time.monotonic() - started})


def _status_of(
    command: list[str], variables: dict[str, str], output: IO[bytes] | None
) -> int | None:
    """The exit status of pytest; None where it was ended because it went on for too long."""
    try:
        return subprocess.run(
            command,
            cwd=environment.ROOT,
            env=variables,
            stdout=output,
            stderr=output,
            timeout=LONGEST_S,
        ).returncode
    except subprocess.TimeoutExpired:
        return None


def read_report(version: str, report: Path, status: int | None) -> Outcome:
    """The counts of a JUnit report. One that is missing or a strange exit status is a problem."""
    if status is None:
        return Outcome(version, problem=f"the tests did not end within {LONGEST_S / 60:.0f} min")
    if not report.is_file():
        return Outcome(version, problem=f"pytest ended with status {status} and left no report")
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        for name in counts:
            counts[name] += int(suite.get(name, 0))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    expected = 1 if failed else 0
    problem = "" if status == expected else f"pytest ended with status {status}"
    return Outcome(version, passed, failed, counts["skipped"], problem=problem)


def table(outcomes: Iterable[Outcome]) -> str:
    """A line a version, and below what kept one from being tested."""
    outcomes = list(outcomes)
    lines = [f"{'Blender':8} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}"]
    lines += [
        f"{one.version:8} {one.passed:7} {one.failed:7} {one.skipped:8} {one.seconds:8.0f}"
        for one in outcomes
    ]
    lines += [f"{one.version}: {one.problem}" for one in outcomes if one.problem]
    return "\n".join(lines)


def ensure(version: str) -> Path:
    """The Python of this version's environment, which is made where it is missing or outdated.

    Raises:
        SetupError: where something is missing that this script may not or cannot install.
    """
    home = FOLDER / version
    python, stamp = home / "bin" / "python", home / "neural-fields.stamp"
    wanted = fingerprint(version)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    base = find_or_fetch_python(PYTHON_OF[version])
    free = shutil.disk_usage(environment.ROOT).free / 1e9
    if free < NEEDED_GB:
        raise environment.SetupError(
            f"{free:.1f} GB of disk space are free in {environment.ROOT}, and Blender {version} "
            f"needs about {NEEDED_GB} GB."
        )
    environment.install_system_packages(
        environment.missing_libraries(), "Blender needs system libraries"
    )
    environment.say(f"Making {home} (about 1 GB)…")
    shutil.rmtree(home, ignore_errors=True)
    done, output = environment.run_quietly([str(base), "-m", "venv", str(home)])
    if not done:
        raise environment.SetupError(f"python -m venv failed: {' '.join(output[-1:])}")
    environment.pip(python, "install", f"bpy=={version}.*", *PACKAGES)
    stamp.write_text(wanted, encoding="utf-8")
    return python


def fingerprint(version: str) -> str:
    """Changes whenever this version's environment has to be made anew."""
    parts = (version, PYTHON_OF[version], PACKAGES, str(FOLDER))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def find_or_fetch_python(version: tuple[int, int]) -> Path:
    """A Python of this version that can make environments: one that is here, or one from `uv`.

    Raises:
        SetupError: where there is none and none can be fetched; it says how to get it.
    """
    for candidate in candidates(version):
        if makes_environments(candidate, version):
            return candidate
    name = ".".join(map(str, version))
    environment.say(f"Fetching Python {name} with uv…")
    fetched = fetch_python(name)
    if fetched is None or not makes_environments(fetched, version):
        raise environment.SetupError(
            f"Python {name} is missing. Get it by one of: `uv python install {name}`; "
            f"`pyenv install {name}`; the system's packages python{name} and python{name}-venv."
        )
    return fetched


def candidates(version: tuple[int, int]) -> Iterator[Path]:
    """Where a Python of this version may be: this one, on PATH, pyenv's, uv's, one fetched here."""
    name = ".".join(map(str, version))
    if sys.version_info[:2] == version:
        yield Path(sys.executable)
    if found := shutil.which(f"python{name}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for folder, pattern in (
        (pyenv, f"{name}.*"),
        (uv, f"cpython-{name}.*"),
        (FOLDER / "python", f"cpython-{name}.*"),
    ):
        for home in sorted(folder.glob(pattern), reverse=True):
            yield home / "bin" / f"python{name}"


def makes_environments(python: Path, version: tuple[int, int]) -> bool:
    """Whether it runs, is this version and has venv with pip; pyenv's stand-ins may do neither."""
    check = f"import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != {version})"
    return environment.succeeds([str(python), "-c", check])


def fetch_python(name: str) -> Path | None:
    """Has `uv` put a Python into `.blenders/python`; None where it cannot, and it says why."""
    uv = shutil.which("uv")
    if uv is None:
        tools = FOLDER / "uv"
        uv = str(tools / "bin" / "uv")
        if not Path(uv).is_file():
            made = environment.succeeds([sys.executable, "-m", "venv", str(tools)])
            python = tools / "bin" / "python"
            if not made or not environment.run_pip(python, "install", "uv")[0]:
                return None
    target = FOLDER / "python"
    variables = {**os.environ, "UV_PYTHON_INSTALL_DIR": str(target)}
    command = [uv, "python", "install", name, "--no-bin"]
    if not environment.run_quietly(command, variables)[0]:
        return None
    found = sorted(target.glob(f"cpython-{name}.*/bin/python{name}"))
    return found[-1] if found else None
