# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the surface of a trained field."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import torch

from ..meshing.isosurface import Isosurface
from ..meshing.level import choose_level, random_rays_into
from ..meshing.mesh import FORMATS, write_mesh
from ..meshing.surface import Step, extract_mesh
from ..methods.base import Method
from ..methods.moment import Moment
from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractMesh, MeshReady, Progress, Warned
from .depth_surface import depth_surface, seconds_to_render
from .devices import choose_device
from .run_capture import load_run_capture, random_camera_rays
from .run_folder import RunFolder
from .trained_method import load_method

Result = TypeVar("Result")

_LEVEL_RAYS = 1536
_TELL_EVERY_S = 0.25
_HIGHEST_RESOLUTION = 2048
_LONGEST_WAIT_S = 300.0
_SURFACES = ("auto", "depth", "density")


def run(job: ExtractMesh) -> Generator[Event, None, None]:
    """Finds, colours and writes the mesh.

    Raises:
        JobError: where the field has no surface, or an option is impossible.
    """
    run_folder = RunFolder.open(job.run)
    output = Path(job.output).expanduser() if job.output else run_folder.outputs / "mesh.ply"
    _check_options(job, output)
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    moment = Moment(method, job.time)
    bounds = _bounds(job, method)
    views: tuple = ()
    try:
        views = load_run_capture(run_folder).split("train").views
    except JobError as error:
        message = f"The cameras of the training cannot be read, so none guide the mesh: {error}"
        yield Warned(job_id=job.job_id, message=message)
    surface = yield from _find_surface(job, moment, bounds, views)
    cameras = [(view.intrinsics, view.camera_to_world) for view in views]
    steps = extract_mesh(
        surface,
        job.resolution,
        job.keep_components,
        moment.color if job.colors else None,
        cameras,
        job.keep_unseen,
        moment.density,
    )
    mesh = yield from _told(job, steps)
    if not len(mesh.faces):
        at = f" at a density of {surface.level:g}" if surface.inside_above else ""
        raise JobError(
            f"The field has no surface{at} that can be seen in its bounds.",
            "Choose a lower level or a larger crop box, or train longer.",
        )
    yield Progress(job_id=job.job_id, stage="writing the mesh", done=0, total=1, unit="")
    write_mesh(mesh, output)
    yield MeshReady(
        job_id=job.job_id,
        output=str(output.absolute()),
        num_vertices=len(mesh.vertices),
        num_faces=len(mesh.faces),
        level=float(surface.level),
    )


def _find_surface(
    job: ExtractMesh, moment: Moment, bounds: torch.Tensor, views: tuple
) -> Generator[Event, None, Isosurface]:
    if job.surface == "depth" and not views:
        raise JobError(
            "Without the cameras of the training there are no depths to make a mesh from.",
            "Put the capture back in its place, or make the mesh from density.",
        )
    by_depth = job.surface == "depth" or (job.surface == "auto" and job.level <= 0 and bool(views))
    if by_depth and job.surface == "auto":
        wait = seconds_to_render(moment, views)
        if wait > _LONGEST_WAIT_S:
            by_depth = False
            message = (
                f"Rendering depths would take {wait / 60:.0f} minutes, so the mesh is made from "
                "density, which is rougher; ask for a surface from depth to have it all the same."
            )
            yield Warned(job_id=job.job_id, message=message)
    if by_depth:
        return (yield from _told(job, depth_surface(moment, views, bounds, job.resolution)))
    level = job.level
    if level <= 0:
        yield Progress(job_id=job.job_id, stage="choosing the level", done=0, total=1, unit="")
        level = _choose_level(moment, bounds, views)
    return Isosurface(moment.density, level, inside_above=True, bounds=bounds)


def _told(job: ExtractMesh, steps: Generator[Step, None, Result]) -> Generator[Event, None, Result]:
    """Tells of steps as the job's progress; returns what they return."""
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


def _choose_level(moment: Moment, bounds: torch.Tensor, views: tuple) -> float:
    rays = (
        random_camera_rays(views, _LEVEL_RAYS, bounds.device)
        if views
        else random_rays_into(bounds, _LEVEL_RAYS)
    )
    found = choose_level(moment.density, rays, bounds)
    if found is None:
        raise JobError(
            "The field is empty: it stops no light within its bounds.",
            "Train longer, enlarge the crop box, or give a level.",
        )
    return found.level


def _bounds(job: ExtractMesh, method: Method) -> torch.Tensor:
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


def _check_options(job: ExtractMesh, output: Path) -> None:
    if output.suffix.lower() not in FORMATS:
        raise JobError(
            f"A mesh cannot be written to {output.name}.", f"Choose a name in {', '.join(FORMATS)}."
        )
    if job.surface not in _SURFACES:
        raise JobError(
            f"A mesh cannot be made from {job.surface!r}.", f"Choose {', '.join(_SURFACES)}."
        )
    if not 2 <= job.resolution <= _HIGHEST_RESOLUTION:
        raise JobError(
            f"A mesh cannot have a resolution of {job.resolution}.",
            f"Choose a number from 2 to {_HIGHEST_RESOLUTION}.",
        )
    if not 0 <= job.time <= 1:
        raise JobError(
            f"A mesh cannot be made at a time of {job.time:g}.",
            "Choose a time from 0, the capture's first, to 1, its last.",
        )
    for corner in (job.crop_min, job.crop_max):
        if len(corner) not in (0, 3):
            raise JobError(
                f"A corner of the crop box has three numbers, not {len(corner)}.",
                "Give x, y and z, or leave it out.",
            )
