# SPDX-License-Identifier: GPL-3.0-or-later
"""A running worker: lines to its stdin, events from its stdout, its stderr in a log file."""

import contextlib
import math
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .environment import child_variables
from .protocol import BACKEND, JobError, ProtocolError, lines, messages

LOG_LINES_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class WorkerDied:
    """The last thing a client ever says: the process is gone. `expected` after `stop`."""

    message: str
    remedy: str
    expected: bool = False


@dataclass(frozen=True)
class Patience:
    """How long, in seconds, a worker may take before the next harsher step."""

    start: float = 180.0
    cancel: float = 15.0
    shutdown: float = 5.0
    terminate: float = 3.0


def worker_command(python: Path, backend: Path = BACKEND) -> list[str]:
    """The command line of a worker; `backend` is run by its path, not through PYTHONPATH."""
    return [str(python), "-I", "-u", "-X", "utf8", str(backend / "worker" / "__main__.py")]


@dataclass
class _Escalation:
    """Which process-ending steps have been taken, and when the next is due."""

    cancel_due: dict[str, float] = field(default_factory=dict)
    stop_due: float = math.inf
    kill_due: float | None = None


class WorkerClient:
    """Starts a worker and talks with it; no method blocks but `stop`.

    Call `events` from one thread, several times a second: it also drives the way from a polite
    cancel to a kill.

    Raises:
        JobError: where the process cannot be started.
    """

    def __init__(self, command: Sequence[str], log: Path, patience: Patience | None = None) -> None:
        self.log = log
        self.ready: messages.WorkerReady | None = None
        self.died: WorkerDied | None = None
        self._patience = patience or Patience()
        self._escalation = _Escalation()
        self._stopping = False
        self._protocol_problem = ""
        self._events: queue.Queue[messages.Event | WorkerDied] = queue.Queue()
        self._write_lock = threading.Lock()
        self._process = self._start(command)
        self._start_due = time.monotonic() + self._patience.start
        self._reader = threading.Thread(target=self._read, name="worker reader", daemon=True)
        self._reader.start()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("wb") as log:
                return subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    env=child_variables(),
                    # Ctrl+C in Blender's terminal is Blender's: the worker is told by a message or
                    # by EOF.
                    start_new_session=True,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
        except OSError as error:
            raise JobError(
                f"The worker cannot be started ({' '.join(command[:1])}): {error.strerror}.",
                f"Check the worker's Python in the preferences, and that {self.log.parent} can be "
                "written.",
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self.died is None

    def send(self, message: messages.Job | messages.Command) -> None:
        """Hands a message over. Where the worker is gone, `events` is about to say so."""
        line = lines.to_line(message)
        stdin = self._process.stdin
        with self._write_lock, contextlib.suppress(OSError, ValueError):
            assert stdin is not None
            stdin.write(line)
            stdin.flush()

    def cancel(self, job_id: str) -> None:
        """Asks a job to stop; a worker that does not answer in time is terminated, then killed."""
        self._escalation.cancel_due.setdefault(job_id, time.monotonic() + self._patience.cancel)
        self.send(messages.Cancel(job_id=job_id))

    def events(self, timeout_s: float = 0.0) -> list[messages.Event | WorkerDied]:
        """What has come since the last call; waits up to `timeout_s` where there is nothing yet."""
        self._escalate()
        received: list[messages.Event | WorkerDied] = []
        with contextlib.suppress(queue.Empty):
            received.append(self._events.get(block=timeout_s > 0, timeout=timeout_s or None))
            while True:
                received.append(self._events.get_nowait())
        for event in received:
            if isinstance(event, WorkerDied):
                self.died = event
                self._close_stdin()
            elif isinstance(event, messages.WorkerReady):
                self.ready = event
            elif isinstance(event, messages.FINAL_EVENTS):
                self._escalation.cancel_due.pop(event.job_id, None)
        return received

    def begin_stop(self) -> None:
        """Asks the process to end and returns at once; `events` sees to it that it does."""
        self._stopping = True
        self._escalation.stop_due = time.monotonic() + self._patience.shutdown
        self.send(messages.Shutdown())
        self._close_stdin()

    def stop(self) -> None:
        """Ends the process: politely, then by force. Returns once it is gone."""
        self._stopping = True
        if self._process.poll() is None:
            self.send(messages.Shutdown())
            self._close_stdin()
            if not self._ended_within(self._patience.shutdown):
                self._process.terminate()
                if not self._ended_within(self._patience.terminate):
                    self._process.kill()
        self._process.wait()
        self._close_stdin()
        self._reader.join(timeout=self._patience.terminate)
        self.events()

    def log_tail(self, count: int = LOG_LINES_SHOWN) -> list[str]:
        """The last lines the worker wrote to its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 16384))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-count:]

    def _escalate(self) -> None:
        if self.died is not None or self._process.poll() is not None:
            return
        now, steps = time.monotonic(), self._escalation
        if self.ready is None and now > self._start_due and not self._protocol_problem:
            self._protocol_problem = f"it was not ready after {self._patience.start:g} s"
            self._process.kill()
        elif steps.kill_due is not None:
            if now > steps.kill_due:
                self._process.kill()
        elif any(now > due for due in (*steps.cancel_due.values(), steps.stop_due)):
            self._process.terminate()
            steps.kill_due = now + self._patience.terminate

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        with stdout:
            for line in stdout:
                if not line.startswith("{"):
                    continue  # something that the interpreter's own start-up files print
                try:
                    event: Any = lines.from_line(line)
                except ProtocolError as error:
                    self._protocol_problem = str(error)
                    self._process.kill()
                    break
                if type(event) in messages.EVENTS:
                    self._events.put(event)
        self._process.wait()
        self._events.put(self._obituary())

    def _obituary(self) -> WorkerDied:
        if self._stopping:
            return WorkerDied(message="The worker was stopped.", remedy="", expected=True)
        if self._protocol_problem:
            reason = f"The worker was stopped: {self._protocol_problem}."
        else:
            reason = f"The worker died ({_exit_reason(self._process.returncode)})."
        last = self.log_tail()
        if last:
            reason += "\nIts last words:\n  " + "\n  ".join(last)
        return WorkerDied(
            message=reason, remedy=f"The next job starts it again. Its log is {self.log}."
        )

    def _close_stdin(self) -> None:
        with self._write_lock, contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", perhaps because memory ran out" if name == "SIGKILL" else ""
    return f"ended by {name}{hint}"
