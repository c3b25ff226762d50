# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the surface of a trained field."""

from collections.abc import Generator
from pathlib import Path

import torch

from ..meshing.isosurface import Isosurface
from ..meshing.level import choose_level, random_rays_into
from ..meshing.mesh import Mesh, write_mesh
from ..meshing.surface import extract_mesh
from ..meshing.visibility import Camera
from ..methods.base import Method
from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractMesh, MeshReady, Progress, Warned
from . import extract_shape
from .devices import choose_device
from .mesh_steps import check_options, cropped, told_steps
from .run_capture import load_run_capture, random_camera_rays
from .run_folder import RunFolder
from .trained_method import learned_shapes, load_method

_LEVEL_RAYS = 1536


def run(job: ExtractMesh) -> Generator[Event, None, None]:
    """Finds, colours and writes the mesh.

    Raises:
        JobError: where the field has no surface, or an option is impossible.
    """
    run_folder = RunFolder.open(job.run)
    if learned_shapes(run_folder):
        yield from extract_shape.run(job)
        return
    output = Path(job.output).expanduser() if job.output else run_folder.outputs / "mesh.ply"
    check_options(job, output)
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    bounds = _bounds(job, method)
    views: tuple = ()
    try:
        views = load_run_capture(run_folder).split("train").views
    except JobError as error:
        message = f"The cameras of the training cannot be read, so none guide the mesh: {error}"
        yield Warned(job_id=job.job_id, message=message)
    level = job.level
    if level <= 0:
        yield Progress(job_id=job.job_id, stage="choosing the level", done=0, total=1, unit="")
        level = _choose_level(method, bounds, views)
    cameras = [(view.intrinsics, view.camera_to_world) for view in views]
    surface = Isosurface(method.density, level, inside_above=True, bounds=bounds)
    mesh = yield from _extract(job, surface, method, cameras)
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


def _extract(
    job: ExtractMesh, surface: Isosurface, method: Method, cameras: list[Camera]
) -> Generator[Event, None, Mesh]:
    steps = extract_mesh(
        surface,
        job.resolution,
        job.keep_components,
        method.color if job.colors else None,
        cameras,
        job.keep_unseen,
    )
    return (yield from told_steps(job, steps))


def _choose_level(method: Method, bounds: torch.Tensor, views: tuple) -> float:
    rays = (
        random_camera_rays(views, _LEVEL_RAYS, bounds.device)
        if views
        else random_rays_into(bounds, _LEVEL_RAYS)
    )
    found = choose_level(method.density, rays, bounds)
    if found is None:
        raise JobError(
            "The field is empty: it stops no light within its bounds.",
            "Train longer, enlarge the crop box, or give a level.",
        )
    return found.level


def _bounds(job: ExtractMesh, method: Method) -> torch.Tensor:
    bounds = method.bounds.detach().to(method.device)
    return cropped(job, Isosurface(method.density, 0.0, True, bounds)).bounds
