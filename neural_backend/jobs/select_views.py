# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the cameras of a capture anew: without some of them, or with other bounds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..datasets.loading import load_capture
from ..datasets.transforms_writing import write_transforms
from ..protocol.errors import JobError
from ..protocol.messages import Converted, Event, Progress, SelectViews, Warned


def run(job: SelectViews) -> Iterator[Event]:
    """Leaves the capture and its pictures as they are.

    Raises:
        JobError: where nothing would be left, the bounds are no box, or the file is in the way.
    """
    yield Progress(job_id=job.job_id, stage="reading the capture", done=0, total=1, unit="")
    capture = load_capture(job.capture, hold_out=0)  # no test split that is not the capture's
    output = Path(job.output).expanduser().absolute()
    if output.suffix.lower() != ".json":
        raise JobError(f"{output} is no .json file.", "Choose a name like transforms.json.")
    source = capture.source if capture.source.is_dir() else capture.source.parent
    if output.parent == source:
        raise JobError(
            f"{output} would lie in the capture's own folder.", "Choose another, so that both stay."
        )
    left_out = set(job.leave_out)
    unknown = left_out - {view.name for view in capture.views}
    if unknown:
        message = (
            f"The capture has no view {', '.join(sorted(unknown)[:3])}; it was left out before."
        )
        yield Warned(job_id=job.job_id, message=message)
    chosen = capture.select(lambda view: view.name not in left_out)
    if not any(view.split == "train" for view in chosen.views):
        raise JobError("No picture to learn from would be left.", "Leave fewer out.")
    chosen = replace(chosen, bounds=_bounds(job, capture.bounds))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_transforms(chosen, output)
    yield Converted(job_id=job.job_id, output=str(output), num_views=len(chosen.views))


def _bounds(job: SelectViews, bounds: np.ndarray) -> np.ndarray:
    corners = [job.bounds_min, job.bounds_max]
    if any(len(corner) not in (0, 3) for corner in corners):
        raise JobError("A corner of the bounds has three numbers.", "Give x, y and z, or none.")
    chosen = np.array(
        [corner or own.tolist() for corner, own in zip(corners, bounds, strict=True)], np.float64
    )
    if not (np.isfinite(chosen).all() and (chosen[0] < chosen[1]).all()):
        raise JobError(
            f"The bounds {chosen[0].tolist()} to {chosen[1].tolist()} are no box.",
            "Give a lower and an upper corner.",
        )
    return chosen
