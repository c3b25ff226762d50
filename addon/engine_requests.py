# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of all fields that a camera sees, asked for together and put together by depth."""

import contextlib
import itertools
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from . import frames, session
from .job_options import device_of
from .scene.field_views import FieldView
from .scene.frame_pixels import FramePixels, by_depth, read_frame
from .worker.frames import FrameWorker
from .worker.protocol import messages

_numbers = itertools.count()


class FrameFailedError(Exception):
    """What went wrong while a view was rendered, in words for the artist."""


@dataclass
class Request:
    """One picture, a job a field. `seconds` is what the worker spent on it in the end."""

    worker: FrameWorker
    views: list[FieldView]
    jobs: list[messages.RenderFrame]
    ready: dict[str, messages.FrameReady] = field(default_factory=dict)
    reading: Future[FramePixels] | None = None

    @property
    def seconds(self) -> float:
        return sum(event.seconds for event in self.ready.values())

    def progress(self) -> float:
        """From 0 to 1, over all fields."""
        shares = [
            1.0
            if job.job_id in self.ready
            else getattr(self.worker.progress(job.job_id), "done", 0.0)
            for job in self.jobs
        ]
        return sum(shares) / len(shares)

    @property
    def is_reading(self) -> bool:
        """Whether `take_in_passing` has a picture on its way from the disk."""
        return self.reading is not None and not self.reading.done()

    def take(self) -> FramePixels | None:
        """The picture once all of it is there; None before.

        Raises:
            FrameFailedError: where a part could not be rendered; the others are cancelled.
            SceneError: where a file cannot be read.
        """
        return self._read(None) if self._is_complete() else None

    def take_in_passing(self, background: tuple[float, float, float] | None) -> FramePixels | None:
        """As `take`, in front of an even color or clear, and at once: a thread reads the files.

        Raises:
            FrameFailedError, SceneError: as `take`.
        """
        if self.reading is None and self._is_complete():
            self.reading = _in_a_thread(lambda: self._read(background))
        if self.reading is None or not self.reading.done():
            return None
        return self.reading.result()

    def _is_complete(self) -> bool:
        for job in self.jobs:
            if job.job_id in self.ready:
                continue
            answer = self.worker.take(job.job_id)
            if isinstance(answer, messages.FrameReady):
                self.ready[job.job_id] = answer
            elif answer is not None:
                self.drop()
                if isinstance(answer, messages.JobFailed):
                    raise FrameFailedError(f"{answer.message} {answer.remedy}".strip())
                raise FrameFailedError("The worker was stopped.")
        return len(self.ready) == len(self.jobs)

    def _read(self, background: tuple[float, float, float] | None) -> FramePixels:
        try:
            pixels = by_depth(
                [
                    read_frame(Path(job.output), view.scale)
                    for job, view in zip(self.jobs, self.views, strict=True)
                ]
            )
        finally:
            self.drop()
        if background is None:
            return pixels
        return FramePixels(pixels.over(background), pixels.depth)

    def drop(self) -> None:
        """Cancels what is still to come and removes what is there."""
        for job in self.jobs:
            self.worker.forget(job.job_id)
            with contextlib.suppress(OSError):
                Path(job.output).unlink(missing_ok=True)


def ask(
    views: list[FieldView],
    device: str,
    region: tuple[int, int, int, int] | None = None,
    reduction: int = 1,
    samples: int = 1,
) -> Request:
    """Hands the views over to the worker for pictures, and returns at once."""
    folder = Path(bpy.app.tempdir or tempfile.gettempdir())
    jobs = []
    for view in views:
        lens = view.pose.lens
        jobs.append(
            messages.RenderFrame(
                job_id=session.new_job_id(),
                run=view.run,
                output=str(folder / f"neural_field_{next(_numbers)}.npy"),
                camera_to_world=tuple(view.pose.camera_to_world.ravel().tolist()),
                width=lens.width,
                height=lens.height,
                focal_x_px=lens.focal_x_px,
                focal_y_px=lens.focal_y_px,
                center_x_px=lens.center_x_px,
                center_y_px=lens.center_y_px,
                region=region or (),
                reduction=reduction,
                samples=samples,
                time=view.time,
                device=device_of(device),
            )
        )
    worker = frames.worker()
    for job in jobs:
        worker.request(job)
    return Request(worker, views, jobs)


def _in_a_thread(read: Callable[[], FramePixels]) -> Future[FramePixels]:
    """What a function returns or raises, once it has."""
    future: Future[FramePixels] = Future()

    def run() -> None:
        try:
            future.set_result(read())
        except BaseException as error:  # raised again by whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, name="frame reader", daemon=True).start()
    return future
