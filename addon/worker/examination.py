# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the computer and at the worker's Python, in a thread: both take seconds."""

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from .checks import Probe, probe_command, read_probe
from .child import Child
from .environment import child_variables
from .machine import Machine, look_at_machine


@dataclass(frozen=True)
class Findings:
    """What an examination found. `probe` is None where there was no Python to ask."""

    machine: Machine
    probe: Probe | None
    free_disk_gb: float | None


class Examination:
    """Ask `result` now and then. `python` None looks at the computer alone."""

    def __init__(self, python: Path | None, runs: Path) -> None:
        self.result: Findings | None = None
        self._python, self._runs = python, runs
        self._child: Child | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="examination", daemon=True)

    def start(self) -> "Examination":
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Ends the probe, if it runs."""
        with self._lock:
            self._cancelled = True
            if self._child is not None:
                self._child.kill()

    def wait(self, timeout_s: float | None = None) -> Findings | None:
        """The result, once it is there or the time is over."""
        self._thread.join(timeout_s)
        return self.result

    def _run(self) -> None:
        free = _free_gb(self._runs)
        machine = look_at_machine()
        probe = self._probe(self._python) if self._python is not None else None
        self.result = Findings(machine, probe, free)

    def _probe(self, python: Path) -> Probe:
        with self._lock:
            if self._cancelled:
                return Probe(problem="The check was stopped")
            try:
                self._child = Child(probe_command(python), child_variables())
            except OSError as error:
                return Probe(problem=f"The worker's Python does not start: {error.strerror}")
        lines = list(self._child.lines())
        return read_probe(lines, self._child.wait())


def _free_gb(folder: Path) -> float | None:
    """On the disk of a folder, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free / 1e9
    except OSError:
        return None
