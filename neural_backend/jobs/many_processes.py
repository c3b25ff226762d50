# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that `torchrun` gave to several processes: all do a part, the first writes the run."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..kernels import process_group
from ..protocol.errors import JobError
from ..protocol.messages import (
    Event,
    ExtractMeshSequence,
    FitShape,
    Job,
    RenderViews,
    ShapesFitted,
    Train,
    Trained,
)
from .run_folder import RunFolder

LEARN_TOGETHER = ("instant_ngp", "nerf", "deep_sdf")
"""Methods whose processes add up their gradients."""


def run_together(
    job: Job, run: Callable[[Any], Generator[Event, None, None]]
) -> Generator[Event, None, None]:
    """The events of this process's part of a job, which `run` begins; of the whole where it is
    alone.

    Raises:
        JobError: where the job is one process's.
    """
    process_group.join()
    if process_group.size() == 1 or isinstance(job, (RenderViews, ExtractMeshSequence)):
        yield from run(job)
    elif isinstance(job, (Train, FitShape)):
        with _own_run(job) as mine:
            for event in run(mine):
                if isinstance(event, (Trained, ShapesFitted)):
                    yield replace(event, run=job.run)
                else:
                    yield event
        process_group.wait()
    else:
        raise JobError(
            f"This job is one process's, and there are {process_group.size()}.",
            "Start it without torchrun: that is for train, fit-shape, render-views and "
            "extract-mesh-sequence.",
        )


def check_method(method: str, num_shapes: int | None = None) -> None:
    """Raises JobError where several processes cannot learn this together."""
    processes = process_group.size()
    if processes == 1:
        return
    if method not in LEARN_TOGETHER:
        raise JobError(
            f"{method} is learned by one process, and there are {processes}.",
            f"Start it without torchrun, or choose one of {', '.join(LEARN_TOGETHER)}.",
        )
    if num_shapes is not None and num_shapes < processes:
        raise JobError(
            f"{num_shapes} shapes are too few for {processes} processes.",
            "Start no more processes than there are shapes.",
        )


@contextlib.contextmanager
def _own_run(job: Train | FitShape) -> Iterator[Train | FitShape]:
    """The first process has the run itself, the others a copy each that is thrown away."""
    if process_group.rank() == 0:
        process_group.wait()
        yield job
        return
    with tempfile.TemporaryDirectory(prefix="neural-fields-") as folder:
        copy, run = Path(folder) / "run", RunFolder(Path(job.run).expanduser().absolute())
        changes: dict[str, Any] = {"run": str(copy), "checkpoint_seconds": 0.0}
        if job.resume and run.record_file.exists():
            shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("outputs", "previews"))
            if isinstance(job, FitShape) and not job.meshes:
                changes["meshes"] = tuple(map(str, run.mesh_paths()))
        if isinstance(job, Train):
            changes |= {"preview_seconds": 0.0, "evaluations": 0}
        process_group.wait()
        yield replace(job, **changes)
