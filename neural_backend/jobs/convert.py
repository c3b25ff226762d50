# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a capture in another dialect."""

from collections.abc import Iterator
from pathlib import Path

from ..datasets.loading import load_capture
from ..datasets.writing import write_capture
from ..protocol.messages import Convert, Converted, Event, Progress, Warned
from .pictures import tell_progress


def run(job: Convert) -> Iterator[Event]:
    """Copies the capture, pictures and all. Raises JobError where it cannot be read or written."""
    yield Progress(job_id=job.job_id, stage="reading the capture", done=0, total=1, unit="")
    capture = load_capture(job.capture, hold_out=0)  # no test split that is not the capture's
    output = Path(job.output).expanduser().absolute()
    warnings = yield from tell_progress(
        lambda on_progress: write_capture(capture, output, job.dialect, on_progress),
        job.job_id,
        "copying pictures",
        len(capture.views),
    )
    for warning in (*capture.warnings, *warnings):
        yield Warned(job_id=job.job_id, message=warning)
    yield Converted(job_id=job.job_id, output=str(output), num_views=len(capture.views))
