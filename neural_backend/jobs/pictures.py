# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the pictures of a capture while its progress is told."""

import queue
import threading
import time
from collections.abc import Generator

from ..datasets.capture import Capture
from ..datasets.images import LoadedViews, load_images
from ..protocol.messages import Progress

_TELL_EVERY_S = 0.25


class _StoppedError(Exception):
    """Ends a loading whose job was cancelled."""


def load_pictures(
    capture: Capture, image_width: int, job_id: str
) -> Generator[Progress, None, LoadedViews]:
    """`load_images` as a part of a job, which may be closed at each report of its progress."""
    told: queue.Queue[tuple[int, int] | LoadedViews | BaseException] = queue.Queue()
    stopped = threading.Event()

    def on_progress(done: int, total: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        told.put((done, total))

    def load() -> None:
        try:
            told.put(load_images(capture, image_width, on_progress))
        except BaseException as error:
            told.put(error)
            if not isinstance(error, Exception):
                raise

    started = shown = time.monotonic()
    yield _progress(job_id, 0, len(capture.views), 0.0)
    threading.Thread(target=load, name="pictures", daemon=True).start()
    try:
        while True:
            news = told.get()
            if isinstance(news, BaseException):
                raise news
            if isinstance(news, LoadedViews):
                return news
            now = time.monotonic()
            if now - shown >= _TELL_EVERY_S or news[0] == news[1]:
                shown = now
                yield _progress(job_id, *news, now - started)
    finally:
        stopped.set()


def _progress(job_id: str, done: int, total: int, seconds: float) -> Progress:
    return Progress(
        job_id=job_id,
        stage="reading pictures",
        done=done,
        total=total,
        unit="pictures",
        seconds=seconds,
        eta_s=seconds * (total - done) / done if done else -1.0,
    )
