# SPDX-License-Identifier: GPL-3.0-or-later
"""Does one job after another for the process at the other end of its pipes."""

import _thread
import contextlib
import logging
import os
import platform
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import FrameType

from ..jobs import base as jobs
from ..protocol.errors import ProtocolError
from ..protocol.messages import (
    FINAL_EVENTS,
    JOBS,
    Cancel,
    Event,
    Job,
    JobCancelled,
    JobFailed,
    Message,
    Progress,
    Release,
    Released,
    Shutdown,
    Train,
    WorkerReady,
)
from .streams import MessageWriter, claim_streams, read_messages

logger = logging.getLogger(__name__)

INTERRUPT_AFTER_S = 0.5
"""A cancelled job that has not come to a stop by then is interrupted, where that is safe."""

EXIT_AFTER_S = 2.0
"""Time to save a checkpoint once nobody listens any more; the one before it is whole anyway."""


def main() -> int:
    """Serves until stdin ends or `Shutdown` comes. Returns the exit status."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    commands, messages = claim_streams()
    writer = MessageWriter(messages)
    try:
        writer.say(describe_worker())
    except ImportError as error:
        message = f"The worker's Python ({sys.executable}) lacks a package: {error}."
        writer.say(JobFailed(job_id="", message=message, remedy="Install the backend's packages."))
        return 1
    server = Server(writer)
    signal.signal(signal.SIGINT, server.on_interrupt)

    def listen() -> None:
        for message in read_messages(commands):
            server.take(message)
        server.end()

    threading.Thread(target=listen, name="listener", daemon=True).start()
    try:
        server.serve()
    except BrokenPipeError:
        logger.info("nobody listens any more")
    # Not a return: at interpreter exit the listener may still hold the lock of its stream.
    sys.stderr.flush()
    os._exit(0)


def describe_worker() -> WorkerReady:
    """Raises ImportError where torch is missing."""
    import torch

    from .. import __version__
    from ..jobs.devices import available_devices
    from ..methods.registry import METHODS
    from ..methods.shape_registry import SHAPE_METHODS

    return WorkerReady(
        backend_version=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        devices=available_devices(),
        methods=tuple(METHODS),
        shape_methods=tuple(SHAPE_METHODS),
    )


class Server:
    """The jobs that wait and the one that runs.

    `serve` runs in the main thread; `take` and `end` are called by the thread that listens.
    """

    def __init__(self, writer: MessageWriter) -> None:
        self._writer = writer
        self._changed = threading.Condition()
        self._waiting: deque[Job | Release] = deque()
        self._running: Job | Release | None = None
        self._stage = ""
        self._cancelled = False
        self._ending = False
        self._interrupting = False

    def serve(self) -> None:
        """Does the jobs in the order they come, until the end."""
        while (job := self._next_job()) is not None:
            if isinstance(job, Release):
                self._release(job)
            else:
                self._do(job)

    def take(self, message: Message | ProtocolError) -> None:
        """What the other side says: a job to do, a command to obey, or nonsense."""
        if isinstance(message, ProtocolError):
            self._refuse(
                message.job_id, f"The worker got a message that it cannot read: {message}."
            )
        elif isinstance(message, JOBS) or isinstance(message, Release):  # noqa: SIM101
            with self._changed:
                self._waiting.append(message)
                self._changed.notify()
        elif isinstance(message, Cancel):
            self._cancel(message.job_id)
        elif isinstance(message, Shutdown):
            self._stop_waiting_jobs()
        else:
            self._refuse("", f"The worker got {message.type}, which is no job or command.")

    def end(self) -> None:
        """Nobody listens any more: stops the running job and, if that takes long, the process."""
        self._stop_waiting_jobs()
        with self._changed:
            self._cancelled = True
        time.sleep(EXIT_AFTER_S)
        logger.warning("the job did not stop in time; ending the process")
        sys.stderr.flush()
        os._exit(1)

    def on_interrupt(self, signal_number: int, frame: FrameType | None) -> None:
        """SIGINT: only the server's own counts; Ctrl-C in a terminal is meant for the parent."""
        if self._interrupting:
            self._interrupting = False
            raise KeyboardInterrupt

    def _next_job(self) -> Job | Release | None:
        with self._changed:
            while not self._waiting and not self._ending:
                self._changed.wait()
            if not self._waiting:
                return None
            self._running, self._stage, self._cancelled = self._waiting.popleft(), "", False
            return self._running

    def _do(self, job: Job) -> None:
        answered = False
        try:
            try:
                for event in self._events(job):
                    answered = isinstance(event, FINAL_EVENTS)
                    self._writer.say(event)
            finally:
                self._rest()
        except KeyboardInterrupt:
            self._rest()
            if not answered:
                self._writer.say(_cancelled(job))
        except BrokenPipeError:
            raise
        except Exception as error:
            self._writer.say(jobs.failed(job, error))

    def _release(self, message: Release) -> None:
        """In its turn, since what is in use would not be freed."""
        from ..jobs.trained_method import forget_methods

        try:
            count = forget_methods()
        finally:
            self._rest()
        self._writer.say(Released(job_id=message.job_id, num_fields=count))

    def _events(self, job: Job) -> Iterator[Event]:
        """The events of a job up to the one that answers it; a cancelled job is closed before."""
        events = jobs.run(job)
        for event in events:
            if self._cancelled and not isinstance(event, FINAL_EVENTS):
                self._stage = "training"  # closing may save what was learned: not to be interrupted
                events.close()
                event = _cancelled(job)
            if isinstance(event, Progress):
                self._stage = event.stage
            yield event

    def _rest(self) -> None:
        with self._changed:
            self._running, self._interrupting = None, False

    def _cancel(self, job_id: str) -> None:
        with self._changed:
            waiting = [job for job in self._waiting if job.job_id == job_id]
            for job in waiting:
                self._waiting.remove(job)
            running = self._running is not None and self._running.job_id == job_id
            self._cancelled = self._cancelled or running
        for job in waiting:
            self._say(_cancelled(job))
        if running:
            threading.Thread(target=self._interrupt, args=(job_id,), daemon=True).start()

    def _interrupt(self, job_id: str) -> None:
        """Gets a cancelled job out of a long call: kernels being compiled, images being read.

        Not out of a training step, which would leave the field torn; the next step's end is near.
        """
        while True:
            time.sleep(INTERRUPT_AFTER_S)
            with self._changed:
                if self._running is None or self._running.job_id != job_id:
                    return
                if not (isinstance(self._running, Train) and self._stage == "training"):
                    self._interrupting = True
                    _interrupt_main_thread()

    def _stop_waiting_jobs(self) -> None:
        with self._changed:
            waiting, self._ending = tuple(self._waiting), True
            self._waiting.clear()
            self._changed.notify()
        for job in waiting:
            self._say(_cancelled(job))

    def _refuse(self, job_id: str, message: str) -> None:
        remedy = "Install the same release of Neural Fields on both sides."
        self._say(JobFailed(job_id=job_id, message=message, remedy=remedy))

    def _say(self, message: Message) -> None:
        """From the listening thread, whose own stream tells it when nobody listens any more."""
        with contextlib.suppress(BrokenPipeError):
            self._writer.say(message)


def _interrupt_main_thread() -> None:
    if hasattr(signal, "pthread_kill"):
        # A real signal also ends a wait in the operating system.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _cancelled(job: Job | Release) -> JobCancelled:
    return JobCancelled(job_id=job.job_id, run=getattr(job, "run", ""))
