# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked of the worker's Python and computer, each with what puts it right.

Pure functions of data: what `probe.py` said, what the running worker said of itself, and what is
known of the computer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .environment import OLDEST_PYTHON
from .machine import Machine
from .protocol import BACKEND, messages

State = Literal["ok", "warning", "failed", "unknown"]

PROBE = Path(__file__).with_name("probe.py")
NEEDED_MODULES = ("torch", "numpy", "numba", "safetensors", "PIL", "scipy")
"""Without these no worker starts; the others are needed for some jobs."""
MODULES = (
    *NEEDED_MODULES, "imageio", "imageio_ffmpeg", "mcubes", "OpenEXR", "trimesh", "igl",
)  # fmt: skip

ENOUGH_MEMORY_GB, LEAST_MEMORY_GB = 7.5, 3.5
ENOUGH_DISK_GB, LEAST_DISK_GB = 5.0, 0.5

FIND = ("neural_fields.find_environment", "Find")
INSTALL = ("neural_fields.install_environment", "Install")
STOP = ("neural_fields.stop_worker", "Stop Worker")
PREFERENCES = ("neural_fields.show_preferences", "Preferences")
AGAIN = ("neural_fields.check_environment", "Check")
LOG = ("neural_fields.open_log", "Open Log")
NO_FIX = ("", "")


@dataclass(frozen=True)
class Check:
    """One named check; `fix` is the operator that puts it right, with the button's label."""

    name: str
    state: State
    text: str
    fix: tuple[str, str] = NO_FIX


@dataclass(frozen=True)
class Probe:
    """What `probe.py` said of a Python; `problem` where it said nothing."""

    python: str = ""
    torch: str = ""
    cuda_build: str = ""
    cuda_problem: str = ""
    cards: tuple[tuple[str, float], ...] = ()
    memory_gb: float = 0.0
    backend: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Situation:
    """All that the checks go by. None where it is not known."""

    probe: Probe | None = None
    machine: Machine | None = None
    worker: messages.WorkerReady | None = None
    free_disk_gb: float | None = None


def probe_command(python: Path) -> list[str]:
    """The command line of the probe, in Python's isolated mode as the worker runs."""
    command = [str(python), "-I", "-X", "utf8", str(PROBE), str(BACKEND.parent)]
    return [*command, *MODULES]


def read_probe(lines: Sequence[str], status: int) -> Probe:
    """What the probe printed; libraries may have printed before it."""
    for line in reversed(lines):
        try:
            values = json.loads(line)
            cards = values.pop("cards", [])
            return Probe(cards=tuple((str(name), float(size)) for name, size in cards), **values)
        except (ValueError, TypeError, AttributeError):
            continue
    last = next((line for line in reversed(lines) if line.strip()), f"exit status {status}")
    return Probe(problem=f"The worker's Python does not run: {last[-200:]}")


def all_checks(situation: Situation) -> tuple[Check, ...]:
    """Always the same six, in the order in which one depends on the other."""
    return (
        check_python_version(situation),
        check_torch(situation),
        check_device(situation),
        check_memory(situation),
        check_backend(situation),
        check_disk(situation),
    )


def check_python_version(situation: Situation) -> Check:
    name, probe = "Python", situation.probe
    if probe is None:
        return Check(name, "unknown", "Not checked yet", AGAIN)
    if probe.problem:
        return Check(name, "failed", probe.problem, INSTALL)
    version = tuple(int(part) for part in probe.python.split(".")[:2] if part.isdigit())
    if version < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Check(name, "failed", f"Python {probe.python} is older than {wanted}", INSTALL)
    return Check(name, "ok", f"Python {probe.python}")


def check_torch(situation: Situation) -> Check:
    name, probe = "Torch", situation.probe
    if probe is None or probe.problem:
        return Check(name, "unknown", "Not checked yet", AGAIN)
    for module in MODULES:
        if module not in probe.problems:
            continue
        reason = probe.problems[module]
        missing = reason.startswith("ModuleNotFoundError")
        text = f"{module} is not installed" if missing else f"{module} does not load: {reason}"
        return Check(name, "failed" if module in NEEDED_MODULES else "warning", text, INSTALL)
    return Check(name, "ok", f"torch {probe.torch}")


def check_device(situation: Situation) -> Check:
    name, probe, machine = "Device", situation.probe, situation.machine
    if probe is None or not probe.torch:
        return Check(name, "unknown", "Not checked yet", AGAIN)
    if probe.cards:
        cards = ", ".join(f"{card} ({size:.0f} GB)" for card, size in probe.cards)
        return Check(name, "ok", f"CUDA {probe.cuda_build}: {cards}")
    has_driver = machine is not None and machine.has_nvidia
    if has_driver and not probe.cuda_build:
        card = (machine.card if machine is not None else "") or "the NVIDIA card"
        text = f"CPU only: this torch is built without CUDA, so {card} is not used"
        return Check(name, "warning", text, INSTALL)
    if probe.cuda_build and has_driver:
        driver = ".".join(map(str, machine.driver)) if machine is not None else ""
        reason = probe.cuda_problem or f"the driver {driver} may be too old for it"
        text = f"CPU only: CUDA {probe.cuda_build} does not start ({reason}). Renew the driver"
        return Check(name, "warning", text, INSTALL)
    return Check(name, "ok", "CPU; there is no NVIDIA card")


def check_memory(situation: Situation) -> Check:
    name, probe = "Memory", situation.probe
    if probe is None or not probe.memory_gb:
        return Check(name, "unknown", "Not checked yet", AGAIN)
    text = f"{probe.memory_gb:.0f} GB"
    if probe.memory_gb < LEAST_MEMORY_GB:
        text += ": too little to train; close other programs and choose the preset Draft"
        return Check(name, "failed", text)
    if probe.memory_gb < ENOUGH_MEMORY_GB:
        return Check(name, "warning", f"{text}: enough for small fields; use the preset Draft")
    return Check(name, "ok", text)


def check_backend(situation: Situation) -> Check:
    """The worker that runs and the backend that lies in the add-on are of one release."""
    name, probe, worker = "Backend", situation.probe, situation.worker
    if probe is None or probe.problem:
        return Check(name, "unknown", "Not checked yet", AGAIN)
    if not probe.backend:
        return Check(name, "failed", "The add-on's backend does not load: install the add-on anew")
    if worker is not None and worker.backend_version != probe.backend:
        text = f"The running worker is of {worker.backend_version}, the add-on of {probe.backend}"
        return Check(name, "failed", text, STOP)
    return Check(name, "ok", f"Neural Fields {probe.backend}")


def check_disk(situation: Situation) -> Check:
    name, free = "Disk", situation.free_disk_gb
    if free is None:
        return Check(name, "unknown", "Not checked yet", AGAIN)
    text = f"{free:.1f} GB free for runs"
    if free < LEAST_DISK_GB:
        return Check(name, "failed", f"{text}: choose another Runs Folder", PREFERENCES)
    if free < ENOUGH_DISK_GB:
        return Check(name, "warning", f"{text}: may not last for long trainings", PREFERENCES)
    return Check(name, "ok", text)
