# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that runs beside Blender and can be ended at once, with all that it has started."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence


class Child:
    """A running program; read its `lines` in one thread, `kill` it from any.

    Raises:
        OSError: where the program cannot be started.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        # A group of its own: pip starts further programs, which have to end with it.
        new_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=dict(variables),
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) | new_group,
        )
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def lines(self) -> Iterator[str]:
        """What the program prints, until it ends."""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                yield line.rstrip()

    def wait(self) -> int:
        """The exit status; negative where a signal ended it."""
        status = self._process.wait()
        with self._lock:  # from here on the number may be another program's
            return status

    def kill(self) -> None:
        """Ends the program and what it has started; harmless once it has ended."""
        with self._lock:
            if self._process.poll() is not None:
                return
            if sys.platform == "win32":
                _kill_tree(self._process.pid)
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()


def _kill_tree(pid: int) -> None:
    subprocess.run(
        ["taskkill", "/F", "/T", "/PID", str(pid)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
