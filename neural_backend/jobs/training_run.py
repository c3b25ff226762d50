# SPDX-License-Identifier: GPL-3.0-or-later
"""What the jobs that train have in common: going on with a run, and how one ends."""

import contextlib
from dataclasses import replace
from pathlib import Path

from ..protocol.errors import JobError
from ..protocol.messages import FitShape, Train
from ..training.checkpoint import Checkpoint, last_checkpoint, load_checkpoint
from .run_folder import RunFolder, RunRecord


def resumable(job: Train | FitShape) -> tuple[RunFolder, Checkpoint | None]:
    """The job's run folder, and its last checkpoint where the job resumes one."""
    folder = RunFolder(Path(job.run).expanduser().absolute())
    if job.resume and folder.record_file.exists() and last_checkpoint(folder.checkpoints):
        return folder, load_checkpoint(folder.checkpoints)
    return folder, None


def resumed_record(job: Train | FitShape, folder: RunFolder) -> RunRecord:
    """What was asked at first: of a resumed training only the budget may be changed."""
    record = folder.read_record()
    if job.method not in ("auto", record.method):
        raise JobError(
            f"{folder.path} was trained with {record.method}, not with {job.method}.",
            "Resume it with the method auto, or train into a new folder.",
        )
    if job.settings:
        raise JobError(
            "The settings of a training that is resumed cannot be changed.",
            "Leave them out, or train into a new folder.",
        )
    if job.steps or job.seconds:
        return replace(record, budget_steps=job.steps, budget_seconds=job.seconds)
    return record


def mark_end(folder: RunFolder, state: str, message: str = "") -> None:
    """Notes how a training that did not come to its end ended."""
    # The disk may be the very thing that failed.
    with contextlib.suppress(OSError, JobError):
        folder.update_record(state=state, message=message)
