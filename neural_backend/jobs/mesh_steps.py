# SPDX-License-Identifier: GPL-3.0-or-later
"""What all extractions of meshes have in common."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import TypeAlias, TypeVar

import torch

from ..meshing.isosurface import Isosurface
from ..meshing.mesh import FORMATS
from ..meshing.surface import Step
from ..protocol.errors import JobError
from ..protocol.messages import (
    ExtractMesh,
    ExtractMeshSequence,
    ExtractVolume,
    MeshShape,
    Progress,
)

MeshJob: TypeAlias = ExtractMesh | ExtractMeshSequence | ExtractVolume | MeshShape
Result = TypeVar("Result")

_TELL_EVERY_S = 0.25
_HIGHEST_RESOLUTION = 2048


def told_steps(
    job: MeshJob, steps: Generator[Step, None, Result]
) -> Generator[Progress, None, Result]:
    """Tells how far an extraction is, now and then; returns what the steps return."""
    stage, started, told = "", 0.0, 0.0
    while True:
        try:
            name, done, total = next(steps)
        except StopIteration as finished:
            return finished.value
        now = time.monotonic()
        if name != stage:
            stage, started, told = name, now, 0.0
        if now - told >= _TELL_EVERY_S:
            told, seconds = now, now - started
            eta = seconds * (total - done) / done if done else -1.0
            yield Progress(
                job_id=job.job_id,
                stage=name,
                done=done,
                total=total,
                seconds=seconds,
                eta_s=eta,
                unit="vertices" if name == "colors" else "steps",
            )


def cropped(job: MeshJob, surface: Isosurface) -> Isosurface:
    """The part of a surface within the job's crop box, if it has one.

    Raises:
        JobError: where nothing is left.
    """
    if not job.crop_min and not job.crop_max:
        return surface
    bounds = surface.bounds
    lower = torch.tensor(job.crop_min or bounds[0].tolist(), device=bounds.device)
    upper = torch.tensor(job.crop_max or bounds[1].tolist(), device=bounds.device)
    try:
        return surface.cropped(lower, upper)
    except ValueError as error:
        raise JobError(
            f"The crop box {job.crop_min} to {job.crop_max} holds nothing of the field, "
            f"which spans {bounds[0].tolist()} to {bounds[1].tolist()}.",
            "Move the crop box over the field.",
        ) from error


def check_output(output: Path) -> None:
    """Raises JobError where a mesh cannot be written to such a file."""
    if output.suffix.lower() not in FORMATS:
        raise JobError(
            f"A mesh cannot be written to {output.name}.", f"Choose a name in {', '.join(FORMATS)}."
        )


def check_options(job: MeshJob) -> None:
    """Raises JobError where a mesh cannot be made as the job says."""
    if not 2 <= job.resolution <= _HIGHEST_RESOLUTION:
        raise JobError(
            f"A mesh cannot have a resolution of {job.resolution}.",
            f"Choose a number from 2 to {_HIGHEST_RESOLUTION}.",
        )
    if isinstance(job, ExtractMesh) and not job.keep_faces > 0:
        raise JobError(
            f"A mesh cannot keep {job.keep_faces:g} of its faces.",
            "Choose a share above 0 and up to 1, or a number of faces.",
        )
    for corner in (job.crop_min, job.crop_max):
        if len(corner) not in (0, 3):
            raise JobError(
                f"A corner of the crop box has three numbers, not {len(corner)}.",
                "Give x, y and z, or leave it out.",
            )
