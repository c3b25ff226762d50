# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves a mesh as a field moves: its topology, UVs and materials stay, its vertices follow."""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor

from ..meshing.isosurface import MAX_POINTS
from ..meshing.mesh import write_mesh
from ..meshing.point_cache import write_point_cache
from ..meshing.warp_inversion import invert_warp
from ..methods.base import WarpingMethod
from ..methods.moment import Moment
from ..protocol.errors import JobError
from ..protocol.messages import BakeMotion, Event, ExtractMesh, MotionBaked, Progress
from .devices import choose_device
from .field_surface import (
    extract_at,
    find_surface,
    guiding_views,
    mesh_bounds,
)
from .mesh_steps import check_options
from .moments import frame_times
from .run_folder import RunFolder, write_json
from .trained_method import load_method

_SOLVED = 0.01
"""Share of the job's tolerance at which a vertex counts as solved."""
_DIFFERENCE = 1e-3
"""Share of the bounds' diagonal over which the warp's derivatives are taken."""
_REST_POINTS = 4096


@dataclass(frozen=True)
class _Residuals:
    """How far off the vertices of a frame are, in scene units."""

    mean: float
    worst: float
    share_missed: float


def run(job: BakeMotion) -> Generator[Event, None, None]:
    """Writes where each vertex is at each frame, and how far off the inverse of the warp is.

    Raises:
        JobError: where the field does not warp, the mesh cannot be read, or an option is
            impossible.
    """
    run_folder = RunFolder.open(job.run)
    output = (
        Path(job.output).expanduser() if job.output else run_folder.outputs / "motion/motion.pc2"
    )
    output = output.absolute()
    matrix = _checked(job, output)
    moments = frame_times(job.frames, job.times, run_folder)
    frames = sorted(moments)
    step = _step(frames)
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    if not isinstance(method, WarpingMethod):
        raise JobError(
            f"A field of {method.name} has no warp that a mesh could be moved by.",
            "Extract a mesh sequence instead, or train with a method that warps, as dnerf.",
        )
    rest_time = job.rest_time if job.rest_time >= 0 else calmest_time(method, run_folder)
    mesh_file = Path(job.mesh).expanduser().absolute() if job.mesh else None
    if mesh_file is None:
        mesh_file = output.with_name(f"{output.stem}_rest.ply")
        yield from _extract_rest(job, run_folder, method, rest_time, mesh_file)
    vertices = _vertices(mesh_file)
    rest = torch.from_numpy(_transformed(vertices, matrix)).to(method.device)
    baking = _Baking(job, method, rest, rest_time)
    inverse = np.linalg.inv(matrix)
    times = [moments[frame] for frame in frames]
    samples: dict[int, NDArray[np.float32]] = {}
    for done, (place, neighbor) in enumerate(outwards(times, rest_time)):
        yield baking.progress(done, len(frames))
        samples[place] = _transformed(baking.at(place, times[place], neighbor), inverse)
    in_order = (samples[place] for place in range(len(frames)))
    write_point_cache(output, in_order, len(vertices), len(frames), frames[0], step)
    yield baking.progress(len(frames), len(frames))
    report = output.with_suffix(".json")
    yield baking.answer(output, mesh_file, report, frames, times)


class _Baking:
    """Follows the vertices from frame to frame, each starting from where it was beside."""

    def __init__(
        self, job: BakeMotion, method: WarpingMethod, rest: Tensor, rest_time: float
    ) -> None:
        self.job, self.method, self.rest, self.rest_time = job, method, rest, rest_time
        self.diagonal = float((method.bounds[1] - method.bounds[0]).norm())
        self.tolerance = job.tolerance * self.diagonal
        self.canonical = self._warped(rest, rest_time)
        self.found: dict[int, Tensor] = {}
        self.residuals: dict[int, _Residuals] = {}
        self.started = time.monotonic()

    def at(self, place: int, moment: float, neighbor: int | None) -> NDArray[np.float32]:
        """Where the vertices are at a time, sought from where they are at a neighboring place."""
        near = self.rest if neighbor is None else self.found[neighbor]
        found = invert_warp(
            lambda points: self._warped(points, moment),
            self.canonical,
            (near, self.rest, self.canonical),
            _SOLVED * self.tolerance,
            _DIFFERENCE * self.diagonal,
        )
        missed = (found.residuals > self.tolerance).double().mean()
        self.residuals[place] = _Residuals(
            float(found.residuals.mean()), float(found.residuals.max()), float(missed)
        )
        self.found[place] = found.points
        return found.points.cpu().numpy()

    def _warped(self, points: Tensor, moment: float) -> Tensor:
        parts = [
            self.method.to_canonical(part, part.new_full((len(part),), moment)).detach()
            for part in points.split(MAX_POINTS)
        ]
        return torch.cat(parts)

    def progress(self, done: int, total: int) -> Progress:
        seconds = time.monotonic() - self.started
        return Progress(
            job_id=self.job.job_id,
            stage="following the motion",
            done=done,
            total=total,
            unit="frames",
            seconds=seconds,
            eta_s=seconds * (total - done) / done if done else -1.0,
        )

    def answer(
        self, output: Path, mesh: Path, report: Path, frames: list[int], times: list[float]
    ) -> MotionBaked:
        """Writes the report of the residuals; the event says the same in short."""
        residuals = [self.residuals[place] for place in range(len(frames))]
        mean = float(np.mean([one.mean for one in residuals]))
        worst = max(one.worst for one in residuals)
        missed = float(np.mean([one.share_missed for one in residuals]))
        values = {
            "rest_time": self.rest_time,
            "tolerance": self.tolerance,
            "num_vertices": len(self.rest),
            "residual_mean": mean,
            "residual_max": worst,
            "share_missed": missed,
            "frames": [
                {"frame": frame, "time": moment, **vars(one)}
                for frame, moment, one in zip(frames, times, residuals, strict=True)
            ],
        }
        write_json(report, values)
        return MotionBaked(
            job_id=self.job.job_id,
            output=str(output),
            mesh=str(mesh),
            report=str(report),
            frames=tuple(frames),
            num_vertices=len(self.rest),
            rest_time=self.rest_time,
            residual_mean=mean,
            residual_max=worst,
            share_missed=missed,
        )


