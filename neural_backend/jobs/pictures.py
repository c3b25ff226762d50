# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and copies the pictures of a capture while its progress is told."""

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import TypeVar

from ..datasets.capture import Capture
from ..datasets.images import LoadedViews, load_images
from ..protocol.messages import Progress

_TELL_EVERY_S = 0.25

OnProgress = Callable[[int, int], None]
Result = TypeVar("Result")


class _StoppedError(Exception):
    """Ends work whose job was cancelled."""


def load_pictures(
    capture: Capture, image_width: int, job_id: str
) -> Generator[Progress, None, LoadedViews]:
    """`load_images` as a part of a job, which may be closed at each report of its progress."""
    return (
        yield from tell_progress(
            lambda on_progress: load_images(capture, image_width, on_progress),
            job_id,
            "reading pictures",
            len(capture.views),
        )
    )


def tell_progress(
    work: Callable[[OnProgress], Result], job_id: str, stage: str, num_pictures: int
) -> Generator[Progress, None, Result]:
    """Does `work` in a thread; yields what it tells its argument, returns what it returns."""
    told: queue.Queue[tuple[int, int] | None] = queue.Queue()
    results: list[Result] = []
    errors: list[Exception] = []
    stopped = threading.Event()

    def on_progress(done: int, total: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        told.put((done, total))

    def do() -> None:
        try:
            results.append(work(on_progress))
        except Exception as error:
            errors.append(error)
        finally:
            told.put(None)

    started = shown = time.monotonic()
    yield _progress(job_id, stage, 0, num_pictures, 0.0)
    threading.Thread(target=do, name=stage, daemon=True).start()
    try:
        while (news := told.get()) is not None:
            now = time.monotonic()
            if now - shown >= _TELL_EVERY_S or news[0] == news[1]:
                shown = now
                yield _progress(job_id, stage, *news, now - started)
    finally:
        stopped.set()
    if errors:
        raise errors[0]
    return results[0]


def _progress(job_id: str, stage: str, done: int, total: int, seconds: float) -> Progress:
    return Progress(
        job_id=job_id,
        stage=stage,
        done=done,
        total=total,
        unit="pictures",
        seconds=seconds,
        eta_s=seconds * (total - done) / done if done else -1.0,
    )
