# SPDX-License-Identifier: GPL-3.0-or-later
"""What an installation of the worker's Python consists of, for each kind of computer.

The folder that it is given holds `venv` (the environment), `cache` (what was downloaded, until all
is done), `temporary`, `install.log` and `installation.json` (what is complete).
"""

import hashlib
import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .known_pythons import python_of
from .machine import Machine
from .protocol import BACKEND, JobError

Build = Literal["cpu", "cuda"]
Choice = Literal["auto", "cpu", "cuda"]

TORCH = "2.13.0"
"""The release that is tested; where an index lacks it, any that the requirements allow."""
INDEX = "https://download.pytorch.org/whl/"
NEWEST_CUDA, OLDER_CUDA = "cu130", "cu126"
NEWEST_CUDA_DRIVER = (580,)
OLDEST_DRIVER = {"linux": (525, 60), "win32": (528, 33)}
"""For the older CUDA build, by NVIDIA's table of minor version compatibility of CUDA 12."""
NEWEST_CUDA_CAPABILITY = (7, 5)
"""CUDA 13 leaves out the cards before Turing."""

SOLVER = "pycolmap>=3.12,<5"
"""Finds the cameras of photos; no other job needs it, and it is not made for every computer."""

COMPILER = "ziglang>=0.13,<0.18"
"""The releases with which Triton was tried. It builds its driver's library with a C compiler, once.
"""

ENVIRONMENT_MB = 30.0
PIP_MB = 2.0
PACKAGES_MB = 220.0
SOLVER_MB = 45.0
COMPILER_MB = 101.0
COMPILER_INSTALLED_GB = 0.4
# Measured on Linux; Windows and macOS differ by less than they are rounded to.
TORCH_MB: dict[Build, float] = {"cpu": 210.0, "cuda": 2950.0}
INSTALLED_GB: dict[Build, float] = {"cpu": 1.8, "cuda": 7.1}


@dataclass(frozen=True)
class Step:
    """One thing to do. `attempts` are pip's arguments, tried in turn until an index has it."""

    key: str
    label: str
    megabytes: float
    """What it weighs in the progress bar: about what it downloads."""
    attempts: tuple[tuple[str, ...], ...] = ()
    is_optional: bool = False
    """Goes on where nothing offers it, with what is there."""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self.key, self.attempts]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """An installation into `folder`; `wheels_folder` is the only source where it is given."""

    folder: Path
    build: Build
    steps: tuple[Step, ...]
    wheels_folder: str = ""
    note: str = ""
    """Why the build is what it is, where that may surprise."""

    @property
    def environment(self) -> Path:
        return self.folder / "venv"

    @property
    def python(self) -> Path:
        return python_of(self.environment)

    @property
    def download_gb(self) -> float:
        """What is fetched from the network; nothing with a folder of wheels."""
        return 0.0 if self.wheels_folder else sum(step.megabytes for step in self.steps) / 1000

    @property
    def installed_gb(self) -> float:
        has_compiler = any(step.key == "compiler" for step in self.steps)
        return INSTALLED_GB[self.build] + (COMPILER_INSTALLED_GB if has_compiler else 0.0)

    @property
    def disk_gb(self) -> float:
        """What it takes at its largest, when all is installed and the downloads are still kept."""
        return self.installed_gb + self.download_gb

    @property
    def size(self) -> str:
        """For the question before it starts."""
        fetched = f"{self.download_gb:.1f} GB to download" if self.download_gb else "no download"
        return f"{fetched}, {self.installed_gb:.1f} GB on disk"


def make_plan(
    folder: Path,
    machine: Machine,
    choice: Choice = "auto",
    wheels_folder: str = "",
    requirements: tuple[str, ...] | None = None,
) -> Plan:
    """The plan for this computer.

    Raises:
        JobError: where torch is not made for it.
    """
    if machine.system == "darwin" and machine.processor not in ("arm64", "aarch64"):
        raise JobError(
            "torch is no longer made for Macs with Intel processors.",
            "Use a Mac with Apple silicon, Linux or Windows for training.",
        )
    build, note = choose_build(machine, choice)
    wanted = read_requirements() if requirements is None else requirements
    torch = next(line for line in wanted if _name(line) == "torch")
    rest = tuple(line for line in wanted if line != torch)
    attempts: tuple[tuple[str, ...], ...] = ((torch,),)
    if not wheels_folder:
        attempts = torch_sources(machine, build, torch)
    packages = Step("packages", "Installing the other packages", PACKAGES_MB, (rest,))
    photos = Step("photos", "Installing COLMAP", SOLVER_MB, ((SOLVER,),), is_optional=True)
    needs_compiler = build == "cuda" and machine.system == "linux" and not machine.has_compiler
    steps = (
        Step("environment", "Making the environment", ENVIRONMENT_MB),
        Step("pip", "Renewing pip", PIP_MB, (("--upgrade", "pip"),), is_optional=True),
        Step("torch", f"Installing torch ({build.upper()})", TORCH_MB[build], attempts),
        packages,
        photos,
        *((_compiler_step(),) if needs_compiler else ()),
        Step("check", "Trying it", ENVIRONMENT_MB),
    )
    return Plan(folder, build, steps, wheels_folder, note)


