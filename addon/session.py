# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker that does the jobs of this Blender, and the jobs: with `frames.py`, the add-on's only
global state.

`pump` drains what the worker said. In a window a timer calls it; without one timers never fire, so
`wait` does. Nothing here holds on to Blender's data: undo and loading a file move it. Jobs remember
`session_uid` numbers.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy

from . import environment_state, preferences
from .job_records import JobRecord as JobRecord
from .job_records import Scheduled
from .job_records import Target as Target
from .scene.errors import SceneError
from .worker.client import WorkerClient, WorkerDied, worker_command
from .worker.environment import find_python
from .worker.protocol import JobError, messages
from .worker.terminal import ProgressBar

logger = logging.getLogger(__name__)

TIMER_S = 0.1
WAIT_S = 0.05

Listener = Callable[[messages.Event, JobRecord], None]


@dataclass
class Session:
    """What there is one of. `jobs` keeps finished jobs too, for the panels."""

    client: WorkerClient | None = None
    leaving: list[WorkerClient] = field(default_factory=list)
    """Workers that were told to end and have not ended yet."""
    python: tuple[str, Path] | None = None
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    scheduled: dict[str, Scheduled] = field(default_factory=dict)
    show_progress: bool = True
    log: Path | None = None


_session = Session()


def new_job_id() -> str:
    """A name no other job has, in this Blender or another."""
    return uuid.uuid4().hex[:12]


def submit(
    job: messages.Job,
    label: str,
    target: Target | None = None,
    then: Callable[[JobRecord], None] | None = None,
    key: str = "",
) -> JobRecord:
    """Hands a job to the worker, which is started where it does not run, and returns at once.

    Raises:
        JobError: where no worker can be started.
    """
    client = _running_client()
    record = JobRecord(job, label, target or Target(), then=then, key=key)
    _session.jobs[job.job_id] = record
    client.send(job)
    _start_timer()
    return record


def schedule(key: str, delay_s: float, start: Callable[[], None], after: str = "") -> None:
    """Has `start` called after a while, and not before all jobs of this key have ended.

    Nor while anything of the key `after` is still to come. What was scheduled before under the key
    is forgotten: only the newest is started. `pump` does it.
    """
    _session.scheduled[key] = Scheduled(time.monotonic() + delay_s, start, after)
    _start_timer()


def drop(key: str) -> None:
    """Forgets what is scheduled under a key, and cancels its jobs."""
    _session.scheduled.pop(key, None)
    for record in running():
        if record.key == key and not record.cancel_asked:
            cancel(record.job.job_id)


def is_busy(key: str) -> bool:
    """Whether something is scheduled or running under a key."""
    return key in _session.scheduled or any(record.key == key for record in running())


def pump(timeout_s: float = 0.0) -> None:
    """Takes in what the worker has said, and starts what is due.

    Waits up to `timeout_s` where the worker has said nothing.
    """
    _take_events(timeout_s)
    _see_off()
    _start_scheduled()


def wait(job_id: str, show_progress: bool | None = None) -> JobRecord:
    """Blocks until a job has ended, with a progress bar in the terminal; Ctrl+C cancels the job.

    `show_progress` None does as `shows_progress` says.
    """
    record = _session.jobs[job_id]
    show = shows_progress() if show_progress is None else show_progress
    record.bar = ProgressBar(record.label) if show else None
    try:
        while record.state == "running":
            pump(WAIT_S)
    except KeyboardInterrupt:
        cancel(job_id)
        while record.state == "running":
            pump(WAIT_S)
        raise
    finally:
        if record.bar is not None:
            record.bar.close()
            record.bar = None
    return record


def cancel(job_id: str) -> None:
    """Asks for a running job to stop; what it has learned so far is kept."""
    record = _session.jobs[job_id]
    if _session.client is not None and record.state == "running":
        record.cancel_asked = True
        _session.client.cancel(job_id)


def set_progress(shown: bool) -> None:
    """Switches the progress bars of blocking operators, for scripts that have their own."""
    _session.show_progress = shown


def shows_progress() -> bool:
    """Whether blocking operators draw progress bars in the terminal."""
    return _session.show_progress


def running() -> list[JobRecord]:
    """The jobs that have not ended, oldest first."""
    return [record for record in _session.jobs.values() if record.state == "running"]


def jobs() -> list[JobRecord]:
    """All jobs of this Blender, oldest first."""
    return list(_session.jobs.values())


def release() -> None:
    """Begins to end the worker, which frees its memory, and returns at once; see `stop`.

    Running jobs count as cancelled. The next job starts a new worker.
    """
    client = _let_go()
    if client is not None:
        client.begin_stop()
        _session.leaving.append(client)
        _start_timer()


def is_starting() -> bool:
    """Whether there is a worker that has not introduced itself yet."""
    client = _session.client
    return client is not None and client.alive and client.ready is None


def worker_log() -> Path | None:
    """The log of the worker that runs, or of the one that ran last."""
    return _session.log


def worker() -> messages.WorkerReady | None:
    """What the running worker is and can do; None while there is none."""
    client = _session.client
    return client.ready if client is not None and client.alive else None


def worker_process() -> int:
    """The number of the running worker's process; 0 while there is none."""
    client = _session.client
    return client.pid if client is not None and client.alive else 0


