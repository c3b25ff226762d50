# SPDX-License-Identifier: GPL-3.0-or-later
"""What every job that makes meshes of a trained field begins with: its box, cameras and surface."""

from collections.abc import Generator

import torch

from ..datasets.capture import View
from ..meshing.isosurface import Isosurface
from ..meshing.level import choose_level, random_rays_into
from ..meshing.mesh import Mesh
from ..meshing.surface import cell_size, extract_mesh
from ..meshing.texture import Texture, bake_texture
from ..methods.base import Method
from ..methods.moment import Moment
from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractMesh, ExtractMeshSequence, Job, Progress, Warned
from .depth_surface import depth_surface, seconds_to_render
from .mesh_steps import MeshJob, cropped, told_steps
from .run_capture import load_run_capture, random_camera_rays
from .run_folder import RunFolder

LEVEL_RAYS = 1536
SURFACES = ("auto", "depth", "density")
_FEWEST_VIEWS = 24
"""What fewer views do not see is too much: between their depths anything could be."""
_LONGEST_WAIT_S = 300.0


def mesh_bounds(job: MeshJob, method: Method) -> torch.Tensor:
    """The (2, 3) box to look for a surface in."""
    bounds = method.bounds.detach().to(method.device)
    return cropped(job, Isosurface(method.density, 0.0, True, bounds)).bounds


def guiding_views(job: Job, run_folder: RunFolder) -> Generator[Event, None, tuple[View, ...]]:
    """The views of the training, which guide a mesh; none, with a warning, where they are gone."""
    try:
        return load_run_capture(run_folder).split("train").views
    except JobError as error:
        message = f"The cameras of the training cannot be read, so none guide the mesh: {error}"
        yield Warned(job_id=job.job_id, message=message)
        return ()


def find_surface(
    job: ExtractMesh, moment: Moment, bounds: torch.Tensor, views: tuple[View, ...]
) -> Generator[Event, None, Isosurface]:
    """The surface that the job asks for: fused from depths, or that of a density.

    Raises:
        JobError: where there are no cameras for depths, or the field is empty.
    """
    if job.surface == "depth" and not views:
        raise JobError(
            "Without the cameras of the training there are no depths to make a mesh from.",
            "Put the capture back in its place, or make the mesh from density.",
        )
    enough = len(views) >= _FEWEST_VIEWS and job.level <= 0
    by_depth = job.surface == "depth" or (job.surface == "auto" and enough)
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
        return (yield from told_steps(job, depth_surface(moment, views, bounds, job.resolution)))
    level: float | None = job.level
    if job.level <= 0:
        yield Progress(job_id=job.job_id, stage="choosing the level", done=0, total=1, unit="")
        level = level_of(moment, bounds, views)
    if level is None:
        raise empty_field()
    return Isosurface(moment.density, level, inside_above=True, bounds=bounds)


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


def extract_at(
    job: ExtractMesh | ExtractMeshSequence,
    surface: Isosurface,
    moment: Moment,
    views: tuple[View, ...],
) -> Generator[Progress, None, Mesh]:
    """The mesh of a field's surface at a moment; empty where there is none."""
    steps = extract_mesh(
        surface,
        job.resolution,
        job.keep_components,
        moment.color if job.colors else None,
        [(view.intrinsics, view.camera_to_world) for view in views],
        job.keep_unseen,
        moment.density,
        keep_faces=getattr(job, "keep_faces", 1.0),
    )
    return (yield from told_steps(job, steps))


def texture_of(
    job: ExtractMesh,
    surface: Isosurface,
    mesh: Mesh,
    moment: Moment,
    views: tuple[View, ...],
) -> Generator[Progress, None, Texture]:
    """A texture with the colors that cameras see on the mesh."""
    steps = bake_texture(
        surface,
        mesh,
        job.texture_size,
        moment.color,
        moment.density,
        cell_size(surface, job.resolution),
        [(view.intrinsics, view.camera_to_world) for view in views],
    )
    return (yield from told_steps(job, steps))
