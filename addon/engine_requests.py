# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of all fields that a camera sees, asked for together and put together by depth."""

import contextlib
import itertools
import tempfile
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

    def take(self) -> FramePixels | None:
        """The picture once all of it is there; None before.

        Raises:
            FrameFailedError: where a part could not be rendered; the others are cancelled.
            SceneError: where a file cannot be read.
        """
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
        if len(self.ready) < len(self.jobs):
            return None
        try:
            return by_depth(
                [
                    read_frame(Path(job.output), view.scale)
                    for job, view in zip(self.jobs, self.views, strict=True)
                ]
            )
        finally:
            self.drop()

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