def outwards(times: list[float], rest_time: float) -> Iterator[tuple[int, int | None]]:
    """Places in `times` with the neighbor to start from: first the one nearest to rest, then on to
    both ends, so that nothing has to be sought far from where it was last.
    """
    first = int(np.argmin([abs(moment - rest_time) for moment in times]))
    yield first, None
    yield from ((place, place - 1) for place in range(first + 1, len(times)))
    yield from ((place, place + 1) for place in reversed(range(first)))


def calmest_time(method: WarpingMethod, run_folder: RunFolder) -> float:
    """The time at which the warp moves points of the bounds least: 0 where D-NeRF rests."""
    random = torch.Generator().manual_seed(0)
    bounds = method.bounds.detach().cpu()
    points = bounds[0] + (bounds[1] - bounds[0]) * torch.rand(_REST_POINTS, 3, generator=random)
    points = points.to(method.device)
    times = sorted({0.0, *frame_times((), (), run_folder).values()})
    moved = []
    for moment in times:
        at = points.new_full((len(points),), moment)
        moved.append(float((method.to_canonical(points, at) - points).norm(dim=-1).mean()))
    return times[int(np.argmin(moved))]


def _extract_rest(
    job: BakeMotion, run_folder: RunFolder, method: WarpingMethod, rest_time: float, file: Path
) -> Generator[Event, None, None]:
    options = ExtractMesh(
        job_id=job.job_id, run=job.run, resolution=job.resolution, level=job.level, time=rest_time
    )
    check_options(options)
    moment, bounds = Moment(method, rest_time), mesh_bounds(options, method)
    views = yield from guiding_views(job, run_folder)
    surface = yield from find_surface(options, moment, bounds, views)
    mesh = yield from extract_at(options, surface, moment, views)
    if not len(mesh.faces):
        raise JobError(
            "The field has no surface that can be seen in its bounds.",
            "Choose a lower level, or train longer.",
        )
    write_mesh(mesh, file)


def _vertices(file: Path) -> NDArray[np.float64]:
    """The vertices of a .ply in their order, with which the motion has to agree."""
    try:
        with file.open("rb") as opened:
            loaded: Any = trimesh.load(opened, file_type="ply", process=False, fix_texture=False)
        vertices = np.asarray(getattr(loaded, "vertices", ()), dtype=np.float64)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise JobError(
            f"{file} cannot be read as a .ply mesh: {error}.", "Export the mesh again."
        ) from error
    if not len(vertices):
        raise JobError(f"{file} has no vertices.", "Choose a mesh that has some.")
    return vertices


def _transformed(points: NDArray[np.floating], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    return (points @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)


def _step(frames: list[int]) -> int:
    """Frames from one sample of the cache to the next."""
    steps = {after - before for before, after in pairwise(frames)} or {1}
    if len(steps) > 1:
        raise JobError(
            "The frames to bake do not follow each other in equal steps.",
            "Choose a range of frames, or every Nth of one.",
        )
    return steps.pop()


def _checked(job: BakeMotion, output: Path) -> NDArray[np.float64]:
    """The matrix from the mesh to the field; raises JobError where an option is impossible."""
    if output.suffix.lower() != ".pc2":
        raise JobError(f"Motion cannot be written to {output.name}.", "Choose a name in .pc2.")
    if job.mesh and Path(job.mesh).suffix.lower() != ".ply":
        raise JobError(
            f"A mesh to move cannot be {Path(job.mesh).name}.",
            "Export it as .ply, which keeps the order of its vertices.",
        )
    if job.rest_time > 1:
        raise JobError(
            f"A mesh cannot rest at a time of {job.rest_time:g}.", "Choose 0 to 1, or -1."
        )
    if not job.tolerance > 0:
        raise JobError(
            f"A tolerance cannot be {job.tolerance:g}.", "Choose a share, such as 0.002."
        )
    if len(job.mesh_to_field) not in (0, 16):
        raise JobError(
            f"A matrix has sixteen numbers, not {len(job.mesh_to_field)}.",
            "Give the four rows of four, or leave it out.",
        )
    matrix = np.array(job.mesh_to_field).reshape(4, 4) if job.mesh_to_field else np.eye(4)
    if abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise JobError("The mesh is flattened to nothing.", "Give it a scale that is not zero.")
    return matrix
