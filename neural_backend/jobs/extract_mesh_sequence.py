# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the surface of a moving field, a mesh a frame."""

import json
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets.capture import View
from ..kernels import process_group
from ..meshing.isosurface import Isosurface
from ..meshing.mesh import read_ply_counts, write_mesh
from ..methods.base import DynamicMethod, Method
from ..methods.moment import Moment
from ..protocol.errors import JobError
from ..protocol.messages import Event, ExtractMeshSequence, MeshSequenceReady, Progress, Warned
from ..training.checkpoint import last_checkpoint
from .devices import choose_device
from .field_surface import (
    LEVEL_RAYS,
    empty_field,
    extract_at,
    guiding_views,
    level_of,
    mesh_bounds,
)
from .mesh_steps import check_options
from .moments import frame_times
from .run_folder import RunFolder, write_json
from .trained_method import load_method

PLAN_FILE = "sequence.json"
_LEVEL_MOMENTS = 5
_NOT_IN_PLAN = ("job_id", "run", "output", "frames", "times", "level", "overwrite", "device")


@dataclass
class _Plan:
    """What the meshes of a folder were made with; kept beside them as `sequence.json`."""

    checkpoint: str
    options: dict[str, Any]
    asked_level: float
    level: float = 0.0
    times: dict[str, float] = field(default_factory=dict)

    def fits(self, other: "_Plan") -> bool:
        mine = (self.checkpoint, self.options, self.asked_level)
        return mine == (other.checkpoint, other.options, other.asked_level)


def run(job: ExtractMeshSequence) -> Generator[Event, None, None]:
    """Makes the meshes that are not there yet.

    Raises:
        JobError: where the field has no surface at any of the moments, or an option is impossible.
    """
    run_folder = RunFolder.open(job.run)
    check_options(job)
    moments = frame_times(job.frames, job.times, run_folder)
    folder = Path(job.output).expanduser() if job.output else run_folder.outputs / "mesh_sequence"
    folder = folder.absolute()
    plan = _taken_up(_new_plan(job, run_folder), folder, job.overwrite)
    files = {frame: folder / f"mesh_{frame:04d}.ply" for frame in moments}
    missing = {
        frame: moment
        for frame, moment in moments.items()
        if plan.times.get(str(frame)) != moment or not files[frame].is_file()
    }
    process_group.wait()  # or one would list as missing what another is at
    if missing:
        yield from _extract(job, run_folder, plan, missing, files)
    counts = np.array([read_ply_counts(file) for file in files.values()])
    if not counts.any():
        raise JobError(
            f"The field has no surface at a density of {plan.level:g} at any of the "
            f"{len(moments)} moments.",
            "Choose a lower level or a larger crop box, or train longer.",
        )
    yield MeshSequenceReady(
        job_id=job.job_id,
        output=str(folder),
        files=tuple(map(str, files.values())),
        frames=tuple(moments),
        times=tuple(moments.values()),
        num_vertices=int(counts[:, 0].max()),
        num_faces=int(counts[:, 1].max()),
        level=plan.level,
    )


def _extract(
    job: ExtractMeshSequence,
    run_folder: RunFolder,
    plan: _Plan,
    moments: dict[int, float],
    files: dict[int, Path],
) -> Generator[Event, None, None]:
    yield Progress(job_id=job.job_id, stage="loading the field", done=0, total=1, unit="")
    method = load_method(run_folder, choose_device(job.device))
    if not isinstance(method, DynamicMethod):
        message = "This field does not move, so that the meshes of all frames are alike."
        yield Warned(job_id=job.job_id, message=message)
    bounds = mesh_bounds(job, method)
    views = yield from guiding_views(job, run_folder)
    writes_plan = process_group.rank() == 0
    if plan.level <= 0:
        yield Progress(job_id=job.job_id, stage="choosing the level", done=0, total=1, unit="")
        plan.level = job.level
        if plan.level <= 0 and writes_plan:
            plan.level = _common_level(method, moments, bounds, views)
        plan.level = process_group.first_says(plan.level)
    # Forgotten first and noted last: a file that is noted is whole and of this plan.
    made = {str(frame): moment_time for frame, moment_time in moments.items()}
    plan.times = {frame: at for frame, at in plan.times.items() if frame not in made}
    folder = next(iter(files.values())).parent
    if writes_plan:
        _write_plan(plan, folder)
    process_group.wait()
    started, mine = time.monotonic(), process_group.part(list(moments.items()))
    for index, (frame, moment_time) in enumerate(mine):
        moment = Moment(method, moment_time)
        surface = Isosurface(moment.density, plan.level, inside_above=True, bounds=bounds)
        steps = extract_at(job, surface, moment, views)
        while True:
            try:
                step = next(steps)
            except StopIteration as finished:
                mesh = finished.value
                break
            # Shares of a mesh's stages are no shares of its time, so a mesh counts when it is done.
            yield _progress(job, index, len(mine), started, f"meshes: {step.stage}")
        write_mesh(mesh, files[frame])
        if writes_plan:
            plan.times[str(frame)] = moment_time
            _write_plan(plan, folder)
        yield _progress(job, index + 1, len(mine), started, "meshes")
    process_group.wait()
    if writes_plan:
        plan.times |= made
        _write_plan(plan, folder)


def _progress(
    job: ExtractMeshSequence, done: int, total: int, started: float, stage: str
) -> Progress:
    seconds = time.monotonic() - started
    return Progress(
        job_id=job.job_id,
        stage=stage,
        done=done,
        total=total,
        unit="meshes",
        seconds=seconds,
        eta_s=seconds * (total - done) / done if done else -1.0,
    )


def _common_level(
    method: Method, moments: dict[int, float], bounds: torch.Tensor, views: tuple[View, ...]
) -> float:
    """The median of the levels that fit at moments spread over the sequence: one for all meshes, as
    a level of its own for each would let the surface breathe.
    """
    times = sorted(set(moments.values()))
    places = np.linspace(0, len(times) - 1, min(_LEVEL_MOMENTS, len(times))).round().astype(int)
    num_rays = LEVEL_RAYS // len(places)
    levels = [level_of(Moment(method, times[place]), bounds, views, num_rays) for place in places]
    found = sorted(level for level in levels if level is not None)
    if not found:
        raise empty_field()
    return found[len(found) // 2]


def _new_plan(job: ExtractMeshSequence, run_folder: RunFolder) -> _Plan:
    options = {name: value for name, value in asdict(job).items() if name not in _NOT_IN_PLAN}
    as_json = json.loads(json.dumps(options))
    return _Plan(last_checkpoint(run_folder.checkpoints), as_json, job.level)


def _taken_up(plan: _Plan, folder: Path, overwrite: bool) -> _Plan:
    """The plan in a folder where it is the same; otherwise its meshes are made anew."""
    file = folder / PLAN_FILE
    try:
        before = _Plan(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return plan
    if not before.fits(plan):
        return plan
    return replace(before, times={}) if overwrite else before


def _write_plan(plan: _Plan, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / PLAN_FILE, asdict(plan))
