# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists what would go wrong if a field were learned from a capture."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from ..datasets.capture import Capture, View
from ..datasets.capture_checks import bounds_for, capture_problems
from ..datasets.loading import load_capture
from ..datasets.picture_files import PICTURE_ERRORS
from ..datasets.picture_quality import PictureQuality, picture_quality
from ..protocol.messages import CaptureChecked, CheckCapture, Event, Progress
from .pictures import tell_progress

_WIDENING = ("outside_bounds", "past_bounds")


def run(job: CheckCapture) -> Iterator[Event]:
    """Measures every picture. Raises JobError where the capture cannot be read at all."""
    yield Progress(job_id=job.job_id, stage="reading the capture", done=0, total=1, unit="")
    capture = load_capture(job.capture)
    qualities = yield from tell_progress(
        lambda on_progress: _measure(capture, on_progress),
        job.job_id,
        "looking at pictures",
        len(capture.views),
    )
    problems = capture_problems(capture, qualities)
    concerned = [view for problem in problems for view in problem.views]
    astray = [view for problem in problems if problem.kind in _WIDENING for view in problem.views]
    yield CaptureChecked(
        job_id=job.job_id,
        capture=str(capture.source),
        num_views=len(capture.views),
        kinds=tuple(problem.kind for problem in problems),
        sentences=tuple(problem.sentence for problem in problems),
        counts=tuple(len(problem.views) for problem in problems),
        views=tuple(view.name for view in concerned),
        positions=tuple(
            float(number) for view in concerned for number in view.camera_to_world[:3, 3]
        ),
        bounds=tuple(bounds_for(capture, astray).reshape(-1).tolist()),
    )


def _measure(
    capture: Capture, on_progress: Callable[[int, int], None]
) -> list[PictureQuality | None]:
    found: list[PictureQuality | None] = []
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))
    try:
        for done, quality in enumerate(pool.map(_quality, capture.views), start=1):
            found.append(quality)
            on_progress(done, len(capture.views))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return found


def _quality(view: View) -> PictureQuality | None:
    assert view.image is not None  # a capture's views have pictures
    try:
        return picture_quality(view.image)
    except PICTURE_ERRORS:
        return None
