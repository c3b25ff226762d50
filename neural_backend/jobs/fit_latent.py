# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds a mesh, whole or in part, in a family of shapes."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.mesh_files import load_points, load_shape
from ..datasets.mesh_shapes import as_tensor, sample_mesh
from ..datasets.shape_set import ShapeFrame
from ..geometry.mesh_distance import mesh_report
from ..geometry.surface_samples import sample_surface
from ..methods.shape_base import Observation
from ..protocol.errors import JobError
from ..protocol.messages import Event, FitLatent, LatentFitted, Progress
from .devices import choose_device
from .run_folder import RunFolder
from .shape_family import PlacedCode, ShapeFamily
from .trained_method import load_shapes

_WHOLE_SAMPLES = 40_000
_PARTIAL_SAMPLES = 20_000
_FREE_SAMPLES = 10_000


def run(job: FitLatent) -> Iterator[Event]:
    """Seeks the code that explains a file best, and keeps it in the run under a name.

    Raises:
        JobError: where the run is no family, or the file cannot be read or has no inside.
    """
    folder = RunFolder.open(job.run)
    learned = load_shapes(folder, choose_device(job.device))
    if not learned.method.is_family:
        raise JobError(
            f"{folder.path} holds one shape: there is no family in which to find another.",
            "Choose a run that was fitted to several meshes.",
        )
    if len(job.viewpoint) not in (0, 3):
        raise JobError(
            f"A viewpoint has three numbers, not {len(job.viewpoint)}.", "Give x, y and z, or none."
        )
    family = ShapeFamily(folder, learned)
    name = job.name or Path(job.mesh).stem
    if name in learned.recipe.names:
        raise JobError(f"The run learned a shape {name!r}.", "Choose another name.")
    yield Progress(job_id=job.job_id, stage="measuring the mesh", done=0, total=1, unit="")
    seen, frame = _observed(job, family)
    yield Progress(job_id=job.job_id, stage="seeking the shape", done=0, total=1, unit="")
    start = time.perf_counter()
    generator = torch.Generator().manual_seed(job.seed)
    code = learned.method.fit_latent(seen, generator, job.steps)
    seconds = time.perf_counter() - start
    if not bool(code.isfinite().all()):
        raise JobError("No shape was found that fits.", "Use fewer steps or another mesh.")
    family.keep(name, PlacedCode(code, frame))
    yield LatentFitted(
        job_id=job.job_id,
        run=str(folder.path),
        name=name,
        error=distance_to_surface(family, PlacedCode(code, frame), seen) * frame.scale,
        seconds=seconds,
    )


def distance_to_surface(family: ShapeFamily, placed: PlacedCode, seen: Observation) -> float:
    """Mean distance, in the unit frame, of what was seen from a shape's surface.

    The value at a point over the slope there: exact near the surface, for occupancies too.
    """
    surface = family.method.isosurface(placed.code)
    points = seen.surface[:2048]
    step = 0.01
    axes = step * torch.eye(3, device=points.device)
    around = torch.stack([surface.signed(points + axis) for axis in (*axes, *-axes)])
    slopes = ((around[:3] - around[3:]) / (2 * step)).norm(dim=0)
    # Where a field is flat nothing says how far the surface is: no farther than the frame is wide.
    distances = surface.signed(points).abs() / slopes.clamp(min=1e-6)
    return float(distances.clamp(max=2.0).mean())


def _observed(job: FitLatent, family: ShapeFamily) -> tuple[Observation, ShapeFrame]:
    path, device = Path(job.mesh).expanduser(), family.method.device
    if not job.partial:
        whole = sample_mesh(*load_shape(path), path.stem, _WHOLE_SAMPLES, job.seed)
        return Observation.of_samples(whole, device), whole.frame
    frame = family.mean_frame()
    surface = _to_unit(_surface_points(path, job.seed), frame).to(device)
    seen = Observation.of_surface(surface)
    if job.viewpoint:
        eye = _to_unit(np.array([job.viewpoint], dtype=np.float64), frame).to(device)
        free, clearance = free_space(surface, eye[0], torch.Generator().manual_seed(job.seed))
        seen = Observation(surface, seen.points, seen.distances, free, clearance)
    return seen, frame


def _surface_points(path: Path, seed: int) -> NDArray[np.float64]:
    """Points on the surface of a mesh that may be open, or the points of a file without faces."""
    points = load_points(path)
    if points is not None:
        return points
    vertices, faces = load_shape(path)
    mesh_report(vertices, faces, signed=False)
    generator = torch.Generator().manual_seed(seed)
    return sample_surface(vertices, faces, _PARTIAL_SAMPLES, generator)[0]


def free_space(
    surface: Float[Tensor, "surface 3"],
    viewpoint: Float[Tensor, "3"],
    generator: torch.Generator,
    reach: float = 0.3,
) -> tuple[Float[Tensor, "free 3"], Float[Tensor, " free"]]:
    """Points between a surface and where it was seen from, and how far its surface is at most.

    They lie within `reach` of the surface: farther off, space says little about the shape.
    """
    chosen = torch.randint(len(surface), (_FREE_SAMPLES,), generator=generator)
    seen = surface[chosen.to(surface.device)]
    towards = viewpoint - seen
    far = towards.norm(dim=-1)
    away = torch.rand(len(seen), generator=generator).to(far) * far.clamp(max=reach)
    return seen + towards * (away / far.clamp(min=1e-9))[:, None], away


def _to_unit(points: NDArray[np.float64], frame: ShapeFrame) -> Float[Tensor, "points 3"]:
    return as_tensor((points - np.array(frame.center)) / frame.scale)