def _compiler_step() -> Step:
    """Without it plain torch takes the place of the kernels for CUDA, which is slower."""
    label = "Installing a C compiler for CUDA"
    return Step("compiler", label, COMPILER_MB, ((COMPILER,),), is_optional=True)


def choose_build(machine: Machine, choice: Choice = "auto") -> tuple[Build, str]:
    """CUDA where there is an NVIDIA driver that is new enough, and why not where that is odd."""
    if choice == "cpu" or (choice == "auto" and not machine.has_nvidia):
        return "cpu", ""
    if machine.system == "darwin":
        return "cpu", "macOS has no CUDA"
    oldest = OLDEST_DRIVER.get(machine.system, OLDEST_DRIVER["linux"])
    if machine.driver and machine.driver < oldest:
        driver = ".".join(map(str, machine.driver))
        wanted = ".".join(map(str, oldest))
        note = f"The NVIDIA driver {driver} is older than {wanted}: renew it to train with CUDA"
        return ("cuda" if choice == "cuda" else "cpu"), note
    return "cuda", "" if machine.has_nvidia else "No NVIDIA driver was found"


def torch_sources(machine: Machine, build: Build, torch: str) -> tuple[tuple[str, ...], ...]:
    """Where torch may be found, best first, as arguments for pip.

    PyPI has CUDA builds for Linux and CPU builds for the others; the rest is in PyTorch's own
    indexes. A mirror or a folder of wheels that the user's pip knows may have the CPU build for
    Linux as well, and asking is quick.
    """
    exact = f"torch=={TORCH}"
    if build == "cpu":
        if machine.system != "linux":
            return (exact,), (torch,)
        cpu = ("--index-url", INDEX + "cpu")
        return (f"{exact}+cpu",), (exact, *cpu), (torch, *cpu)
    is_old = bool(machine.driver) and machine.driver < NEWEST_CUDA_DRIVER
    is_old_card = bool(machine.compute_capability) and (
        machine.compute_capability < NEWEST_CUDA_CAPABILITY
    )
    if is_old or is_old_card:
        older = ("--index-url", INDEX + OLDER_CUDA)
        return (exact, *older), (torch, *older)
    newest = ("--index-url", INDEX + NEWEST_CUDA)
    if machine.system == "linux":
        return (exact,), (exact, *newest), (torch, *newest)
    return (exact, *newest), (torch, *newest)


def read_requirements(file: Path = BACKEND / "requirements.txt") -> tuple[str, ...]:
    """The packages that the worker's Python needs, as pip writes them."""
    lines = (line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines())
    return tuple(line for line in lines if line)


def check_disk(plan: Plan) -> None:
    """A full disk in the middle leaves a confusing half: better to ask first.

    What is already there of an unfinished installation counts as taken, so it is asked of a new one
    alone.

    Raises:
        JobError: where the plan does not fit.
    """
    place = plan.folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if free < plan.disk_gb and not plan.environment.exists():
        raise JobError(
            f"{place} has {free:.1f} GB of free disk space and this needs about "
            f"{plan.disk_gb:.1f} GB.",
            "Free some space, or choose another Environment Folder in the preferences.",
        )


def manual_commands(plan: Plan) -> str:
    """The same by hand: lines for a terminal, which also run in Windows' command prompt."""
    windows = plan.python.suffix == ".exe" or "\\" in str(plan.folder)
    base = "py -3" if windows else "python3"
    into = ["-m", "pip", "--python", str(plan.environment), "install"]
    from_folder = ["--no-index", "--find-links", plan.wheels_folder] if plan.wheels_folder else []
    lines = [["-m", "venv", str(plan.environment)]]
    for step in plan.steps:
        if step.attempts and step.key != "pip":
            # The first may ask for what only a mirror has; the next names its index.
            has_index = [attempt for attempt in step.attempts if "--index-url" in attempt]
            lines.append([*into, *from_folder, *(has_index or step.attempts)[0]])
    return "\n".join(f"{base} {_quoted(line, windows)}" for line in lines) + "\n"


def _quoted(arguments: list[str], windows: bool) -> str:
    if not windows:
        return shlex.join(arguments)
    # `<` and `>` are redirections there, even where there are no blanks.
    return " ".join(
        f'"{part}"' if set("<>,") & set(part) else subprocess.list2cmdline([part])
        for part in arguments
    )


def _name(requirement: str) -> str:
    letters = []
    for letter in requirement:
        if not (letter.isalnum() or letter in "-_."):
            break
        letters.append(letter)
    return "".join(letters).lower().replace("_", "-")
