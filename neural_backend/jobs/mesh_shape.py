# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the surface of any shape as triangles."""

from collections.abc import Generator
from pathlib import Path

import torch

from ..fields.csg import FunctionShape
from ..meshing.mesh import write_mesh
from ..meshing.surface import extract_mesh
from ..protocol.errors import JobError
from ..protocol.messages import Event, MeshReady, MeshShape, Progress
from .devices import choose_device
from .mesh_steps import check_options, check_output, cropped, told_steps
from .shape_files import isosurface, open_shape


def run(job: MeshShape) -> Generator[Event, None, None]:
    """Finds and writes the mesh. No part is too small to be kept.

    Raises:
        JobError: where there is no shape, it has no surface or no end, or an option is impossible.
    """
    output = Path(job.output).expanduser()
    check_output(output)
    check_options(job)
    yield Progress(job_id=job.job_id, stage="loading the shape", done=0, total=1, unit="")
    device = choose_device(job.device)
    shape = open_shape(job.shape, device)
    if len(job.crop_min) == len(job.crop_max) == 3:
        # Within a crop box of six numbers an endless shape ends.
        box = torch.tensor([job.crop_min, job.crop_max], dtype=torch.float64)
        own = shape.bounds()
        ends = [
            torch.where(side.isfinite(), side, crop) for side, crop in zip(own, box, strict=True)
        ]
        shape = FunctionShape(shape.distance, torch.stack(ends))
    if shape.bounds().shape[1] != 3:
        raise JobError("The shape is flat: it lies in the plane.", "Describe a solid in space.")
    surface = cropped(job, isosurface(shape, device, job.level))
    mesh = yield from told_steps(job, extract_mesh(surface, job.resolution, keep_components=0.0))
    if not len(mesh.faces):
        raise JobError(
            "The shape has no surface in its bounds that the grid could find.",
            "Choose a finer resolution, or a level nearer to 0.",
        )
    yield Progress(job_id=job.job_id, stage="writing the mesh", done=0, total=1, unit="")
    write_mesh(mesh, output)
    yield MeshReady(
        job_id=job.job_id,
        output=str(output.absolute()),
        num_vertices=len(mesh.vertices),
        num_faces=len(mesh.faces),
        level=job.level,
    )
