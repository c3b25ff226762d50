# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the cameras of a folder of photos with COLMAP."""

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..datasets.assembly import Findings, assemble
from ..datasets.capture import Capture
from ..datasets.colmap import read_colmap
from ..datasets.picture_files import picture_size, pictures_in
from ..datasets.transforms_writing import write_transforms
from ..geometry.upright import upright
from ..protocol.errors import JobError
from ..protocol.messages import Converted, Event, Progress, SolveCameras, Warned
from .colmap_program import ColmapStep, colmap_steps, run_step

_FEWEST = 3


def run(job: SolveCameras) -> Generator[Event, None, None]:
    """Writes COLMAP's models and, of the largest one, a transforms.json.

    The photos stay where they are. COLMAP's models stay as they are; in transforms.json the scene
    stands upright (see `upright`).

    Raises:
        JobError: where there are no photos, no COLMAP, or the photos do not fit together.
    """
    pictures = Path(job.pictures).expanduser().absolute()
    output = Path(job.output).expanduser().absolute()
    photos = pictures_in(pictures)
    if len(photos) < _FEWEST:
        raise JobError(
            f"{pictures} holds {len(photos)} photos.",
            f"Choose a folder with at least {_FEWEST}; 50 to 150 suit most scenes.",
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise JobError(f"{output} is not empty.", "Choose an empty or new folder.")
    one_camera = len({picture_size(photo) for photo in photos}) == 1
    steps = colmap_steps(pictures, output, one_camera, job.in_sequence)
    output.mkdir(parents=True, exist_ok=True)
    (output / "sparse").mkdir()
    for step in steps:
        yield from _told(job, step, output / "colmap.log", len(photos))
    capture = _largest(output / "sparse", pictures)
    lost = len(photos) - len(capture.views)
    if lost:
        message = f"{lost} of {len(photos)} photos do not fit to the others and are left out."
        yield Warned(job_id=job.job_id, message=message)
    for warning in capture.warnings:
        yield Warned(job_id=job.job_id, message=warning)
    write_transforms(capture, output / "transforms.json")
    yield Converted(job_id=job.job_id, output=str(output), num_views=len(capture.views))


def _told(
    job: SolveCameras, step: ColmapStep, log: Path, count: int
) -> Generator[Progress, None, None]:
    started = time.monotonic()
    done = 0
    yield Progress(job_id=job.job_id, stage=step.stage, done=0, total=count, unit="pictures")
    running = run_step(step, log, count)
    try:
        for number in running:
            done = min(max(done, number), count)
            seconds = time.monotonic() - started
            yield Progress(
                job_id=job.job_id,
                stage=step.stage,
                done=done,
                total=count,
                unit="pictures",
                seconds=seconds,
                eta_s=seconds * (count - done) / done if done else -1.0,
            )
    finally:
        running.close()


def _largest(models: Path, pictures: Path) -> Capture:
    """COLMAP writes a model for each group of photos that fit together."""
    found = []
    for model in sorted(models.iterdir()):
        if any((model / name).is_file() for name in ("images.bin", "images.txt")):
            findings = read_colmap(model, pictures)
            if len(findings.views) >= _FEWEST:
                found.append(findings)
    if not found:
        raise JobError(
            "COLMAP found no photos that fit together.",
            "Take sharp photos all around a textured, unmoving scene, each much like the one "
            "before.",
        )
    return assemble(_stood_up(max(found, key=lambda findings: len(findings.views))), hold_out=8)


def _stood_up(findings: Findings) -> Findings:
    """COLMAP's frame has no meaning: the scene is turned upright and brought to a handy size."""
    poses = np.array([view.camera_to_world for view in findings.views])
    frame = upright(poses, findings.points)
    views = [
        replace(view, camera_to_world=pose)
        for view, pose in zip(findings.views, frame.poses(poses), strict=True)
    ]
    points = None if findings.points is None else frame.points(findings.points)
    return replace(findings, views=views, points=points, depths=None)
