# SPDX-License-Identifier: GPL-3.0-or-later
"""Learns the shape of one mesh, or of a family of them."""

import contextlib
import hashlib
import os
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from .. import __version__
from ..datasets.mesh_shapes import sample_mesh_file
from ..datasets.shape_set import ShapeSamples, ShapeSet
from ..methods.configuration import config_from_dict
from ..methods.shape_registry import (
    ShapeRecipe,
    build_shape_method,
    resolve_shape_method,
    shape_config,
)
from ..methods.structured_implicit import StructuredImplicit
from ..protocol.errors import JobError
from ..protocol.messages import Event, FitShape, Progress, ShapesFitted, Warned
from ..training.checkpoint import Checkpoint, SavedProgress, save_checkpoint
from ..training.trainer import TrainerConfig, TrainingReport, train
from .devices import choose_device, start_device
from .many_processes import check_method
from .run_folder import RunFolder, RunRecord
from .shape_elements import write_elements
from .trained_method import LearnedShapes, forget_methods, keep_method, restore_shapes
from .training_run import mark_end, resumable, resumed_record

_SAMPLES_OF_ONE, _SAMPLES_OF_MANY = 200_000, 40_000
"""Points about a mesh that are measured: a single shape is learned more closely."""


def run(
    job: FitShape, shapes: Sequence[ShapeSamples] | None = None
) -> Generator[Event, None, ShapesFitted]:
    """Learns into `job.run`; measured shapes in memory may stand in for `job.meshes`.

    Raises:
        JobError: for whatever the user can put right.
    """
    device = choose_device(job.device)
    forget_methods()
    folder, checkpoint = resumable(job)
    if job.resume and checkpoint is None:
        yield Warned(job_id=job.job_id, message=f"Nothing to resume in {job.run}: starting anew.")
    record = resumed_record(job, folder) if checkpoint else RunRecord()
    paths = _mesh_paths(job, folder if checkpoint else None)
    if checkpoint is None:
        record = _fresh_record(job, len(paths) if shapes is None else len(shapes))
    check_method(record.method, len(paths) if shapes is None else len(shapes))
    if shapes is None:
        shapes = yield from _measure(job.job_id, paths, record)
    if checkpoint is None:
        folder = RunFolder.create(job.run)
    record = replace(
        record,
        state="training",
        process=os.getpid(),
        meshes=tuple(folder.relative(path.absolute()) for path in paths),
        backend_version=__version__,
        device=str(device),
        message="",
    )
    try:
        folder.write_record(record)
        training = _Fitting(job, folder, record, ShapeSet(shapes, device), device)
        fitted = yield from training.events(shapes, checkpoint)
    except (GeneratorExit, KeyboardInterrupt):
        mark_end(folder, state="cancelled")
        raise
    except Exception as error:
        mark_end(folder, state="failed", message=str(error))
        raise
    yield fitted
    return fitted


def shape_names(paths: Sequence[Path]) -> list[str]:
    """Names of files without their endings, numbered where two are alike."""
    names: list[str] = []
    for path in paths:
        name, count = path.stem, 1
        while name in names:
            count += 1
            name = f"{path.stem}_{count}"
        names.append(name)
    return names


def _mesh_paths(job: FitShape, resumed: RunFolder | None) -> list[Path]:
    if job.meshes or resumed is None:
        return [Path(mesh).expanduser() for mesh in job.meshes]
    return resumed.mesh_paths()


def _fresh_record(job: FitShape, num_shapes: int) -> RunRecord:
    if not num_shapes:
        raise JobError("There is no mesh to learn.", "Name one mesh file or several.")
    if job.samples < 0:
        raise JobError(
            f"{job.samples} points about a mesh cannot be measured.", "Leave samples at 0."
        )
    method = resolve_shape_method(job.method, num_shapes)
    config = shape_config(method, job.preset, job.settings)
    return RunRecord(
        method=method,
        preset=job.preset,
        config=asdict(config),
        settings=job.settings,
        seed=job.seed,
        samples=job.samples or (_SAMPLES_OF_ONE if num_shapes == 1 else _SAMPLES_OF_MANY),
        budget_steps=job.steps or (0 if job.seconds > 0 else config.steps),
        budget_seconds=job.seconds,
    )


def _measure(
    job_id: str, paths: Sequence[Path], record: RunRecord
) -> Generator[Event, None, list[ShapeSamples]]:
    shapes = []
    for number, (path, name) in enumerate(zip(paths, shape_names(paths), strict=True)):
        yield Progress(
            job_id=job_id, stage="measuring meshes", done=number, total=len(paths), unit="meshes"
        )
        try:
            shapes.append(sample_mesh_file(path, name, record.samples, record.seed + number))
        except JobError as error:
            if path.name in error.message:
                raise
            raise JobError(f"{path.name}: {error.message}", error.remedy) from error
    return shapes


