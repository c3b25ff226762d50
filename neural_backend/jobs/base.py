# SPDX-License-Identifier: GPL-3.0-or-later
"""The one entry to every job.

Each job is a module of this folder with a function `run(job) -> Iterator[Event]`: a generator that
yields `Progress` and `Warned`, and last of all the event that answers the job. It raises `JobError`
for whatever the user can put right. Closing the generator cancels the job.
"""

import contextlib
import errno
import logging
import traceback
from collections.abc import Callable, Generator, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..protocol.errors import JobError, is_a
from ..protocol.messages import (
    BakeMotion,
    CheckCapture,
    Convert,
    Evaluate,
    Event,
    ExtractFrames,
    ExtractMesh,
    ExtractMeshSequence,
    ExtractVolume,
    FitImage,
    FitLatent,
    FitShape,
    Inspect,
    Job,
    JobFailed,
    MeshShape,
    RenderFrame,
    RenderViews,
    SelectViews,
    SolveCameras,
    TraceShape,
    Train,
)

OnEvent = Callable[[Event], None]

logger = logging.getLogger(__name__)

JOB_MODULES: dict[type, str] = {
    Train: "train",
    RenderViews: "render_views",
    RenderFrame: "render_frame",
    ExtractMesh: "extract_mesh",
    ExtractMeshSequence: "extract_mesh_sequence",
    BakeMotion: "bake_motion",
    Evaluate: "evaluate",
    Inspect: "inspect",
    Convert: "convert",
    CheckCapture: "check_capture",
    SelectViews: "select_views",
    SolveCameras: "solve_cameras",
    ExtractFrames: "extract_frames",
    ExtractVolume: "extract_volume",
    FitShape: "fit_shape",
    FitLatent: "fit_latent",
    MeshShape: "mesh_shape",
    TraceShape: "trace_shape",
    FitImage: "fit_image",
}


def start(job: Job, *given: Any) -> Generator[Event, None, None]:
    """The events of a job as they come, ending with the one that answers it.

    `given` are things in memory that stand in for files that the job names, where it takes any.

    Raises:
        JobError: for whatever the user can put right.
    """
    if type(job) not in JOB_MODULES:
        raise ValueError(f"expected a job, got {type(job).__name__}")
    # Both import torch, which is not everywhere where some of this folder is imported.
    from .many_processes import run_together

    module = import_module(f".{JOB_MODULES[type(job)]}", package=__package__)
    yield from run_together(job, lambda mine: module.run(mine, *given))


def answer_of(events: Iterable[Event], on_event: OnEvent | None = None) -> Any:
    """Runs a job to its end, telling `on_event` of all that happens; returns what answers it."""
    last = None
    for event in events:
        last = event
        if on_event is not None:
            on_event(event)
    return last


def run(job: Job) -> Generator[Event, None, None]:
    """Like `start`, but never raises: whatever goes wrong ends with `JobFailed`.

    What the user cannot put right is logged with its traceback, here and in the run's `log.txt`.
    """
    events = start(job)
    try:
        # Not `yield from`: what fails while the job is being closed is for the one who closes it.
        for event in events:  # noqa: UP028
            yield event
    except GeneratorExit:
        events.close()
        raise
    except Exception as error:
        yield failed(job, error)


def failed(job: Job, error: Exception) -> JobFailed:
    """The event that says what stopped a job; the details go to the logs."""
    explained = explain(error)
    report = str(explained)
    if not isinstance(error, JobError):
        report += "\n" + "".join(traceback.format_exception(error))
        logger.error("job %s failed: %s", job.job_id, report)
    record = Path(getattr(job, "run", "")).expanduser() / "run.json"
    if record.is_file():
        with (
            contextlib.suppress(OSError),
            record.with_name("log.txt").open("a", encoding="utf-8") as log,
        ):
            log.write(f"{job.type} failed: {report}\n")
    return JobFailed(job_id=job.job_id, message=explained.message, remedy=explained.remedy)


def explain(error: Exception) -> JobError:
    """What went wrong, in a sentence for the user, and what to do about it."""
    if isinstance(error, JobError):
        return error
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        where = f" ({Path(str(error.filename))})"
    else:
        where = ""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in text:
        return JobError(f"The disk is full{where}.", "Free some space, then start the job again.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return JobError(f"No permission to read or write{where}.", "Choose another folder.")
    if _is_out_of_memory(error):
        return JobError(
            "There is not enough memory for this job.",
            "Use smaller images, a lower preset or a coarser resolution, or close other programs.",
        )
    if is_a(error, "TritonError"):
        return JobError(
            f"A kernel could not be made for this graphics card: {_first_line(text)}.",
            "With the environment variable NEURAL_FIELDS_TRITON=0 torch alone computes there, more "
            "slowly; the device cpu always works. Please send the log to the developers.",
        )
    if isinstance(error, RuntimeError) and ("CUDA error" in text or "Error [CUDA]" in text):
        return JobError(
            f"The graphics card stopped working: {_first_line(text)}.",
            "Resume the run with the device cpu: it goes on from its last checkpoint. Before the "
            "card is used again, stop the worker; if it fails again, renew its driver.",
        )
    if isinstance(error, OSError) and error.strerror:
        return JobError(f"{error.strerror}{where}.", "Check the file and start the job again.")
    return JobError(
        f"An unforeseen {type(error).__name__} stopped the job: {_first_line(text)}.",
        "The full report is in the log; please send it to the developers.",
    )


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no details"])[0][:200].rstrip(".")


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or is_a(error, "OutOfMemoryError")
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (
            isinstance(error, RuntimeError)
            and ("out of memory" in text or "not enough memory" in text)
        )
        or (isinstance(error, RuntimeError) and "can't allocate memory" in text)
    )
