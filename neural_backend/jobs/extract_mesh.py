# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the surface of a trained field."""

from collections.abc import Generator
from pathlib import Path

from ..meshing.mesh import write_mesh
from ..meshing.textured_files import FORMATS as TEXTURED_FORMATS
from ..meshing.textured_files import write_textured
from ..methods.moment import Moment
from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractMesh, MeshReady, Progress
from . import extract_shape
from .devices import choose_device
from .field_surface import (
    SURFACES,
    extract_at,
    find_surface,
    guiding_views,
    mesh_bounds,
    texture_of,
)
from .mesh_steps import check_options, check_output
from .run_folder import RunFolder
from .trained_method import learned_shapes, load_method

_LARGEST_TEXTURE = 8192


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
    check_output(output)
    check_options(job)
    _check_moment_and_surface(job)
    _check_texture(job, output)
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    moment = Moment(method, job.time)
    bounds = mesh_bounds(job, method)
    views = yield from guiding_views(job, run_folder)
    surface = yield from find_surface(job, moment, bounds, views)
    mesh = yield from extract_at(job, surface, moment, views)
    if not len(mesh.faces):
        at = f" at a density of {surface.level:g}" if surface.inside_above else ""
        raise JobError(
            f"The field has no surface{at} that can be seen in its bounds.",
            "Choose a lower level or a larger crop box, or train longer.",
        )
    picture = ""
    if job.texture_size:
        texture = yield from texture_of(job, surface, mesh, moment, views)
        picture = str(write_textured(mesh, texture, output.absolute()))
    else:
        yield Progress(job_id=job.job_id, stage="writing the mesh", done=0, total=1, unit="")
        write_mesh(mesh, output)
    yield MeshReady(
        job_id=job.job_id,
        output=str(output.absolute()),
        num_vertices=len(mesh.vertices),
        num_faces=len(mesh.faces),
        level=float(surface.level),
        texture=picture,
    )


def _check_moment_and_surface(job: ExtractMesh) -> None:
    if not 0 <= job.time <= 1:
        raise JobError(
            f"A mesh cannot be made at a time of {job.time:g}.",
            "Choose a time from 0, the capture's first, to 1, its last.",
        )
    if job.surface not in SURFACES:
        raise JobError(
            f"A mesh cannot be made from {job.surface!r}.", f"Choose {', '.join(SURFACES)}."
        )


def _check_texture(job: ExtractMesh, output: Path) -> None:
    if not job.texture_size:
        return
    if not 16 <= job.texture_size <= _LARGEST_TEXTURE:
        raise JobError(
            f"A texture cannot have {job.texture_size} pixels a side.",
            f"Choose a number from 16 to {_LARGEST_TEXTURE}.",
        )
    if output.suffix.lower() not in TEXTURED_FORMATS:
        raise JobError(
            f"{output.name} cannot hold a texture.",
            f"Choose a name in {', '.join(TEXTURED_FORMATS)}, or leave the texture out.",
        )
