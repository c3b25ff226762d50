# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the surface of a shape of a run, or of one between its shapes."""

import contextlib
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from ..meshing.isosurface import Isosurface
from ..meshing.mesh import write_mesh
from ..meshing.surface import extract_mesh
from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractMesh, MeshReady, Progress
from .devices import choose_device
from .mesh_steps import check_options, check_output, cropped, told_steps
from .run_folder import RunFolder
from .shape_elements import moved_elements
from .shape_family import ShapeFamily
from .trained_method import load_shapes


def run(job: ExtractMesh) -> Generator[Event, None, None]:
    """Finds and writes the mesh of the shape that a job asks for.

    Raises:
        JobError: where there is no such shape or it has no surface, or an option is impossible.
    """
    folder = RunFolder.open(job.run)
    output = Path(job.output).expanduser() if job.output else folder.outputs / "mesh.ply"
    check_output(output)
    check_options(job)
    if job.texture_size:
        raise JobError("Learned shapes have no colors.", "Leave the texture out.")
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    family = ShapeFamily(folder, load_shapes(folder, choose_device(job.device)))
    with contextlib.ExitStack() as moved:
        if job.elements:
            file = Path(job.elements).expanduser()
            frame = family.shape(job.shape).frame
            moved.enter_context(moved_elements(family.method, frame, file))
        surface = cropped(job, offset(asked_surface(job, family), job.level))
        steps = extract_mesh(
            surface, job.resolution, job.keep_components, keep_faces=job.keep_faces
        )
        mesh = yield from told_steps(job, steps)
    if not len(mesh.faces):
        raise JobError(
            "The shape has no surface in its bounds.",
            "Choose a level nearer to 0, a larger crop box or another shape, or train longer.",
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


def asked_surface(job: ExtractMesh, family: ShapeFamily) -> Isosurface:
    """The surface of `job.shape`, on its way to `job.blend_to`, along `job.axes`.

    Raises:
        JobError: where there is no such shape.
    """
    return family.surface(family.between(job.shape, job.blend_to, job.blend, job.axes))


def offset(surface: Isosurface, outwards: float) -> Isosurface:
    """The surface moved: by scene units where the values are distances, else by a level."""
    step = -outwards if surface.inside_above else outwards
    bounds = surface.bounds
    if not surface.inside_above and outwards > 0:
        # A shape that grows needs room.
        bounds = bounds + bounds.new_tensor([[-outwards], [outwards]])
    return replace(surface, level=surface.level + step, bounds=bounds)