class _Fitting:
    """One training, from measured shapes to the saved result."""

    def __init__(
        self,
        job: FitShape,
        folder: RunFolder,
        record: RunRecord,
        shapes: ShapeSet,
        device: torch.device,
    ) -> None:
        self.job, self.folder, self.record = job, folder, record
        self.shapes, self.device = shapes, device
        self.learned: LearnedShapes

    def events(
        self, shapes: Sequence[ShapeSamples], checkpoint: Checkpoint | None
    ) -> Generator[Event, None, ShapesFitted]:
        yield from start_device(self.device, self.job.job_id)
        digest = _digest(shapes)
        if checkpoint is None:
            self.folder.update_record(views_digest=digest)
            self._build(shapes)
        else:
            self._restore(checkpoint, digest)
        report = yield from self._learn(checkpoint)
        self.folder.update_record(state="trained", steps=report.step, seconds=report.seconds)
        keep_method(self.folder, self.learned, self.device)
        if isinstance(self.learned.method, StructuredImplicit):
            file = self.folder.outputs / "elements.json"
            write_elements(self.learned.method, self.shapes.frames[0], file)
        return ShapesFitted(
            job_id=self.job.job_id,
            run=str(self.folder.path),
            method=self.record.method,
            shapes=self.shapes.names,
            steps=report.step,
            seconds=report.seconds,
        )

    def _build(self, shapes: Sequence[ShapeSamples]) -> None:
        recipe = ShapeRecipe(
            method=self.record.method,
            config=self.record.config,
            bounds=tuple(tuple(map(float, corner)) for corner in self.shapes.bounds()),
            names=self.shapes.names,
            centers=tuple(frame.center for frame in self.shapes.frames),
            scales=tuple(frame.scale for frame in self.shapes.frames),
            mesh_sizes=tuple((one.num_vertices, one.num_faces) for one in shapes),
        )
        method = build_shape_method(recipe, self.device, self.record.seed)
        self.learned = LearnedShapes(method, recipe)

    def _restore(self, checkpoint: Checkpoint, digest: str) -> None:
        if self.record.views_digest != digest:
            recipe = config_from_dict(ShapeRecipe, checkpoint.config)
            raise JobError(
                f"The run learned {', '.join(recipe.names[:5])}, and the meshes that it is given "
                "now are not the same.",
                "Resume with the meshes as they were, or train into a new folder.",
            )
        self.learned = restore_shapes(checkpoint, self.device)
        self.folder.keep_metrics_until(checkpoint.progress.step)

    def _learn(self, checkpoint: Checkpoint | None) -> Generator[Event, None, TrainingReport]:
        config = TrainerConfig(
            steps=self.record.budget_steps,
            seconds=self.record.budget_seconds,
            seed=self.record.seed,
            checkpoint_seconds=self.job.checkpoint_seconds,
        )
        resume = checkpoint.progress if checkpoint else None
        step = resume.step if resume else 0
        reports = train(self.learned.method, self.shapes, config, self._save, None, resume)
        with contextlib.closing(reports):
            for report in reports:
                if report.step > step:
                    step = report.step
                    values = {"step": step, "seconds": round(report.seconds, 4)}
                    self.folder.append_metrics(values | {"loss": report.loss})
                yield self._progress(report)
        return report

    def _save(self, progress: SavedProgress) -> None:
        state = self.learned.method.state()
        save_checkpoint(self.folder.checkpoints, asdict(self.learned.recipe), state, progress)
        self.folder.update_record(steps=progress.step, seconds=progress.seconds)

    def _progress(self, report: TrainingReport) -> Progress:
        in_steps = self.record.budget_steps > 0
        return Progress(
            job_id=self.job.job_id,
            stage=report.stage,
            done=report.step if in_steps else report.seconds,
            total=self.record.budget_steps if in_steps else self.record.budget_seconds,
            unit="steps" if in_steps else "seconds",
            seconds=report.seconds,
            eta_s=report.eta_s,
            loss=report.loss,
            step=report.step,
        )


def _digest(shapes: Sequence[ShapeSamples]) -> str:
    digest = hashlib.sha256()
    for shape in shapes:
        digest.update(shape.name.encode())
        digest.update(shape.surface.numpy().tobytes())
    return digest.hexdigest()[:16]
