# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the surface of a trained field."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import TypeAlias

import torch

from ..datasets.capture import View
from ..meshing.isosurface import Isosurface
from ..meshing.level import choose_level, random_rays_into
from ..meshing.mesh import FORMATS, Mesh, write_mesh
from ..meshing.surface import extract_mesh
from ..meshing.visibility import Camera
from ..methods.base import Method
from ..methods.moment import Moment
from ..protocol.errors import JobError
from ..protocol.messages import (
    Event,
    ExtractMesh,
    ExtractMeshSequence,
    Job,
    MeshReady,
    Progress,
    Warned,
)
from .devices import choose_device
from .run_capture import load_run_capture, random_camera_rays
from .run_folder import RunFolder
from .trained_method import load_method

MeshJob: TypeAlias = ExtractMesh | ExtractMeshSequence

LEVEL_RAYS = 1536
_TELL_EVERY_S = 0.25
_HIGHEST_RESOLUTION = 2048


def run(job: ExtractMesh) -> Generator[Event, None, None]:
    """Finds, colours and writes the mesh.

    Raises:
        JobError: where the field has no surface, or an option is impossible.
    """
    run_folder = RunFolder.open(job.run)
    output = Path(job.output).expanduser() if job.output else run_folder.outputs / "mesh.ply"
    _check_output(output, job.time)
    check_options(job)
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    moment = Moment(method, job.time)
    bounds = mesh_bounds(job, method)
    views = yield from guiding_views(job, run_folder)
    level = job.level
    if level <= 0:
        yield Progress(job_id=job.job_id, stage="choosing the level", done=0, total=1, unit="")
        found = level_of(moment, bounds, views)
        if found is None:
            raise empty_field()
        level = found
    cameras = [(view.intrinsics, view.camera_to_world) for view in views]
    surface = Isosurface(moment.density, level, inside_above=True, bounds=bounds)
    mesh = yield from extract_at(job, surface, moment, cameras)
    if not len(mesh.faces):
        raise JobError(
            f"The field has no surface at a density of {level:g} that can be seen in its bounds.",
            "Choose a lower level or a larger crop box, or train longer.",
        )
    yield Progress(job_id=job.job_id, stage="writing the mesh", done=0, total=1, unit="")
    write_mesh(mesh, output)
    yield MeshReady(
        job_id=job.job_id,
        output=str(output.absolute()),
        num_vertices=len(mesh.vertices),
        num_faces=len(mesh.faces),
        level=float(level),
    )


def guiding_views(job: Job, run_folder: RunFolder) -> Generator[Event, None, tuple[View, ...]]:
    """The views of the training, which guide a mesh; none, with a warning, where they are gone."""
    try:
        return load_run_capture(run_folder).split("train").views
    except JobError as error:
        message = f"The cameras of the training cannot be read, so none guide the mesh: {error}"
        yield Warned(job_id=job.job_id, message=message)
        return ()


def extract_at(
    job: MeshJob, surface: Isosurface, moment: Moment, cameras: list[Camera]
) -> Generator[Progress, None, Mesh]:
    """The mesh of a field's surface at a moment; empty where there is none."""
    steps = extract_mesh(
        surface,
        job.resolution,
        job.keep_components,
        moment.color if job.colors else None,
        cameras,
        job.keep_unseen,
    )
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


def level_of(
    moment: Moment, bounds: torch.Tensor, views: tuple[View, ...], num_rays: int = LEVEL_RAYS
) -> float | None:
    """The level of density that fits what rays meet; None where the field stops no light."""
    rays = (
        random_camera_rays(views, num_rays, bounds.device)
        if views
        else random_rays_into(bounds, num_rays)
    )
    found = choose_level(moment.density, rays, bounds)
    return None if found is None else found.level


def empty_field() -> JobError:
    return JobError(
        "The field is empty: it stops no light within its bounds.",
        "Train longer, enlarge the crop box, or give a level.",
    )


def mesh_bounds(job: MeshJob, method: Method) -> torch.Tensor:
    """The (2, 3) box to look for a surface in."""
    bounds = method.bounds.detach().to(method.device)
    if not job.crop_min and not job.crop_max:
        return bounds
    lower = torch.tensor(job.crop_min or bounds[0].tolist(), device=bounds.device)
    upper = torch.tensor(job.crop_max or bounds[1].tolist(), device=bounds.device)
    try:
        return Isosurface(method.density, 0.0, True, bounds).cropped(lower, upper).bounds
    except ValueError as error:
        raise JobError(
            f"The crop box {job.crop_min} to {job.crop_max} holds nothing of the field, "
            f"which spans {bounds[0].tolist()} to {bounds[1].tolist()}.",
            "Move the crop box over the field.",
        ) from error


def _check_output(output: Path, time: float) -> None:
    if output.suffix.lower() not in FORMATS:
        raise JobError(
            f"A mesh cannot be written to {output.name}.", f"Choose a name in {', '.join(FORMATS)}."
        )
    if not 0 <= time <= 1:
        raise JobError(
            f"A mesh cannot be made at a time of {time:g}.",
            "Choose a time from 0, the capture's first, to 1, its last.",
        )


def check_options(job: MeshJob) -> None:
    """Raises JobError where a mesh cannot be made as the job says."""
    if not 2 <= job.resolution <= _HIGHEST_RESOLUTION:
        raise JobError(
            f"A mesh cannot have a resolution of {job.resolution}.",
            f"Choose a number from 2 to {_HIGHEST_RESOLUTION}.",
        )
    for corner in (job.crop_min, job.crop_max):
        if len(corner) not in (0, 3):
            raise JobError(
                f"A corner of the crop box has three numbers, not {len(corner)}.",
                "Give x, y and z, or leave it out.",
            )
