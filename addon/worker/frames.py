# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that renders single views, beside the one that does the jobs.

It is another process, so that a picture does not wait for a training to end, and so that running
out of memory for a picture ends no training. It starts with the first view and ends by itself when
nobody has asked for one for a while.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .client import WorkerClient, WorkerDied
from .protocol import JobError, messages

IDLE_S = 300.0
"""A process that rendered nothing for this long gives its memory back."""
_LOOK_EVERY_S = 2.0

Answer = messages.FrameReady | messages.JobFailed | messages.JobCancelled


class FrameWorker:
    """Takes requests and keeps their answers until somebody takes them. Nothing blocks but `stop`.

    Any thread may call it: Blender runs a render engine in a thread of its own, and the viewport
    in the main one. `start` finds and starts the process, which may take a second: it is called in
    a thread as well, and what is requested meanwhile waits.
    """

    def __init__(self, start: Callable[[], WorkerClient], idle_s: float = IDLE_S) -> None:
        self._start_client = start
        self._idle_s = idle_s
        self._lock = threading.RLock()
        self._client: WorkerClient | None = None
        self._is_starting = False
        self._stopped = threading.Event()
        self._early: list[messages.RenderFrame] = []
        self._waiting: dict[str, messages.Progress | None] = {}
        self._answers: dict[str, Answer] = {}
        self._used_at = time.monotonic()
        self._watcher: threading.Thread | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the process runs and has said so."""
        with self._lock:
            return self._client is not None and self._client.ready is not None

    @property
    def is_running(self) -> bool:
        """Whether there is a process, or one is being started."""
        with self._lock:
            return self._client is not None or self._is_starting

    @property
    def pid(self) -> int | None:
        with self._lock:
            return None if self._client is None else self._client.pid

    def request(self, job: messages.RenderFrame) -> None:
        """Hands a view over to be rendered, after those that were handed over before."""
        with self._lock:
            self._used_at = time.monotonic()
            self._waiting[job.job_id] = None
            if self._client is not None:
                self._client.send(job)
                return
            self._early.append(job)
            if not self._is_starting:
                self._is_starting = True
                threading.Thread(target=self._start, name="frames start", daemon=True).start()

    def poll(self) -> bool:
        """Takes in what the process has said; whether an answer came."""
        with self._lock:
            if self._client is None:
                return False
            before = len(self._answers)
            for event in self._client.events():
                if isinstance(event, WorkerDied):
                    self._client = None
                    self._fail_all(event.message, event.remedy)
                elif isinstance(event, messages.Progress):
                    if event.job_id in self._waiting:
                        self._waiting[event.job_id] = event
                elif isinstance(event, messages.JobFailed) and not event.job_id:
                    self._fail_all(event.message, event.remedy)
                elif isinstance(event, Answer):
                    self._answer(event)
            return len(self._answers) > before

    def take(self, job_id: str) -> Answer | None:
        """The answer to a request, once; None while there is none."""
        with self._lock:
            self.poll()
            return self._answers.pop(job_id, None)

    def progress(self, job_id: str) -> messages.Progress | None:
        """How far a request is, where that is known."""
        with self._lock:
            return self._waiting.get(job_id)

    def forget(self, job_id: str) -> None:
        """Cancels a request that nobody waits for any more."""
        with self._lock:
            answer = self._answers.pop(job_id, None)
            if answer is not None:
                _remove_picture(answer)
            if job_id not in self._waiting:
                return
            del self._waiting[job_id]
            self._early = [job for job in self._early if job.job_id != job_id]
            if self._client is not None:
                self._client.cancel(job_id)

    @property
    def is_waited_for(self) -> bool:
        """Whether a request has no answer yet."""
        with self._lock:
            return bool(self._waiting)

    @property
    def has_answers(self) -> bool:
        """Whether there are answers that nobody has taken."""
        with self._lock:
            return bool(self._answers)

    def stop(self, wait: bool = True) -> None:
        """Ends the process for good; what was asked for is answered as cancelled.

        Ending it may take seconds; `wait` False does not wait for that.
        """
        self._stopped.set()
        with self._lock:
            client, self._client = self._client, None
            self._early.clear()
            for job_id in list(self._waiting):
                self._answer(messages.JobCancelled(job_id=job_id))
        if client is not None and wait:
            client.stop()
        elif client is not None:
            threading.Thread(target=client.stop, name="frames end", daemon=True).start()

    def _start(self) -> None:
        try:
            client = self._start_client()
        except JobError as error:
            with self._lock:
                self._is_starting = False
                self._early.clear()
                self._fail_all(error.message, error.remedy)
            return
        with self._lock:
            self._is_starting = False
            if not self._stopped.is_set():
                self._client = client
                for job in self._early:
                    client.send(job)
                self._early.clear()
                if self._watcher is None:
                    self._watcher = threading.Thread(
                        target=self._watch, name="frames watcher", daemon=True
                    )
                    self._watcher.start()
                return
        client.stop()

    def _watch(self) -> None:
        while not self._stopped.wait(min(_LOOK_EVERY_S, self._idle_s / 2)):
            with self._lock:
                self.poll()
                idle = time.monotonic() - self._used_at > self._idle_s and not self._waiting
                client = self._client if idle else None
                if client is not None:
                    self._client = None
            if client is not None:
                client.stop()

    def _answer(self, event: Answer) -> None:
        if event.job_id in self._waiting:
            del self._waiting[event.job_id]
            self._answers[event.job_id] = event
            self._used_at = time.monotonic()
        else:
            _remove_picture(event)

    def _fail_all(self, message: str, remedy: str) -> None:
        for job_id in list(self._waiting):
            self._answer(messages.JobFailed(job_id=job_id, message=message, remedy=remedy))


def _remove_picture(event: Answer) -> None:
    if isinstance(event, messages.FrameReady):
        with contextlib.suppress(OSError):
            Path(event.output).unlink(missing_ok=True)
