# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker that renders single views for the render engine and the viewport.

It is another process than the session's, so that a picture does not wait for a training to end.
"""

from dataclasses import dataclass

from . import session
from .worker.frames import FrameWorker


@dataclass
class Frames:
    """What there is one of."""

    worker: FrameWorker | None = None


_frames = Frames()


def worker() -> FrameWorker:
    """The worker that renders single views; its process starts with the first of them."""
    if _frames.worker is None:
        _frames.worker = FrameWorker(session.start_worker("frames"))
    return _frames.worker


def is_running() -> bool:
    """Whether there is a process, which may keep fields in memory."""
    return _frames.worker is not None and _frames.worker.is_running


def stop(wait: bool = True) -> None:
    """Ends the process and so frees its memory; the next view starts another."""
    worker, _frames.worker = _frames.worker, None
    if worker is not None:
        worker.stop(wait)


def register() -> None:
    """Nothing runs before it is needed."""


def unregister() -> None:
    stop()