def subscribe(listener: Listener) -> None:
    """Has `listener` called, on the main thread, with every event and the record of its job."""
    if listener not in _session.listeners:
        _session.listeners.append(listener)


def unsubscribe(listener: Listener) -> None:
    """Undoes `subscribe`."""
    if listener in _session.listeners:
        _session.listeners.remove(listener)


def stop() -> None:
    """Ends the worker; running jobs count as cancelled, scheduled ones are forgotten."""
    client = _let_go()
    for one in (*_session.leaving, *([client] if client is not None else [])):
        one.stop()
    _session.leaving.clear()


def release_fields() -> None:
    """Has the worker free the memory of the fields that it keeps, after its running job."""
    if _session.client is not None and _session.client.alive:
        _session.client.send(messages.Release())


def start_worker(log_name: str) -> Callable[[], WorkerClient]:
    """A function that finds the worker's Python and starts a worker, in any thread.

    Raises, when it is called:
        JobError: where no worker can be started.
    """
    chosen = environment_state.choice()
    known, path = environment_state.verified(chosen), bpy.path.abspath(chosen)
    log = preferences.storage_folder("logs") / f"{log_name}_{os.getpid()}.log"
    return lambda: WorkerClient(worker_command(known or find_python(path)), log)


def unregister() -> None:
    """Leaves nothing behind: no process, no timer, no listener."""
    stop()
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    _session.jobs.clear()
    _session.listeners.clear()
    _session.python = _session.log = None


def _running_client() -> WorkerClient:
    # Not `pump`: what is being started just now must not be overtaken.
    _take_events(0.0)
    if _session.client is not None and _session.client.alive:
        return _session.client
    chosen = environment_state.choice()
    if _session.python is None or _session.python[0] != chosen:
        known = environment_state.verified(chosen)
        _session.python = (chosen, known or find_python(bpy.path.abspath(chosen)))
    _session.log = preferences.storage_folder("logs") / f"worker_{os.getpid()}.log"
    _session.client = WorkerClient(worker_command(_session.python[1]), _session.log)
    return _session.client


def _let_go() -> WorkerClient | None:
    """The worker, which is no longer the session's; its jobs count as cancelled."""
    _session.scheduled.clear()
    client, _session.client = _session.client, None
    for record in running():
        record.state, record.problem = "cancelled", "The worker was stopped."
    return client


def _start_timer() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=TIMER_S, persistent=True)


def _on_timer() -> float | None:
    pump()
    return TIMER_S if running() or _session.scheduled or _session.leaving else None


def _take_events(timeout_s: float) -> None:
    client = _session.client
    if client is None:
        return
    for event in client.events(timeout_s):
        if isinstance(event, WorkerDied):
            _bury(event)
        elif isinstance(event, messages.WorkerReady):
            logger.info("worker ready: %s", event)
        else:
            _deliver(event)


def _see_off() -> None:
    """Drives those that were told to end to their end."""
    for client in list(_session.leaving):
        client.events()
        if not client.alive:
            _session.leaving.remove(client)


def _start_scheduled() -> None:
    for key, one in list(_session.scheduled.items()):
        occupied = any(record.key == key for record in running())
        if one.due_s > time.monotonic() or occupied or (one.after and is_busy(one.after)):
            continue
        del _session.scheduled[key]
        try:
            one.start()
        except (JobError, SceneError) as error:
            # Nobody waits for it: the jobs that are shown do not have it, so the log must.
            logger.warning("%s", error)


def _deliver(event: Any) -> None:
    """To the job it is about; a failure of no job, as at the worker's start, concerns all."""
    record = _session.jobs.get(event.job_id)
    if record is not None:
        _take_in(event, record)
    elif isinstance(event, messages.JobFailed):
        for waiting in running():
            _take_in(replace(event, job_id=waiting.job.job_id), waiting)


def _take_in(event: messages.Event, record: JobRecord) -> None:
    if isinstance(event, messages.Progress):
        record.progress = event
        if record.bar is not None:
            record.bar.show(event)
    elif isinstance(event, messages.Warned):
        record.warnings.append(event.message)
        if record.bar is not None:
            record.bar.say(f"warning: {event.message}")
    elif isinstance(event, messages.FINAL_EVENTS):
        _finish(event, record)
    for listener in list(_session.listeners):
        try:
            listener(event, record)
        except Exception as error:  # one bad listener must not stop the timer for all jobs
            logger.exception("a listener failed on %s", type(event).__name__)
            record.problem = record.problem or f"Its result could not be brought in: {error}"


def _finish(event: messages.Event, record: JobRecord) -> None:
    record.answer = event
    if isinstance(event, messages.JobFailed):
        between = "\n" if "\n" in event.message else " "
        record.state = "failed"
        record.problem = between.join(filter(None, (event.message, event.remedy)))
    elif isinstance(event, messages.JobCancelled):
        record.state, record.problem = "cancelled", "The job was cancelled."
    else:
        record.state = "done"


def _bury(death: WorkerDied) -> None:
    _session.client = None
    _session.python = None
    if death.expected:
        return
    for record in running():
        job_id = record.job.job_id
        if record.cancel_asked:
            _take_in(messages.JobCancelled(job_id=job_id), record)
        else:
            failure = messages.JobFailed(job_id=job_id, message=death.message, remedy=death.remedy)
            _take_in(failure, record)
